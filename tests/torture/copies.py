"""Files of another moment: with the store closed, an earlier backup is copied over its files, in the same boot.

The files keep their inodes; ``map`` and ``readers`` are what the last process left, or are copied too.  Copied whole
(pool, catalog, histories), the backup is the store: every cluster is as it was then, and stays so while others are
written to.  Of a copy of the pool or of the catalog alone a named error may come; if the store opens, every cluster is
one that was committed, or ``check`` reports it, and what is written elsewhere harms none.  A catalog that has lost a
pin is refused, or reported.  (Clusters that are not synced, under OFF, are left out of copies of one file.)
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

import apsw

import clusterdb
from tests.torture.crash import working_directory
from tests.torture.worlds import AFTERWARDS, DAMAGED, Violation, fill, number_in, retained, vacuum, write

MODES = ("FULL", "NORMAL", "OFF")
WAYS = ("whole", "whole", "with derived files", "pool", "catalog", "no pins")
WHOLE = WAYS[:3]
EMPTY = 0
DURABLE = ("pool", "catalog.db", "catalog.db-wal")
DERIVED = ("map", "readers")
Numbers = dict[str, int]


class History:
    """A store with some life in it, and all that its clusters ever were."""

    def __init__(self, directory: Path, rng: random.Random, modes: tuple[str, ...]) -> None:
        self.directory = directory
        self._modes = modes
        self._rng = rng
        self._serial = iter(range(1, AFTERWARDS))
        self._source = directory.with_name("source.db")
        self.numbers: Numbers = {}
        self.ever: dict[str, set[int]] = {}

    def _is(self, name: str, number: int) -> None:
        self.numbers[name] = number
        self.ever.setdefault(name, set()).add(number)

    def live(self, step_count: int) -> None:
        """Open the store, do some verbs, close it."""
        with clusterdb.open(self.directory) as store:
            for _ in range(step_count):
                self._step(store)

    def _step(self, store: clusterdb.Store) -> None:
        rng, names, number = self._rng, sorted(self.numbers), next(self._serial)
        verb = rng.choice(["commit"] * 4 + ["clone"] * 3 + ["drop", "import", "vacuum", "keep past", "snapshot"])
        name = rng.choice(names) if names else ""
        if verb == "import" or not names:
            self._source.unlink(missing_ok=True)
            fill(self._source, number)
            store.create_cluster(f"c{number}", from_file=self._source)
            self._is(f"c{number}", number)
        elif verb == "commit":
            write(store, name, number, rng.choice(self._modes), rng.randrange(1, 40))
            self._is(name, number)
        elif verb == "clone":
            store.cluster(name).clone(f"c{number}")
            self._is(f"c{number}", self.numbers[name])
        elif verb == "drop" and len(names) > 1:
            store.cluster(name).delete()
            del self.numbers[name]
        elif verb == "vacuum":
            vacuum(store, name)
        elif verb == "keep past":
            store.cluster(name).modify(backtrack_window_s=rng.choice([0, 3600]))
        elif verb == "snapshot":
            store.cluster(name).snapshot(f"s{number}")


def back_up(directory: Path, target: Path) -> None:
    """Copy the files of a closed store."""
    target.mkdir()
    for name in DURABLE + DERIVED:
        if (directory / name).exists():
            shutil.copy(directory / name, target / name)
    if (directory / "history").exists():
        shutil.copytree(directory / "history", target / "history")


def put_back(backup: Path, directory: Path, names: tuple[str, ...]) -> None:
    """Copy files over those of the store, as ``cp`` does: the inodes stay."""
    for name in names:
        data = (backup / name).read_bytes() if (backup / name).exists() else b""
        with open(directory / name, "r+b" if (directory / name).exists() else "wb") as file:
            file.truncate(0)
            file.write(data)


def attempt(seed: int) -> str:
    """One store and one copy; what came of it.  Raises Violation."""
    rng, base = random.Random(seed), working_directory()
    try:
        way, is_deleted = rng.choice(WAYS), False
        history = History(base / "store", rng, MODES if way in (*WHOLE, "no pins") else MODES[:2])
        history.live(rng.randrange(3, 12))
        back_up(base / "store", base / "backup")
        then = dict(history.numbers)
        for _ in range(rng.randrange(1, 3)):
            history.live(rng.randrange(1, 12))
        now = dict(history.numbers)
        if way in WHOLE:
            put_back(base / "backup", base / "store", DURABLE if way == "whole" else DURABLE + DERIVED)
            shutil.rmtree(base / "store" / "history", ignore_errors=True)
            if (base / "backup" / "history").exists():
                shutil.copytree(base / "backup" / "history", base / "store" / "history")
        elif way == "no pins":
            is_deleted = _delete_pin(base / "store" / "catalog.db")
            if rng.random() < 0.5:
                (base / "store" / "map").unlink()
        else:
            put_back(base / "backup", base / "store", ("pool",) if way == "pool" else ("catalog.db", "catalog.db-wal"))
        try:
            outcome = _use(base / "store", then if way in WHOLE else None, history.ever, rng)
        except (clusterdb.Error, apsw.Error) as error:
            if way in WHOLE:
                raise Violation(f"refused: {error!r}") from error
            outcome = type(error).__name__
        if is_deleted and outcome == "fine":
            raise Violation("a pin is gone, and nothing says so")
        return f"{way}: {outcome}"
    except Violation as error:
        raise Violation(f"copies, seed {seed}, {way}: {error}; was {then}, then {now}") from error
    finally:
        shutil.rmtree(base)


def _delete_pin(path: Path) -> bool:
    """Delete the pin that some clone stands on; whether there was one."""
    connection = apsw.Connection(str(path))
    for volume, holder in connection.execute("SELECT volume, holder FROM pins WHERE holder LIKE 'volume:%'").fetchall():
        connection.execute("DELETE FROM pins WHERE volume = ? AND holder = ? AND NOT released", (volume, holder))
        if connection.changes():
            break
    is_deleted = bool(connection.changes())
    connection.close()
    return is_deleted


def _number_in(store: clusterdb.Store, name: str) -> int:
    """The number of a cluster, EMPTY if it has no table, DAMAGED if it cannot be read, or is mixed up."""
    try:
        return number_in(store, name)
    except apsw.SQLError:
        return EMPTY
    except (apsw.Error, clusterdb.Error, Violation):
        return DAMAGED


def _use(directory: Path, then: Numbers | None, ever: dict[str, set[int]], rng: random.Random) -> str:
    """Hold the store against what it was, write to some of it, and look whether the rest is as it was."""
    with clusterdb.open(directory) as store:
        numbers = {cluster.name: _number_in(store, cluster.name) for cluster in store.clusters()}
        if then is not None and numbers != then:
            raise Violation(f"clusters are at {numbers}")
        is_sound = not store.check().problems
        if then is not None and not is_sound:
            raise Violation(f"check: {store.check().problems[:3]}")
        strangers = {name: number for name, number in numbers.items() if number not in ever[name]}
        if is_sound and strangers:
            raise Violation(f"clusters are at {strangers}, where they never were, but check finds nothing")
    if not is_sound:
        return "reported"
    with clusterdb.open(directory) as store:
        for name in list(numbers):
            if rng.random() < 0.5 and numbers[name] in ever[name]:
                for _ in range(5):
                    write(store, name, AFTERWARDS, "FULL", 40)
                numbers[name] = AFTERWARDS
        after = {name: _number_in(store, name) for name in numbers}
        if after != numbers:
            raise Violation(f"clusters are at {after} after some were written to, expected {numbers}")
        for name in numbers:
            if retained(store, name):
                store.cluster(name).modify(backtrack_window_s=0)
        report = store.check()
        if report.problems or (then is not None and report.leaked_count):
            raise Violation(f"check after writing: {report.problems[:3]}, {report.leaked_count} leaked")
    return "fine"


def run(count: int, seed: int) -> Counter[str]:
    """So many stores; how often which outcome.  Raises Violation."""
    return Counter(attempt(1_000_000 * seed + number) for number in range(count))
