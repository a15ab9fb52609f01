"""The shell as a process: pipes, files, modes, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import clusterdb
from clusterdb.shell.interrupts import postponed
from tests.shell.talk import ENDLESS, ids, names, run
from tests.support.commands import RUN, ended


def test_standard_input_runs_without_prompts(tmp_path: Path, store: clusterdb.Store) -> None:
    """Standard input without prompts; the only cluster is used; the last semicolon may be missing."""
    answer = run(tmp_path, stdin="SELECT name FROM users;\n.mode csv\nSELECT * FROM users WHERE id = 1")
    assert (answer.stdout, answer.stderr, answer.returncode) == ("ada\nbob\n1,ada\n", "", 0)


def test_error_in_a_pipe_names_its_line_and_continues_unless_bail(tmp_path: Path, store: clusterdb.Store) -> None:
    """An error says its line and lets the next one run; the exit code is 1; --bail stops there."""
    script = "SELECT 1;\n\nSELECT *\nFROM nowhere;\nSELECT 2;\n.clone prod prod\n"
    answer = run(tmp_path, "prod", stdin=script)
    assert (answer.stdout, answer.returncode) == ("1\n2\n", 1)
    assert answer.stderr == (
        "clusterdb: line 3: no such table: nowhere\n"
        "clusterdb: line 6: store '.clusterdb' has a cluster 'prod' already: choose another name\n"
    )
    answer = run(tmp_path, "prod", "--bail", stdin=script)
    assert (answer.stdout, answer.returncode) == ("1\n", 1)
    assert answer.stderr == "clusterdb: line 3: no such table: nowhere\n"


def test_options_c_and_f_run_in_order(tmp_path: Path, store: clusterdb.Store) -> None:
    """-f and -c run in that order, several times; standard input is left alone; the exit code tells."""
    (tmp_path / "a.sql").write_text("CREATE TABLE t (x);\nINSERT INTO t\nVALUES (1);\n")
    (tmp_path / "b.sql").write_text("INSERT INTO t VALUES (2);\nnonsense;\nINSERT INTO t VALUES (3)")
    answer = run(tmp_path, "prod", "-c", "SELECT sum(x) FROM t", "-c", ".tables", "-f", "a.sql", stdin="SELECT 99;")
    assert (answer.stdout, answer.stderr, answer.returncode) == ("1\nt\nusers\n", "", 0)
    answer = run(tmp_path, "prod", "-f", "b.sql", "-c", "SELECT sum(x) FROM t", "-c", "nonsense")
    assert (answer.stdout, answer.returncode) == ("6\n", 1)
    assert answer.stderr == (
        'clusterdb: b.sql line 2: near "nonsense": syntax error\nclusterdb: -c: near "nonsense": syntax error\n'
    )
    assert run(tmp_path, "prod", "-c", "SELECT 1", "-c", ".exit 3", "-c", "SELECT 2").returncode == 3
    assert run(tmp_path, "prod", "--bail", "-f", "b.sql", "-c", "SELECT 1").stdout == ""
    assert run(tmp_path, "prod", "-f", "absent.sql").returncode == 2


def test_mode_and_header_options_choose_the_output(tmp_path: Path, store: clusterdb.Store) -> None:
    """--mode and --header; an unknown mode is wrong usage."""
    arguments = ("prod", "-c", "SELECT * FROM users WHERE id = 1")
    assert run(tmp_path, *arguments, "--mode", "csv", "--header").stdout == "id,name\n1,ada\n"
    assert json.loads(run(tmp_path, *arguments, "--mode", "json").stdout) == [{"id": 1, "name": "ada"}]
    answer = run(tmp_path, *arguments, "--mode", "jsn")
    assert answer.returncode == 2 and "did you mean 'json'?" in answer.stderr


def test_cluster_must_be_named_if_there_are_several(tmp_path: Path, store: clusterdb.Store) -> None:
    """Several and none named: none; an unknown one, or an endpoint of none, is refused."""
    store.create_cluster("dev")
    answer = run(tmp_path, "-c", "SELECT 1")
    assert answer.stderr == "clusterdb: -c: no cluster in use: .use NAME (clusters: dev, prod)\n"
    assert answer.returncode == 1
    assert run(tmp_path, "-c", ".use dev", "-c", "SELECT 1").stdout == "1\n"
    assert "did you mean 'prod'?" in run(tmp_path, "prd").stderr
    assert run(tmp_path, "--endpoint", "reader", "-c", "SELECT 1").returncode == 2
    answer = run(tmp_path, "prod", "--endpoint", "nope")
    assert (answer.returncode, answer.stderr) == (1, "clusterdb: cluster 'prod' has no endpoint 'nope'\n")


def test_shell_creates_no_store(tmp_path: Path) -> None:
    """A shell opens what is there."""
    answer = run(tmp_path, "-c", "SELECT 1")
    assert answer.returncode == 1 and answer.stderr.startswith("clusterdb: there is no store at '.clusterdb'")
    assert not (tmp_path / ".clusterdb").exists()


def test_empty_store_says_how_to_create_a_cluster(tmp_path: Path) -> None:
    """Where there is no cluster the shell says how to make one."""
    clusterdb.open(tmp_path / ".clusterdb").close()
    answer = run(tmp_path, "-c", "SELECT 1")
    assert answer.stderr == "clusterdb: -c: no cluster in use: the store is empty: .create NAME\n"
    assert run(tmp_path, "-c", ".create x", "-c", "SELECT 1").stdout == "1\n"


def test_reader_endpoint_and_read_only_refuse_writes(tmp_path: Path, store: clusterdb.Store) -> None:
    """Through a reader, or with --read-only, nothing is written."""
    store.cluster("prod").add_instance("w1")
    store.cluster("prod").add_instance("r1")
    for options in (["--endpoint", "reader"], ["--endpoint", "r1"], ["--read-only"]):
        answer = run(tmp_path, "prod", *options, "-c", "SELECT count(*) FROM users", "-c", "DELETE FROM users")
        assert (answer.stdout, answer.returncode) == ("2\n", 1)
        assert answer.stderr == "clusterdb: -c: attempt to write a readonly database\n"


def test_reset_without_a_terminal_needs_yes(tmp_path: Path, store: clusterdb.Store) -> None:
    """Without a terminal to ask on, a reset needs --yes, its own or the shell's."""
    store.cluster("prod").clone("dev")
    run(tmp_path, "dev", "-c", "DELETE FROM users")
    answer = run(tmp_path, "dev", "-c", ".reset")
    question = "Reset dev to the present state of 'prod', and lose its own changes?"
    assert answer.stderr == f"clusterdb: -c: cannot ask, standard input is not a terminal ({question}): add --yes\n"
    assert (ids(store, "dev"), answer.returncode) == ([], 1)
    assert run(tmp_path, "dev", "-c", ".reset --yes").returncode == 0
    assert ids(store, "dev") == [1, 2]
    run(tmp_path, "dev", "-c", "DELETE FROM users")
    assert run(tmp_path, "dev", "--yes", "-c", ".reset").returncode == 0
    assert ids(store, "dev") == [1, 2]


