"""What the command line prints: lists as JSON, help by sections, guesses, completion, exit codes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import click
import pytest
from click.testing import CliRunner, Result

import clusterdb
from clusterdb.cli import cli, flags
from tests.support.commands import RUN, ended, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with a cluster that has instances, a clone of it, and a snapshot."""
    with clusterdb.open(tmp_path / "store") as store:
        prod = store.create_cluster("prod", backup_retention_days=1, tags={"team": "red"})
        db = prod.connect()
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'é'), (2, x'ff')")
        db.close()
        prod.add_instance("w1")
        prod.add_instance("r1", replica_lag_ms=5)
        prod.clone("dev")
        prod.snapshot("nightly")
    return tmp_path / "store"


def invoked(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--store", str(folder), *arguments])


def listed(folder: Path, *arguments: str) -> Any:
    result = invoked(folder, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.parametrize(
    ("arguments", "field", "expected"),
    [
        (["ls"], "name", ["dev", "prod"]),
        (["ls"], "source", ["prod", None]),
        (["snapshots"], "name", ["nightly"]),
        (["instances", "prod"], "name", ["w1", "r1"]),
        (["instances", "prod"], "replica_lag_ms", [0, 5]),
        (["endpoints", "prod"], "kind", ["CLUSTER", "READER", "INSTANCE", "INSTANCE"]),
        (["replica-status", "prod"], "server_id", ["w1", "r1"]),
        (["bills"], "name", ["dev", "prod", "nightly"]),
    ],
)
def test_json_lists_have_all_fields_under_their_python_names(
    folder: Path, arguments: list[str], field: str, expected: list[Any]
) -> None:
    """Lists as JSON have all fields, under their names in Python."""
    assert [record[field] for record in listed(folder, *arguments)] == expected


def test_show_check_metrics_events_diff_and_rows_print_json(folder: Path) -> None:
    """One cluster, a check, metrics, events, a difference and rows can be printed as JSON."""
    shown = listed(folder, "show", "prod")
    assert (shown["name"], shown["tags"], shown["status"]) == ("prod", {"team": "red"}, "available")
    assert datetime.fromisoformat(shown["latest_restorable_time"]).tzinfo is not None
    assert shown["own_bytes"] % 4096 == 0
    assert listed(folder, "check")["ok"] is True
    assert {"VolumeBytesUsed", "AuroraReplicaLag"} <= {metric["name"] for metric in listed(folder, "metrics")}
    assert listed(folder, "events", "nightly")[0]["kind"] == "snapshot"
    assert listed(folder, "diff", "prod", "dev")["tables"] == []
    assert listed(folder, "sql", "prod", "SELECT * FROM t") == [{"id": 1, "v": "é"}, {"id": 2, "v": {"blob": "ff"}}]


def test_csv_leaves_null_empty_and_prints_blobs_as_hexadecimal(folder: Path) -> None:
    """In CSV NULL is empty, a blob hexadecimal, and values are quoted where they have to be."""
    assert invoked(folder, "sql", "prod", "SELECT v, NULL n, 'a,\"b' q FROM t", "--csv").output == (
        'v,n,q\né,,"a,""b"\nff,,"a,""b"\n'
    )


def test_help_lists_every_command_in_a_section() -> None:
    """A new command must be put into a section of the help."""
    overview = CliRunner().invoke(cli, ["--help"]).output
    assert "Others:" not in overview
    sections = [line for line in overview.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert sections[1:] == [
        "Clusters:",
        "SQL:",
        "Object storage:",
        "Six copies in three zones:",
        "AWS:",
        "The past:",
        "Instances:",
        "The store:",
        "More:",
    ]
    for name, command in cli.commands.items():
        assert f"\n  {name} " in overview
        assert command.help and command.help.strip().split("\n")[0].endswith((".", "names", "which.", ")."))


def test_every_command_that_prints_a_table_takes_json() -> None:
    """Every command that prints a table also prints JSON."""
    lists = [
        "ls",
        "show",
        "snapshots",
        "instances",
        "endpoints",
        "replica-status",
        "events",
        "bills",
        "metrics",
        "check",
    ]
    for name in lists:
        assert "as_json" in {parameter.name for parameter in cli.commands[name].params}


def test_mistyped_names_are_answered_with_the_nearest(folder: Path) -> None:
    """The nearest name is suggested for a command, a cluster and a snapshot."""
    assert "did you mean 'clone'?" in invoked(folder, "clon", "a", "b").output
    for arguments in (["show", "prd"], ["clone", "prd", "x"], ["restore", "nightyl", "x"], ["rm-snapshot", "nightyl"]):
        error = invoked(folder, *arguments).exception
        assert isinstance(error, clusterdb.Error) and "; did you mean '" in str(error)


def test_import_names_the_cluster_after_the_file(tmp_path: Path, sample: Path) -> None:
    """The cluster is named after the file unless a name is given; invalid names are refused before the import."""
    assert invoked(tmp_path / "store", "import", str(sample)).exit_code == 0
    assert invoked(tmp_path / "store", "import", str(sample), "other", "--tag", "a=b").exit_code == 0
    assert [row["name"] for row in listed(tmp_path / "store", "ls")] == ["other", "sample"]
    odd = sample.rename(tmp_path / "2 odd.db")
    assert isinstance(invoked(tmp_path / "store", "import", str(odd)).exception, clusterdb.InvalidNameError)


@pytest.mark.parametrize(
    "arguments", [["rm", "dev"], ["rm-snapshot", "nightly"], ["reset", "dev"], ["rm-snapshot", "nightly", "nightly"]]
)
def test_commands_that_delete_data_need_yes_in_a_pipe(folder: Path, arguments: list[str]) -> None:
    """In a pipe such a command needs ``--yes``, says so, and does nothing."""
    before = invoked(folder, "events").output
    result = invoked(folder, *arguments)
    assert result.exit_code == 2 and "add --yes" in result.output
    assert invoked(folder, "events").output == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("clusterdb clone p", ["prod"]),
        ("clusterdb clone prod@n", ["prod@nightly"]),
        ("clusterdb rm ", ["dev", "prod"]),
        ("clusterdb restore ", ["nightly"]),
        ("clusterdb snaps", ["snapshot", "snapshots"]),
    ],
)
def test_completion_offers_commands_clusters_and_snapshots(folder: Path, words: str, expected: list[str]) -> None:
    """Completion of commands, clusters and snapshots, as the shell's completion script requests it."""
    environment = {
        **os.environ,
        "CLUSTERDB_STORE": str(folder),
        "_CLUSTERDB_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    code = "import sys; sys.argv = ['clusterdb']; from clusterdb.cli import main; main()"
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert [line.split(",")[1] for line in answer.stdout.splitlines()] == expected
    assert "_CLUSTERDB_COMPLETE" in CliRunner().invoke(cli, ["completion", "zsh"]).output


def test_bench_prints_its_measurements_and_leaves_nothing(tmp_path: Path) -> None:
    """bench measures, prints, and leaves nothing behind."""
    result = invoked(tmp_path / "store", "bench", "--size", "1", "--rounds", "2", "--json")
    measurements = json.loads(result.stdout)
    assert [row["way"] for row in measurements] == [
        "clone, store in memory",
        "clone, store on disk",
        "copy of the file",
    ]
    assert all(row["copy_s"] < row["cycle_s"] for row in measurements)
    assert list(tmp_path.iterdir()) == []
    assert "times faster" in invoked(tmp_path / "store", "bench", "--size", "1", "--rounds", "1").output


def test_version_names_the_data_plane_and_sqlite() -> None:
    shown = CliRunner().invoke(cli, ["--version"])
    parts = f"data plane: {clusterdb.implementation}; SQLite {apsw.sqlite_lib_version()}; apsw {apsw.apsw_version()}"
    assert (shown.stdout, shown.exit_code) == (f"clusterdb {clusterdb.__version__} ({parts})\n", 0)


def test_version_and_bench_note_why_the_plane_in_c_is_not_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, on standard error; other commands, and those where nobody misses it, do not."""
    bench = ("bench", "--size", "1", "--rounds", "1")
    note = "clusterdb: note: it was not built\n"
    monkeypatch.setattr("clusterdb.access.build.notice", lambda: "it was not built")
    assert invoked(tmp_path / "store", "--version").stderr == note
    assert invoked(tmp_path / "store", *bench).stderr == note
    assert invoked(tmp_path / "store", "create", "prod", "--quiet").stderr == ""
    monkeypatch.setattr("clusterdb.access.build.notice", lambda: None)
    assert invoked(tmp_path / "store", "--version").stderr == ""
    assert invoked(tmp_path / "store", *bench).stderr == ""


def test_version_is_refused_with_an_unknown_data_plane() -> None:
    shown = subprocess.run(
        [*RUN, "--version"], env={**os.environ, "CLUSTERDB_IMPL": "cobol"}, capture_output=True, text=True, check=False
    )
    assert (shown.stdout, shown.returncode) == ("", 1)
    assert shown.stderr.startswith("clusterdb: CLUSTERDB_IMPL=cobol: this build has no such data plane: use ")


@pytest.mark.parametrize(
    "endless", ["INSERT INTO t SELECT i FROM c", "SELECT count(*) FROM c", "SELECT i FROM c WHERE i < 0"]
)
def test_ctrl_c_ends_a_statement_with_exit_code_130(tmp_path: Path, endless: str) -> None:
    """Ctrl-C in a long statement: one word, exit code 130, and the store is sound."""
    run(tmp_path, "create", "x")
    numbers = "WITH RECURSIVE c(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM c)"
    command = subprocess.Popen(
        [*RUN, "sql", "x", f"CREATE TABLE t (i); {numbers} {endless}"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with clusterdb.open(tmp_path / ".clusterdb") as store:
        while not store.cluster("x").connect().execute("SELECT 1 FROM sqlite_schema").fetchall():
            assert command.poll() is None
        command.send_signal(signal.SIGINT)
        output, errors = ended(command)
        assert (command.returncode, errors.split()) == (130, ["interrupted"]), output
        assert store.cluster("x").connect().execute("SELECT count(*) FROM t").fetchall() == [(0,)]
        assert store.check().ok


def test_output_without_a_terminal_has_no_colours(folder: Path) -> None:
    """Without a terminal the output is plain text, whatever ``NO_COLOR`` is."""
    for arguments in (["ls"], ["show", "prod"], ["diff", "prod", "dev"], ["--help"]):
        assert click.unstyle(invoked(folder, *arguments).output) == invoked(folder, *arguments).output


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (clusterdb.InvalidArgumentError("page_size=1000: use a power of two"), "--page-size 1000: use a power of two"),
        (clusterdb.InvalidArgumentError("on_conflict='never': use abort"), "--on-conflict never: use abort"),
        (clusterdb.InvalidArgumentError("ttl_s=-1.0: use 1, or None"), "--ttl -1.0: use 1, or never"),
        (clusterdb.InvalidArgumentError("members= and excluded=: use"), "--member and --exclude: use"),
        (clusterdb.BacktrackDisabledError("set backtrack_window_s first"), "set --backtrack-window first"),
        (clusterdb.DeletionProtectedError("deletion_protection=False"), "--no-deletion-protection"),
        (clusterdb.ExportTargetError("allow it (overwrite=True)"), "allow it (--overwrite)"),
        (clusterdb.DatabaseDamagedError("import it as it is (check=False)"), "import it as it is (--no-check)"),
        (clusterdb.ClusterStateError("cluster 'engine' is stopped: start it"), "cluster 'engine' is stopped: start it"),
        (clusterdb.NotSupportedError("CREATE TABLE t (x) engine=InnoDB"), "CREATE TABLE t (x) engine=InnoDB"),
        (OSError(2, "No such file or directory"), "No such file or directory"),
        (OSError(2, "No such file or directory", "a.sql"), "No such file or directory: a.sql"),
    ],
)
def test_messages_name_flags_instead_of_parameters(error: Exception, message: str) -> None:
    """A parameter of the API becomes the flag; names of clusters, and SQL, stay as they are."""
    assert flags.message_of(error) == message


def test_flags_in_messages_exist() -> None:
    """Each flag that is no parameter of the API is an option of a command."""
    options = {flag for command in cli.commands.values() for option in command.params for flag in option.opts}
    assert {flag for flag in flags._OTHERS.values() if flag.startswith("--")} <= options


def test_settings_have_options_of_their_names() -> None:
    """So that messages about a setting name its flag."""
    parameters = {option.name for option in cli.commands["create"].params}
    assert {field.name for field in dataclasses.fields(clusterdb.ClusterSettings)} <= parameters
