"""What a store may come back with after a power failure, and whether it did.

Every cluster has one table whose rows all carry the number of the last transaction, so that a torn or mixed state
shows.  A *world* says which clusters and snapshots there are, and which of those numbers each cluster may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import apsw

import clusterdb
from tests.support.inside import catalog_of, pages_of
from vfs.storage import heads

ROWS = 40
DAMAGED = -1
AFTERWARDS = 1_000_000
"""The first number that is written to a store that came back."""


class Violation(AssertionError):
    """A store did not come back as promised."""


@dataclass(frozen=True, slots=True)
class World:
    """``clusters``: name -> the numbers it may be found with; DAMAGED among them: it may be refused.

    ``snapshots``: name -> the number it must have.  ``numbers``: those that a past version may have; None: any.
    """

    clusters: dict[str, frozenset[int]] = field(default_factory=dict)
    snapshots: dict[str, int] = field(default_factory=dict)
    numbers: frozenset[int] | None = None


def committed(before: frozenset[int], number: int, mode: str) -> frozenset[int]:
    """What a cluster may come back with after a commit."""
    if mode == "FULL":
        return frozenset([number])
    return before | {number} | ({DAMAGED} if mode == "OFF" else set())


# --- what scenarios do ------------------------------------------------------------------------------------------------
def fill(path: Path, number: int) -> None:
    """A plain database file with the table."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA synchronous = OFF; CREATE TABLE t (id INTEGER PRIMARY KEY, number INTEGER, body BLOB)")
    connection.execute("BEGIN")
    for row in range(ROWS):
        connection.execute("INSERT INTO t VALUES (?, ?, randomblob(?))", (row, number, 400 + 37 * row))
    connection.execute("COMMIT")
    connection.close()


def write(store: clusterdb.Store, name: str, number: int, mode: str, changed: int) -> None:
    """One transaction through a connection of its own."""
    connection = store.cluster(name).connect()
    try:
        write_through(connection, number, mode, changed)
    finally:
        connection.close()


def write_through(connection: apsw.Connection, number: int, mode: str, changed: int) -> None:
    """One transaction: every row gets the number, ``changed`` of them a new body."""
    connection.execute(f"PRAGMA synchronous = {mode}").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE t SET number = ?", (number,))
    connection.execute("UPDATE t SET body = randomblob(length(body)) WHERE id < ?", (changed,))
    connection.execute("COMMIT")


def vacuum(store: clusterdb.Store, name: str) -> None:
    """VACUUM through a connection of its own."""
    connection = store.cluster(name).connect()
    connection.execute("VACUUM")
    connection.close()


# --- what came back ---------------------------------------------------------------------------------------------------
def number_in(store: clusterdb.Store, name: str) -> int:
    """The number that all rows of a cluster carry; DAMAGED if the cluster is refused."""
    try:
        connection = store.cluster(name).connect(read_only=True)
        try:
            number = number_through(connection, f"cluster {name}")
            if connection.execute("PRAGMA integrity_check").get != "ok":
                raise Violation(f"cluster {name} fails its integrity check")
        finally:
            connection.close()
    except (apsw.CorruptError, clusterdb.CorruptStoreError):
        return DAMAGED
    return number


def number_through(connection: apsw.Connection, where: str) -> int:
    """The number that all rows carry, seen through a connection."""
    row: tuple[Any, ...] = connection.execute("SELECT count(*), min(number), max(number) FROM t").fetchall()[0]
    count, low, high = row
    if (count, low) != (ROWS, high):
        raise Violation(f"{where} has {count} rows with numbers {low} to {high}")
    return int(low)


def number_at(store: clusterdb.Store, name: str, at: int | datetime) -> int:
    """The number of a cluster at a point in its past."""
    connection = store.cluster(name).connect(at=at)
    try:
        return number_through(connection, f"cluster {name} at {at}")
    finally:
        connection.close()


def retained(store: clusterdb.Store, name: str) -> list[int]:
    """The past versions of a cluster's volume that are there, its newest version included; none if it keeps none."""
    row = catalog_of(store).volumes.volume_of_cluster(name)
    if row is None or not row.retained:
        return []
    pages = pages_of(store)
    return [record.version for record in heads.retained(pages, row, heads.published_version(pages, row))]


def verify(directory: Path, worlds: Sequence[World], *, writes: bool) -> None:
    """Open what power left of a store and hold it against the worlds it may be.  Raises Violation."""
    with clusterdb.open(directory) as store:
        numbers = _matched(store, worlds)
        damaged = DAMAGED in numbers.values()
        _require_sound(store, "after recovery", leaks=damaged, damage=damaged)
        pasts = {name: retained(store, name) for name in sorted(numbers) if numbers[name] != DAMAGED}
        written = known_numbers(worlds)
        for name, versions in pasts.items():
            _require_past(store, name, versions, numbers[name], written)
        if writes and not damaged:
            _use(store, numbers, worlds)
    if writes and not damaged:
        _require_accounted(directory)


