"""``make fuzz``: stores are damaged, and the data plane in C reads and writes all of them.

The answer is right rows or a named error; a crash, a hang, a finding of a sanitizer and wrong rows are violations.
Bytes of pages, nodes and heads are damaged, before a store is opened and while it is open; records and nodes get wrong
numbers with right checksums; words of the derived files get wrong numbers.  Rows are compared where checksums cover the
damage: not after a forgery, and not after another version was published by a damaged word.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clusterdb
from tests.core.distrust import family
from tests.core.distrust.family import NAMED, ROW_COUNT, WRITTEN, version_of
from tests.support.inside import catalog_of, pages_of
from tests.support.stores import rows
from vfs.format.layout import (
    ENTRY_BYTES,
    HEAD_SECTORS,
    SECTOR_BYTES,
    SLOT_BYTES,
    Entry,
    Version,
    pack_version,
    unpack_entry,
)
from vfs.format.shared import READERS_BYTES, ROW_WORDS, SESSION_TABLE_BYTE, VOLUME_TABLE_BYTE
from vfs.registry import VolumeState
from vfs.storage.volumes import pinned
from vfs.storage.walk import reached

ROOT = Path(__file__).parents[2]
CPU_SECONDS = 30
"""Of one damaged store; they are small, so more is a hang."""

OLDER = {"two": {1, 2}, "three": {1, 2}}
"""Clusters that may lawfully have rows of an older version: recovery falls back to a base."""

ABSURD = (0, 1, 2, 3, 255, 256, 4095, 4096, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 43, 1 << 44, 1 << 62)
ABSURD_64 = (*ABSURD, (1 << 63) - 1, 1 << 63, (1 << 64) - 4096, (1 << 64) - 2, (1 << 64) - 1)


class Violation(AssertionError):
    """A crash, a hang, or wrong rows."""


class Template:
    """A store to damage copies of, and where its content is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        family.make_family(path)
        with clusterdb.open(path) as store:
            slots = {0}
            for row in catalog_of(store).volumes.volume_rows():
                if row.state == VolumeState.LIVE:
                    with pinned(pages_of(store), row) as volume:
                        slots |= {at.entry.slot for at in reached(pages_of(store).read_slot, volume.version)}
                        slots.add(row.head_slot)
        self.slots = sorted(slots)
        self.heads = {name: version_of(path, name) for name in WRITTEN}


# --- damages --------------------------------------------------------------------------------------------------------
def _number(rng: random.Random, near: int, bits: int) -> int:
    """A number that breaks a bound, or is close to the right one."""
    word = rng.choice(
        [
            rng.choice(ABSURD_64),
            near + rng.choice([-1, 1, 2, 256]),
            near ^ (1 << rng.randrange(bits)),
            rng.getrandbits(bits),
        ]
    )
    return word & ((1 << bits) - 1)


def _write(path: Path, offset: int, data: bytes) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        os.pwrite(fd, data, offset)
    finally:
        os.close(fd)


def damage_bytes(template: Template, path: Path, rng: random.Random) -> None:
    """Flip, zero, replace or move bytes of slots that clusters reach."""
    for _ in range(rng.choice([1, 1, 2, 8])):
        slot, within = rng.choice(template.slots), rng.randrange(SLOT_BYTES)
        length = min(rng.choice([1, 4, 8, 64, 512, SLOT_BYTES]), SLOT_BYTES - within)
        data = rng.choice([bytes(length), b"\xff" * length, rng.randbytes(length)])
        if rng.random() < 0.2:
            within, data = 0, (path / "pool").read_bytes()[rng.choice(template.slots) * SLOT_BYTES :][:SLOT_BYTES]
        _write(path / "pool", slot * SLOT_BYTES + within, data)


def cut_pool(template: Template, path: Path, rng: random.Random) -> None:
    """Shorten the pool, below or above slots that clusters reach."""
    size = (path / "pool").stat().st_size
    os.truncate(path / "pool", rng.choice([rng.randrange(size), rng.choice(template.slots) * SLOT_BYTES, 0]))


def damage_words(template: Template, path: Path, rng: random.Random) -> None:
    """Put absurd numbers into the map and the tables of volumes and sessions."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        start = rng.choice([0, 0, VOLUME_TABLE_BYTE, VOLUME_TABLE_BYTE, SESSION_TABLE_BYTE])
        at = start + 8 * rng.randrange(6 if not start else 6 * ROW_WORDS)
        _write(path / "readers", at, struct.pack("<Q", _number(rng, 1, 64)))


def damage_map(template: Template, path: Path, rng: random.Random) -> None:
    """Put absurd numbers into the header of the map, and any states into it."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        if rng.random() < 0.5:
            _write(path / "map", 8 * rng.randrange(5, 12), struct.pack("<Q", _number(rng, len(template.slots), 64)))
        else:
            state = rng.choice([0, 0x0101, 0x0202, 0x0400, 0x0401, 0xFFFF, rng.getrandbits(16)])
            _write(path / "map", 4096 + 2 * rng.randrange(1, template.slots[-1] + 9), struct.pack("<H", state))


