"""What tests of mishaps have in common: data in letters, named moments, deaths, and a device that loses its power."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.inside import catalog_of, pages_of
from tests.support.stores import assert_clean, rows
from vfs import failpoints
from vfs.format.layout import COMMIT_SECTORS, SLOT_BYTES, Version
from vfs.storage import device
from vfs.storage.heads import head_records

POOL_AND_CATALOG = ("catalog.db", "catalog.db-wal", "locks", "pool")
"""What of a store survives a boot; ``map`` and ``readers`` are derived."""


def assert_accounted(path: Path) -> None:
    """The closed store is clean, and as many slots are in use as a rebuild of its map finds reachable (M4)."""
    with clusterdb.open(path) as store:
        assert_clean(store)
        store.expire()  # as the first process of a boot does
        used_bytes = store.stats().used_bytes
    copy = path.with_name(f"{path.name}-rebuilt")
    copy_store(path, copy)
    with clusterdb.open(copy) as rebuilt:
        assert_clean(rebuilt)
        assert used_bytes == rebuilt.stats().used_bytes


def copy_store(path: Path, target: Path) -> None:
    """Copy what survives a boot."""
    target.mkdir()
    for name in POOL_AND_CATALOG:
        if (path / name).exists():
            shutil.copy(path / name, target / name)
    if (path / "history").exists():
        shutil.copytree(path / "history", target / "history")


def boot_again(path: Path) -> None:
    """Forget what is derived, as a boot does (the store is closed)."""
    (path / "map").unlink()
    (path / "readers").unlink()


# --- data -----------------------------------------------------------------------------------------------------------
def fill(connection: apsw.Connection, count: int, letter: str, size: int = 1000) -> None:
    """``count`` rows whose ``v`` is ``size`` times that letter, in one transaction."""
    connection.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v)")
    with connection:
        values = [(number, letter * size) for number in range(count)]
        connection.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", values)


def filled(store: clusterdb.Store, name: str, count: int, letter: str, size: int = 1000) -> apsw.Connection:
    """A connection to a new cluster of ``count`` rows."""
    connection = store.create_cluster(name, backup_retention_days=0).connect()
    fill(connection, count, letter, size)
    return connection


def rewrite(connection: apsw.Connection, letter: str, below: int = 1 << 30) -> None:
    """Give every row with an id below that value another letter."""
    connection.execute("UPDATE t SET v = replace(v, substr(v, 1, 1), ?) WHERE id < ?", (letter, below))


def letters(connection: apsw.Connection) -> dict[str, int]:
    """How many rows have which letter, all of their text being that letter."""
    mixed = rows(connection, "SELECT id FROM t WHERE rtrim(v, substr(v, 1, 1)) != ''")
    assert mixed == []
    return dict(rows(connection, "SELECT substr(v, 1, 1), count(*) FROM t GROUP BY 1"))  # type: ignore[arg-type]


def letters_of(store: clusterdb.Store, name: str) -> dict[str, int]:
    """The same by a new connection, of an undamaged database."""
    connection = store.cluster(name).connect()
    try:
        assert rows(connection, "PRAGMA integrity_check") == [("ok",)]
        return letters(connection)
    finally:
        connection.close()


def names(store: clusterdb.Store) -> list[str]:
    """The clusters there are."""
    return [cluster.name for cluster in store.clusters()]


def word(store: clusterdb.Store, name: str, which: str) -> int:
    """A word of the cluster's row in the volume table."""
    row = catalog_of(store).volumes.volume_of_cluster(name)
    assert row is not None
    return int(getattr(pages_of(store).volume(row), which))


def head_slot(store: clusterdb.Store, name: str) -> int:
    """Where the cluster's version records are."""
    row = catalog_of(store).volumes.volume_of_cluster(name)
    assert row is not None
    return row.head_slot


def records(store: clusterdb.Store, name: str) -> list[Version | None]:
    """The version records that commits have written to the cluster's head slot, by sector."""
    row = catalog_of(store).volumes.volume_of_cluster(name)
    assert row is not None
    return head_records(pages_of(store), row)[:COMMIT_SECTORS]


def newest_record(store: clusterdb.Store, name: str) -> Version:
    """The newest of them."""
    return max((record for record in records(store, name) if record), key=lambda record: record.version)


def damage(path: Path, slot: int, within: int, data: bytes = b"\xff\xff\xff\xff") -> None:
    """Overwrite some bytes of a slot behind everybody's back."""
    with open(path / "pool", "r+b") as file:
        file.seek(slot * SLOT_BYTES + within)
        file.write(data)


# --- unlucky moments ------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def at(point: str, action: Callable[[], object]) -> Iterator[None]:
    """The first time that a point is reached in the body, ``action`` happens there; it must be reached."""
    reached: list[str] = []

    def happen() -> None:
        del failpoints.armed[point]
        reached.append(point)
        action()

    failpoints.armed[point] = happen
    try:
        yield
    finally:
        failpoints.armed.pop(point, None)
    assert reached, f"nothing came to '{point}'"


def press_ctrl_c() -> None:
    """What the interpreter does on SIGINT."""
    raise KeyboardInterrupt


def run_until_killed(path: Path, point: str, work: str) -> None:
    """Another process opens the store (``store``), does the work, and dies of SIGKILL at the point, if ``kill()`` is
    called to arm it, or at once when the work is done and no point is given."""
    script = f"""
import os, sys
import clusterdb, vfs.storage.writer
from vfs import failpoints
def die():
    os.kill(os.getpid(), {int(signal.SIGKILL)})
def kill():
    failpoints.armed[{point!r}] = die
store = clusterdb.open({str(path)!r})
{work}
if not {point!r}:
    die()
"""
    process = subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    assert process.returncode == -signal.SIGKILL, f"it did not come to '{point}'"


class Device:
    """The disk under the pool of a store: it surely has what was synced, and may have anything written since."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.sync_count = 0
        self._sync = device.CALLS.fdatasync
        self._take()
        monkeypatch.setattr(device.CALLS, "fdatasync", self._fdatasync)

    def _take(self) -> None:
        self.synced = (self.path / "pool").read_bytes()

    def _fdatasync(self, fd: int) -> None:
        self._sync(fd)
        self.sync_count += 1
        self._take()

    def lose_power(self, target: Path, *, arrived: tuple[int, ...] = ()) -> None:
        """What is on the disk afterwards: what was synced, and of the rest only these slots."""
        copy_store(self.path, target)
        pool = bytearray((self.path / "pool").read_bytes())
        for slot in range(len(pool) // SLOT_BYTES):
            if slot not in arrived:
                old = self.synced[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES]
                pool[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES] = old.ljust(SLOT_BYTES, b"\0")
        (target / "pool").write_bytes(pool)

    def lose_power_but_for(self, target: Path, *, lost: tuple[int, ...]) -> None:
        """What is on the disk when everything arrived but these slots."""
        slot_count = (self.path / "pool").stat().st_size // SLOT_BYTES
        self.lose_power(target, arrived=tuple(slot for slot in range(slot_count) if slot not in lost))
