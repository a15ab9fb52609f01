"""Golden scripts: stories with several named sessions, and what each of them sees.

A script in ``tests/scripts`` is a list of steps: commands, a line ``---``, and what they print, up to an empty line.
Lines that begin with ``#`` are for the reader.  Session ``s1`` is the store, and takes these commands:

    create NAME | clone NAME NEW | rename NAME NEW | drop NAME | clusters | stats NAME | used | check

Sessions ``t1``, ``t2``, ... are connections: ``connect NAME``, ``close``, and everything else is SQL; busy timeouts
are 0.  Sizes are in slots of 4096 bytes.  Each script runs on a store in memory and on one on disk and must print the
same.  ``CLUSTERDB_GOLDEN_UPDATE=1 pytest tests/scripts`` records what scripts print now; read the diff.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.stores import assert_clean

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
SLOT_BYTES = 4096


def slots(size_bytes: int) -> str:
    """A size as a person reads it in a script."""
    count, rest = divmod(size_bytes, SLOT_BYTES)
    assert rest == 0
    return f"{count} slot" if count == 1 else f"{count} slots"


class Stage:
    """A store and the sessions of one script."""

    def __init__(self, store: clusterdb.Store) -> None:
        self.store = store
        self.connections: dict[str, apsw.Connection] = {}

    def run(self, line: str) -> list[str]:
        """What one line prints; errors are output, too."""
        session, _, command = line.partition(": ")
        try:
            if session == "s1":
                return list(self._store_command(*command.split()))
            return list(self._connection_command(session, command))
        except (clusterdb.Error, apsw.Error) as error:
            return [f"{type(error).__name__}: {str(error).replace(self.store.path, 'STORE')}"]

    def _store_command(self, verb: str, *names: str) -> Iterator[str]:
        if verb == "create":
            self.store.create_cluster(*names, backup_retention_days=0)
        elif verb == "clone":
            self.store.cluster(names[0]).clone(names[1])
        elif verb == "rename":
            self.store.cluster(names[0]).rename(names[1])
        elif verb == "drop":
            self.store.cluster(*names).delete()
        elif verb == "clusters":
            for cluster in self.store.clusters():
                source = cluster.stats().source
                yield f"{cluster.name}, a clone of {source}" if source else cluster.name
        elif verb == "stats":
            stats = self.store.cluster(*names).stats()
            yield (
                f"{stats.name} at version {stats.version}: {slots(stats.logical_bytes)} logical, "
                f"{slots(stats.own_bytes)} own, {slots(stats.shared_bytes)} shared"
            )
        elif verb == "used":
            yield slots(self.store.stats().used_bytes)
        elif verb == "check":
            report = self.store.check()
            yield f"{len(report.problems)} problems, {report.leaked_count} leaked"
        else:
            raise AssertionError(f"no store command {verb!r}")

    def _connection_command(self, session: str, command: str) -> Iterator[str]:
        if command.startswith("connect "):
            connection = self.store.cluster(command.removeprefix("connect ")).connect()
            connection.set_busy_timeout(0)
            self.connections[session] = connection
        elif command == "close":
            self.connections.pop(session).close()
        else:
            for row in self.connections[session].execute(command):
                yield ", ".join(map(str, row))

    def close(self) -> None:
        """Close what the script left open, and look for damage and leaks."""
        for connection in self.connections.values():
            connection.close()
        assert_clean(self.store)


def transcript(script: str, run: Callable[[str], list[str]]) -> str:
    """The script with what its commands print now in place of what is recorded."""
    lines: list[str] = []
    printed: list[str] = []
    is_recorded = False
    for line in [*script.splitlines(), ""]:
        if line == "---":
            lines += [line, *printed]
            is_recorded = True
        elif not line:
            assert is_recorded or not printed, f"output without '---' before it: {printed}"
            lines.append(line)
            printed, is_recorded = [], False
        elif not is_recorded:
            lines.append(line)
            if not line.startswith("#"):
                session = line.partition(":")[0]
                printed += [f"{session}: {text}" for text in run(line) or ["ok"]]
    return "\n".join(lines).rstrip("\n") + "\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_prints_its_transcript(script: Path, store: clusterdb.Store) -> None:
    """The sessions of a script see what is written in it."""
    recorded = script.read_text(encoding="utf-8")
    stage = Stage(store)
    try:
        now = transcript(recorded, stage.run)
    finally:
        stage.close()
    if os.environ.get("CLUSTERDB_GOLDEN_UPDATE"):
        script.write_text(now, encoding="utf-8")
    assert now == script.read_text(encoding="utf-8")


def test_scripts_exist() -> None:
    """The scripts are where this file looks for them."""
    assert len(SCRIPTS) >= 5


def test_wrong_transcript_fails() -> None:
    """A transcript that differs from the output fails."""
    script = "# two steps\nt1: SELECT 1\n---\nt1: 2\n\nt1: SELECT 3\nt2: SELECT 4\n---\n"
    assert transcript(script, lambda line: [line[-1]] if "4" not in line else []) == (
        "# two steps\nt1: SELECT 1\n---\nt1: 1\n\nt1: SELECT 3\nt2: SELECT 4\n---\nt1: 3\nt2: ok\n"
    )
