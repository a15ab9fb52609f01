"""The command line."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import clusterdb
from timing import Results, in_turns, seconds

__all__ = ["commands"]


def commands(folder: Path, quick: bool) -> Results:
    """The command line, as whole processes, beside a Python that does nothing."""
    with clusterdb.open(folder / "commands") as store:
        for number in range(10):
            store.create_cluster(f"c{number}")

    def once(*arguments: str) -> float:
        command = [sys.executable, "-m", "clusterdb", "--store", str(folder / "commands"), *arguments]
        return seconds(lambda: subprocess.run(command, check=True, capture_output=True))

    verbs = {"--help": ["--help"], "ls": ["ls"], "sql": ["sql", "c0", "SELECT 1"]}
    actions: dict[str, Callable[[], float]] = {
        f"clusterdb {name}": functools.partial(once, *arguments) for name, arguments in verbs.items()
    }
    actions["python -c pass"] = lambda: seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    taken = in_turns(5 if quick else 15, actions)
    return [{"what": what, "ms": value * 1e3} for what, value in taken.items()]
