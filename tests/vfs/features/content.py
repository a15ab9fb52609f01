"""Rows to fill clusters with, kinds of tables, and hashes of what is in a database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw

import clusterdb
from tests.support.dbhash import dbhash
from tests.support.stores import rows

PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]
READWRITE = apsw.SQLITE_OPEN_READWRITE
READWRITE_URI = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
CREATE_URI = READWRITE_URI | apsw.SQLITE_OPEN_CREATE
SERIES = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c LIMIT ?)"


def hash_of(cluster: clusterdb.Cluster) -> str:
    """The content hash that a new connection computes."""
    with closing(cluster.connect(read_only=True)) as connection:
        return dbhash(connection)


def file_hash(path: Path) -> str:
    """The content hash of a plain file."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        return dbhash(connection)


def assert_sound(cluster: clusterdb.Cluster) -> None:
    """A new connection finds nothing wrong."""
    with closing(cluster.connect()) as connection:
        assert rows(connection, "PRAGMA integrity_check") == [("ok",)]


def fill(connection: apsw.Connection, table: str, count: int, first: int = 1) -> None:
    """Insert ``count`` numbered rows of some hundred bytes."""
    connection.execute(
        f"WITH RECURSIVE c(x) AS (VALUES (?1) UNION ALL SELECT x + 1 FROM c LIMIT ?2) "
        f"INSERT INTO {table} SELECT x, x % 97, printf('%0250d', x) FROM c",
        (first, count),
    )


FEATURES = """
    CREATE VIRTUAL TABLE docs USING fts5(title, body);
    INSERT INTO docs SELECT 'doc ' || id, body || ' word' || (n % 10) FROM t;
    DELETE FROM docs WHERE rowid % 5 = 0;
    CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1, y0, y1);
    INSERT INTO boxes SELECT id, n, n + 1, id % 50, id % 50 + 1 FROM t;
    CREATE TABLE config (key TEXT, part INT, value ANY, PRIMARY KEY (part, key)) STRICT, WITHOUT ROWID;
    INSERT INTO config SELECT 'k' || id, n, json_object('id', id, 'tags', json_array(n, body)) FROM t;
    CREATE TABLE made (a INT, b INT, c AS (a + b) STORED, d AS (a * b) VIRTUAL);
    INSERT INTO made (a, b) SELECT id, n FROM t;
    CREATE INDEX made_d ON made (d) WHERE c % 2;
    CREATE VIEW sums AS SELECT n, sum(id) AS total FROM t GROUP BY n;
    CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT DEFAULT 'x' COLLATE NOCASE);
    CREATE TRIGGER on_made AFTER DELETE ON made BEGIN INSERT INTO log (what) VALUES ('deleted ' || old.a); END;
    DELETE FROM made WHERE a % 100 = 0;
    ANALYZE;
"""
QUERIES = [
    "SELECT count(*) FROM docs WHERE docs MATCH 'word3'",
    "SELECT rowid, snippet(docs, 1, '[', ']', '', 3) FROM docs WHERE docs MATCH 'body:word7 AND sample' LIMIT 5",
    "SELECT count(*) FROM boxes WHERE x0 > 10 AND x1 < 20 AND y0 > 5 AND y1 < 9",
    "SELECT sum(json_extract(value, '$.id')), max(value ->> '$.tags[1]') FROM config WHERE part BETWEEN 10 AND 20",
    "SELECT count(*), sum(c), sum(d) FROM made WHERE d > 100 AND c % 2",
    "SELECT * FROM sums ORDER BY n LIMIT 5",
    "SELECT * FROM log ORDER BY id",
    "SELECT seq FROM sqlite_sequence",
    "PRAGMA integrity_check",
    "PRAGMA foreign_key_check",
    "SELECT rtreecheck('boxes')",
]
