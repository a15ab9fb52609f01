"""What SQLite can do with a file it can do with a cluster, and with a clone of one without the source noticing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.dbhash import dbhash
from tests.support.stores import assert_clean, rows

PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]
READWRITE = apsw.SQLITE_OPEN_READWRITE
READWRITE_URI = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
CREATE_URI = READWRITE_URI | apsw.SQLITE_OPEN_CREATE
SERIES = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c LIMIT ?)"


@pytest.fixture(scope="module")
def plain_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain database file with a few thousand rows, for all tests of this module; not to be changed."""
    path = tmp_path_factory.mktemp("sample") / "sample.db"
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body TEXT); CREATE INDEX t_n ON t (n)")
        connection.execute(
            f"{SERIES} INSERT INTO t SELECT x, x % 97, printf('row %d of the sample', x) FROM c", (3000,)
        )
    return path


@pytest.fixture(params=["cluster", "clone"])
def cluster(request: pytest.FixtureRequest, store: clusterdb.Store, plain_sample: Path) -> Iterator[clusterdb.Cluster]:
    """A cluster with the sample, made by import or by cloning; in the end the clone's source is what it was."""
    source = store.create_cluster("source", from_file=plain_sample)
    if request.param == "cluster":
        yield source
        return
    before = hash_of(source)
    yield source.clone("clone")
    assert hash_of(source) == before


@pytest.fixture
def connection(cluster: clusterdb.Cluster) -> apsw.Connection:
    """A connection to the cluster (the store closes it)."""
    return cluster.connect()


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