def cut_derived(template: Template, path: Path, rng: random.Random) -> None:
    """Shorten the map or the tables."""
    name, size = rng.choice([("map", (path / "map").stat().st_size), ("readers", READERS_BYTES)])
    os.truncate(path / name, rng.choice([0, 4095, 4096, rng.randrange(size)]))


def _put_record(path: Path, record: Version, head_slot: int) -> None:
    _write(path / "pool", head_slot * SLOT_BYTES, pack_version(record) * HEAD_SECTORS)


def forge_record(template: Template, path: Path, rng: random.Random) -> None:
    """Put a wrong number into a version record, with a right checksum."""
    record, head_slot = template.heads[rng.choice(sorted(template.heads))]
    field = rng.choice(["size_bytes", "size_bytes", "version", "durable", "slot_count", "root.slot", "root.birth"])
    changes: dict[str, Any] = {}
    if field.startswith("root."):
        part, bits = field[5:], 32 if field == "root.slot" else 64
        changes["root"] = record.root._replace(**{part: _number(rng, getattr(record.root, part), bits)})
    else:
        changes[field] = _number(rng, getattr(record, field), 64)
    _put_record(path, record._replace(**changes), head_slot)


def forge_nodes(template: Template, path: Path, rng: random.Random) -> None:
    """Put wrong numbers into the entries of a root that is a leaf or leads to leaves, with right checksums."""
    record, head_slot = template.heads[rng.choice(sorted(template.heads))]
    pool = (path / "pool").read_bytes()

    def slot_at(slot: int) -> bytearray:
        return bytearray(pool[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES])

    chain = [record.root]
    for _ in range(record.depth - 1):
        below = [entry for index in range(256) if (entry := unpack_entry(slot_at(chain[-1].slot), index)).slot]
        chain.append(rng.choice(below))
    if not chain[-1].slot:
        return
    node = slot_at(chain[-1].slot)
    for _ in range(rng.choice([1, 1, 4, 256])):
        index = rng.randrange(rng.choice([8, 256]))
        entry = unpack_entry(node, index)
        changed = rng.choice(
            [
                entry._replace(slot=_number(rng, entry.slot, 32)),
                entry._replace(birth=_number(rng, record.version, 64)),
                Entry(chain[0].slot, chain[0].crc, chain[0].birth),  # a table that contains itself
            ]
        )
        struct.pack_into("<IIQ", node, index * ENTRY_BYTES, *changed)
    for level in range(len(chain) - 1, -1, -1):
        _write(path / "pool", chain[level].slot * SLOT_BYTES, bytes(node))
        crc = zlib.crc32(node)
        if not level:
            _put_record(path, record._replace(root=record.root._replace(crc=crc)), head_slot)
            return
        parent = slot_at(chain[level - 1].slot)
        for index in range(256):
            entry = unpack_entry(parent, index)
            if entry.slot == chain[level].slot:
                struct.pack_into("<IIQ", parent, index * ENTRY_BYTES, *entry._replace(crc=crc))
        node = parent


def tear_head(template: Template, path: Path, rng: random.Random) -> None:
    """Zero or swap sectors of a head."""
    _, head_slot = template.heads[rng.choice(sorted(template.heads))]
    sector = rng.randrange(HEAD_SECTORS)
    data = rng.choice([bytes(SECTOR_BYTES), rng.randbytes(SECTOR_BYTES)])
    _write(path / "pool", head_slot * SLOT_BYTES + sector * SECTOR_BYTES, data)


Damage = Callable[[Template, Path, random.Random], None]
DAMAGES: list[tuple[Damage, bool, bool]] = [
    # (damage, also while the store is open, rows are compared)
    (damage_bytes, True, True),
    (damage_map, True, True),
    (damage_words, True, False),
    (cut_pool, False, True),
    (cut_derived, False, True),
    (forge_record, True, False),
    (forge_nodes, True, False),
    (tear_head, True, False),
]


