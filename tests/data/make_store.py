"""Make ``store-RELEASE.tar.xz``: a closed store of the present format, for the releases after this one to open.

    python -m tests.data.make_store

Run it once for each new format of the pool or the catalog, with the release that introduces it, and commit the files.
They are never made again, so that later releases are tested with the bytes that the old one wrote.  The archive has
what cannot be derived: the pool, the catalog with its write-ahead log, and the histories of volumes that keep their
past.  ``store-RELEASE.json`` beside it has the content hashes that ``test_released_stores.py`` expects.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
import time
from contextlib import closing
from pathlib import Path

import apsw

import clusterdb
from tests.support.dbhash import content

DATA = Path(__file__).parent
FILES = ("catalog.db", "catalog.db-wal", "history", "pool")
ROW_COUNT = 300


def fill(connection: apsw.Connection) -> None:
    """Tables of several kinds, an index, a view, a trigger, and a value of more than a page."""
    connection.execute(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, score REAL, raw BLOB);"
        "CREATE INDEX users_name ON users (name);"
        "CREATE TABLE pairs (a TEXT, b INTEGER, PRIMARY KEY (b, a)) WITHOUT ROWID;"
        "CREATE VIEW best AS SELECT name FROM users WHERE score > 1;"
        "CREATE TRIGGER noted AFTER DELETE ON users BEGIN INSERT INTO pairs VALUES (old.name, old.id); END"
    )
    with connection:
        values = [(n, f"user {n:04}", n / 7, bytes([n % 256]) * (n % 50)) for n in range(1, ROW_COUNT + 1)]
        connection.executemany("INSERT INTO users VALUES (?, ?, ?, ?)", values)
    connection.execute("INSERT INTO users VALUES (0, 'long', NULL, ?)", (b"long" * 3000,))
    connection.execute("DELETE FROM users WHERE id % 50 = 0")


def digest(connection: apsw.Connection) -> str:
    """A hash of the whole content."""
    with connection:
        lines = list(content(connection))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def make(path: Path) -> dict[str, object]:
    """A store with two clusters, a clone, a snapshot, a retained past and instances; what is in it."""
    hashes: dict[str, str] = {}
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backtrack_window_s=259_200, backup_retention_days=35)
        with closing(prod.connect()) as connection:
            fill(connection)
            past_version = prod.stats().version
            hashes["past"] = digest(connection)
            connection.execute("UPDATE users SET score = score + 1 WHERE id < 100")
            prod.snapshot("nightly")
            hashes["snapshot"] = digest(connection)
            prod.clone("dev")
            connection.execute("UPDATE users SET name = upper(name) WHERE id > 250")
            hashes["prod"] = digest(connection)
        with closing(store.cluster("dev").connect()) as connection:
            connection.execute("CREATE TABLE added (x); INSERT INTO added VALUES (1), ('two'), (NULL), (x'03')")
            hashes["dev"] = digest(connection)
        store.create_cluster("shop", engine="aurora-postgresql", tags={"team": "red"})
        with closing(clusterdb.connect(store.cluster("shop"))) as orders:
            orders.execute("CREATE TABLE orders (id SERIAL PRIMARY KEY, price NUMERIC(8, 2))")
            orders.execute("INSERT INTO orders (price) VALUES (9.5), (10)")
            orders.commit()
        prod.add_instance("writer-1")
        prod.add_instance("reader-1", replica_lag_ms=5)
        prod.add_endpoint("reports", members=["reader-1"])
    return {"hashes": hashes, "past_version": past_version, "made_ns": time.time_ns()}


def main() -> None:
    """Write the archive and, beside it, what is in it."""
    name = f"store-{clusterdb.__version__}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        expected = make(path)
        with tarfile.open(DATA / f"{name}.tar.xz", "w:xz") as archive:
            for file in FILES:
                archive.add(path / file, arcname=file)
        (DATA / f"{name}.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    main()
