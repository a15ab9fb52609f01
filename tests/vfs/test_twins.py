"""The data planes are twins: the same transactions give the same slots, records and history, byte for byte.

The data plane in Python is the reference, whose modules state the invariants; this is what lets it stand for both.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.clocks import set_clocks
from vfs.format.layout import SEAL_SECTOR, SECTOR_BYTES, SLOT_BYTES, unpack_version
from vfs.plane import available

START_NS = 1_800_000_000_000_000_000

pytestmark = pytest.mark.skipif("c" not in available(), reason="this build has no data plane in C")


@pytest.fixture
def restart_clocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function that starts clocks which advance by a microsecond whenever they are read."""

    def restart() -> None:
        ticks = itertools.count(START_NS, 1000)
        set_clocks(monkeypatch, lambda: next(ticks) // 1000 * 1000, lambda _: next(ticks) - START_NS + 10**12)

    return restart


def write_at_random(connection: apsw.Connection, rng: random.Random) -> None:
    """One transaction of a random kind, or a setting that changes how the next ones are written."""
    key, count = rng.randrange(400), rng.choice((1, 1, 1, 7, 300))
    body = rng.randbytes(rng.choice((20, 900, 9000)))
    match rng.randrange(8):
        case 0:
            connection.execute("DELETE FROM t WHERE id BETWEEN ? AND ?", (key, key + count))
        case 1:
            connection.execute("BEGIN; SAVEPOINT a")
            connection.execute("UPDATE t SET body = ? WHERE id < ?", (body, count))
            connection.execute("ROLLBACK TO a; RELEASE a; COMMIT")
        case 2:
            connection.execute("BEGIN")
            connection.execute("INSERT OR REPLACE INTO t VALUES (?, ?)", (key, body))
            connection.execute("ROLLBACK")
        case 3:
            connection.execute(f"PRAGMA synchronous = {rng.choice(('OFF', 'NORMAL', 'FULL'))}").fetchall()
        case 4 if rng.random() < 0.3:
            connection.execute("VACUUM")
        case _:
            rows = [(key + number, body) for number in range(count)]
            with connection:
                connection.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", rows)


def history_of(path: Path, rng: random.Random) -> Iterator[str]:
    """Transactions of a cluster and of two clones, one of a clone; yields what each connection reads at the end."""
    with clusterdb.open(path) as store, ExitStack() as opened:
        prod = store.create_cluster("prod", backtrack_window_s=3600)
        connections = [opened.enter_context(closing(prod.connect()))]
        connections[0].execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB); CREATE INDEX i ON t (body)")
        for number in range(120):
            if number in (30, 60):
                clone = store.cluster("prod" if number == 30 else "dev").clone("dev" if number == 30 else "test")
                connections.append(opened.enter_context(closing(clone.connect())))
            write_at_random(rng.choice(connections), rng)
        for connection in connections:
            yield str(connection.execute("SELECT count(*), sum(length(body)), max(id) FROM t").fetchall())
        opened.pop_all().close()
        assert store.check().problems == []


def files_of(path: Path) -> dict[str, bytes]:
    """The bytes of the pool and of the histories, without what differs: the name of the store, and seals.

    Which version a seal names depends on when the pool was last synced to free slots.
    """
    pool = bytearray((path / "pool").read_bytes())
    pool[:SLOT_BYTES] = bytes(SLOT_BYTES)
    for seal in range(SEAL_SECTOR * SECTOR_BYTES, len(pool), SLOT_BYTES):
        if unpack_version(bytes(pool[seal : seal + SECTOR_BYTES])) is not None:
            pool[seal : seal + SECTOR_BYTES] = bytes(SECTOR_BYTES)
    histories = {str(file.relative_to(path)): file.read_bytes() for file in sorted((path / "history").iterdir())}
    assert histories
    return {"pool": bytes(pool), **histories}


@pytest.mark.parametrize("seed", range(4))
def test_same_transactions_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart_clocks: Callable[[], None], seed: int
) -> None:
    outcomes, files = [], []
    for plane in ("python", "c"):
        monkeypatch.setenv("CLUSTERDB_IMPL", plane)
        restart_clocks()
        outcomes.append(list(history_of(tmp_path / plane, random.Random(seed))))
        files.append(files_of(tmp_path / plane))
    assert outcomes[0] == outcomes[1]
    assert list(files[0]) == list(files[1])
    for name, data in files[0].items():
        blocks = range(0, max(len(data), len(files[1][name])), SECTOR_BYTES)
        different = [at for at in blocks if data[at : at + SECTOR_BYTES] != files[1][name][at : at + SECTOR_BYTES]]
        assert (name, different) == (name, [])