def _matched(store: clusterdb.Store, worlds: Sequence[World]) -> dict[str, int]:
    """The number of every cluster, as one of the worlds has them."""
    names = {cluster.name for cluster in store.clusters()}
    snapshots = {snapshot.name for snapshot in store.snapshots()}
    numbers = {name: number_in(store, name) for name in sorted(names)}
    possible = [world for world in worlds if set(world.clusters) == names]
    if not possible:
        expected = " or ".join(sorted({str(sorted(world.clusters)) for world in worlds}))
        raise Violation(f"clusters {sorted(names)}, expected {expected}")
    possible = [world for world in possible if world.numbers is None or set(world.snapshots) == snapshots]
    if not possible:
        raise Violation(f"snapshots {sorted(snapshots)}, expected {[sorted(world.snapshots) for world in worlds]}")
    for name, number in numbers.items():
        allowed = {number for world in possible for number in world.clusters[name]}
        if number not in allowed:
            raise Violation(f"cluster {name} is at {number}, expected one of {sorted(allowed)}")
    if not any(all(numbers[name] in world.clusters[name] for name in names) for world in possible):
        raise Violation(f"{numbers}: expected one of {[world.clusters for world in possible]}")
    return numbers


def known_numbers(worlds: Sequence[World]) -> frozenset[int] | None:
    """What was ever written in one of the worlds; None: that is not written."""
    written: frozenset[int] = frozenset()
    for world in worlds:
        if world.numbers is None:
            return None
        written |= world.numbers
    return written


def _require_sound(store: clusterdb.Store, when: str, *, leaks: bool = False, damage: bool = False) -> None:
    report = store.check()
    problems = [problem for problem in report.problems if not (damage and "no intact version" in problem)]
    if problems or (report.leaked_count and not leaks):
        raise Violation(f"check {when}: {problems[:3]}, {report.leaked_count} leaked")
    volumes = {row.volume for row in catalog_of(store).volumes.volume_rows()}
    histories = set(pages_of(store).history.volumes())
    if histories - volumes:
        raise Violation(f"{when}, histories of volumes that are gone: {sorted(histories - volumes)}")


def _require_past(
    store: clusterdb.Store, name: str, versions: list[int], newest: int, known: frozenset[int] | None
) -> None:
    """Every past version that is offered can be read, whole, and they follow one another."""
    numbers = [number_at(store, name, version) for version in versions]
    if numbers and numbers[-1] != newest:
        raise Violation(f"cluster {name} is at {newest}, but its past ends with {numbers[-1]}")
    if known is not None and not known.issuperset(numbers):
        raise Violation(f"the past of cluster {name} has {numbers}, never written: {sorted(set(numbers) - known)}")
    if numbers[1:] != sorted(numbers[1:]):  # the first may be what it went back to
        raise Violation(f"the past of cluster {name} is out of order: {numbers}")


def _use(store: clusterdb.Store, numbers: dict[str, int], worlds: Iterable[World]) -> None:
    """Write to every cluster; nothing that is pinned or retained may suffer, nothing may leak."""
    for snapshot in store.snapshots():
        store.restore_snapshot(snapshot.name, f"of-{snapshot.name}")
        number = number_in(store, f"of-{snapshot.name}")
        allowed = {world.snapshots[snapshot.name] for world in worlds if snapshot.name in world.snapshots}
        if allowed and number not in allowed:
            raise Violation(f"snapshot {snapshot.name} is at {number}, expected {sorted(allowed)}")
    before = datetime.now(timezone.utc)
    versions = {name: retained(store, name) for name in numbers}
    pasts = {name: {version: number_at(store, name, version) for version in versions[name]} for name in numbers}
    for step in range(3):
        for name in numbers:
            write(store, name, AFTERWARDS + step, "FULL", 3)
            if number_in(store, name) != AFTERWARDS + step:
                raise Violation(f"cluster {name} does not take a commit")
    for name, past in pasts.items():
        for version, number in past.items():
            if number_at(store, name, version) != number:
                raise Violation(f"cluster {name} at version {version} was {number}, and is another now")
        if past and number_at(store, name, before) != numbers[name]:
            raise Violation(
                f"cluster {name} was at {numbers[name]}, but as of then it is {number_at(store, name, before)}"
            )
    _require_sound(store, "after writing")


def _require_accounted(directory: Path) -> None:
    """As many slots are in use as a rebuild of the map finds reachable."""
    with clusterdb.open(directory) as store:
        used_bytes = store.stats().used_bytes
    for name in ("map", "readers"):
        (directory / name).unlink()
    with clusterdb.open(directory) as store:
        _require_sound(store, "after a boot")
        rebuilt_bytes = store.stats().used_bytes
    if used_bytes != rebuilt_bytes:
        raise Violation(f"{used_bytes} bytes are in use, a rebuild of the map finds {rebuilt_bytes}")
