"""The command line."""

from __future__ import annotations

import functools
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import clusterdb
from goals import Goal, judged
from timing import Results, samples, seconds

__all__ = ["commands"]

GOALS: dict[str, Goal] = {
    "clusterdb --help": ("ms of CPU", "<=", 70),
    "clusterdb ls": ("ms of CPU", "<=", 120),
}
"""A person feels the start of a command, and a script runs it many times."""


def commands(folder: Path, quick: bool) -> Results:
    """The command line, as whole processes, beside a Python that does nothing.

    The CPU time is the least of all rounds: other load on the machine can only add to it.
    """
    with clusterdb.open(folder / "commands") as store:
        for number in range(10):
            store.create_cluster(f"c{number}")

    store_option = ("--store", str(folder / "commands"))
    verbs = {"--help": ["--help"], "ls": ["ls"], "sql": ["sql", "c0", "SELECT 1"]}
    processes = {f"clusterdb {name}": ["-m", "clusterdb", *store_option, *verb] for name, verb in verbs.items()}
    processes["python -c pass"] = ["-c", "pass"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    cpu_ms: dict[str, list[float]] = {what: [] for what in processes}

    def once(what: str) -> float:
        before = _cpu_ms_of_children()
        command = [sys.executable, *processes[what]]
        taken = seconds(lambda: subprocess.run(command, check=True, capture_output=True, env=environment))
        cpu_ms[what].append(_cpu_ms_of_children() - before)
        return taken * 1e3

    actions: dict[str, Callable[[], float]] = {what: functools.partial(once, what) for what in processes}
    for action in actions.values():
        action()  # writes the bytecode
    wall_ms = samples(5 if quick else 15, actions)
    rows = [
        {"what": what, "ms": statistics.median(wall_ms[what]), "ms of CPU": min(cpu_ms[what])} for what in processes
    ]
    return [judged(row, GOALS[row["what"]]) if row["what"] in GOALS else row for row in rows]


def _cpu_ms_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e3