# --- use ------------------------------------------------------------------------------------------------------------
class Visit:
    """Uses a damaged store through connections."""

    def __init__(self, path: Path, *, compares: bool) -> None:
        self.path = path
        self._compares = compares

    def attempt(self, action: Callable[..., object], *arguments: object) -> None:
        """Do it; a named error is an answer."""
        try:
            action(*arguments)
        except NAMED as error:
            if not str(error) or "\n" in str(error):
                raise Violation(f"not one line: {error!r}") from error
        except UnicodeDecodeError:  # apsw's answer if a text of a damaged page, also in an error, is not UTF-8
            pass

    def run(self, harm: Callable[[], None] | None) -> None:
        """Open the store, damage it if that is to be done now, and use it."""
        family.forbid_absurd_files()
        self.attempt(self._use, harm)

    def _use(self, harm: Callable[[], None] | None) -> None:
        with clusterdb.open(self.path, verify_reads=self._compares) as store:
            clusters = store.clusters()
            if harm is not None:
                self._harm_beside(clusters, harm)
            for cluster in clusters:
                self.attempt(self._read_anew, cluster)
            for cluster in clusters:
                self.attempt(family.write, cluster)
                self.attempt(cluster.clone, f"{cluster.name}-copy")
            for cluster in clusters:
                self.attempt(self._read_all, cluster)
            self.attempt(store.check)

    def _harm_beside(self, clusters: list[clusterdb.Cluster], harm: Callable[[], None]) -> None:
        """Damage the store while connections to its clusters are open."""
        opened = [(cluster, cluster.connect(read_only=True)) for cluster in clusters]
        for cluster, connection in opened:
            self.attempt(self._read, cluster, connection)
        harm()
        for cluster, connection in opened:
            self.attempt(self._read, cluster, connection)
            self.attempt(connection.close)

    def _read_all(self, cluster: clusterdb.Cluster) -> None:
        connection = cluster.connect()
        try:
            connection.execute("PRAGMA integrity_check").fetchall()
        finally:
            connection.close()

    def _read_anew(self, cluster: clusterdb.Cluster) -> None:
        connection = cluster.connect(read_only=True)
        try:
            self._read(cluster, connection)
        finally:
            connection.close()

    def _read(self, cluster: clusterdb.Cluster, connection: Any) -> None:
        answer = rows(connection, "SELECT count(*), min(n), max(n), sum(length(body)) FROM t")
        if self._compares:
            count, low, high, _ = answer[0]
            if count != ROW_COUNT or low != high or low not in OLDER.get(cluster.name, {WRITTEN[cluster.name]}):
                raise Violation(f"{cluster.name} has {answer}")


def attempt(template: Template, seed: int) -> str:
    """Damage a copy and use it; what was damaged.  Raises Violation."""
    rng = random.Random(seed)
    damage, may_be_live, compares = rng.choice(DAMAGES)
    is_live = may_be_live and rng.random() < 0.5
    compares = compares and rng.random() < 0.7
    where = f"seed {seed}: {damage.__name__}{' while open' if is_live else ''}{', verified' if compares else ''}"
    with family.copy_of(template.path) as path:
        if not is_live:
            damage(template, path, rng)
        visit = Visit(path, compares=compares)
        harm = (lambda: damage(template, path, rng)) if is_live else None
        try:
            family.in_child(lambda: visit.run(harm))
        except AssertionError as error:
            raise Violation(f"{where}: {error}") from error
    return f"{damage.__name__}{' while open' if is_live else ''}"


def run(count: int, seed: int, *, end: float = float("inf"), keeps_going: bool = False) -> Counter[str]:
    """Damage stores, ``count`` of them or until a monotonic time; how many by kind.  Raises Violation."""
    family.CPU_SECONDS = CPU_SECONDS
    tried = Counter[str]()
    base = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        template = Template(base / "store")
        for number in range(count):
            if time.monotonic() >= end:
                break
            try:
                tried[attempt(template, 1_000_000 * seed + number)] += 1
            except Violation as violation:
                if not keeps_going:
                    raise
                print(violation, flush=True)
                tried["VIOLATION"] += 1
        return tried
    finally:
        shutil.rmtree(base)


# --- the build to use -----------------------------------------------------------------------------------------------
def environment() -> tuple[Path, dict[str, str]]:
    """The directory and environment of the build with sanitizers, if ``make sanitize`` has left one, or of this one."""
    sanitized = ROOT / "build" / "sanitize"
    values = {**os.environ, "CLUSTERDB_IMPL": "c"}
    if not [*sanitized.glob("vfs/_native*.so")]:
        return ROOT, values
    library = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout
    values |= {"LD_PRELOAD": library.strip(), "PYTHONMALLOC": "malloc"}
    values |= {
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
    }
    return sanitized, values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, help="[default: --count stores]")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--keep-going", action="store_true", help="print violations instead of ending with the first")
    arguments = parser.parse_args()
    if clusterdb.implementation != "c":
        sys.exit("the data plane in C is not in use: set CLUSTERDB_IMPL=c")
    print(f"seed {arguments.seed}", flush=True)
    if arguments.minutes is None:
        tried = run(arguments.count, arguments.seed, keeps_going=arguments.keep_going)
    else:
        end = time.monotonic() + 60 * arguments.minutes
        tried = run(sys.maxsize, arguments.seed, end=end, keeps_going=arguments.keep_going)
    print(f"{tried.total()} stores:", ", ".join(f"{count} {what}" for what, count in sorted(tried.items())))


if __name__ == "__main__":
    main()
