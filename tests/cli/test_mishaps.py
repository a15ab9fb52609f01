"""No verb answers with a traceback: full and closed streams, a pipe without a reader, locales, Ctrl-C, permissions."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import clusterdb
from clusterdb.cli import cli, main
from tests.cli import verbs
from tests.cli.verbs import Answer
from tests.support.commands import RUN
from tests.support.stores import assert_clean

STORE = "störe"
WITHOUT_STORE = {"bench", "completion", "help"}
INTERRUPTED = """
import signal
def interrupt(event, arguments):
    if event == "open" and str(arguments[0]).endswith("/pool"):
        signal.raise_signal(signal.SIGINT)
sys.addaudithook(interrupt)
"""
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the store and the files that the verbs need; the store is checked at the end."""
    folder = tmp_path / "föld er"
    folder.mkdir()
    verbs.prepare(folder, STORE)
    yield folder
    with clusterdb.open(folder / STORE) as store:
        assert_clean(store)


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "CLUSTERDB_STORE": STORE, **more}


def answers(
    folder: Path,
    *,
    target: str = ".",
    before: Callable[[], None] | None = None,
    redirection: str = "",
    hook: str = "",
    **variables: str,
) -> dict[str, Answer]:
    """The answer of every verb.  None is a traceback, and all exit codes are documented ones."""
    commands = {verb: [verb, *verbs.arguments(verb, target)] for verb in verbs.names()}
    given = verbs.answers(folder, commands, environment(**variables), redirection=redirection, before=before, hook=hook)
    for verb, (code, output, errors) in given.items():
        assert "Traceback" not in errors + output, (verb, errors)
        assert "BUG" not in errors, (verb, errors)
        assert code in (0, 1, 2, 130), (verb, code)
        assert errors.count("\n") <= 1, (verb, errors)
    return given


def one_answer(folder: Path, *words: str, before: Callable[[], None] | None = None, **variables: str) -> Answer:
    return verbs.answers(folder, {"one": list(words)}, environment(**variables), before=before)["one"]


def codes(given: dict[str, Answer]) -> set[int]:
    return {answer.code for answer in given.values()}


def prints(verb: str) -> bool:
    """Whether a verb always prints something."""
    return any("--json" in parameter.opts for parameter in cli.commands[verb].params) and verb not in (
        "diff",
        "pull",
        "push",
    )


@pytest.mark.parametrize("redirection", ["", pytest.param("<&- 2>&-", marks=pytest.mark.slow)])
def test_every_verb_succeeds(folder: Path, redirection: str) -> None:
    """Every verb accepts its arguments here, with standard input and standard error closed too."""
    given = answers(folder, redirection=redirection)
    assert {verb: answer for verb, answer in given.items() if answer.code} == {}
    assert [verb for verb, answer in given.items() if prints(verb) and not answer.output] == []


@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_output_that_cannot_be_written_is_one_line(folder: Path, redirection: str, reason: str) -> None:
    """The error names standard output; verbs that print nothing succeed."""
    for verb, (code, _, errors) in answers(folder, redirection=redirection).items():
        if code or prints(verb):
            assert code == 1, verb
            assert errors.endswith(f"{reason}: standard output\n"), (verb, errors)


@pytest.mark.slow
def test_pipe_without_reader_is_silent(folder: Path) -> None:
    """As with ``| head -1``: no message."""
    given = answers(
        folder, hook="reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1)", CLUSTERDB_QUIET="1"
    )
    assert {answer.errors for answer in given.values()} == {""}
    assert codes(given) == {0, 1}


@pytest.mark.slow
def test_locale_c_has_no_effect(folder: Path) -> None:
    """Names and data are UTF-8, also where Python would use ASCII."""
    given = answers(folder, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert codes(given) == {0}
    assert verbs.DATA in given["sql"].output and verbs.DATA in given["shell"].output


def test_locale_without_a_character_escapes_it(tmp_path: Path) -> None:
    """An encoding that lacks a character of the data does not fail."""
    clusterdb.open(tmp_path / "store").create_cluster("prod").store.close()
    words = ["sql", "prod", "SELECT 'caf\u00e9 \u20ac' AS text", "--csv"]
    done = subprocess.run(
        [*RUN, *words], cwd=tmp_path, env=environment(CLUSTERDB_STORE="store", PYTHONIOENCODING="latin-1"), stdout=-1
    )
    assert (done.returncode, done.stdout) == (0, b"text\ncaf\xe9 \\u20ac\n")


def test_ctrl_c_is_one_word(folder: Path) -> None:
    """While the store is opened: exit code 130, and the store is sound."""
    for verb, (code, output, errors) in answers(folder, hook=INTERRUPTED).items():
        if verb not in WITHOUT_STORE:
            assert (code, output, errors) == (130, "", "interrupted\n"), verb


def test_ctrl_c_during_the_start_is_one_word(tmp_path: Path) -> None:
    """While modules are imported."""
    code = """
import signal, sys
def interrupt(event, arguments):
    if event == "import" and arguments[0] == "clusterdb.cli.app":
        signal.raise_signal(signal.SIGINT)
sys.addaudithook(interrupt)
from clusterdb.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code, "ls"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def without_privileges() -> None:
    """Let permissions apply to root too, in a child process, before it executes a program."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if os.geteuid() == 0 and libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            os._exit(77)


@pytest.mark.slow
def test_target_without_permission_is_one_line(folder: Path) -> None:
    """Files that verbs write, in a directory that cannot be written to."""
    (folder / "closed").mkdir(mode=0o555)
    given = answers(folder, target="closed", before=without_privileges)
    failed = {verb: answer.errors for verb, answer in given.items() if answer.code}
    assert set(failed) == {"export", "export-snapshot"}
    for errors in failed.values():
        assert errors.startswith("clusterdb: '") and errors.endswith(" cannot be written: Permission denied\n")
    changes = one_answer(folder, "diff", "prod", "prod", "--changeset", "closed/changes", before=without_privileges)
    assert (changes.code, changes.errors.count("\n")) == (1, 1)


def test_store_without_permission_is_one_line(folder: Path) -> None:
    """A store that the user cannot read, and a directory where it cannot be created."""
    (folder / STORE).chmod(0)
    try:
        given = answers(folder, before=without_privileges)
    finally:
        (folder / STORE).chmod(0o700)
    assert {verb for verb, answer in given.items() if not answer.code} == WITHOUT_STORE
    assert {answer.errors for answer in given.values() if answer.code} == {
        f"clusterdb: store '{STORE}' cannot be opened: Permission denied\n"
    }
    (folder / "closed").mkdir(mode=0o555)
    created = one_answer(folder, "create", "x", "--store", "closed/store", before=without_privileges)
    assert created == Answer(1, "", "clusterdb: store 'closed/store' cannot be opened: Permission denied\n")


@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_internal_error_is_one_line_and_verbose_prints_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    def fail(context: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("clusterdb.cli.clusters.opened", fail)
    monkeypatch.setattr("sys.argv", ["cldb", "ls", *options])
    with pytest.raises(SystemExit) as end:
        main()
    *traceback, last = capsys.readouterr().err.splitlines()
    assert (end.value.code, last) == (1, "clusterdb: BUG: KeyError: 'a bug' (--verbose prints the traceback)")
    assert bool(traceback) == bool(options)
