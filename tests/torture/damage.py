"""Damage: bytes of a store's files are flipped, zeroed, cut off or swapped, and the store is asked for its data.

The answer is right data or a named error, never a crash of the interpreter, never wrong rows that ``check`` does not
report.  One thing looks like something else: a newest version that is damaged, found when the derived files are
rebuilt, is taken for a commit that power failed in, and the version before it is what the cluster has.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path

import apsw

import clusterdb
from tests.support.inside import catalog_of, pages_of
from tests.torture.worlds import ROWS, fill, write
from vfs.storage.volumes import pinned
from vfs.storage.walk import reached

FILES = ("pool", "pool", "pool", "catalog.db", "catalog.db-wal", "map", "readers")
WAYS = ("flip", "zero", "random", "swap", "cut")


class Violation(AssertionError):
    """Damage went unnoticed, or was answered with something else than a named error."""


def build(directory: Path) -> None:
    """Three clusters that share pages and have their own."""
    source = directory.with_name("source.db")
    fill(source, 1)
    with clusterdb.open(directory) as store:
        store.create_cluster("one", from_file=source)
        for number, name in enumerate(("two", "three"), 2):
            store.cluster("one").clone(name)
            write(store, name, number, "FULL", ROWS // 2)


NUMBERS = {"one": {1}, "two": {1, 2}, "three": {1, 3}}


def live_slots(directory: Path) -> list[int]:
    """The slots that clusters reach, so that most damage hits something."""
    with clusterdb.open(directory) as store:
        slots = {0}
        for row in catalog_of(store).volumes.volume_rows():
            with pinned(pages_of(store), row) as volume:
                slots |= {at.entry.slot for at in reached(pages_of(store).read_slot, volume.version)} | {row.head_slot}
        return sorted(slots)


def harm(path: Path, rng: random.Random, live: list[int]) -> str:
    """Damage one range of a file; what was done."""
    data = bytearray(path.read_bytes())
    way = rng.choice(WAYS)
    used = len(data.rstrip(b"\0")) or len(data)
    at = rng.randrange(used) if used else 0
    if path.name == "pool" and rng.random() < 0.9:
        at = rng.choice(live) * 4096 + rng.randrange(4096)
    length = rng.choice([1, 8, 64, 512, 4096])
    if way == "flip" and data:
        data[at] ^= 1 << rng.randrange(8)
    elif way == "zero":
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif way == "random":
        data[at : at + length] = rng.randbytes(len(data[at : at + length]))
    elif way == "swap":
        other = rng.choice(live) * 4096 if path.name == "pool" else rng.randrange(max(1, used // 4096)) * 4096
        at -= at % 4096
        one, two = data[at : at + 4096], data[other : other + 4096]
        if len(one) == len(two):
            data[at : at + 4096], data[other : other + 4096] = two, one
    elif way == "cut":
        del data[at:]
    path.write_bytes(data)
    return f"{path.name}: {way} of {length} bytes at {at}"


def attempt(template: Path, seed: int, live: list[int]) -> str:
    """Damage a copy and use it; what came of it.  Raises Violation."""
    rng = random.Random(seed)
    base = Path(tempfile.mkdtemp(prefix="damage-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        shutil.copytree(template, base / "store")
        done = harm(base / "store" / rng.choice(FILES), rng, live)
        try:
            return _use(base / "store", f"seed {seed}: {done}")
        except (clusterdb.Error, apsw.Error) as error:
            if "\n" in str(error) or not str(error):
                raise Violation(f"seed {seed}: {done}: not one line: {error!r}") from error
            return type(error).__name__
    finally:
        shutil.rmtree(base)


def _use(directory: Path, where: str) -> str:
    with clusterdb.open(directory) as store:
        report = store.check()
        outcome = "fine" if report.ok else "reported"
        for cluster in store.clusters():
            try:
                connection = cluster.connect(read_only=True)
                try:
                    answer = connection.execute(
                        "SELECT count(*), min(number), max(number), sum(length(body)) FROM t"
                    ).get
                finally:
                    connection.close()
            except (clusterdb.Error, apsw.Error):
                if report.ok:
                    raise Violation(f"{where}: check finds nothing, but {cluster.name} cannot be read") from None
                continue
            count, low, high, size = answer
            if report.ok and ((count, size, low) != (ROWS, EXPECTED_BYTES, high) or low not in NUMBERS[cluster.name]):
                raise Violation(f"{where}: {cluster.name} has {answer}, and check finds nothing") from None
        return outcome


EXPECTED_BYTES = sum(400 + 37 * row for row in range(ROWS))


def run(count: int, seed: int) -> dict[str, int]:
    """So many damages; how often which outcome."""
    base = Path(tempfile.mkdtemp(prefix="damages-"))
    outcomes: dict[str, int] = {}
    try:
        build(base / "store")
        live = live_slots(base / "store")
        for number in range(count):
            outcome = attempt(base / "store", 1_000_000 * seed + number, live)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        return outcomes
    finally:
        shutil.rmtree(base)