# --- vacuum, page sizes, auto-vacuum ----------------------------------------------------------------------------------
def test_vacuum(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """VACUUM gives back free pages and changes no row."""
    connection.execute("DELETE FROM t WHERE id % 3")
    before, pages = hash_of(cluster), connection.pragma("page_count")
    connection.execute("VACUUM")
    assert hash_of(cluster) == before
    assert connection.pragma("page_count") < pages
    assert connection.pragma("freelist_count") == 0
    assert_sound(cluster)


def test_vacuum_into_a_path(cluster: clusterdb.Cluster, connection: apsw.Connection, tmp_path: Path) -> None:
    """VACUUM INTO a path writes a plain file with the same content."""
    connection.execute("VACUUM INTO ?", (str(tmp_path / "x.db"),))
    assert file_hash(tmp_path / "x.db") == hash_of(cluster)


def test_vacuum_into_a_file_name(
    cluster: clusterdb.Cluster, connection: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with a dot is a file in the working directory."""
    monkeypatch.chdir(tmp_path)
    connection.execute("VACUUM INTO 'copy.db'")
    assert file_hash(tmp_path / "copy.db") == hash_of(cluster)


def test_vacuum_into_an_empty_cluster(
    store: clusterdb.Store, cluster: clusterdb.Cluster, connection: apsw.Connection
) -> None:
    """VACUUM INTO a cluster's name fills it if it is empty, and refuses it if not."""
    target = store.create_cluster("target")
    connection.execute("VACUUM INTO 'target'")
    assert hash_of(target) == hash_of(cluster)
    with pytest.raises(apsw.SQLError, match="already exists"):
        connection.execute("VACUUM INTO 'target'")
    assert_sound(target)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_vacuum_to_another_page_size(cluster: clusterdb.Cluster, connection: apsw.Connection, page_size: int) -> None:
    """PRAGMA page_size and VACUUM rebuild the database, there and back."""
    before = hash_of(cluster)
    for size in (page_size, 4096):
        connection.execute(f"PRAGMA page_size = {size}; VACUUM")
        with closing(cluster.connect()) as other:
            assert other.pragma("page_size") == size
        assert hash_of(cluster) == before
        assert_sound(cluster)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_page_size_before_the_first_table(store: clusterdb.Store, page_size: int) -> None:
    """An empty cluster takes any page size, by PRAGMA as by create_cluster; commits and rollbacks work in it."""
    by_pragma, by_argument = store.create_cluster("a"), store.create_cluster("b", page_size=page_size)
    for cluster in (by_pragma, by_argument):
        connection = cluster.connect()
        if cluster is by_pragma:
            connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n, body)")
        fill(connection, "t", 500)
        clone = cluster.clone(f"{cluster.name}-clone")
        before = hash_of(clone)
        connection.execute("PRAGMA cache_size = 5; BEGIN; UPDATE t SET body = body || n; ROLLBACK")
        assert hash_of(cluster) == before
        connection.execute("DELETE FROM t WHERE n > 50; VACUUM")
        assert hash_of(clone) == before != hash_of(cluster)
        with closing(clone.connect()) as other:
            assert other.pragma("page_size") == page_size
        assert_sound(cluster)
        assert_sound(clone)
    assert hash_of(by_pragma) == hash_of(by_argument)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_auto_vacuum_modes(cluster: clusterdb.Cluster, connection: apsw.Connection, mode: int) -> None:
    """NONE keeps free pages, FULL gives them back at commit, INCREMENTAL when asked."""
    connection.execute(f"PRAGMA auto_vacuum = {mode}; VACUUM")
    pages = connection.pragma("page_count")
    connection.execute("DELETE FROM t WHERE id > 100")
    free = connection.pragma("freelist_count")
    assert connection.pragma("auto_vacuum") == mode
    if mode == 1:
        assert free == 0 and connection.pragma("page_count") < pages
    else:
        assert free > 10 and connection.pragma("page_count") == pages
    connection.execute("PRAGMA incremental_vacuum(10)").fetchall()
    assert connection.pragma("freelist_count") == (free - 10 if mode == 2 else free)
    connection.execute("PRAGMA incremental_vacuum").fetchall()
    assert connection.pragma("freelist_count") == (0 if mode else free)
    assert rows(connection, "SELECT count(*), max(id) FROM t") == [(100, 100)]
    assert_sound(cluster)


# --- transactions -----------------------------------------------------------------------------------------------------
def test_savepoints(connection: apsw.Connection) -> None:
    """Nested savepoints, ROLLBACK TO and RELEASE."""
    connection.execute("CREATE TABLE s (x)")
    connection.execute("SAVEPOINT a; INSERT INTO s VALUES (1); SAVEPOINT b; INSERT INTO s VALUES (2)")
    connection.execute("SAVEPOINT c; INSERT INTO s VALUES (3); ROLLBACK TO b; INSERT INTO s VALUES (4); RELEASE b")
    assert rows(connection, "SELECT x FROM s") == [(1,), (4,)]
    connection.execute("SAVEPOINT d; DELETE FROM s; ROLLBACK TO d; RELEASE a")
    assert rows(connection, "SELECT x FROM s") == [(1,), (4,)]
    connection.execute("SAVEPOINT e; DELETE FROM s; ROLLBACK TO e; RELEASE e")
    assert connection.get_autocommit()
    assert rows(connection, "SELECT x FROM s") == [(1,), (4,)]


def spill_savepoints(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """Savepoints whose pages have left the cache; the sample must be unchanged before."""
    connection.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET body = body || '-one'; SAVEPOINT s")
    connection.execute("UPDATE t SET n = n + 1000; DELETE FROM t WHERE id % 2; SAVEPOINT inner; DELETE FROM t")
    connection.execute("ROLLBACK TO inner; ROLLBACK TO s; UPDATE t SET n = -n WHERE id = 5; COMMIT")
    expected = [(x, -5 if x == 5 else x % 97, f"row {x} of the sample-one") for x in range(1, 3001)]
    assert rows(cluster.connect(), "SELECT * FROM t ORDER BY id") == expected
    assert_sound(cluster)


def spill_transactions(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """A rollback and a commit of more than the cache holds; the sample must be unchanged before."""
    before, reader = hash_of(cluster), cluster.connect()
    connection.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET body = upper(body), n = -n; DELETE FROM t")
    assert rows(connection, "SELECT count(*) FROM t") == [(0,)]
    assert dbhash(reader) == before
    connection.execute("ROLLBACK")
    assert dbhash(connection) == dbhash(reader) == before
    connection.execute("BEGIN; UPDATE t SET body = upper(body), n = -n; COMMIT")
    expected = [(x, -(x % 97), f"ROW {x} OF THE SAMPLE") for x in range(1, 3001)]
    assert rows(reader, "SELECT * FROM t ORDER BY id") == expected
    assert_sound(cluster)


def test_savepoints_after_a_cache_spill(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """ROLLBACK TO finds what it needs though the pages have left the cache."""
    spill_savepoints(cluster, connection)


@pytest.mark.parametrize("mode", ["MEMORY", "DELETE", "TRUNCATE", "PERSIST"])
def test_transactions_larger_than_the_page_cache(
    cluster: clusterdb.Cluster, connection: apsw.Connection, mode: str
) -> None:
    """Rolled back, nothing has happened; committed, everything has; in every journal mode."""
    assert connection.pragma("journal_mode", mode) == mode.lower()
    spill_transactions(cluster, connection)


@pytest.mark.parametrize("spill", [spill_savepoints, spill_transactions])
@pytest.mark.parametrize("mode", ["MEMORY", "PERSIST"])
def test_transactions_larger_than_what_is_staged_in_memory(
    plain_sample: Path, monkeypatch: pytest.MonkeyPatch, spill: Callable[..., None], mode: str
) -> None:
    """The same when pages move to the pool before the commit."""
    monkeypatch.setattr("vfs.volume.STAGED_PAGES_MAX", 4)
    with clusterdb.open(":memory:") as store:
        source = store.create_cluster("source", from_file=plain_sample)
        clone, before = source.clone("clone"), hash_of(source)
        connection = clone.connect()
        connection.pragma("journal_mode", mode)
        spill(clone, connection)
        assert hash_of(source) == before
        assert_clean(store)


@pytest.mark.slow
def test_a_transaction_of_tens_of_mebibytes(tmp_path: Path) -> None:
    """Rolled back and committed, with what is staged in memory by default."""
    with clusterdb.open(tmp_path / "store") as store:
        cluster = store.create_cluster("cluster")
        connection = cluster.connect()
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n, body); CREATE INDEX t_n ON t (n)")
        before = hash_of(cluster)
        connection.execute("PRAGMA cache_size = 10; BEGIN")
        fill(connection, "t", 100_000)
        connection.execute("ROLLBACK")
        assert hash_of(cluster) == before
        connection.execute("BEGIN")
        fill(connection, "t", 100_000)
        connection.execute("COMMIT")
        assert rows(connection, "SELECT count(*), sum(id) FROM t") == [(100_000, 5_000_050_000)]
        assert_sound(cluster)
        assert_clean(store)


def test_data_version_tells_of_other_commits(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """PRAGMA data_version changes when another connection commits, and only then."""
    other = cluster.connect()
    first = connection.pragma("data_version")
    connection.execute("INSERT INTO t (n) VALUES (1)")
    other.execute("BEGIN; INSERT INTO t (n) VALUES (2); ROLLBACK")
    assert connection.pragma("data_version") == first
    other.execute("INSERT INTO t (n) VALUES (3)")
    second = connection.pragma("data_version")
    assert second != first
    assert connection.pragma("data_version") == second


def test_a_read_transaction_sees_one_version(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """A reader keeps its snapshot through other connections' commits and VACUUM, then sees the newest."""
    writer, before = cluster.connect(), hash_of(cluster)
    connection.execute("BEGIN; SELECT * FROM t LIMIT 1").fetchall()
    writer.execute("DELETE FROM t WHERE id > 10; VACUUM; PRAGMA page_size = 8192; VACUUM")
    assert rows(connection, "SELECT count(*) FROM t") == [(3000,)]
    with pytest.raises(apsw.BusyError) as caught:
        connection.execute("DELETE FROM t")
    assert caught.value.extendedresult == apsw.SQLITE_BUSY_SNAPSHOT
    connection.execute("COMMIT")
    assert rows(connection, "SELECT count(*) FROM t") == [(10,)]
    assert hash_of(cluster) != before


# --- attach -----------------------------------------------------------------------------------------------------------
def test_attach_another_cluster(store: clusterdb.Store, connection: apsw.Connection) -> None:
    """ATTACH by name: joins, writes to both, commit and rollback."""
    other = store.create_cluster("other")
    connection.execute("ATTACH 'other' AS o; CREATE TABLE o.names (id INTEGER PRIMARY KEY, name)")
    connection.execute(
        "BEGIN; INSERT INTO o.names SELECT id, 'n' || n FROM t WHERE id <= 5; DELETE FROM t WHERE id = 4"
    )
    connection.execute("COMMIT; BEGIN; DELETE FROM o.names; DELETE FROM t; ROLLBACK")
    joined = rows(connection, "SELECT t.id, name FROM t JOIN o.names USING (id) ORDER BY t.id")
    assert joined == [(1, "n1"), (2, "n2"), (3, "n3"), (5, "n5")]
    assert rows(other.connect(), "SELECT count(*) FROM names") == [(5,)]
    connection.execute("DETACH o")
    assert_sound(other)


def test_attach_a_clone_to_its_source(store: clusterdb.Store, connection: apsw.Connection) -> None:
    """Source and clone side by side: their difference is one query."""
    name = Path(connection.filename).name
    twin = store.cluster(name).clone("twin")
    connection.execute("UPDATE t SET body = 'changed' WHERE id IN (7, 70)")
    connection.execute("ATTACH 'twin' AS twin")
    assert rows(connection, "SELECT id FROM (SELECT * FROM t EXCEPT SELECT * FROM twin.t)") == [(7,), (70,)]
    connection.execute("INSERT OR REPLACE INTO twin.t SELECT * FROM t WHERE id = 7")
    assert rows(twin.connect(), "SELECT body FROM t WHERE id IN (7, 70) ORDER BY id")[0] == ("changed",)


@pytest.mark.parametrize("journal_mode", ["DELETE", "WAL"])
def test_attach_plain_files(connection: apsw.Connection, tmp_path: Path, journal_mode: str) -> None:
    """ATTACH by path: joins and writes across a cluster and plain files, also one in WAL mode."""
    path = tmp_path / "plain.db"
    with closing(apsw.Connection(str(path))) as plain:
        plain.execute(f"PRAGMA journal_mode = {journal_mode}; CREATE TABLE p (id INTEGER PRIMARY KEY, x)").fetchall()
    connection.execute("ATTACH ? AS plain", (str(path),))
    connection.execute("BEGIN; INSERT INTO plain.p SELECT id, n FROM t; UPDATE t SET n = 0 WHERE id = 1; COMMIT")
    connection.execute("BEGIN; DELETE FROM plain.p; DELETE FROM t; ROLLBACK")
    assert rows(connection, "SELECT count(*) FROM t JOIN plain.p USING (id)") == [(3000,)]
    assert connection.pragma("journal_mode", schema="plain") == journal_mode.lower()
    connection.execute("DETACH plain")
    with closing(apsw.Connection(str(path))) as plain:
        assert rows(plain, "SELECT count(*), sum(id) FROM p") == [(3000, 4_501_500)]


def test_attach_creates_a_plain_file(connection: apsw.Connection, tmp_path: Path) -> None:
    """ATTACH of a path that does not exist creates the file, as on any connection of Python's sqlite3."""
    connection.execute("ATTACH ? AS new", (str(tmp_path / "new.db"),))
    connection.execute("CREATE TABLE new.copy AS SELECT * FROM t")
    connection.execute("DETACH new")
    with closing(apsw.Connection(str(tmp_path / "new.db"))) as plain:
        assert rows(plain, "SELECT count(*) FROM copy") == [(3000,)]


def test_attach_to_a_plain_database(store: clusterdb.Store, cluster: clusterdb.Cluster, tmp_path: Path) -> None:
    """A connection to a plain file attaches a cluster by URI."""
    with closing(apsw.Connection(str(tmp_path / "plain.db"), flags=CREATE_URI)) as plain:
        plain.execute(f"ATTACH 'file:{cluster.name}?vfs={store.vfs}' AS c")
        plain.execute("BEGIN; CREATE TABLE copy AS SELECT * FROM c.t; DELETE FROM c.t WHERE id > 10; COMMIT")
        assert rows(plain, "SELECT (SELECT count(*) FROM copy), (SELECT count(*) FROM c.t)") == [(3000, 10)]
    assert rows(cluster.connect(), "SELECT count(*) FROM t") == [(10,)]


# --- copies in and out ------------------------------------------------------------------------------------------------
def test_backup_out_and_in(cluster: clusterdb.Cluster, connection: apsw.Connection, tmp_path: Path) -> None:
    """SQLite's backup API copies a cluster to a plain database and back."""
    before = hash_of(cluster)
    with closing(apsw.Connection(str(tmp_path / "copy.db"))) as plain:
        with plain.backup("main", connection, "main") as backup:
            while not backup.done:
                backup.step(7)
        assert dbhash(plain) == before
        connection.execute("DELETE FROM t; CREATE TABLE extra (x)")
        with connection.backup("main", plain, "main") as backup:
            while not backup.done:
                backup.step(7)
    assert hash_of(cluster) == dbhash(connection) == before
    assert_sound(cluster)


@pytest.mark.parametrize("page_size", [512, 65536])
def test_backup_in_from_another_page_size(
    cluster: clusterdb.Cluster, connection: apsw.Connection, page_size: int
) -> None:
    """A backup into a filled cluster replaces everything, page size included."""
    with closing(apsw.Connection(":memory:")) as plain:
        plain.execute(f"PRAGMA page_size = {page_size}; CREATE TABLE small (x); INSERT INTO small VALUES (1), (2)")
        with connection.backup("main", plain, "main") as backup:
            backup.step(-1)
        assert hash_of(cluster) == dbhash(plain)
    assert cluster.connect().pragma("page_size") == page_size
    assert_sound(cluster)


def test_serialize_and_deserialize(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """The bytes of a cluster open as a database in memory; deserializing over a connection leaves the cluster alone."""
    before, data = hash_of(cluster), connection.serialize("main")
    assert data.startswith(b"SQLite format 3\0")
    assert len(data) == connection.pragma("page_size") * connection.pragma("page_count")
    with closing(apsw.Connection(":memory:")) as memory:
        memory.deserialize("main", data)
        assert dbhash(memory) == before
    connection.deserialize("main", data)
    connection.execute("DELETE FROM t")
    assert rows(connection, "SELECT count(*) FROM t") == [(0,)]
    assert hash_of(cluster) == before


def test_incremental_blobs(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """Blobs of many pages are read and written in pieces."""
    connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, data); INSERT INTO b VALUES (1, zeroblob(100000))")
    with connection.blob_open("main", "b", "data", 1, True) as blob:
        for at in range(0, 100_000, 5000):
            blob.seek(at)
            blob.write(at.to_bytes(4, "big"))
    with cluster.connect().blob_open("main", "b", "data", 1, False) as blob:
        data = blob.read()
    assert data == b"".join(at.to_bytes(4, "big") + bytes(4996) for at in range(0, 100_000, 5000))
    connection.execute("BEGIN")
    with connection.blob_open("main", "b", "data", 1, True) as blob:
        blob.write(b"rolled back")
    connection.execute("ROLLBACK")
    assert rows(connection, "SELECT hex(substr(data, 1, 4)), length(data) FROM b") == [("00000000", 100_000)]


def test_temporary_tables_stay_private(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """Temporary tables work, however large, and never enter the cluster."""
    before = cluster.stats()
    connection.execute("PRAGMA temp_store = FILE; CREATE TEMP TABLE tmp (id INTEGER PRIMARY KEY, n, body)")
    connection.execute("PRAGMA temp.cache_size = 5")
    fill(connection, "tmp", 5000)
    connection.execute("CREATE INDEX temp.tmp_body ON tmp (body)")
    assert rows(connection, "SELECT count(*) FROM tmp JOIN t USING (id)") == [(3000,)]
    assert cluster.stats() == before
    assert rows(cluster.connect(), "SELECT count(*) FROM sqlite_temp_schema") == [(0,)]


@pytest.mark.slow
def test_sorting_a_million_rows(connection: apsw.Connection) -> None:
    """Sorts larger than memory spill to temporary files."""
    connection.execute("PRAGMA temp_store = FILE; PRAGMA cache_size = 100")
    sql = (
        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 1000000) "
        "SELECT count(*), sum(x) FROM (SELECT x, row_number() OVER (ORDER BY random()) FROM c)"
    )
    assert rows(connection, sql) == [(1_000_000, 500_000_500_000)]


# --- kinds of tables --------------------------------------------------------------------------------------------------
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


def test_every_kind_of_table(
    cluster: clusterdb.Cluster, connection: apsw.Connection, plain_sample: Path, tmp_path: Path
) -> None:
    """FTS5, R-Tree, JSON, STRICT, WITHOUT ROWID, generated columns, views and triggers answer as in a plain file."""
    connection.execute(FEATURES)
    with closing(apsw.Connection(shutil.copy(plain_sample, tmp_path))) as plain:
        plain.execute(FEATURES)
        for query in QUERIES:
            answers = rows(cluster.connect(), query)
            assert answers == rows(plain, query), query
            assert answers or query == "PRAGMA foreign_key_check", query
        assert hash_of(cluster) == dbhash(plain)
        connection.execute("INSERT INTO docs (docs) VALUES ('integrity-check')")


# --- modes ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("asked", ["WAL", "wal", "OFF", "'off'"])
@pytest.mark.parametrize("schema", ["", "main."])
def test_bypassing_journal_modes_answer_the_mode_in_force(
    cluster: clusterdb.Cluster, connection: apsw.Connection, asked: str, schema: str
) -> None:
    """Asked for WAL or OFF a connection stays in its mode, says so, and goes on to publish and to roll back."""
    before = hash_of(cluster)
    assert rows(connection, f"PRAGMA {schema}journal_mode = {asked}") == [("memory",)]
    assert connection.pragma("journal_mode") == "memory"
    connection.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET n = n + 1; ROLLBACK")
    assert hash_of(cluster) == before
    connection.execute("INSERT INTO t (n) VALUES (-1)")
    assert rows(cluster.connect(), "SELECT count(*) FROM t WHERE n = -1") == [(1,)]


@pytest.mark.parametrize("asked", ["WAL", "OFF"])
def test_bypassing_journal_modes_of_an_attached_cluster(
    store: clusterdb.Store, connection: apsw.Connection, asked: str
) -> None:
    """The same for a cluster that is attached."""
    other = store.create_cluster("other")
    connection.execute("ATTACH 'other' AS o")
    mode = connection.pragma("journal_mode", schema="o")
    assert rows(connection, f"PRAGMA o.journal_mode = {asked}") == [(mode,)]
    connection.execute("CREATE TABLE o.x (y)")
    assert rows(other.connect(), "SELECT count(*) FROM x") == [(0,)]


@pytest.mark.parametrize("locking", ["NORMAL", "EXCLUSIVE"])
def test_wal_asked_of_all_databases_at_once(
    store: clusterdb.Store, cluster: clusterdb.Cluster, tmp_path: Path, locking: str
) -> None:
    """WAL asked of a plain file with a cluster attached: what the cluster takes it keeps, the rest it refuses."""
    taken_count = 0
    with closing(apsw.Connection(str(tmp_path / "plain.db"), flags=CREATE_URI)) as plain:
        plain.execute(f"CREATE TABLE p (x); ATTACH 'file:{cluster.name}?vfs={store.vfs}' AS c")
        plain.pragma("locking_mode", locking)
        try:
            assert plain.pragma("journal_mode", "WAL") == "wal"
            plain.execute("INSERT INTO c.t (n) VALUES (-1)")
            taken_count = 1
        except apsw.CantOpenError as error:
            assert cluster.name in str(error) and locking == "EXCLUSIVE"
    assert rows(cluster.connect(), "SELECT count(*) FROM t WHERE n = -1") == [(taken_count,)]
    cluster.connect().execute("INSERT INTO t (n) VALUES (-2)")
    assert_sound(cluster)


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST", "MEMORY"])
def test_rollback_journal_modes(
    cluster: clusterdb.Cluster,
    connection: apsw.Connection,
    mode: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every rollback-journal mode commits and rolls back, again and again, and leaves no file behind."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    assert connection.pragma("journal_mode", mode) == mode.lower()
    for turn in range(3):
        connection.execute("BEGIN; DELETE FROM t WHERE id % 2; ROLLBACK")
        connection.execute("UPDATE t SET n = ? WHERE id = 1", (turn + 1000,))
        with pytest.raises(apsw.ConstraintError):
            connection.execute("INSERT INTO t (id) VALUES (9999), (1)")
        assert rows(cluster.connect(), "SELECT n, (SELECT count(*) FROM t) FROM t WHERE id = 1") == [
            (turn + 1000, 3000)
        ]
    assert list(Path.cwd().iterdir()) == []
    assert_sound(cluster)


@pytest.mark.parametrize("mode", ["MEMORY", "DELETE", "PERSIST"])
def test_locking_mode_exclusive(cluster: clusterdb.Cluster, connection: apsw.Connection, mode: str) -> None:
    """An exclusive connection publishes every commit, stays the only writer, and lets others in when it goes back."""
    other = cluster.connect()
    other.set_busy_timeout(0)
    connection.pragma("journal_mode", mode)
    assert connection.pragma("locking_mode", "EXCLUSIVE") == "exclusive"
    connection.execute("PRAGMA cache_size = 10")
    for turn in range(3):
        connection.execute("UPDATE t SET n = ? WHERE id <= 2000", (turn,))
        connection.execute("BEGIN; UPDATE t SET n = -5; DELETE FROM t WHERE id > 9; ROLLBACK")
        assert rows(other, "SELECT n, count(*) FROM t WHERE id <= 2000 GROUP BY n") == [(turn, 2000)]
        assert rows(other, "SELECT count(*) FROM t") == [(3000,)]
        with pytest.raises(apsw.BusyError):
            other.execute("DELETE FROM t")
    connection.pragma("locking_mode", "NORMAL")
    connection.execute("SELECT * FROM t LIMIT 1").fetchall()
    other.execute("DELETE FROM t WHERE id <= 2000")
    assert rows(connection, "SELECT count(*) FROM t") == [(1000,)]
    assert_sound(cluster)


@pytest.mark.parametrize("value", ["OFF", "NORMAL", "FULL", "EXTRA", "0", "1", "2"])
def test_synchronous(cluster: clusterdb.Cluster, connection: apsw.Connection, value: str) -> None:
    """PRAGMA synchronous answers what was set, and commits are seen by others in every setting."""
    connection.execute(f"PRAGMA synchronous = {value}")
    number = {"OFF": 0, "NORMAL": 1, "FULL": 2, "EXTRA": 3}.get(value)
    assert connection.pragma("synchronous") == (int(value) if number is None else number)
    for turn in range(3):
        connection.execute("UPDATE t SET n = ?", (turn,))
        assert rows(cluster.connect(), "SELECT DISTINCT n FROM t") == [(turn,)]


# --- connections of other making --------------------------------------------------------------------------------------
def test_a_plain_apsw_connection(store: clusterdb.Store, cluster: clusterdb.Cluster) -> None:
    """apsw.Connection(name, vfs=store.vfs) works without our help: commit, rollback, rollback after a cache spill."""
    before = hash_of(cluster)
    with closing(apsw.Connection(cluster.name, flags=READWRITE, vfs=store.vfs)) as plain:
        assert plain.pragma("journal_mode") == "delete"
        plain.execute("BEGIN; INSERT INTO t (n) VALUES (-1); ROLLBACK")
        assert hash_of(cluster) == dbhash(plain) == before
        plain.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET body = upper(body); DELETE FROM t WHERE id % 2")
        plain.execute("ROLLBACK")
        assert hash_of(cluster) == dbhash(plain) == before
        plain.execute("INSERT INTO t (n) VALUES (-1)")
        assert rows(cluster.connect(), "SELECT count(*) FROM t WHERE n = -1") == [(1,)]
        assert rows(plain, "PRAGMA journal_mode = WAL") == [("delete",)]
    assert_sound(cluster)


@pytest.mark.parametrize("mode", ["DELETE", "PERSIST", "TRUNCATE"])
def test_a_commit_over_several_clusters_with_a_super_journal(
    store: clusterdb.Store, cluster: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Transactions over attached clusters commit and roll back in all of them, and leave no file behind."""
    monkeypatch.chdir(tmp_path)
    there = set(tmp_path.iterdir())
    store.create_cluster("second")
    store.create_cluster("third")
    with closing(apsw.Connection(cluster.name, flags=READWRITE, vfs=store.vfs)) as plain:
        plain.execute("ATTACH 'second' AS b; ATTACH 'third' AS c; CREATE TABLE b.x (y); CREATE TABLE c.x (y)")
        for schema in ("main", "b", "c"):
            assert plain.pragma("journal_mode", mode, schema=schema) == mode.lower()
        plain.execute("BEGIN; INSERT INTO b.x SELECT id FROM t; INSERT INTO c.x SELECT n FROM t; DELETE FROM t; COMMIT")
        plain.execute("BEGIN; DELETE FROM b.x; DELETE FROM c.x; INSERT INTO t (n) VALUES (1); ROLLBACK")
    assert rows(cluster.connect(), "SELECT count(*) FROM t") == [(0,)]
    for name in ("second", "third"):
        assert rows(store.cluster(name).connect(), "SELECT count(*) FROM x") == [(3000,)]
    assert set(tmp_path.iterdir()) == there


CRASH = """
    import os, sys, apsw, clusterdb

    class DyingFile(apsw.VFSFile):
        def __init__(self, name, flags):
            super().__init__("", name, flags)
            self.is_database = flags[0] & apsw.SQLITE_OPEN_MAIN_DB

        def xWrite(self, data, offset):
            global writes_left
            super().xWrite(data, offset)
            if self.is_database and writes_left is not None:
                writes_left -= 1
                if not writes_left:
                    os._exit(9)

    class DyingVFS(apsw.VFS):
        def __init__(self):
            super().__init__("dying", base="")

        def xOpen(self, name, flags):
            return DyingFile(name, flags)

    writes_left = None
    vfs = DyingVFS()
    store = clusterdb.open(sys.argv[1])
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    ours = sys.argv[2] == "ours"
    connection = store.cluster("prod").connect() if ours else apsw.Connection("prod", flags=flags, vfs=store.vfs)
    for at, path in enumerate(sys.argv[3:]):
        connection.execute(f"ATTACH 'file:{path}?vfs=dying' AS plain{at}")
    connection.execute("BEGIN; INSERT INTO x VALUES (2)")
    for at in range(len(sys.argv[3:])):
        connection.execute(f"UPDATE plain{at}.p SET x = zeroblob(2000)")
    writes_left = 4
    connection.execute("COMMIT")
    sys.exit("the process was to die in the commit")
"""


@pytest.mark.parametrize(("kind", "file_count"), [("ours", 1), ("ours", 2), ("plain", 1)])
def test_attached_plain_files_survive_a_crash_in_a_commit(tmp_path: Path, kind: str, file_count: int) -> None:
    """A process that dies while it commits to a cluster and to plain files does not damage the files."""
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod").connect().execute("CREATE TABLE x (y); INSERT INTO x VALUES (1)")
    paths = [tmp_path / f"plain{at}.db" for at in range(file_count)]
    for path in paths:
        with closing(apsw.Connection(str(path))) as plain:
            plain.execute("CREATE TABLE p (id INTEGER PRIMARY KEY, x)")
            plain.execute(f"{SERIES} INSERT INTO p SELECT x, printf('%02000d', x) FROM c", (30,))
    before = [file_hash(path) for path in paths]
    program = [sys.executable, "-c", textwrap.dedent(CRASH), str(tmp_path / "store"), kind, *map(str, paths)]
    died = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr
    for path in paths:
        with closing(apsw.Connection(str(path))) as plain:
            assert rows(plain, "PRAGMA integrity_check") == [("ok",)]
    assert [file_hash(path) for path in paths] == before


# --- names and URIs ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("query", ["", "&mode=rw", "&psow=1", "&cache=private", "&cache=shared"])
def test_uris_that_read_and_write(store: clusterdb.Store, cluster: clusterdb.Cluster, query: str) -> None:
    """file:name?vfs=... opens a cluster from any code that takes a database name."""
    with closing(apsw.Connection(f"file:{cluster.name}?vfs={store.vfs}{query}", flags=READWRITE_URI)) as connection:
        connection.execute("INSERT INTO t (n) VALUES (-1)")
    assert rows(cluster.connect(), "SELECT count(*) FROM t WHERE n = -1") == [(1,)]


def test_uri_with_mode_ro(store: clusterdb.Store, cluster: clusterdb.Cluster) -> None:
    """mode=ro reads, sees new commits, and refuses writes."""
    with closing(apsw.Connection(f"file:{cluster.name}?vfs={store.vfs}&mode=ro", flags=READWRITE_URI)) as connection:
        assert rows(connection, "SELECT count(*) FROM t") == [(3000,)]
        with pytest.raises(apsw.ReadOnlyError):
            connection.execute("DELETE FROM t")
        cluster.connect().execute("DELETE FROM t WHERE id > 5")
        assert rows(connection, "SELECT count(*) FROM t") == [(5,)]


@pytest.mark.parametrize("query", ["nolock=1", "immutable=1", "mode=ro&nolock=1", "mode=ro&immutable=1"])
def test_uris_without_locks(store: clusterdb.Store, cluster: clusterdb.Cluster, query: str) -> None:
    """nolock and immutable, under which SQLite calls no xLock, show the content or are refused, but do not hide it."""
    try:
        connection = apsw.Connection(f"file:{cluster.name}?vfs={store.vfs}&{query}", flags=READWRITE_URI)
    except apsw.CantOpenError:
        return
    with closing(connection):
        assert rows(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'") == [("t",)]


def test_a_read_only_connection(cluster: clusterdb.Cluster) -> None:
    """It reads, sees what others commit, and refuses every kind of write."""
    reader, before = cluster.connect(read_only=True), hash_of(cluster)
    for statement in ("DELETE FROM t", "CREATE TABLE x (y)", "VACUUM", "PRAGMA user_version = 3"):
        with pytest.raises(apsw.ReadOnlyError):
            reader.execute(statement)
    assert hash_of(cluster) == before
    reader.execute("CREATE TEMP TABLE mine AS SELECT * FROM t")
    cluster.connect().execute("DELETE FROM t")
    assert rows(reader, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM mine)") == [(0, 3000)]


@pytest.mark.parametrize("flags", [READWRITE, READWRITE | apsw.SQLITE_OPEN_CREATE, apsw.SQLITE_OPEN_READONLY])
def test_an_unknown_cluster_is_refused(store: clusterdb.Store, cluster: clusterdb.Cluster, flags: int) -> None:
    """A wrong name never creates anything, and the error suggests the right one."""
    wrong = cluster.name + "s"
    expected = f"no cluster '{wrong}'; did you mean '{cluster.name}'"
    with pytest.raises(apsw.CantOpenError, match=expected):
        apsw.Connection(wrong, flags=flags, vfs=store.vfs)
    with pytest.raises(apsw.CantOpenError, match=expected):
        cluster.connect().execute(f"ATTACH '{wrong}' AS wrong")
    assert wrong not in [each.name for each in store.clusters()]


# --- import and export ------------------------------------------------------------------------------------------------
@pytest.fixture
def plain_file(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A connection to a new plain file, open while the test runs."""
    with closing(apsw.Connection(str(tmp_path / "plain.db"))) as connection:
        yield connection


def assert_round_trip(store: clusterdb.Store, plain: apsw.Connection, tmp_path: Path) -> clusterdb.Cluster:
    """Import what the plain connection sees, export it, and export a clone: all the same.  The file is only read."""
    path = Path(plain.filename)
    file_bytes = path.read_bytes()
    cluster = store.create_cluster("imported", from_file=path)
    assert path.read_bytes() == file_bytes
    assert hash_of(cluster) == dbhash(plain)
    cluster.export(tmp_path / "exported.db")
    cluster.clone("imported-clone").export(tmp_path / "exported-clone.db")
    assert file_hash(tmp_path / "exported.db") == file_hash(tmp_path / "exported-clone.db") == dbhash(plain)
    assert_sound(cluster)
    return cluster


@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_import_of_every_page_size(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path, page_size: int, wal: bool
) -> None:
    """An imported file keeps its page size; a WAL that is not merged into the file yet is imported too."""
    plain_file.execute(f"PRAGMA page_size = {page_size}; CREATE TABLE t (id INTEGER PRIMARY KEY, n, body)")
    if wal:
        assert plain_file.pragma("journal_mode", "WAL") == "wal"
        plain_file.pragma("wal_autocheckpoint", 0)
    fill(plain_file, "t", 600)
    plain_file.execute("DELETE FROM t WHERE id % 3 = 0; PRAGMA user_version = 77; PRAGMA application_id = 78")
    cluster = assert_round_trip(store, plain_file, tmp_path)
    connection = cluster.connect()
    assert connection.pragma("page_size") == page_size
    assert connection.pragma("journal_mode") == "memory"
    assert rows(connection, "SELECT count(*) FROM t") == [(400,)]
    connection.execute("INSERT INTO t (n) VALUES (1)")
    assert rows(plain_file, "SELECT count(*) FROM t") == [(400,)]


def test_import_does_not_see_an_open_transaction(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path
) -> None:
    """From a WAL-mode file in use, what is committed is imported."""
    plain_file.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").fetchall()
    plain_file.execute("PRAGMA cache_size = 5; BEGIN")
    plain_file.execute(f"{SERIES} INSERT INTO t SELECT zeroblob(3000) FROM c", (50,))
    cluster = store.create_cluster("imported", from_file=tmp_path / "plain.db")
    plain_file.execute("COMMIT")
    assert rows(cluster.connect(), "SELECT x FROM t") == [(1,)]


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_import_of_auto_vacuum_modes(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path, mode: int
) -> None:
    """An imported file keeps its auto-vacuum mode and its free pages' order."""
    plain_file.execute(f"PRAGMA auto_vacuum = {mode}; CREATE TABLE t (id INTEGER PRIMARY KEY, n, body)")
    fill(plain_file, "t", 500)
    plain_file.execute("DELETE FROM t WHERE id > 50")
    connection = assert_round_trip(store, plain_file, tmp_path).connect()
    assert connection.pragma("auto_vacuum") == mode
    connection.execute("PRAGMA incremental_vacuum; DELETE FROM t").fetchall()
    assert connection.pragma("freelist_count") == 0 or mode != 1


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_import_of_every_kind_of_table(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path, encoding: str
) -> None:
    """FTS5, R-Tree and the rest, in every text encoding, come through an import and an export."""
    plain_file.execute(f"PRAGMA encoding = '{encoding}'; CREATE TABLE t (id INTEGER PRIMARY KEY, n, body)")
    plain_file.execute(f"{SERIES} INSERT INTO t SELECT x, x % 97, 'sample é ' || x FROM c", (300,))
    plain_file.execute(FEATURES)
    connection = assert_round_trip(store, plain_file, tmp_path).connect()
    for query in QUERIES:
        assert rows(connection, query) == rows(plain_file, query), query


def test_import_of_a_crashed_file(store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path) -> None:
    """A file left with a WAL by a process that died is imported with what was committed in it."""
    plain_file.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)").fetchall()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"plain.db{suffix}", tmp_path / f"crashed.db{suffix}")
    cluster = store.create_cluster("imported", from_file=tmp_path / "crashed.db")
    assert hash_of(cluster) == dbhash(plain_file)
