"""Every verb of the command line with arguments that it accepts: taken from the group, so a new verb is among them.

A verb has a cluster ``c-VERB``, a snapshot ``s-VERB`` and an instance ``i-VERB`` of its own; ``n-VERB`` is free.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

import clusterdb
from clusterdb.cli import cli
from clusterdb.cli.app import CLUSTER, POINT, SNAPSHOT

DATA = "café €"
_WHOLE: dict[str, list[str]] = {
    "backtrack": ["c-backtrack", "0 seconds ago"],
    "bench": ["--size", "1", "--rounds", "1"],
    "bisect": ["c-bisect", "SELECT count(*) FROM t"],
    "diff": ["prod", "c-diff"],
    "import": ["source.db", "n-import"],
    "push": ["c-push", "memory://verbs"],
    "recover": ["störe-zones/a1", "--cluster", "c-zones", "--as", "n-recover"],
    "modify": ["c-modify", "--tag", f"key={DATA}"],
    "sql": ["c-sql", f"SELECT '{DATA}' AS text"],
    "shell": ["c-shell", "-c", f"SELECT '{DATA}'"],
}
"""The arguments of verbs for which those that follow from the parameters do not suffice."""
_INSTANCES = ("crash", "failover", "modify-instance", "rm-instance")
_LEFT_OUT = {"demo", "remote", "serve"}
"""``demo`` takes seconds, and does with a store what other verbs do; ``remote`` needs a repository and not a store, and
``serve`` runs until it is stopped: they have tests in ``tests/remote`` and ``tests/server/test_app.py``."""


def names() -> list[str]:
    """The verbs."""
    return sorted(set(cli.commands) - _LEFT_OUT)


def arguments(verb: str, folder: str = ".") -> list[str]:
    """Arguments for a verb; files that it writes go to ``folder``."""
    if verb in _WHOLE:
        return _WHOLE[verb]
    words: list[str] = []
    for parameter in cli.commands[verb].params:
        if isinstance(parameter, click.Argument) and parameter.required:
            words.append(_argument(parameter, verb, folder))
        elif "--yes" in parameter.opts:
            words.append("--yes")
    return words


def _argument(parameter: click.Argument, verb: str, folder: str) -> str:
    if parameter.type in (CLUSTER, POINT):
        return "prod" if parameter.name == "before" else f"c-{verb}"
    if parameter.type is SNAPSHOT:
        return f"s-{verb}"
    if isinstance(parameter.type, click.Choice):
        return str(parameter.type.choices[0])
    if isinstance(parameter.type, click.File):
        return "changes"
    if isinstance(parameter.type, click.Path):
        return f"{folder}/file-{verb}"
    return f"i-{verb}" if verb in _INSTANCES else f"n-{verb}"


def prepare(folder: Path, store: str) -> None:
    """Create the store and the files that the verbs need."""
    with clusterdb.open(folder / store) as opened:
        prod = opened.create_cluster("prod", backtrack_window_s=3600)
        prod.connect().execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, s); INSERT INTO t VALUES (1, '{DATA}')")
        prod.export(folder / "source.db")
        for verb in names():
            if verb == "pull":
                url = f"file://{folder.absolute()}/repository"
                prod.push(url)
                cluster = opened.clone(f"{url}/prod", "c-pull", backtrack_window_s=3600)
            else:
                cluster = prod.clone(f"c-{verb}", backtrack_window_s=3600, zones=3 if verb == "zones" else ())
            cluster.snapshot(f"s-{verb}")
            if verb in _INSTANCES:
                cluster.add_instance(f"w-{verb}")
                cluster.add_instance(f"i-{verb}")
        opened.cluster("c-start").stop()
        opened.cluster("c-rm-endpoint").add_endpoint("n-rm-endpoint")
        (folder / "changes").write_bytes(opened.diff("prod", "prod").changeset())


class Answer(NamedTuple):
    code: int
    output: str
    errors: str


_RUN_ALL = """
import json, os, sys
import clusterdb.cli.flags, clusterdb.public, clusterdb.shell
from clusterdb.__main__ import main
from clusterdb.views import checks, cluster, prometheus

folder, commands, captured, hook = json.loads(sys.argv[1])
codes = {}
for verb, words in commands.items():
    child = os.fork()
    if not child:
        for number in captured:
            file = os.open(f"{folder}/{verb}.{number}", os.O_WRONLY | os.O_CREAT, 0o600)
            if file != number:
                os.dup2(file, number)
                os.close(file)
        words = [os.fsdecode(word.encode()) for word in words]
        sys.argv = ["cldb", *words]
        sys.orig_argv = [sys.executable, "-m", "clusterdb", *words]
        exec(hook)
        main()
        raise AssertionError("main() returns")
    codes[verb] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
with open(f"{folder}/codes", "w") as file:
    json.dump(codes, file)
"""
"""A process that imports the command line once, and runs each command in a fork of its own."""


def answers(
    folder: Path,
    commands: dict[str, list[str]],
    environment: dict[str, str],
    *,
    redirection: str = "",
    before: Callable[[], None] | None = None,
    hook: str = "",
) -> dict[str, Answer]:
    """The answers of commands in a folder, by verb.

    ``redirection``: that of a shell, for standard streams.  ``before``: called in the child process before the program
    starts.  ``hook``: code that runs before each command.
    """
    with tempfile.TemporaryDirectory() as results:
        captured = [number for number, sign in ((1, " >"), (2, "2>")) if sign not in f" {redirection}"]
        task = json.dumps([results, commands, captured, hook])
        shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", _RUN_ALL, task]
        done = subprocess.run(
            shell, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=before
        )
        assert done.returncode == 0, done.stderr.decode()
        codes: dict[str, int] = json.loads(Path(results, "codes").read_text())
        return {
            verb: Answer(code, *(_read(Path(results, f"{verb}.{n}")) for n in (1, 2))) for verb, code in codes.items()
        }


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