@pytest.mark.parametrize("command", [".backtrack 2", ".failover"])
def test_backtrack_and_failover_without_a_terminal_need_yes(
    tmp_path: Path, store: clusterdb.Store, command: str
) -> None:
    """Without a terminal they need ``--yes``."""
    store.cluster("prod").add_instance("w1")
    store.cluster("prod").add_instance("r1")
    answer = run(tmp_path, "prod", stdin=f"{command}\n")
    assert (answer.returncode, answer.stderr.endswith("?): add --yes\n")) == (1, True)
    assert ids(store) == [1, 2] and store.cluster("prod").instances()[0].name == "w1"
    assert run(tmp_path, "prod", stdin=f"{command} --yes\n").returncode == 0
    assert store.cluster("prod").instances()[0].name == ("r1" if command == ".failover" else "w1")


def test_closed_pipe_ends_the_shell_silently(tmp_path: Path, store: clusterdb.Store) -> None:
    """A reader that goes away: no word, exit code 1, and nothing after it is run."""
    many = f"SELECT x FROM ({ENDLESS.replace('max(x)', 'x')});\n.clone prod dev\n"
    command = subprocess.Popen(
        [*RUN, "shell", "prod"], cwd=tmp_path, stdin=-1, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdin is not None and command.stdout is not None and command.stderr is not None
    command.stdin.write(many)
    command.stdin.close()
    command.stdout.readline()
    command.stdout.close()
    assert command.stderr.read() == ""
    command.stderr.close()
    assert command.wait() == 1
    assert names(store) == ["prod"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_streams_end_the_shell(tmp_path: Path, store: clusterdb.Store, closed: str) -> None:
    """Nothing to read, or nobody to tell: it comes to an end."""
    (tmp_path / "insert.sql").write_text("INSERT INTO users VALUES (3, 'eve');")
    command = f"exec {shlex.join([*RUN, 'shell', 'prod'])} < insert.sql {closed}"
    subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert ids(store) == ([1, 2] if closed == "<&-" else [1, 2, 3])


def test_unreadable_input_and_full_output_end_a_script_with_one_message(tmp_path: Path, store: clusterdb.Store) -> None:
    """No text, and a full disk to write to, end a script with a message, once."""
    (tmp_path / "binary.sql").write_bytes(b"SELECT '\xff';\nSELECT 2;\n")
    answer = run(tmp_path, "prod", "-f", "binary.sql")
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
    assert answer.stderr.startswith("clusterdb: binary.sql line 1: 'utf-8' codec can't decode")
    command = f"echo 'SELECT 1;' | {shlex.join([*RUN, 'shell', 'prod'])} > /dev/full"
    full = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert full.returncode == 1 and full.stderr.count("No space left") == 1


def test_ctrl_c_waits_for_the_end_of_a_verb() -> None:
    """A verb of the control plane is done to its end; then Ctrl-C counts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done = False
    try:
        with pytest.raises(KeyboardInterrupt, match="done before"), postponed():
            os.kill(os.getpid(), signal.SIGINT)
            done = True
        assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_stops_a_script_with_exit_code_130(tmp_path: Path, store: clusterdb.Store) -> None:
    """A script is stopped as a whole, also within a long statement: exit code 130; what was open is rolled back."""
    command = subprocess.Popen(
        [*RUN, "shell", "prod"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdin is not None and command.stdout is not None
    command.stdin.write(f"BEGIN; DELETE FROM users;\nSELECT 'begun';\n{ENDLESS};\nSELECT 'after';\n")
    command.stdin.flush()
    assert command.stdout.readline() == "begun\n"  # flushed when the next statement is read
    command.send_signal(signal.SIGINT)
    out, err = ended(command)
    assert (out, err, command.returncode) == ("", "interrupted\n", 130)
    assert ids(store) == [1, 2]


def test_help_of_the_shell_command_imports_no_engine(tmp_path: Path) -> None:
    """The verb is listed, and neither apsw nor prompt_toolkit is imported to say so."""
    answer = run(tmp_path, "--help")
    assert answer.returncode == 0 and "--read-only" in answer.stdout
    script = "import sys; from clusterdb import cli; print({'apsw', 'prompt_toolkit'} & {*sys.modules})"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "set()\n"
    )
