"""Several processes write to a cluster with six copies, and some of them are killed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import clusterdb
from tests.support.points import ZONE_POINTS
from tests.support.stores import assert_clean
from tests.zones.sql import execute

_WRITER = """
import sys, time
import apsw, clusterdb
path, start, count, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
with clusterdb.open(path) as store:
    connection = store.cluster("prod").connect()
    connection.set_busy_timeout(60_000)
    for number in range(start, start + count):
        connection.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 50))
        print(number, flush=True)
        time.sleep(pause)
    connection.close()
"""


def _started(store: Path, start: int, count: int, pause: float = 0.0, program: str = _WRITER) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", program, str(store), str(start), str(count), str(pause)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _ids(cluster: clusterdb.Cluster) -> list[int]:
    connection = cluster.connect()
    try:
        return [number for (number,) in connection.execute("SELECT id FROM t ORDER BY id")]
    finally:
        connection.close()


def _created(path: Path) -> None:
    with clusterdb.open(path, create=True) as store:
        prod = store.create_cluster("prod", zones=3)
        connection = prod.connect()
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT)")
        connection.close()


def _recovered(tmp_path: Path, name: str, parts: list[str]) -> list[int]:
    with clusterdb.open(tmp_path / name, create=True) as store:
        (cluster,) = store.recover([str(tmp_path / "store-zones" / part) for part in parts])
        assert_clean(store)
        return _ids(cluster)


PARTS = ["a1", "a2", "b1", "b2", "c1", "c2"]


def test_processes_write_in_turns(tmp_path: Path) -> None:
    _created(tmp_path / "store")
    writers = [_started(tmp_path / "store", 1000 * at, 15, 0.01) for at in (1, 2, 3)]
    for writer in writers:
        output, errors = writer.communicate(timeout=300)
        assert (writer.returncode, errors) == (0, "")
        assert len(output.split()) == 15
    expected = [1000 * at + number for at in (1, 2, 3) for number in range(15)]
    with clusterdb.open(tmp_path / "store") as store:
        assert _ids(store.cluster("prod")) == expected
        assert_clean(store)
    assert _recovered(tmp_path, "new", ["a1", "b2", "c2"]) == expected


def _kill_writers(tmp_path: Path, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    _created(tmp_path / "store")
    acknowledged: list[int] = []
    for turn in range(rounds):
        writer = _started(tmp_path / "store", 10_000 * turn, 10_000)
        assert writer.stdout is not None
        for _ in range(chance.randint(1, 12)):
            acknowledged.append(int(writer.stdout.readline()))
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    recovered = _recovered(tmp_path, "new", chance.sample(PARTS, 3))
    with clusterdb.open(tmp_path / "store") as store:
        present = _ids(store.cluster("prod"))
        assert_clean(store)
    assert set(recovered) >= set(acknowledged)
    assert set(present) >= set(acknowledged)


def test_killed_writers_lose_nothing_acknowledged(tmp_path: Path) -> None:
    _kill_writers(tmp_path, 4, 1)


@pytest.mark.parametrize("point", sorted(ZONE_POINTS))
def test_writer_killed_at_a_named_point_loses_nothing_acknowledged(tmp_path: Path, point: str) -> None:
    _created(tmp_path / "store")
    dying = f"""
import os, signal
from vfs import failpoints
times = []
def die():
    times.append(1)
    if len(times) == 4:  # at some nodes before the others
        os.kill(os.getpid(), signal.SIGKILL)
failpoints.armed["{point}"] = die
"""
    acknowledged = []
    for turn in range(3):
        writer = _started(tmp_path / "store", 100 * turn, 20, program=dying + _WRITER)
        output, _ = writer.communicate(timeout=300)
        assert writer.returncode == -signal.SIGKILL or turn  # the first one may have agreed on all ends
        acknowledged += [int(line) for line in output.splitlines()]
    with clusterdb.open(tmp_path / "store") as store:
        execute(store.cluster("prod"), "INSERT INTO t VALUES (1000, 'after')")
        present = _ids(store.cluster("prod"))
        assert_clean(store)
    for parts in (["a1", "b1", "c1"], ["a2", "b2", "c2"]):
        assert _recovered(tmp_path, "".join(parts), parts) == present
    assert set(present) >= set(acknowledged)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_many_killed_writers_lose_nothing_acknowledged(tmp_path: Path, seed: int) -> None:
    _kill_writers(tmp_path, 25, seed)
