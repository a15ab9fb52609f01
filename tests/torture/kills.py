"""Processes that write, read, clone, drop and sweep in one store, killed at random; then the books are checked.

Every transfer moves money between two accounts and writes a line of history in one transaction, so in every cluster,
and in every clone taken at any moment, the balances add up and every account agrees with its history.  Who makes a
transfer says so when it is committed: none of those may be missing.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

import clusterdb

ACCOUNTS, START = 60, 1000
ROLES = ("writer", "writer", "writer-clone", "reader", "cloner", "dropper", "sweeper")
TOLERATED = (apsw.BusyError, clusterdb.StoreBusyError)


class Violation(AssertionError):
    """The books do not balance."""


def create(path: Path) -> None:
    """A store with the cluster 'bank'."""
    with clusterdb.open(path) as store:
        connection = store.create_cluster("bank").connect()
        connection.execute(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER, filler BLOB);"
            "CREATE TABLE history (id INTEGER PRIMARY KEY, source INTEGER, target INTEGER, amount INTEGER, who TEXT);"
            "CREATE INDEX history_who ON history (who)"
        )
        connection.executemany(
            "INSERT INTO accounts VALUES (?, ?, randomblob(900))", [(number, START) for number in range(ACCOUNTS)]
        )
        connection.close()


def balance(connection: apsw.Connection, where: str) -> None:
    """Raises Violation unless the books of a cluster balance, seen in one transaction."""
    connection.execute("BEGIN")
    try:
        total = connection.execute("SELECT sum(balance) FROM accounts").get
        off = connection.execute(
            "SELECT count(*) FROM accounts a WHERE balance != ? "
            "+ (SELECT coalesce(sum(amount), 0) FROM history WHERE target = a.id) "
            "- (SELECT coalesce(sum(amount), 0) FROM history WHERE source = a.id)",
            (START,),
        ).get
    finally:
        if connection.in_transaction:  # an error may have ended it
            connection.execute("ROLLBACK")
    if total != ACCOUNTS * START or off:
        raise Violation(f"{where}: the accounts add up to {total}, and {off} disagree with their history")


# --- the workers, each a process --------------------------------------------------------------------------------------
def worker(role: str, path: str, seed: int) -> None:
    """Work until killed; print what is acknowledged."""
    rng = random.Random(seed)
    with clusterdb.open(path) as store:
        act: Callable[[], None] = {
            "writer": lambda: transfer(store.cluster("bank"), rng, f"{os.getpid()}-{seed}"),
            "writer-clone": lambda: transfer(rng.choice(store.clusters()), rng, ""),
            "reader": lambda: read(rng.choice(store.clusters())),
            "cloner": lambda: clone(store, rng),
            "dropper": lambda: drop(store, rng),
            "sweeper": lambda: sweep(store, rng),
        }[role]
        while True:
            try:
                act()
            except (clusterdb.ClusterNotFoundError, apsw.CantOpenError, *TOLERATED):
                pass
            except apsw.IOError as error:
                if "was dropped" not in str(error):
                    raise


_serial = iter(range(1, 1 << 60))


def transfer(cluster: clusterdb.Cluster, rng: random.Random, who: str) -> None:
    connection = cluster.connect()
    try:
        for _ in range(rng.randrange(1, 20)):
            line = f"{who}-{next(_serial)}" if who else ""
            source, target, amount = rng.randrange(ACCOUNTS), rng.randrange(ACCOUNTS), rng.randrange(1, 50)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE accounts SET balance = balance - ? WHERE id = ?", (amount, source))
            if rng.random() < 0.1:
                connection.execute("PRAGMA cache_size = 5")
                connection.execute("UPDATE accounts SET filler = randomblob(900)")
            connection.execute("UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, target))
            connection.execute(
                "INSERT INTO history (source, target, amount, who) VALUES (?, ?, ?, ?)", (source, target, amount, line)
            )
            if rng.random() < 0.1:
                connection.execute("ROLLBACK")
                continue
            connection.execute("COMMIT")
            if who:
                os.write(1, f"\n{line}\n".encode())  # who is killed in a write may leave the half of a line
    finally:
        connection.close()


def read(cluster: clusterdb.Cluster) -> None:
    connection = cluster.connect(read_only=True)
    try:
        balance(connection, f"cluster {cluster.name}, read beside writers")
    finally:
        connection.close()


def clone(store: clusterdb.Store, rng: random.Random) -> None:
    if len(store.clusters()) < 12:
        new = rng.choice(store.clusters()).clone(f"c{os.getpid()}-{next(_serial)}")
        read(new)


def drop(store: clusterdb.Store, rng: random.Random) -> None:
    victims = [cluster for cluster in store.clusters() if cluster.name != "bank"]
    if victims:
        rng.choice(victims).delete()


def sweep(store: clusterdb.Store, rng: random.Random) -> None:
    if rng.random() < 0.2:
        store.shrink()
    store.reclaim()


# --- the killing ------------------------------------------------------------------------------------------------------
class Crowd:
    """Worker processes of all roles, replaced as they are killed."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._rng = random.Random(seed)
        self._acks, self._errors = path.with_name("acks"), path.with_name("errors")
        self._seeds = iter(range(seed * 1_000_000, (seed + 1) * 1_000_000))
        self.kills = 0
        self._workers = [(role, self._start(role)) for role in ROLES]

    def _start(self, role: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.torture.kills", role, str(self._path), str(next(self._seeds))]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        with self._acks.open("ab") as acks, self._errors.open("ab") as errors:
            return subprocess.Popen(command, stdout=acks, stderr=errors, env=environment)

    def kill_one(self) -> None:
        """Kill a worker, sometimes after having stopped it for a moment, and start another in its place."""
        self._require_alive()
        at = self._rng.randrange(len(self._workers))
        role, process = self._workers[at]
        if self._rng.random() < 0.2:
            process.send_signal(signal.SIGSTOP)
            time.sleep(self._rng.random() * 0.05)
            if self._rng.random() < 0.5:
                process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        self.kills += 1
        self._workers[at] = (role, self._start(role))

    def _require_alive(self) -> None:
        for role, process in self._workers:
            if process.poll() is not None:
                raise Violation(f"{role} ended by itself: {self._errors.read_text()[-3000:]}")

    def end(self) -> set[str]:
        """Kill everybody; what was acknowledged."""
        try:
            self._require_alive()
        finally:
            for _, process in self._workers:
                process.kill()
                process.wait()
        lines = self._acks.read_text().splitlines(keepends=True)
        return {line.strip() for line in lines if line.endswith("\n") and line.count("-") == 2}


def run(kills: int, seed: int) -> tuple[int, int]:
    """Kill so many workers, then check the books: (kills, acknowledged transfers).  Raises Violation."""
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        path = Path(folder) / "store"
        create(path)
        crowd = Crowd(path, seed)
        rng = random.Random(seed)
        try:
            while crowd.kills < kills:
                time.sleep(0.1 + rng.random() * 0.25)  # let them get somewhere
                crowd.kill_one()
        finally:
            acknowledged = crowd.end()
        with clusterdb.open(path) as store:
            verify(store, acknowledged)
        return crowd.kills, len(acknowledged)


def verify(store: clusterdb.Store, acknowledged: set[str]) -> None:
    """Every cluster balances, nothing acknowledged is missing, nothing is damaged or leaked for good."""
    for cluster in store.clusters():
        connection = cluster.connect()
        if connection.execute("PRAGMA integrity_check").get != "ok":
            raise Violation(f"cluster {cluster.name} fails its integrity check")
        balance(connection, f"cluster {cluster.name}, after the killing")
        if cluster.name == "bank":
            there = {who for (who,) in connection.execute("SELECT who FROM history WHERE who != ''")}
            if acknowledged - there:
                raise Violation(f"acknowledged, but lost: {sorted(acknowledged - there)[:5]}")
        connection.close()
    report = store.reclaim()
    check = store.check()
    if check.problems or check.leaked_count or report.put_off:
        raise Violation(f"{check.problems[:3]}, {check.leaked_count} leaked after a reclaim ({report})")


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], int(sys.argv[3]))
