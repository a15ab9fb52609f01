"""Version records and nodes in the pool with right checksums and wrong numbers."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from tests.core.distrust.family import copy_of, survives, version_of
from tests.core.distrust.pools import node_that_contains_itself
from tests.support.inside import pages_of
from vfs.format import layout
from vfs.format.layout import SLOT_BYTES, Entry, Version, pack_version, unpack_entry


def put(path: Path, slot: int, data: bytes, within: int = 0) -> None:
    """Overwrite a part of a slot."""
    with open(path / "pool", "r+b") as pool:
        pool.seek(slot * SLOT_BYTES + within)
        pool.write(data)


def forget_derived(path: Path) -> None:
    """As after a boot."""
    (path / "map").unlink()
    (path / "readers").unlink()


def put_record(path: Path, record: Version, head_slot: int) -> None:
    """Make it the only version record in a head."""
    put(path, head_slot, pack_version(record) * layout.HEAD_SECTORS)


def with_field(record: Version, field: str, value: int) -> Version:
    """The record with another number in it."""
    changes: dict[str, Any] = {field: value}
    return record._replace(**changes)


ABSURD = {
    "version": [0, 1, 1 << 62, 1 << 63, (1 << 64) - 2, (1 << 64) - 1],
    "durable": [0, 1, 1 << 63, (1 << 64) - 1],
    "size_bytes": [0, 1, 4095, 1 << 40, (1 << 44) + 4096, (1 << 63) - 1, 1 << 63, (1 << 64) - 1],
    "slot_count": [0, (1 << 64) - 1],
    "own_count": [0, (1 << 63) - 1],
    "time_ns": [0, 1 << 63, (1 << 64) - 1],
}
ABSURD_ROOTS: dict[str, object] = {
    "root slot 0": {"slot": 0},
    "root slot 2**32-1": {"slot": (1 << 32) - 1},
    "root birth 0": {"birth": 0},
    "root birth 2**64-1": {"birth": (1 << 64) - 1},
    "root crc 0": {"crc": 0},
}


def in_any_boot(cases: dict[str, object]) -> list[Any]:
    """(case, whether it is the same boot) for each case; else everything derived is rebuilt first."""
    return [
        pytest.param(case, boot == "same boot", id=f"{name}, {boot}")
        for name, case in cases.items()
        for boot in ("same boot", "rebuilt")
    ]


RECORD_CASES: dict[str, object] = {
    f"{field}={value:#x}": (field, value) for field, values in ABSURD.items() for value in values
}


@pytest.mark.parametrize(("case", "same_boot"), in_any_boot(RECORD_CASES))
def test_absurd_version_record_is_refused_or_harmless(family: Path, case: tuple[str, int], same_boot: bool) -> None:
    """A version record with a right checksum and an impossible number is refused, or does no harm."""
    field, value = case
    with copy_of(family) as path:
        record, head_slot = version_of(path, "two")
        put_record(path, with_field(record, field, value), head_slot)
        if not same_boot:
            forget_derived(path)
        survives(path)


@pytest.mark.parametrize(("change", "same_boot"), in_any_boot(ABSURD_ROOTS))
def test_absurd_root_is_refused_or_harmless(family: Path, change: dict[str, int], same_boot: bool) -> None:
    """An impossible root of the page table is refused, or does no harm."""
    with copy_of(family) as path:
        record, head_slot = version_of(path, "two")
        put_record(path, record._replace(root=record.root._replace(**change)), head_slot)
        if not same_boot:
            forget_derived(path)
        survives(path)


CIRCLES: dict[str, object] = {
    "once": (1, 1 << 20),
    "once and deep": (1, 1 << 32),
    "everywhere": (255, 1 << 20),
    "everywhere and deep": (255, 1 << 32),
}


@pytest.mark.parametrize(("circle", "same_boot"), in_any_boot(CIRCLES))
def test_page_table_that_contains_itself_is_refused(family: Path, circle: tuple[int, int], same_boot: bool) -> None:
    """A cluster whose root contains itself is refused; no walk is endless."""
    count, size_bytes = circle
    with copy_of(family) as path:
        record, head_slot = version_of(path, "two")
        node, entry = node_that_contains_itself(record.root.slot, record.version, count)
        put(path, entry.slot, node)
        put_record(path, record._replace(root=entry, size_bytes=size_bytes), head_slot)
        if not same_boot:
            forget_derived(path)
        survives(path)


def put_in_leaf(path: Path, name: str, index: int, entry: Entry) -> None:
    """Give a small cluster's only node another entry, and make every checksum above right again."""
    record, head_slot = version_of(path, name)
    with clusterdb.open(path) as store:
        node = bytearray(pages_of(store).read_slot(record.root.slot))
    struct.pack_into("<IIQ", node, index * 16, *entry)
    put(path, record.root.slot, bytes(node))
    put_record(path, record._replace(root=record.root._replace(crc=zlib.crc32(node))), head_slot)


ENTRY_CASES: dict[str, object] = {
    f"{name} at {index}": (index, entry)
    for index in (0, 255)
    for name, entry in {
        "slot 2**32-1": Entry((1 << 32) - 1, 0, 4),
        "slot 2**20": Entry(1 << 20, 0, 4),
        "a hole": Entry(0, 0, 4),
        "a hole of the future": Entry(0, 1, (1 << 64) - 1),
        "the head of another": Entry(1, 0, 0),
        "a slot of the future": Entry(1, 0, (1 << 64) - 1),
    }.items()
}


@pytest.mark.parametrize(("case", "same_boot"), in_any_boot(ENTRY_CASES))
def test_absurd_node_entry_is_refused_or_harmless(family: Path, case: tuple[int, Entry], same_boot: bool) -> None:
    """An impossible slot or birth in a node with a right checksum is refused, or does no harm."""
    index, entry = case
    with copy_of(family) as path:
        put_in_leaf(path, "two", index, entry)
        if not same_boot:
            forget_derived(path)
        survives(path)


def test_check_reports_different_checksums_of_a_shared_slot(family: Path) -> None:
    """Two clusters that name a slot with different checksums are reported by check."""
    with copy_of(family) as path:
        record, _ = version_of(path, "one")
        with clusterdb.open(path) as store:
            (slot, crc, birth) = unpack_entry(pages_of(store).read_slot(record.root.slot), 3)
        put_in_leaf(path, "two", 3, Entry(slot, crc ^ 1, birth))
        with clusterdb.open(path) as store:
            assert not store.check().ok


def test_check_reports_a_birth_later_than_the_root(family: Path) -> None:
    """A page cannot be younger than the version it is reached from (T2)."""
    with copy_of(family) as path:
        with clusterdb.open(path) as store:
            store.cluster("two").modify(backup_retention_days=0)  # otherwise its history has the version as it was
        record, _ = version_of(path, "two")
        with clusterdb.open(path) as store:
            entry = unpack_entry(pages_of(store).read_slot(record.root.slot), 2)
        put_in_leaf(path, "two", 2, entry._replace(birth=record.version + 1))
        with clusterdb.open(path) as store:
            problems = store.check().problems
    assert any(f"slot {entry.slot}" in problem and "later" in problem for problem in problems)
