"""Measure clusterdb beside its alternatives: ``python benchmarks/run.py [--quick] [GROUP...]``.

Every figure is a median over rounds that take turns with the peers it is compared with, so that a drift of the machine
hits all of them.  Results go to standard output as tables, and after every group to ``benchmarks/results.json``.
Ratios named ``clone / plain`` are speeds: above 1 the clone is faster.  The columns ``goal`` and ``met`` state what a
line should reach; a goal that is not met does not fail the run.

``CLUSTERDB_IMPL`` chooses the data plane; ``--planes`` measures several.  ``--compare`` shows the results beside those
of the last release, ``--record`` adds them to ``benchmarks/history.json`` as those of the present version.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
from tabulate import tabulate

import clusterdb
import history
import planes
from care import care
from clones import clone_time, siblings, test_cycle
from commands import commands
from dbapi import dbapi
from differences import differences
from dumps import dumps
from fixtures import fixtures
from footprint import growth, memory
from instructions import instructions
from remote import remote
from retention import past
from server import server
from storage import opening, speed
from threads import threads
from timing import Results
from zones import zones

HERE = Path(__file__).parent

GROUPS: dict[str, Callable[[Path, bool], Results]] = {
    "speed": speed,
    "clone": clone_time,
    "cycle": test_cycle,
    "siblings": siblings,
    "opening": opening,
    "fixtures": fixtures,
    "threads": threads,
    "instructions": instructions,
    "dbapi": dbapi,
    "growth": growth,
    "memory": memory,
    "past": past,
    "care": care,
    "differences": differences,
    "dumps": dumps,
    "commands": commands,
    "server": server,
    "remote": remote,
    "zones": zones,
}
"""The groups by the names under which ``history.json`` keeps their results.

A group gets a folder of its own, and whether to be quick; the databases that it asks for are shared by all groups.
"""


def main() -> None:
    arguments = parsed()
    everything: dict[str, Any] = {
        "clusterdb": clusterdb.__version__,
        "plane": planes.name(),
        "sqlite": apsw.sqlite_lib_version(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "date": time.strftime("%Y-%m-%d"),
    }
    with tempfile.TemporaryDirectory(dir=arguments.folder or HERE, prefix="work-") as work:
        if arguments.planes:
            everything["plane"] = arguments.planes
            print(f"data planes: {', '.join(arguments.planes)}")
            results = measured_by_plane(arguments, Path(work))
        else:
            print(f"data plane: {everything['plane']}")
            results = measured(arguments, Path(work))
        for group, rows in results:
            everything[group] = rows
            arguments.output.write_text(json.dumps(everything, indent=2) + "\n")
    measurements = {group: everything[group] for group in arguments.groups}
    if arguments.compare:
        print_comparison(everything, measurements)
    if arguments.record:
        record = {
            "version": everything["clusterdb"],
            "commit date": commit_date(),
            **{name: everything[name] for name in history.MEASURED_WITH},
            "results": measurements,
        }
        try:
            history.save(history.recorded(history.load(), record))
        except ValueError as error:
            sys.exit(f"not recorded: {error}")


def parsed() -> argparse.Namespace:
    """The command line, with all groups if it names no group."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder beside this file)")
    parser.add_argument("--output", type=Path, help="the file of results", default=HERE / "results.json")
    parser.add_argument("--planes", metavar="NAMES", help="data planes to measure side by side: c,python, or all")
    parser.add_argument("--compare", action="store_true", help="show ratios to the figures of the last release")
    parser.add_argument("--record", action="store_true", help="add the results to history.json, as this version's")
    arguments = parser.parse_args()
    arguments.groups = arguments.groups or list(GROUPS)
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"unknown groups {', '.join(sorted(unknown))}: use {', '.join(GROUPS)}")
    if arguments.record and arguments.quick:
        parser.error("--record needs the full sizes and rounds: run it without --quick")
    if arguments.planes:
        if arguments.record or arguments.compare:
            parser.error("--record and --compare take the results of one data plane: choose it with CLUSTERDB_IMPL")
        names = planes.available() if arguments.planes == "all" else arguments.planes.split(",")
        if unknown := set(names) - set(planes.available()):
            parser.error(f"this build has no data plane {', '.join(sorted(unknown))}")
        arguments.planes = names
    return arguments


def measured(arguments: argparse.Namespace, work: Path) -> Iterator[tuple[str, Results]]:
    """The results of the groups in this process, printed as they come."""
    for group in arguments.groups:
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=work, prefix=f"{group}-") as folder:
            results = GROUPS[group](Path(folder), arguments.quick)
        show(group, results, time.perf_counter() - begin)
        yield group, results


def measured_by_plane(arguments: argparse.Namespace, work: Path) -> Iterator[tuple[str, Results]]:
    """The results of the groups, printed as they come, measured by a child for every data plane."""
    output = work / "results.json"
    for group in arguments.groups:
        begin = time.perf_counter()
        command = [__file__, group, f"--folder={work}", f"--output={output}", *["--quick"] * arguments.quick]
        by_plane = {name: planes.measured(name, command, output)[group] for name in arguments.planes}
        results = planes.joined(by_plane)
        show(group, results, time.perf_counter() - begin)
        yield group, results


def show(group: str, results: Results, taken_s: float) -> None:
    """Print the table of a group."""
    print(f"\n## {group}: {(GROUPS[group].__doc__ or '').strip()}  ({taken_s:.0f} s)\n")
    columns = dict.fromkeys(key for result in results for key in result)
    last = [key for key in ("goal", "met") if key in columns]
    rows = [
        [result.get(key) for key in columns if key not in last] + [result.get(key) for key in last]
        for result in results
    ]
    headers = [key for key in columns if key not in last] + last
    print(tabulate(rows, headers=headers, floatfmt=".3f", intfmt=",", missingval=""), flush=True)


def print_comparison(everything: dict[str, Any], results: dict[str, Results]) -> None:
    """This run beside the newest release with another version, as ratios."""
    releases = [past for past in history.load() if past["version"] != everything["clusterdb"]] or history.load()
    past = releases[-1]
    print(f"\n## this run beside release {past['version']} ({past['commit date']})\n")
    for name in history.MEASURED_WITH:
        if past[name] != everything[name]:
            print(f"{name}: {past[name]} then, {everything[name]} now")
    print(tabulate(history.compared(results, past), headers="keys", floatfmt=".2f"))


def commit_date() -> str:
    """The date of the commit that is measured."""
    command = ["git", "log", "-1", "--format=%cs"]
    return subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
