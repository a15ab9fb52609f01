"""A process dies, another tidies up after it, and then the power fails.

Each step alone was always sound; these tests combine them.  ``R3``, ``V2`` and ``W7`` are invariants of reclaim.py,
volume.py and sweep.py.
"""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import clusterdb
from conftest import assert_clean, rows
from mishaps import (
    Device,
    assert_accounted,
    fill,
    filled,
    head_slot,
    letters_of,
    records,
    rewrite,
    run_until_killed,
)
from vfs.layout import SECTOR_BYTES, SLOT_BYTES, pack_version


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


@pytest.mark.parametrize("reopens", [False, True])
def test_sweep_after_a_death_keeps_the_newest_durable_version(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reopens: bool
) -> None:
    """A FULL commit survives a NORMAL one whose process died, a sweep, and commits of others (R3, W7)."""
    store = clusterdb.open(path)
    filled(store, "prod", 60, "a").close()
    other = filled(store, "other", 5, "o")
    device = Device(path, monkeypatch)
    if reopens:
        store.close()
    run_until_killed(
        path,
        "",
        "c = store.cluster('prod').connect(); c.execute('PRAGMA synchronous = NORMAL');"
        "c.execute(\"UPDATE t SET v = replace(v, 'a', 'b')\")",
    )
    if reopens:
        store = clusterdb.open(path)
        other = store.cluster("other").connect()
    assert store.reclaim().put_off == ""
    other.execute("PRAGMA synchronous = NORMAL")
    fill(other, 200, "n")
    lost = tmp_path / "lost"
    device.lose_power(lost, arrived=tuple(range(1, (path / "pool").stat().st_size // SLOT_BYTES)))
    lost_all = tmp_path / "lost-all"
    device.lose_power_but_for(lost_all, lost=(head_slot(store, "prod"),))
    for image in (lost, lost_all):
        with clusterdb.open(image) as after:
            assert letters_of(after, "prod") in ({"a": 60}, {"b": 60})
            assert_clean(after)
    other.close()
    store.close()
    assert_accounted(path)


def test_sweep_that_synced_a_head_keeps_its_record(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later NORMAL commits do not overwrite the record of the version that the sweep relied on (V2, W7)."""
    store = clusterdb.open(path)
    filled(store, "prod", 60, "a").close()
    other = filled(store, "other", 5, "o")
    device = Device(path, monkeypatch)
    run_until_killed(
        path,
        "",
        "c = store.cluster('prod').connect(); c.execute('PRAGMA synchronous = NORMAL');"
        "c.execute(\"UPDATE t SET v = replace(v, 'a', 'b')\")",
    )
    assert store.reclaim().put_off == ""
    writer = store.cluster("prod").connect()
    writer.execute("PRAGMA synchronous = NORMAL")
    for letter in "cdef":
        rewrite(writer, letter)
    other.execute("PRAGMA synchronous = NORMAL")
    fill(other, 200, "n")
    lost = tmp_path / "lost"
    device.lose_power(lost, arrived=(head_slot(store, "prod"),))
    with clusterdb.open(lost) as after:
        assert letters_of(after, "prod") == {"b": 60}
        assert_clean(after)
    for connection in (writer, other):
        connection.close()
    store.close()


def test_off_commits_never_overwrite_the_record_that_warns_of_them(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under synchronous=OFF a torn head sector does not bring back a durable version whose slots are reused (V2)."""
    store = clusterdb.open(path)
    writer = filled(store, "prod", 60, "a")
    durable = max((record for record in records(store, "prod") if record), key=lambda record: record.version)
    writer.execute("PRAGMA synchronous = OFF")
    device = Device(path, monkeypatch)
    for letter in "bcdefg":
        rewrite(writer, letter)
        kept = [record for record in records(store, "prod") if record]
        assert min(record.version for record in kept if not record.durable) == durable.version + 1
        lost = tmp_path / f"lost-{letter}"
        slot = head_slot(store, "prod")
        device.lose_power_but_for(lost, lost=(slot,))
        stale = next(
            sector
            for sector, record in enumerate(records(store, "prod"))
            if record is None or record.version != durable.version + 1
        )
        with open(lost / "pool", "r+b") as pool:
            pool.seek(slot * SLOT_BYTES)
            head = bytearray(pool.read(SLOT_BYTES))
            head[stale * SECTOR_BYTES : (stale + 1) * SECTOR_BYTES] = pack_version(durable)
            pool.seek(slot * SLOT_BYTES)
            pool.write(head)
        with clusterdb.open(lost) as after:
            try:
                connection = after.cluster("prod").connect()
            except apsw.CorruptError as error:
                assert "whole" in str(error)
                continue
            assert rows(connection, "PRAGMA integrity_check") == [("ok",)]
            connection.close()
    writer.close()
    store.close()
