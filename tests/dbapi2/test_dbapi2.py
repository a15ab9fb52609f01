"""``clusterdb.dbapi2`` over clusters: what CPython's own tests of ``sqlite3`` do not reach.

How a connection finds its cluster, what it does when the cluster changes under it, when it lets go of it, and the
order of rows when the ways to read them are mixed.
"""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2


def bug(reason: str) -> pytest.MarkDecorator:
    """A known deviation: the test says what is right, and turns red when it comes true."""
    return pytest.mark.xfail(strict=True, reason=reason)


@pytest.fixture
def connection(store: clusterdb.Store) -> Iterator[dbapi2.Connection]:
    """A connection to the cluster ``prod``, which has a table ``t`` of five rows."""
    store.create_cluster("prod")
    connection = dbapi2.connect("prod", store=store)
    fill(connection)
    yield connection
    connection.close()


@pytest.fixture
def default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the default store, which does not exist yet."""
    monkeypatch.setenv("CLUSTERDB_STORE", str(tmp_path / "default"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "default"


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fill(connection: dbapi2.Connection) -> None:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)")
    connection.executemany("INSERT INTO t (b) VALUES (?)", [(letter,) for letter in "abcde"])
    connection.commit()


def ids(cursor: dbapi2.Cursor) -> list[int]:
    return [row[0] for row in cursor.fetchall()]


def count(connection: dbapi2.Connection) -> int:
    (answer,) = connection.execute("SELECT count(*) FROM t").fetchone()
    assert isinstance(answer, int)
    return answer


def anonymous(keeper: dbapi2.Connection) -> set[str]:
    """The clusters of the store that ``keeper``, an anonymous cluster's connection, lives in."""
    assert keeper.cluster is not None
    return {cluster.name for cluster in keeper.cluster.store.clusters()}


# --- what connect() connects to ---------------------------------------------------------------------------------------
def test_a_name_is_a_cluster_of_the_default_store(default: Path) -> None:
    """``$CLUSTERDB_STORE`` says which store; what one connection commits, others of the same name see."""
    with clusterdb.open(default) as store:
        store.create_cluster("prod")
    with closing(dbapi2.connect("prod")) as first, closing(dbapi2.connect("prod")) as second:
        fill(first)
        assert count(second) == 5
        assert first.cluster is not None
        assert Path(first.cluster.store.path) == default


def test_create_makes_the_store_and_the_cluster(default: Path) -> None:
    """``create=True`` and ``mode="rwc"`` make what is missing, and find what is there."""
    with closing(dbapi2.connect("prod", create=True)) as first:
        fill(first)
    with closing(dbapi2.connect("prod", mode="rwc")) as second:
        assert count(second) == 5


@pytest.mark.parametrize("mode", [None, "rw", "ro"])
def test_nothing_is_created_unasked(default: Path, mode: Any) -> None:
    """Without ``create`` a missing store is an error, and stays missing."""
    with pytest.raises(clusterdb.NotAStoreError, match="'prod'"):
        dbapi2.connect("prod", mode=mode)
    assert not default.exists()


def test_store_as_a_store_and_as_a_path(disk_store: clusterdb.Store) -> None:
    """``store=`` takes an open store, a path as text and a Path."""
    disk_store.create_cluster("prod")
    with closing(dbapi2.connect("prod", store=disk_store)) as first:
        fill(first)
    for given in (disk_store.path, Path(disk_store.path)):
        with closing(dbapi2.connect("prod", store=given)) as second:
            assert count(second) == 5
            assert second.cluster is not None
            second.cluster.store.close()


def test_a_cluster_is_its_own_address(store: clusterdb.Store) -> None:
    """``connect()`` takes a Cluster."""
    cluster = store.create_cluster("prod")
    with closing(dbapi2.connect(cluster)) as connection:
        fill(connection)
        assert connection.cluster is cluster
    with closing(dbapi2.connect(cluster, mode="ro")) as connection:
        assert count(connection) == 5


@pytest.mark.parametrize("form", ["clusterdb:prod?store={}", "file:prod?store={}", "clusterdb:pr%6Fd?store={}&mode=rw"])
def test_uris(disk_store: clusterdb.Store, form: str) -> None:
    """A URI names the cluster, its store and how it is opened; %-escapes are understood."""
    disk_store.create_cluster("prod")
    with closing(dbapi2.connect(form.format(disk_store.path), uri=True)) as connection:
        fill(connection)
        assert connection.cluster is not None
        assert connection.cluster.name == "prod"
        connection.cluster.store.close()


def test_clusterdb_uris_need_no_flag_but_file_uris_do(disk_store: clusterdb.Store) -> None:
    """As in ``sqlite3``, ``file:`` is a name unless ``uri=True``; ``clusterdb:`` cannot be anything else."""
    disk_store.create_cluster("prod")
    dbapi2.connect("clusterdb:prod", store=disk_store).close()
    with pytest.raises(clusterdb.InvalidNameError):
        dbapi2.connect("file:prod", store=disk_store)


def test_uri_options_win(disk_store: clusterdb.Store, tmp_path: Path) -> None:
    """What a URI says goes before the arguments."""
    disk_store.create_cluster("prod")
    uri = f"clusterdb:prod?store={disk_store.path}&mode=ro"
    with closing(dbapi2.connect(uri, store=tmp_path / "other", mode="rw")) as connection:
        with pytest.raises(dbapi2.OperationalError, match="readonly"):
            connection.execute("CREATE TABLE t (a)")
        assert connection.cluster is not None
        connection.cluster.store.close()


@pytest.mark.parametrize("uri", ["clusterdb:prod?bogus=1", "clusterdb:prod?mode=bogus", "clusterdb:prod?Store=x"])
def test_unknown_uri_options_are_refused(store: clusterdb.Store, uri: str) -> None:
    """A misspelt option is not passed over in silence."""
    store.create_cluster("prod")
    with pytest.raises(clusterdb.InvalidArgumentError):
        dbapi2.connect(uri, store=store)


@pytest.mark.parametrize(
    "uri",
    [
        "clusterdb:prod?create=maybe",
        "clusterdb:x?mode=memory&cache=bogus",
        "clusterdb://[prod",
    ],
)
def test_wrong_values_of_uri_options_are_refused(store: clusterdb.Store, uri: str) -> None:
    """Neither is a value that makes no sense; and the error is one of PEP 249's."""
    store.create_cluster("other")
    with pytest.raises(clusterdb.InvalidArgumentError):
        dbapi2.connect(uri, store=store).close()


@pytest.mark.parametrize("made", [str, os.fsencode, Path], ids=["str", "bytes", "path"])
def test_plain_files(tmp_path: Path, made: Callable[[str], Any]) -> None:
    """A path is a plain SQLite file, which ``sqlite3`` reads; it is no cluster."""
    path = str(tmp_path / "plain.db")
    with closing(dbapi2.connect(made(path))) as connection:
        fill(connection)
        assert connection.cluster is None
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM t").fetchall() == [(5,)]


def test_a_path_without_slash_or_dot_is_still_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and Path objects are files whatever they are called."""
    monkeypatch.chdir(tmp_path)
    for at, name in enumerate([b"one", Path("two")]):
        dbapi2.connect(name).execute("CREATE TABLE t (a)").connection.close()
        assert Path(["one", "two"][at]).is_file()


def test_modes_of_plain_files_in_a_uri(tmp_path: Path) -> None:
    """``file:`` URIs of paths are SQLite's own."""
    with pytest.raises(dbapi2.OperationalError) as caught:
        dbapi2.connect(f"file:{tmp_path}/missing.db?mode=ro", uri=True)
    assert caught.value.sqlite_errorname == "SQLITE_CANTOPEN"


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_modes_of_plain_files(tmp_path: Path, mode: Any) -> None:
    """``mode="ro"`` and ``"rw"`` make no file."""
    with pytest.raises(dbapi2.OperationalError):
        dbapi2.connect(tmp_path / "missing.db", mode=mode).close()


def test_modes_of_plain_files_in_a_clusterdb_uri(tmp_path: Path) -> None:
    """The mode in a URI counts for a plain file too."""
    with pytest.raises(dbapi2.Error):
        dbapi2.connect(f"clusterdb:{tmp_path}/missing.db?mode=ro").close()


def test_a_plain_file_that_is_read_only(tmp_path: Path) -> None:
    """``mode="ro"`` reads what is there, and writes nothing."""
    dbapi2.connect(tmp_path / "plain.db").execute("CREATE TABLE t (a)").connection.close()
    with closing(dbapi2.connect(tmp_path / "plain.db", mode="ro")) as connection:
        assert count(connection) == 0
        with pytest.raises(dbapi2.OperationalError, match="readonly"):
            connection.execute("DELETE FROM t")


@pytest.mark.parametrize("database", ["./plain.db", Path("plain.db"), ":memory:", "clusterdb:x?mode=memory"])
def test_endpoints_of_what_has_no_instances(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain file and an anonymous cluster have no readers; nothing is made before that is said."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(clusterdb.InvalidArgumentError, match="'writer'"):
        dbapi2.connect(database, endpoint="reader")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("database", ["./plain.db", ":memory:", "cluster"])
def test_unknown_modes_are_refused(
    store: clusterdb.Store, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt mode is an error everywhere."""
    monkeypatch.chdir(tmp_path)
    target: Any = store.create_cluster("prod") if database == "cluster" else database
    with pytest.raises(clusterdb.InvalidArgumentError):
        dbapi2.connect(target, mode="bogus").close()  # type: ignore[arg-type]


def test_a_timeout_is_a_number() -> None:
    """As in ``sqlite3``."""
    with pytest.raises(TypeError):
        dbapi2.connect(":memory:", timeout="1").close()  # type: ignore[arg-type]


def test_unknown_names_suggest_the_nearest(store: clusterdb.Store) -> None:
    """Who mistypes a name is told what there is."""
    store.create_cluster("production")
    with pytest.raises(clusterdb.ClusterNotFoundError, match="did you mean 'production'"):
        dbapi2.connect("prodution", store=store)


@pytest.mark.parametrize("database", [5, None, 1.5, ["prod"]])
def test_what_is_no_name(database: Any) -> None:
    """Something that is neither a name nor a path is a TypeError, as in ``sqlite3``."""
    with pytest.raises(TypeError):
        dbapi2.connect(database)


@pytest.mark.parametrize("name", ["a\0b", "1st", "a b", "-", "ü"])
def test_what_is_no_cluster_name(store: clusterdb.Store, name: str) -> None:
    """The error says how a plain file would be written."""
    with pytest.raises(clusterdb.InvalidNameError, match="plain file"):
        dbapi2.connect(name, store=store)


# --- anonymous clusters -----------------------------------------------------------------------------------------------
def test_memory_is_a_cluster_of_its_own() -> None:
    """Every ``:memory:`` is another cluster; each can be cloned."""
    with closing(dbapi2.connect(":memory:")) as first, closing(dbapi2.connect(":memory:")) as second:
        fill(first)
        assert second.execute("SELECT * FROM sqlite_schema").fetchall() == []
        assert first.cluster is not None
        clone = first.cluster.clone("of-memory")
        with closing(dbapi2.connect(clone)) as third:
            assert count(third) == 5
        clone.delete()


@pytest.mark.parametrize("database", [":memory:", "file::memory:", "clusterdb:x?mode=memory"])
def test_anonymous_clusters_go_with_their_connection(database: str) -> None:
    """Closing drops the cluster."""
    with closing(dbapi2.connect(":memory:")) as keeper:
        before = anonymous(keeper)
        with closing(dbapi2.connect(database, uri=True)):
            assert len(anonymous(keeper)) == len(before) + 1
        assert anonymous(keeper) == before


def test_mode_memory_as_an_argument(store: clusterdb.Store) -> None:
    """``mode="memory"`` is anonymous, whatever the name."""
    with closing(dbapi2.connect("prod", mode="memory", store=store)) as connection:
        fill(connection)
        assert store.clusters() == []


def test_shared_memory_lives_as_long_as_one_connection() -> None:
    """``file:x?mode=memory&cache=shared``: several connections, one cluster, gone after the last."""
    uri = "file:shared-life?mode=memory&cache=shared"
    with closing(dbapi2.connect(":memory:")) as keeper:
        before = anonymous(keeper)
        first = dbapi2.connect(uri, uri=True)
        fill(first)
        second = dbapi2.connect(uri, uri=True)
        first.close()
        third = dbapi2.connect(uri, uri=True)
        second.close()
        assert count(third) == 5
        third.close()
        assert anonymous(keeper) == before
        with closing(dbapi2.connect(uri, uri=True)) as later:
            assert later.execute("SELECT * FROM sqlite_schema").fetchall() == []


def test_shared_memory_of_several_names() -> None:
    """Names do not meet; ``:memory:`` can be a shared name too."""
    uris = [f"file:{name}?mode=memory&cache=shared" for name in ("shared-a", "shared-b")]
    connections = [dbapi2.connect(uri, uri=True) for uri in [*uris, "file::memory:?cache=shared"]]
    for at, connection in enumerate(connections):
        connection.execute(f"CREATE TABLE t{at} (a)")
    for at, uri in enumerate([*uris, "file::memory:?cache=shared"]):
        with closing(dbapi2.connect(uri, uri=True)) as again:
            assert again.execute("SELECT name FROM sqlite_schema").fetchall() == [(f"t{at}",)]
    for connection in connections:
        connection.close()


def test_shared_memory_from_several_threads() -> None:
    """Threads that come and go find one cluster, and leave none behind."""
    uri, problems = "file:shared-threads?mode=memory&cache=shared", []

    def work() -> None:
        try:
            for _ in range(10):
                with closing(dbapi2.connect(uri, uri=True)) as connection:
                    connection.execute("INSERT INTO n VALUES (1)")
                    connection.commit()
        except Exception as error:
            problems.append(error)

    with closing(dbapi2.connect(":memory:")) as keeper:
        before = anonymous(keeper)
        with closing(dbapi2.connect(uri, uri=True)) as first:
            first.execute("CREATE TABLE n (a)")
            in_threads([work] * 4)
            assert problems == []
            assert first.execute("SELECT count(*) FROM n").fetchone() == (40,)
        assert anonymous(keeper) == before


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- endpoints --------------------------------------------------------------------------------------------------------
@pytest.fixture
def fleet(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with a writer ``w``, a reader ``r``, and a table."""
    cluster = store.create_cluster("prod")
    cluster.add_instance("w")
    cluster.add_instance("r")
    with closing(dbapi2.connect(cluster)) as connection:
        fill(connection)
    return cluster


@pytest.mark.parametrize("endpoint", ["reader", "r"])
def test_a_reader_reads(fleet: clusterdb.Cluster, endpoint: str) -> None:
    """Through a reader everything is seen, and nothing written."""
    with closing(dbapi2.connect(fleet, endpoint=endpoint)) as reader:
        assert count(reader) == 5
        with pytest.raises(dbapi2.OperationalError, match="readonly") as caught:
            reader.execute("INSERT INTO t (b) VALUES ('z')")
        assert caught.value.sqlite_errorcode == apsw.SQLITE_READONLY
        assert count(reader) == 5


def test_a_write_on_a_reader_leaves_no_transaction_that_hides_the_future(fleet: clusterdb.Cluster) -> None:
    """After a refused write and a rollback the reader sees what the writer commits next."""
    with closing(dbapi2.connect(fleet, endpoint="reader")) as reader, closing(dbapi2.connect(fleet)) as writer:
        with pytest.raises(dbapi2.OperationalError):
            reader.execute("DELETE FROM t")
        reader.rollback()
        writer.execute("DELETE FROM t WHERE id = 1")
        writer.commit()
        assert count(reader) == 4


def test_unknown_endpoints(fleet: clusterdb.Cluster) -> None:
    """An endpoint that is not there is a PEP 249 error of its own."""
    with pytest.raises(clusterdb.EndpointNotFoundError):
        dbapi2.connect("prod", store=fleet.store, endpoint="w2")


def test_what_aurora_adds_to_sql(fleet: clusterdb.Cluster) -> None:
    """Functions, tables and ALTER SYSTEM of an instance work through DB-API."""
    with closing(dbapi2.connect(fleet)) as writer:
        names = [row[0] for row in writer.execute("SELECT server_id FROM aurora_replica_status()")]
        assert sorted(names) == ["r", "w"]
        with pytest.raises(dbapi2.ProgrammingError):
            writer.execute("SELECT aurora_inject_crash('bogus')")
        writer.execute("ALTER SYSTEM CRASH INSTANCE")
        with pytest.raises(clusterdb.InstanceRestartedError):
            writer.execute("SELECT 1")


def test_a_crash_under_a_connection(fleet: clusterdb.Cluster) -> None:
    """Its connections fail with an OperationalError, can be closed, and new ones work."""
    with closing(dbapi2.connect(fleet)) as writer:
        writer.execute("DELETE FROM t")
        fleet.crash_instance("w")
        for use in (writer.commit, lambda: writer.execute("SELECT * FROM t")):
            with pytest.raises(dbapi2.OperationalError):
                use()
    with closing(dbapi2.connect(fleet)) as writer:
        assert count(writer) == 5


# --- the cluster changes under the connection -------------------------------------------------------------------------
def test_a_rename_under_a_connection(connection: dbapi2.Connection) -> None:
    """It goes on as if nothing had happened."""
    assert connection.cluster is not None
    store = connection.cluster.store
    connection.cluster.rename("new")
    connection.execute("DELETE FROM t WHERE id = 1")
    connection.commit()
    with closing(dbapi2.connect("new", store=store)) as other:
        assert count(other) == 4
    with pytest.raises(clusterdb.ClusterNotFoundError):
        dbapi2.connect("prod", store=store)


def test_a_drop_under_a_connection(connection: dbapi2.Connection) -> None:
    """What is asked of it fails, with a code; closing does not."""
    assert connection.cluster is not None
    connection.cluster.delete()
    with pytest.raises(dbapi2.OperationalError, match="dropped") as caught:
        connection.execute("SELECT * FROM t")
    assert caught.value.sqlite_errorname.startswith("SQLITE_IOERR")
    with pytest.raises(dbapi2.Error):
        connection.execute("INSERT INTO t (b) VALUES ('z')")
    connection.rollback()


def test_a_drop_in_the_middle_of_a_transaction(connection: dbapi2.Connection) -> None:
    """The transaction cannot be committed; rollback and close still work."""
    connection.execute("DELETE FROM t")
    assert connection.cluster is not None
    connection.cluster.delete()
    with pytest.raises(dbapi2.OperationalError):
        connection.commit()
    connection.rollback()
    assert not connection.in_transaction


def test_a_stop_under_a_connection(connection: dbapi2.Connection) -> None:
    """Old connections fail with an OperationalError; a stopped cluster cannot be connected to; a started one can."""
    cluster = connection.cluster
    assert cluster is not None
    cluster.stop()
    with pytest.raises(dbapi2.OperationalError):
        connection.execute("SELECT * FROM t")
    with pytest.raises(clusterdb.ClusterStateError):
        dbapi2.connect(cluster)
    cluster.start()
    with closing(dbapi2.connect(cluster)) as later:
        assert count(later) == 5


def test_a_stop_cuts_connections_off(connection: dbapi2.Connection) -> None:
    """The error says what may have happened, and what to do."""
    assert connection.cluster is not None
    connection.cluster.stop()
    with pytest.raises(dbapi2.OperationalError, match="cut off"):
        connection.execute("SELECT * FROM t")


def test_a_backtrack_under_a_connection(store: clusterdb.Store) -> None:
    """A query that is being read keeps its state; the next sees the past, with the schema that was there."""
    cluster = store.create_cluster("prod", backtrack_window_s=3600)
    with closing(dbapi2.connect(cluster)) as connection:
        fill(connection)
        version = cluster.stats().version
        connection.execute("ALTER TABLE t ADD COLUMN c")
        connection.execute("DELETE FROM t WHERE id > 2")
        connection.commit()
        cursor = connection.execute("SELECT * FROM t")
        cluster.backtrack(version)
        assert cursor.fetchall() == [(1, "a", None), (2, "b", None)]
        cursor = connection.execute("SELECT * FROM t")
        assert cursor.fetchall() == list(enumerate("abcde", 1))
        assert [column[0] for column in cursor.description or ()] == ["id", "b"]


def test_a_backtrack_under_an_open_transaction(store: clusterdb.Store) -> None:
    """What has written cannot be committed; after a rollback it goes on."""
    cluster = store.create_cluster("prod", backtrack_window_s=3600)
    with closing(dbapi2.connect(cluster)) as connection:
        fill(connection)
        version = cluster.stats().version
        connection.execute("DELETE FROM t WHERE id = 1")
        connection.commit()
        connection.execute("DELETE FROM t")
        cluster.backtrack(version)
        with pytest.raises(dbapi2.OperationalError):
            connection.commit()
        connection.rollback()
        assert count(connection) == 5


def test_a_reset_under_a_connection(store: clusterdb.Store) -> None:
    """A clone that is reset shows its source's present state to connections that were open."""
    source = store.create_cluster("prod")
    with closing(dbapi2.connect(source)) as prod:
        fill(prod)
        clone = source.clone("copy")
        with closing(dbapi2.connect(clone)) as connection:
            connection.execute("DELETE FROM t")
            connection.commit()
            prod.execute("INSERT INTO t (b) VALUES ('f')")
            prod.commit()
            clone.reset()
            assert count(connection) == 6


def test_attaching_an_unknown_cluster(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3`` for a file that cannot be opened; the nearest name is suggested."""
    with pytest.raises(dbapi2.OperationalError, match="did you mean 'prod'") as caught:
        connection.execute("ATTACH 'prd' AS other")
    assert caught.value.sqlite_errorcode == apsw.SQLITE_CANTOPEN


# --- errors -----------------------------------------------------------------------------------------------------------
def test_all_errors_are_of_pep_249() -> None:
    """Whatever the control plane raises is caught by ``except sqlite3.Error``."""
    for name in clusterdb.errors.__all__:
        kind = getattr(clusterdb.errors, name)
        if kind is not dbapi2.Warning:
            assert issubclass(kind, dbapi2.Error), name
    assert dbapi2.Connection.OperationalError is dbapi2.OperationalError is clusterdb.OperationalError


@pytest.mark.parametrize(
    ("sql", "kind", "name"),
    [
        ("SELECT * FROM nowhere", dbapi2.OperationalError, "SQLITE_ERROR"),
        ("INSERT INTO t VALUES (1, 'z')", dbapi2.IntegrityError, "SQLITE_CONSTRAINT_PRIMARYKEY"),
        ("INSERT INTO t VALUES ('x', 'z')", dbapi2.IntegrityError, "SQLITE_MISMATCH"),
        ("SELECT zeroblob(1 << 40)", dbapi2.DataError, "SQLITE_TOOBIG"),
        ("PRAGMA journal_mode = WAL; SELECT 1", dbapi2.ProgrammingError, None),
    ],
)
def test_errors_say_their_code(connection: dbapi2.Connection, sql: str, kind: type[Exception], name: str) -> None:
    """``sqlite_errorcode`` and ``sqlite_errorname``, if SQLite said it."""
    with pytest.raises(kind) as caught:
        connection.execute(sql)
    assert type(caught.value) is kind
    assert getattr(caught.value, "sqlite_errorname", None) == name
    if name is not None:
        assert getattr(caught.value, "sqlite_errorcode", None) == getattr(apsw, name)


def test_busy_is_an_operational_error(connection: dbapi2.Connection) -> None:
    """A second writer waits for its timeout, then is told."""
    connection.execute("DELETE FROM t")
    with closing(dbapi2.connect(connection.cluster, timeout=0)) as other:  # type: ignore[arg-type]
        with pytest.raises(dbapi2.OperationalError, match="locked") as caught:
            other.execute("DELETE FROM t")
        assert caught.value.sqlite_errorname == "SQLITE_BUSY"
        assert count(other) == 5


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1;\n-- x\nSELECT 2", "/* ; */ SELECT 1; SELECT 2"])
def test_two_statements_in_one_execute(connection: dbapi2.Connection, sql: str) -> None:
    """Nothing of it is run."""
    with pytest.raises(dbapi2.ProgrammingError, match="one statement at a time"):
        connection.execute(sql)


def test_nothing_of_two_statements_is_run(connection: dbapi2.Connection) -> None:
    """Not even the first."""
    with pytest.raises(dbapi2.ProgrammingError):
        connection.execute("DELETE FROM t; DELETE FROM t")
    assert count(connection) == 5
    assert not connection.in_transaction


@pytest.mark.parametrize(
    "sql", ["SELECT ';'", "SELECT 1; -- ;", "SELECT 1 ; /* ; */ ", "-- ;\nSELECT 1;", "/* SELECT 1; */ SELECT 1;"]
)
def test_semicolons_that_end_nothing(connection: dbapi2.Connection, sql: str) -> None:
    """In texts and comments they count for nothing."""
    assert len(connection.execute(sql).fetchall()) == 1


def test_triggers_with_semicolons_inside(connection: dbapi2.Connection) -> None:
    """A trigger is one statement; what follows it is a second."""
    trigger = "CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO t (b) VALUES ('g;'); SELECT 1; END"
    with pytest.raises(dbapi2.ProgrammingError, match="one statement at a time"):
        connection.execute(f"{trigger}; SELECT 1")
    connection.execute(f"{trigger};")
    connection.execute("DELETE FROM t WHERE id = 1")
    assert count(connection) == 5


def test_an_empty_second_statement(connection: dbapi2.Connection) -> None:
    """``sqlite3`` refuses it."""
    with pytest.raises(dbapi2.ProgrammingError, match="one statement at a time"):
        connection.execute("SELECT 1;;")


@pytest.mark.parametrize(
    ("sql", "parameters", "kind"),
    [
        ("SELECT ?", (), dbapi2.ProgrammingError),
        ("SELECT ?", (1, 2), dbapi2.ProgrammingError),
        ("SELECT :a", {}, dbapi2.ProgrammingError),
        ("SELECT ?", {"a": 1}, dbapi2.ProgrammingError),
        ("SELECT ?", 5, dbapi2.ProgrammingError),
        ("SELECT ?", {1}, dbapi2.ProgrammingError),
        ("SELECT ?", (object(),), dbapi2.ProgrammingError),
        ("SELECT ?", (2**63,), OverflowError),
        ("SELECT ?", ("\ud800",), UnicodeEncodeError),
        ("INSERT INTO t (b) VALUES (?)", (), dbapi2.ProgrammingError),
    ],
)
def test_wrong_parameters(connection: dbapi2.Connection, sql: str, parameters: Any, kind: type[Exception]) -> None:
    """The error is that of ``sqlite3``, word for word, and the connection goes on; known statements are no other."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.execute("CREATE TABLE t (id, b)")
        with pytest.raises(getattr(sqlite3, kind.__name__, kind)) as expected:
            model.execute(sql, parameters)
    for _ in range(2):
        with pytest.raises(kind) as caught:
            connection.execute(sql, parameters)
        assert str(caught.value) == str(expected.value)
    assert count(connection) == 5


@pytest.mark.parametrize("parameters", [(), []])
def test_wrong_parameters_begin_a_transaction(connection: dbapi2.Connection, parameters: Any) -> None:
    """As in ``sqlite3``, which begins it before it looks at them; the same for tuples and lists."""
    with pytest.raises(dbapi2.ProgrammingError):
        connection.execute("INSERT INTO t (b) VALUES (?)", parameters)
    assert connection.in_transaction


def test_a_statement_that_is_no_text(connection: dbapi2.Connection) -> None:
    """The error says what is expected."""
    with pytest.raises(TypeError, match="must be str, not list"):
        connection.execute([])  # type: ignore[arg-type]


def test_a_statement_that_cannot_be_prepared_ends_the_one_before(connection: dbapi2.Connection) -> None:
    """After an error the cursor has nothing to give."""
    cursor = connection.execute("SELECT 1")
    with pytest.raises(dbapi2.OperationalError):
        cursor.execute("SELECT * FROM nowhere")
    assert (cursor.description, cursor.fetchall()) == (None, [])


@pytest.mark.parametrize("wrong", [("SELECT * FROM nowhere",), ("DELETE FROM t WHERE id = ?", [])])
def test_an_error_ends_what_was_being_read(connection: dbapi2.Connection, wrong: Any) -> None:
    """The cursor holds nothing any more."""
    cursor = connection.execute("SELECT * FROM t")
    cursor.fetchone()
    with pytest.raises(dbapi2.Error):
        cursor.execute(*wrong)
    connection.rollback()
    connection.execute("DROP TABLE t")


# --- closed, elsewhere, forked ----------------------------------------------------------------------------------------
def test_a_closed_connection(connection: dbapi2.Connection) -> None:
    """Nothing works any more but closing; of its cursors neither."""
    cursor = connection.execute("SELECT * FROM t")
    cursor.fetchone()
    connection.close()
    uses: list[Callable[[], Any]] = [connection.cursor, connection.commit, connection.rollback, cursor.fetchone]
    uses += [cursor.fetchall, cursor.fetchmany, lambda: next(cursor), lambda: cursor.execute("SELECT 1"), cursor.close]
    uses += [lambda: connection.cluster, lambda: connection.in_transaction, lambda: next(iter(cursor))]
    for use in uses:
        with pytest.raises(dbapi2.ProgrammingError, match="closed database"):
            use()
    connection.close()


def test_extension_that_cannot_be_loaded_is_an_operational_error(connection: dbapi2.Connection) -> None:
    """With SQLite's own words, as in ``sqlite3``: also while loading is not allowed."""
    with pytest.raises(dbapi2.OperationalError, match=r"\Anot authorized\Z"):
        connection.load_extension("/nowhere/none")
    connection.enable_load_extension(True)
    with pytest.raises(dbapi2.OperationalError, match=r"\A/nowhere/none\.so: cannot open shared object file"):
        connection.load_extension("/nowhere/none")


def test_closing_undoes_what_is_open(connection: dbapi2.Connection) -> None:
    """As PEP 249 asks."""
    cluster = connection.cluster
    assert cluster is not None
    connection.execute("DELETE FROM t")
    connection.close()
    with closing(dbapi2.connect(cluster)) as later:
        assert count(later) == 5


def test_a_closed_cursor(connection: dbapi2.Connection) -> None:
    """It is closed, the connection is not; what it was reading is over."""
    cursor = connection.execute("SELECT * FROM t")
    cursor.close()
    cursor.close()
    for use in (cursor.fetchone, cursor.fetchall, lambda: next(cursor), lambda: cursor.execute("SELECT 1")):
        with pytest.raises(dbapi2.ProgrammingError, match="closed cursor"):
            use()
    connection.execute("DROP TABLE t")


def test_a_closed_cursor_knows_its_connection(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3``."""
    cursor = connection.cursor()
    cursor.close()
    assert cursor.connection is connection


def test_the_description_after_the_connection_was_closed(connection: dbapi2.Connection) -> None:
    """It stays, as in ``sqlite3``; at any rate no error of apsw's comes out."""
    cursor = connection.execute("SELECT 1 AS one")
    connection.close()
    assert cursor.description is not None
    assert cursor.description[0][0] == "one"


def test_an_iteration_over_a_closed_connection(connection: dbapi2.Connection) -> None:
    """The same error as from fetchone."""
    rows = iter(connection.execute("SELECT * FROM t"))
    next(rows)
    connection.close()
    with pytest.raises(dbapi2.ProgrammingError, match="closed database"):
        next(rows)


def test_a_closed_store_closes_its_connections(tmp_path: Path) -> None:
    """Whoever goes on using one is told, by an error of PEP 249's."""
    store = clusterdb.open(tmp_path / "s")
    store.create_cluster("prod")
    connection = dbapi2.connect("prod", store=store)
    cursor = connection.execute("SELECT 1 UNION SELECT 2")
    store.close()
    with pytest.raises(dbapi2.ProgrammingError):
        cursor.fetchall()
    connection.close()
    with pytest.raises(clusterdb.ClosedError):
        dbapi2.connect("prod", store=store)


@pytest.mark.parametrize("use", ["execute", "cursor", "commit", "in_transaction", "total_changes"])
def test_a_connection_of_a_closed_store(tmp_path: Path, use: str) -> None:
    """Every use of it is a ProgrammingError, as after its own close()."""
    store = clusterdb.open(tmp_path / "s")
    store.create_cluster("prod")
    with closing(dbapi2.connect("prod", store=store)) as connection:
        store.close()
        with pytest.raises(dbapi2.ProgrammingError):
            used = getattr(connection, use)
            used(*["SELECT 1"] if use == "execute" else [])


def test_another_thread(connection: dbapi2.Connection) -> None:
    """It is turned away, also for statements and rows that are at hand already."""
    cursor = connection.execute("SELECT * FROM t")
    cursor.fetchone()
    uses: list[Callable[[], Any]] = [cursor.fetchone, cursor.fetchall, cursor.fetchmany, lambda: next(cursor)]
    uses += [lambda: cursor.execute("SELECT * FROM t"), lambda: next(iter(cursor)), connection.close, connection.commit]
    uses += [lambda: connection.cluster, connection.cursor, lambda: connection.execute("SELECT * FROM t")]
    said: list[str] = []

    def work() -> None:
        for use in uses:
            try:
                use()
            except dbapi2.ProgrammingError as error:
                said.append(str(error))

    in_threads([work])
    assert len(said) == len(uses)
    assert all("created in a thread" in text for text in said)
    assert len(cursor.fetchall()) == 4


def test_an_iteration_in_another_thread(connection: dbapi2.Connection) -> None:
    """It is turned away too."""
    rows, got = iter(connection.execute("SELECT * FROM t")), []
    next(rows)

    def work() -> None:
        with suppress(dbapi2.ProgrammingError):
            got.append(next(rows))

    in_threads([work])
    assert got == []


def test_threads_may_use_a_connection_one_at_a_time(connection: dbapi2.Connection) -> None:
    """``threadsafety`` is 1; with ``check_same_thread=False`` a lock around every use is enough."""
    assert dbapi2.threadsafety == 1
    lock = threading.Lock()
    with closing(dbapi2.connect(connection.cluster, check_same_thread=False)) as shared:  # type: ignore[arg-type]

        def work() -> None:
            for _ in range(50):
                with lock:
                    shared.execute("INSERT INTO t (b) VALUES (?)", ("x",)).fetchall()

        in_threads([work] * 4)
        shared.commit()
    assert count(connection) == 205


def test_interrupt_from_another_thread(connection: dbapi2.Connection) -> None:
    """A running statement fails with SQLITE_INTERRUPT."""
    began = threading.Event()
    connection.create_function("began", 0, lambda: began.set() or 1)

    def stop() -> None:
        began.wait()
        connection.interrupt()

    thread = threading.Thread(target=stop)
    thread.start()
    endless = "WITH RECURSIVE n(x) AS (VALUES (began()) UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(dbapi2.OperationalError) as caught:
        connection.execute(endless).fetchall()
    thread.join()
    assert caught.value.sqlite_errorname == "SQLITE_INTERRUPT"


def test_a_fork_with_an_open_connection(disk_store: clusterdb.Store) -> None:
    """The child is refused the connection and may open its own; the parent's goes on, its transaction unharmed."""
    disk_store.create_cluster("prod")
    connection = dbapi2.connect("prod", store=disk_store)
    fill(connection)
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs, _in_child(connection, disk_store.path).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        told = pipe.read().decode()
    os.waitpid(child, 0)
    assert told == "refused, 5 rows, 1 anonymous table"
    assert count(connection) == 5
    connection.close()


def test_a_fork_in_the_middle_of_a_transaction(disk_store: clusterdb.Store) -> None:
    """What the child does with it cannot be committed; the parent's transaction is unharmed."""
    connection = dbapi2.connect(disk_store.create_cluster("prod"))
    fill(connection)
    connection.execute("DELETE FROM t WHERE id = 1")
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(dbapi2.Error):
            connection.execute("DELETE FROM t")
            connection.commit()
            os.write(theirs, b"committed")
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        assert pipe.read() == b""
    os.waitpid(child, 0)
    connection.commit()
    assert count(connection) == 4
    connection.close()


def _in_child(connection: dbapi2.Connection, path: str) -> str:
    try:
        try:
            connection.execute("SELECT count(*) FROM t").fetchall()
            told = "allowed"
        except dbapi2.Error:
            told = "refused"
        connection.close()
        with closing(dbapi2.connect("prod", store=path)) as own:
            told += f", {count(own)} rows"
        with closing(dbapi2.connect(":memory:")) as memory:
            fill(memory)
            told += f", {memory.execute('SELECT count(*) FROM sqlite_schema').fetchone()[0]} anonymous table"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return told


def test_shared_memory_across_a_fork() -> None:
    """Parent and child have a cluster each, and closing in one does not harm the other."""
    uri = "file:shared-fork?mode=memory&cache=shared"
    with closing(dbapi2.connect(uri, uri=True)) as connection:
        fill(connection)
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                connection.close()
                with closing(dbapi2.connect(uri, uri=True)) as own:
                    fill(own)
                    os.write(theirs, b"made")
            finally:
                os._exit(0)
        os.close(theirs)
        with open(ours, "rb") as pipe:
            assert pipe.read() == b"made"
        os.waitpid(child, 0)
        assert count(connection) == 5


# --- letting go -------------------------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it would hold the connection
def test_a_forgotten_connection_lets_go(store: clusterdb.Store, no_collector: None) -> None:
    """Nothing of it waits for the collector: files are closed, and an open transaction is undone."""
    cluster = store.create_cluster("prod")
    connection = dbapi2.connect(cluster)
    connection.row_factory = dbapi2.Row
    connection.create_function("f", 1, lambda x: x)
    connection.create_aggregate("g", 1, type("G", (), {"step": lambda *_: None, "finalize": lambda _: 1}))
    connection.set_trace_callback(lambda _: None)
    connection.set_authorizer(lambda *_: dbapi2.SQLITE_OK)
    connection.set_progress_handler(lambda: None, 1000)
    fill(connection)
    for row in connection.execute("SELECT f(id) FROM t"):
        assert row[0]
        break
    with pytest.raises(dbapi2.OperationalError):
        connection.execute("SELECT * FROM nowhere")
    with pytest.raises(dbapi2.OperationalError):
        connection.create_function("f", 9999, abs)
    connection.execute("DELETE FROM t")
    gone = weakref.ref(connection)
    del connection
    assert gone() is None
    assert len(store._vfs.files) == 0
    with closing(dbapi2.connect(cluster, timeout=0)) as later:
        later.execute("DELETE FROM t WHERE id = 1")
        later.commit()
        assert count(later) == 4


@pytest.mark.parametrize("endpoint", ["writer", "reader"])
def test_a_forgotten_connection_through_an_instance(
    fleet: clusterdb.Cluster, endpoint: str, no_collector: None
) -> None:
    """The same for instances."""
    connection = dbapi2.connect(fleet, endpoint=endpoint)
    connection.execute("SELECT * FROM t").fetchone()
    connection.execute("SELECT * FROM aurora_replica_status()").fetchall()
    del connection
    assert len(fleet.store._vfs.files) == 0


@pytest.mark.parametrize("uri", [":memory:", "file:forgotten?mode=memory&cache=shared"])
def test_forgotten_anonymous_clusters(uri: str, no_collector: None) -> None:
    """They disappear with the last reference to their connection."""
    with closing(dbapi2.connect(":memory:")) as keeper:
        assert keeper.cluster is not None
        before, files = anonymous(keeper), len(keeper.cluster.store._vfs.files)
        connection = dbapi2.connect(uri, uri=True)
        fill(connection)
        cursor = connection.execute("SELECT * FROM t")
        cursor.fetchone()
        del connection
        assert len(anonymous(keeper)) == len(before) + 1  # the cursor holds it
        del cursor
        assert anonymous(keeper) == before
        assert len(keeper.cluster.store._vfs.files) == files


def test_a_connection_that_could_not_be_made(store: clusterdb.Store, no_collector: None) -> None:
    """Nothing is left of it."""
    cluster = store.create_cluster("prod")
    for options in ({"isolation_level": "BOGUS"}, {"autocommit": 7}, {"endpoint": "nowhere"}):
        with pytest.raises((ValueError, dbapi2.Error)):
            dbapi2.connect(cluster, **options)
    assert len(store._vfs.files) == 0


@pytest.mark.parametrize("text_factory", [str, bytes])
@pytest.mark.parametrize("read", ["fetchone", "fetchmany", "next"])
def test_a_forgotten_cursor_ends_its_query(
    connection: dbapi2.Connection, read: str, text_factory: Any, no_collector: None
) -> None:
    """A query that is read in part holds nothing once its cursor is gone."""
    connection.text_factory = text_factory
    cursor = connection.execute("SELECT * FROM t")
    match read:
        case "fetchone":
            cursor.fetchone()
        case "fetchmany":
            cursor.fetchmany(2)
        case "next":
            next(cursor)
    with pytest.raises(dbapi2.OperationalError, match="locked"):
        connection.execute("DROP TABLE t")
    del cursor
    connection.execute("DROP TABLE t")


@pytest.mark.parametrize("text_factory", [str, bytes])
@pytest.mark.parametrize("read", ["fetchone", "fetchmany", "next"])
def test_the_last_row_ends_the_query(connection: dbapi2.Connection, read: str, text_factory: Any) -> None:
    """Who has been given the last row need not ask for another before the schema can change."""
    connection.text_factory = text_factory
    cursor = connection.execute("SELECT * FROM t WHERE id < 3")
    for _ in range(2):
        next(cursor) if read == "next" else getattr(cursor, read)()
    connection.execute("DROP TABLE t")
    assert cursor.fetchone() is None


def test_the_last_row_of_a_loop_ends_the_query(connection: dbapi2.Connection) -> None:
    """``for name, in execute("SELECT name ..."): execute(f"DROP TABLE {name}")`` works for one table."""
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
        connection.execute(f"DROP TABLE {name}")


# --- rows -------------------------------------------------------------------------------------------------------------
READS: dict[str, Callable[[dbapi2.Cursor], list[Any]]] = {
    "one": lambda cursor: [row for row in [cursor.fetchone()] if row is not None],
    "two": lambda cursor: cursor.fetchmany(2),
    "next": lambda cursor: [row for row in [next(cursor, None)] if row is not None],
}


@pytest.mark.parametrize("text_factory", [str, lambda text: text.decode()], ids=["plain", "converted"])
@pytest.mark.parametrize("row_factory", [None, lambda _, row: row], ids=["tuples", "made"])
@pytest.mark.parametrize("first", READS)
@pytest.mark.parametrize("second", READS)
def test_ways_of_reading_can_be_mixed(
    connection: dbapi2.Connection, first: str, second: str, row_factory: Any, text_factory: Any
) -> None:
    """Every row is given exactly once, in order, whatever follows whatever; an empty end stays empty."""
    connection.text_factory = text_factory
    connection.row_factory = row_factory
    for last in (lambda c: c.fetchall(), list, lambda c: c.fetchmany(9), lambda c: [*c.fetchmany(1), *c]):
        cursor = connection.execute("SELECT id FROM t")
        rows = READS[first](cursor) + READS[second](cursor) + last(cursor)
        assert rows == [(1,), (2,), (3,), (4,), (5,)]
        assert [READS[read](cursor) for read in READS] == [[]] * len(READS)
        assert cursor.fetchall() == []


PLAIN_AND_CONVERTED = pytest.mark.parametrize(
    "text_factory", [str, lambda text: text.decode()], ids=["plain", "converted"]
)


def with_breaks(cursor: dbapi2.Cursor, reads: list[str]) -> list[Any]:
    """The rows that a series of reads gives, of which "break" is a loop that is left at once."""
    rows: list[Any] = []
    for read in reads:
        if read == "break":
            for row in cursor:
                rows.append(row)
                break
        else:
            rows += READS[read](cursor)
    return rows


@PLAIN_AND_CONVERTED
@pytest.mark.parametrize("reads", [["break"], ["break", "break"], ["break", "one", "break", "two"]])
def test_a_break_out_of_a_loop_loses_no_row(connection: dbapi2.Connection, reads: list[str], text_factory: Any) -> None:
    """Who leaves a loop finds the next row where it was, whatever reads it."""
    connection.text_factory = text_factory
    cursor = connection.execute("SELECT id FROM t")
    assert with_breaks(cursor, reads) + cursor.fetchall() == [(1,), (2,), (3,), (4,), (5,)]


@PLAIN_AND_CONVERTED
@pytest.mark.parametrize("reads", [["break"], ["break", "break"], ["one", "break"], ["break", "one", "break", "two"]])
def test_a_break_out_of_a_loop_over_made_rows(
    connection: dbapi2.Connection, reads: list[str], text_factory: Any
) -> None:
    """The same with a row factory."""
    connection.text_factory = text_factory
    connection.row_factory = lambda _, row: row
    cursor = connection.execute("SELECT id FROM t")
    assert with_breaks(cursor, reads) + cursor.fetchall() == [(1,), (2,), (3,), (4,), (5,)]


def test_two_live_iterators_share_the_rows(connection: dbapi2.Connection) -> None:
    """No row comes twice, none is lost, also when one of them is given up."""
    cursor = connection.execute("SELECT id FROM t")
    first, second = iter(cursor), iter(cursor)
    rows = [next(first), next(second), next(first)]
    del first
    assert [*rows, cursor.fetchone(), *second] == [(1,), (2,), (3,), (4,), (5,)]


@bug("iter(cursor) is another object")
def test_a_cursor_is_its_own_iterator(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3``."""
    cursor = connection.cursor()
    assert iter(cursor) is cursor


def test_a_statement_run_in_a_loop_over_the_same_cursor(connection: dbapi2.Connection) -> None:
    """The loop goes on with the new statement's rows, every one once."""
    cursor = connection.cursor()
    got = []
    for row in cursor.execute("SELECT id FROM t"):
        got.append(row)
        if len(got) == 1:
            got.append(cursor.execute("SELECT b FROM t WHERE id < 4").fetchone())
    assert got == [(1,), ("a",), ("b",), ("c",)]


def test_a_text_factory_set_in_a_loop_over_the_same_cursor(connection: dbapi2.Connection) -> None:
    """The new statement's rows are converted."""
    cursor = connection.cursor()
    got: list[Any] = []
    for row in cursor.execute("SELECT id FROM t"):
        got.append(row)
        if len(got) == 1:
            connection.text_factory = bytes
            cursor.execute("SELECT b FROM t WHERE id < 3")
    assert got == [(1,), (b"a",), (b"b",)]


def test_a_row_factory_set_between_two_reads(connection: dbapi2.Connection) -> None:
    """It counts from the next row on."""
    cursor = connection.execute("SELECT id, b FROM t")
    rows = [cursor.fetchone()]
    cursor.row_factory = lambda _, row: list(row)
    rows += cursor.fetchmany(1)
    cursor.row_factory = dbapi2.Row
    rows += [next(cursor)["B"]]
    cursor.row_factory = None
    assert rows + cursor.fetchall() == [(1, "a"), [2, "b"], "c", (4, "d"), (5, "e")]


def test_a_row_factory_set_in_a_loop(connection: dbapi2.Connection) -> None:
    """The same in a loop."""
    cursor, got = connection.execute("SELECT id FROM t WHERE id < 3"), []
    for row in cursor:
        got.append(row)
        cursor.row_factory = lambda _, row: list(row)
    assert got == [(1,), [2]]


def test_a_text_factory_set_between_execute_and_fetch(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3`` it is asked for when a row is given."""
    cursor = connection.execute("SELECT b FROM t WHERE id = 1")
    connection.text_factory = bytes
    assert cursor.fetchall() == [(b"a",)]


def test_a_text_factory_set_between_two_fetches(connection: dbapi2.Connection) -> None:
    """It counts for every row that was not given yet, in a loop too."""
    cursor, got = connection.execute("SELECT b FROM t"), []
    got.append(cursor.fetchone())
    connection.text_factory = bytes
    got.append(cursor.fetchone())
    for row in cursor:
        got.append(row)
        connection.text_factory = str if len(got) == 3 else lambda text: text.decode().upper()
    assert got == [("a",), (b"b",), (b"c",), ("d",), ("E",)]


def test_half_read_rows_outlive_a_commit_and_a_rollback(connection: dbapi2.Connection) -> None:
    """A query goes on after COMMIT and after ROLLBACK, and gives every row once."""
    for end in (connection.commit, connection.rollback):
        connection.execute("INSERT INTO t (b) VALUES ('x')")
        cursor = connection.execute("SELECT id FROM t WHERE id <= 5")
        rows = [cursor.fetchone()]
        end()
        assert rows + cursor.fetchall() == [(1,), (2,), (3,), (4,), (5,)]


def test_returning_half_fetched(connection: dbapi2.Connection) -> None:
    """All rows are inserted when execute() comes back, and can be committed and read on."""
    cluster = connection.cluster
    assert cluster is not None
    cursor = connection.execute("INSERT INTO t (b) VALUES ('x'), ('y'), ('z') RETURNING id")
    assert cursor.fetchone() == (6,)
    connection.commit()
    with closing(dbapi2.connect(cluster)) as other:
        assert count(other) == 8
    assert cursor.fetchall() == [(7,), (8,)]


@pytest.mark.parametrize("text_factory", [str, bytes])
def test_returning_not_fetched(connection: dbapi2.Connection, text_factory: Any) -> None:
    """Nor does it get lost when nobody fetches, with ``autocommit`` or without."""
    connection.text_factory = text_factory
    connection.execute("DELETE FROM t WHERE id < 3 RETURNING b")
    connection.commit()
    connection.isolation_level = None
    connection.execute("UPDATE t SET b = 'x' WHERE id = 3 RETURNING b").fetchone()
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM t WHERE b = 'x'").fetchone() == (1,)
    connection.execute("DROP TABLE t")


# --- description ------------------------------------------------------------------------------------------------------
def names(cursor: dbapi2.Cursor) -> list[str]:
    return [column[0] for column in cursor.description or ()]


def test_description(connection: dbapi2.Connection) -> None:
    """It is there before the first row, for empty results, and None for what answers nothing."""
    cursor = connection.cursor()
    assert cursor.description is None
    cursor.execute("SELECT id AS one, 2 FROM t")
    assert names(cursor) == ["one", "2"]
    cursor.fetchall()
    assert names(cursor) == ["one", "2"]
    cursor.execute("SELECT id FROM t WHERE 0")
    assert names(cursor) == ["id"]
    cursor.execute("DELETE FROM t WHERE 0 RETURNING b")
    assert names(cursor) == ["b"]
    cursor.execute("DELETE FROM t")
    assert cursor.description is None


def test_description_is_a_name_and_six_times_none(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3``."""
    assert connection.execute("SELECT * FROM t").description == (("id", *[None] * 6), ("b", *[None] * 6))


@pytest.mark.parametrize("who", ["the same", "another"])
def test_description_after_alter_table(connection: dbapi2.Connection, who: str) -> None:
    """A known statement shows the new columns, also when another connection has made them."""
    connection.execute("SELECT * FROM t").fetchall()
    other = connection if who == "the same" else dbapi2.connect(connection.cluster)  # type: ignore[arg-type]
    other.execute("ALTER TABLE t ADD COLUMN c DEFAULT 7")
    cursor = connection.execute("SELECT * FROM t WHERE id = 1")
    assert names(cursor) == ["id", "b", "c"]
    assert cursor.fetchall() == [(1, "a", 7)]
    cursor = connection.execute("SELECT * FROM t")
    assert names(cursor) == ["id", "b", "c"]
    assert len(cursor.fetchone()) == 3
    del cursor
    other.execute("ALTER TABLE t DROP COLUMN c")
    if other is not connection:
        other.close()
    assert names(connection.execute("SELECT * FROM t")) == ["id", "b"]


@pytest.mark.parametrize("options", [{"detect_types": dbapi2.PARSE_DECLTYPES}, {}], ids=["converters", "text_factory"])
def test_converted_rows_after_alter_table(store: clusterdb.Store, options: Any) -> None:
    """The same where values are converted."""
    with closing(dbapi2.connect(store.create_cluster("prod"), **options)) as connection:
        if not options:
            connection.text_factory = lambda text: text.decode()
        fill(connection)
        connection.execute("SELECT * FROM t").fetchall()
        connection.execute("ALTER TABLE t ADD COLUMN c DEFAULT 7")
        cursor = connection.execute("SELECT * FROM t")
        assert names(cursor) == ["id", "b", "c"]
        assert cursor.fetchone() == (1, "a", 7)


def test_converters_after_a_table_was_made_anew(store: clusterdb.Store) -> None:
    """The declared type that counts is the present one."""
    cluster = store.create_cluster("prod")
    with closing(dbapi2.connect(cluster, detect_types=dbapi2.PARSE_DECLTYPES)) as connection:
        connection.execute("CREATE TABLE d (day TEXT)")
        connection.execute("SELECT day FROM d").fetchall()
        connection.executescript("DROP TABLE d; CREATE TABLE d (day DATE); INSERT INTO d VALUES ('2020-01-02')")
        assert connection.execute("SELECT day FROM d").fetchone() == (dbapi2.Date(2020, 1, 2),)


# --- texts ------------------------------------------------------------------------------------------------------------
INVALID = "SELECT CAST(x'61FF62' AS TEXT) AS word"


def test_invalid_utf8(connection: dbapi2.Connection) -> None:
    """``str`` cannot give it and says so; bytes and functions get the stored bytes."""
    with pytest.raises(dbapi2.OperationalError, match="Could not decode to UTF-8 column 'word'"):
        connection.execute(INVALID).fetchall()
    connection.text_factory = bytes
    assert connection.execute(INVALID).fetchall() == [(b"a\xffb",)]
    connection.text_factory = lambda text: text.decode("latin-1")
    assert connection.execute(INVALID).fetchall() == [("aÿb",)]
    connection.text_factory = bytearray
    assert connection.execute(INVALID).fetchone() == (bytearray(b"a\xffb"),)


def test_invalid_utf8_behind_good_rows(connection: dbapi2.Connection) -> None:
    """The connection goes on after the error."""
    cursor = connection.execute(f"SELECT 'good' UNION ALL {INVALID} UNION ALL SELECT 'late'")
    with pytest.raises(dbapi2.OperationalError, match="Could not decode"):
        cursor.fetchall()
    assert count(connection) == 5
    connection.execute("DROP TABLE t")


@bug("of several columns it cannot tell which: column '?'")
def test_invalid_utf8_in_one_of_several_columns(connection: dbapi2.Connection) -> None:
    """The error names the column."""
    with pytest.raises(dbapi2.OperationalError, match="column 'word'"):
        connection.execute(f"SELECT 1, word FROM ({INVALID})").fetchall()


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
@pytest.mark.parametrize("factory", [str, bytes, lambda text: text.decode()], ids=["str", "bytes", "callable"])
def test_texts_in_all_encodings(store: clusterdb.Store, encoding: str, factory: Any) -> None:
    """What a text factory is given is UTF-8, whatever the database stores."""
    with closing(dbapi2.connect(store.create_cluster("prod"))) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.execute("CREATE TABLE t (a)")
        words = ["", "a", "ü", "€", "😀", "a\0b"]
        connection.executemany("INSERT INTO t VALUES (?)", [(word,) for word in words])
        connection.text_factory = factory
        expected = [word.encode() if factory is bytes else word for word in words]
        assert connection.execute("SELECT a FROM t").fetchall() == [(word,) for word in expected]


def test_invalid_utf16(store: clusterdb.Store) -> None:
    """Half of a surrogate pair is no text: an OperationalError for ``str``."""
    with closing(dbapi2.connect(store.create_cluster("prod"))) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t SELECT CAST(x'00D8' AS TEXT)")
        with pytest.raises(dbapi2.OperationalError, match="Could not decode to UTF-8 column 'a'"):
            connection.execute("SELECT a FROM t").fetchall()


@bug("OperationalError: apsw decodes the text before the text factory sees it")
def test_invalid_utf16_for_a_text_factory(store: clusterdb.Store) -> None:
    """``sqlite3`` gives the bytes that SQLite makes of it."""
    with closing(dbapi2.connect(store.create_cluster("prod"))) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t SELECT CAST(x'00D8' AS TEXT)")
        connection.text_factory = bytes
        assert connection.execute("SELECT a FROM t").fetchall() == [(b"\xed\xa0\x80",)]


@bug("OperationalError, and the row is inserted nevertheless")
def test_invalid_utf8_of_returning(connection: dbapi2.Connection) -> None:
    """What RETURNING answers is given to a text factory as it is."""
    connection.text_factory = bytes
    cursor = connection.execute("INSERT INTO t (b) VALUES (CAST(x'FF' AS TEXT)) RETURNING b")
    assert cursor.fetchall() == [(b"\xff",)]


def test_a_text_factory_for_returning(connection: dbapi2.Connection) -> None:
    """A text factory counts for RETURNING too."""
    connection.text_factory = bytes
    assert connection.execute("UPDATE t SET b = 'x' WHERE id = 1 RETURNING b").fetchall() == [(b"x",)]


def test_converters_for_returning(store: clusterdb.Store) -> None:
    """So do converters."""
    cluster = store.create_cluster("prod")
    with closing(dbapi2.connect(cluster, detect_types=dbapi2.PARSE_DECLTYPES)) as connection:
        connection.execute("CREATE TABLE d (day DATE)")
        cursor = connection.execute("INSERT INTO d VALUES (?) RETURNING day", (dbapi2.Date(2020, 1, 2),))
        assert cursor.fetchall() == [(dbapi2.Date(2020, 1, 2),)]


def test_counts_of_converted_returning(connection: dbapi2.Connection) -> None:
    """``rowcount`` and ``lastrowid`` are those of the statement, whatever is asked to convert its rows."""
    connection.text_factory = bytes
    cursor = connection.execute("INSERT INTO t (b) VALUES ('x'), ('y') RETURNING b")
    assert (cursor.rowcount, cursor.lastrowid, cursor.fetchall()) == (2, 7, [(b"x",), (b"y",)])


@pytest.mark.parametrize("text_factory", [str, bytes])
def test_converted_columns_that_another_connection_has_changed(store: clusterdb.Store, text_factory: Any) -> None:
    """Names, number and converters are those of the schema that the rows are read from."""
    cluster = store.create_cluster("prod")
    options: Any = {"detect_types": dbapi2.PARSE_DECLTYPES}
    with closing(dbapi2.connect(cluster, **options)) as connection, closing(dbapi2.connect(cluster)) as other:
        connection.text_factory = text_factory
        other.execute("CREATE TABLE d (day TEXT)")
        connection.execute("SELECT * FROM d").fetchall()
        for columns in ("day DATE", "one, day DATE", "date DATE"):
            other.executescript(f"DROP TABLE d; CREATE TABLE d ({columns}); INSERT INTO d DEFAULT VALUES")
            other.execute(f"UPDATE d SET {columns.split()[-2]} = '2020-01-02'")
            other.commit()
            cursor = connection.execute("SELECT * FROM d")
            assert names(cursor) == [column.split()[0] for column in columns.split(", ")]
            assert cursor.fetchone()[-1] == dbapi2.Date(2020, 1, 2)


def test_what_callers_code_raises_keeps_its_cause(connection: dbapi2.Connection) -> None:
    """It passes unchanged, from a row factory and an adapter too, also if it looks like an error of apsw's."""
    error = apsw.BusyError("mine")

    def fail(*_: Any) -> None:
        try:
            b"\xff".decode()
        except UnicodeDecodeError:
            raise error  # noqa: B904 - its context is what is tested

    connection.row_factory = fail
    with pytest.raises(apsw.BusyError) as caught:
        connection.execute("SELECT 1").fetchone()
    assert caught.value is error
    assert isinstance(error.__context__, UnicodeDecodeError) and not error.__suppress_context__
    with pytest.raises(apsw.BusyError):
        connection.execute("SELECT ?", [type("Adapted", (), {"__conform__": fail})()])


def test_what_a_text_factory_raises(connection: dbapi2.Connection) -> None:
    """It reaches the caller, UnicodeDecodeError like any other."""
    connection.text_factory = lambda text: text.decode()
    with pytest.raises(UnicodeDecodeError):
        connection.execute(INVALID).fetchall()


def test_functions_run_once_per_row_whatever_the_text_factory(connection: dbapi2.Connection) -> None:
    """A text factory does not change what a query answers."""
    calls: list[int] = []
    connection.create_function("f", 1, lambda id: calls.append(id) or f"{id}: call {len(calls)}")
    connection.text_factory = lambda text: text.decode()
    assert connection.execute("SELECT f(id) FROM t WHERE id < 3").fetchall() == [("1: call 1",), ("2: call 2",)]
    assert calls == [1, 2]


@pytest.mark.parametrize("factory", [bytes, lambda text: text.decode("latin-1")], ids=["bytes", "callable"])
def test_text_factory_reads_a_query_row_by_row(connection: dbapi2.Connection, factory: Any) -> None:
    """An endless one answers its first rows, and has done no more than they and the one ahead take."""
    calls: list[int] = []
    connection.create_function("f", 1, lambda id: calls.append(id) or f"row {id}")
    connection.text_factory = factory
    endless = "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT f(x) FROM n"
    cursor = connection.execute(endless)
    assert calls in ([], [1])
    assert cursor.fetchone() == (factory(b"row 1"),)
    assert calls == [1, 2]
    assert cursor.fetchmany(2) == [(factory(b"row 2"),), (factory(b"row 3"),)]
    assert calls == [1, 2, 3, 4]
    cursor.close()


WIDE = ", ".join(f"{value} AS w{at}" for at, value in enumerate(["'a'", "1", "x'00'", "NULL"] * 35))
QUERIES = [
    "SELECT * FROM t ORDER BY b DESC, id LIMIT 3 OFFSET 1",
    "SELECT id, id, b AS id FROM t; -- the end",
    "SELECT b FROM t UNION SELECT 'x' ORDER BY 1 DESC",
    "VALUES (1, 'a'), (x'61', NULL)",
    "WITH w AS (SELECT b FROM t) SELECT * FROM w, t ORDER BY 1, 2",
    "SELECT count(*), max(b), group_concat(b, '-') FROM t WHERE id > 99",
    "SELECT DISTINCT b || '!', typeof(b) FROM t GROUP BY b HAVING count(*) > 0 ORDER BY 1",
    "SELECT row_number() OVER (ORDER BY b DESC, id), b FROM t ORDER BY 1",
    "SELECT 1.5, 9e999, -9223372036854775808, x'', '' WHERE 1 -- nothing behind",
    f"SELECT {WIDE}",
    "SELECT b FROM t WHERE 0",
    "PRAGMA table_info(t)",
]


@pytest.mark.parametrize("sql", QUERIES, ids=lambda sql: sql[:20])
def test_text_factory_changes_no_row_of_a_query(connection: dbapi2.Connection, sql: str) -> None:
    """Other than its texts, in whatever words it is written and however many columns it has."""
    plain = connection.execute(sql)
    described, rows = plain.description, plain.fetchall()
    connection.text_factory = lambda text: f"<{text.decode()}>"
    cursor = connection.execute(sql)
    assert cursor.description == described
    marked = [tuple(f"<{value}>" if isinstance(value, str) else value for value in row) for row in rows]
    assert cursor.fetchall() == marked


def test_random_texts_and_numbers_with_a_text_factory(connection: dbapi2.Connection) -> None:
    """A text factory sees texts only, and all of them."""
    connection.text_factory = lambda text: f"<{text.decode()}>"
    sql = (
        "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n LIMIT 500) "
        "SELECT CASE abs(random() % 2) WHEN 0 THEN 'text' ELSE 1 END FROM n"
    )
    assert {row[0] for row in connection.execute(sql)} <= {"<text>", 1}


# --- transactions -----------------------------------------------------------------------------------------------------
def test_legacy_transactions(connection: dbapi2.Connection) -> None:
    """A writing statement begins one, DDL and SELECT do not, and commit() twice does no harm."""
    connection.execute("CREATE TABLE u (a)")
    connection.execute("SELECT * FROM u")
    assert not connection.in_transaction
    connection.execute("INSERT INTO u VALUES (1)")
    assert connection.in_transaction
    connection.commit()
    connection.commit()
    connection.execute("INSERT INTO u VALUES (2)")
    connection.executescript("SELECT 1")
    assert not connection.in_transaction  # a script commits first
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM u").fetchone() == (2,)


@pytest.mark.parametrize("level", ["IMMEDIATE", "exclusive"])
def test_isolation_levels_lock_at_once(connection: dbapi2.Connection, level: str) -> None:
    """With IMMEDIATE a writing statement that changes nothing keeps others from writing."""
    connection.isolation_level = level
    connection.execute("DELETE FROM t WHERE 0")
    assert connection.in_transaction
    with closing(dbapi2.connect(connection.cluster, timeout=0)) as other:  # type: ignore[arg-type]
        assert count(other) == 5
        with pytest.raises(dbapi2.OperationalError, match="locked"):
            other.execute("DELETE FROM t")


def test_autocommit_on(store: clusterdb.Store) -> None:
    """``autocommit=True``: nothing is begun; commit() and rollback() do nothing, not even to an explicit BEGIN."""
    with closing(dbapi2.connect(store.create_cluster("prod"), autocommit=True)) as connection:
        fill(connection)
        connection.execute("DELETE FROM t WHERE id = 1")
        assert not connection.in_transaction
        connection.execute("BEGIN")
        connection.execute("DELETE FROM t")
        connection.commit()
        assert connection.in_transaction
        connection.rollback()
        assert connection.in_transaction
        connection.execute("ROLLBACK")
        with connection:
            connection.execute("DELETE FROM t WHERE id = 2")
        assert count(connection) == 3


def test_autocommit_off(store: clusterdb.Store) -> None:
    """``autocommit=False``: always in a transaction, DDL too; scripts do not commit; close() undoes."""
    cluster = store.create_cluster("prod")
    connection = dbapi2.connect(cluster, autocommit=False)
    assert connection.in_transaction
    connection.execute("CREATE TABLE t (a)")
    connection.executescript("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);")
    connection.rollback()
    assert connection.in_transaction
    assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == []
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    assert connection.in_transaction
    with connection:
        connection.execute("INSERT INTO t VALUES (3)")
    with pytest.raises(ZeroDivisionError), connection:
        connection.execute("INSERT INTO t VALUES (4)")
        raise ZeroDivisionError
    connection.execute("INSERT INTO t VALUES (5)")
    connection.close()
    with closing(dbapi2.connect(cluster)) as later:
        assert later.execute("SELECT a FROM t").fetchall() == [(3,)]


def test_autocommit_changed(connection: dbapi2.Connection) -> None:
    """To True commits what is open, to False begins, to LEGACY leaves it as it is."""
    connection.execute("DELETE FROM t WHERE id = 1")
    connection.autocommit = True
    assert not connection.in_transaction
    connection.autocommit = False
    assert connection.in_transaction
    connection.execute("DELETE FROM t WHERE id = 2")
    connection.autocommit = dbapi2.LEGACY_TRANSACTION_CONTROL
    assert connection.in_transaction
    connection.rollback()
    assert not connection.in_transaction
    assert count(connection) == 4


def test_isolation_level_none_with_autocommit_off(store: clusterdb.Store) -> None:
    """``isolation_level`` has no effect unless ``autocommit`` is LEGACY: one is always in a transaction."""
    with closing(dbapi2.connect(store.create_cluster("prod"), autocommit=False)) as connection:
        connection.isolation_level = None
        assert connection.in_transaction


def test_isolation_level_none_with_autocommit_on(store: clusterdb.Store) -> None:
    """The same: an explicit BEGIN is left alone."""
    with closing(dbapi2.connect(store.create_cluster("prod"), autocommit=True)) as connection:
        connection.execute("BEGIN")
        connection.isolation_level = None
        assert connection.in_transaction


# --- callers' code that fails -----------------------------------------------------------------------------------------
class Boom(Exception):
    """What a caller's code raises."""


def failing(values: list[Any], error: BaseException) -> Iterator[Any]:
    yield from values
    raise error


@pytest.mark.parametrize("error", [Boom(), KeyboardInterrupt(), dbapi2.OperationalError("mine"), GeneratorExit()])
def test_executemany_with_an_iterator_that_fails(connection: dbapi2.Connection, error: BaseException) -> None:
    """The error reaches the caller as it is; what was done is in the open transaction."""
    cursor = connection.cursor()
    with pytest.raises(type(error)) as caught:
        cursor.executemany("INSERT INTO t (b) VALUES (?)", failing([("x",), ("y",)], error))
    assert caught.value is error
    assert connection.in_transaction
    assert count(connection) == 7
    assert cursor.execute("SELECT 1").fetchall() == [(1,)]
    connection.rollback()
    assert count(connection) == 5


def test_executemany_with_an_iterator_that_cannot_decode(connection: dbapi2.Connection) -> None:
    """So does UnicodeDecodeError, say of a file in another encoding."""
    with pytest.raises(UnicodeDecodeError):
        connection.executemany("INSERT INTO t (b) VALUES (?)", ((raw.decode(),) for raw in [b"a", b"\xff"]))


@pytest.mark.parametrize("values", [[("x",), ()], [("x",), (1, 2)], [("x",), (object(),)], [("x",), 5]])
def test_executemany_with_a_wrong_row(connection: dbapi2.Connection, values: list[Any]) -> None:
    """The rows before it are inserted, in the open transaction."""
    with pytest.raises(dbapi2.ProgrammingError):
        connection.executemany("INSERT INTO t (b) VALUES (?)", values)
    assert count(connection) == 6
    connection.rollback()


def test_executemany_of_a_cursor_over_itself(connection: dbapi2.Connection) -> None:
    """Rows of another cursor of the same connection may be inserted while they are read."""
    connection.execute("CREATE TABLE u (id, b)")
    cursor = connection.executemany("INSERT INTO u VALUES (?, ?)", connection.execute("SELECT * FROM t"))
    assert cursor.rowcount == 5
    assert connection.execute("SELECT * FROM u EXCEPT SELECT * FROM t").fetchall() == []


def test_executemany_of_an_insert_that_begins_with_with(connection: dbapi2.Connection) -> None:
    """What writes may be run many times, whatever word it begins with."""
    sql = "WITH v (b) AS (VALUES (?)) INSERT INTO t (b) SELECT b FROM v"
    assert connection.executemany(sql, [("x",), ("y",)]).rowcount == -1  # as in sqlite3
    assert count(connection) == 7


def test_a_cursor_used_by_its_own_iterator_of_parameters(connection: dbapi2.Connection) -> None:
    """``sqlite3`` refuses it."""
    cursor = connection.execute("SELECT 1")

    def values() -> Iterator[tuple[str]]:
        yield ("x",)
        cursor.execute("SELECT 1")

    with pytest.raises(dbapi2.ProgrammingError, match="Recursive use"):
        cursor.executemany("INSERT INTO t (b) VALUES (?)", values())


def test_keyboard_interrupt_in_a_function(connection: dbapi2.Connection) -> None:
    """Ctrl-C is not swallowed; the statement's changes are undone, the connection goes on."""

    def f(id: int) -> int:
        if id == 3:
            raise KeyboardInterrupt
        return id

    connection.create_function("f", 1, f)
    cursor = connection.cursor()
    for sql in ("SELECT f(id) FROM t", "UPDATE t SET b = f(id)", "DELETE FROM t WHERE f(id) RETURNING id"):
        with pytest.raises((KeyboardInterrupt, dbapi2.OperationalError)):
            cursor.execute(sql).fetchall()
        assert cursor.fetchall() == []
        assert connection.execute("SELECT group_concat(b, '') FROM t").fetchone() == ("abcde",)
    connection.rollback()
    connection.execute("DROP TABLE t")


@pytest.mark.parametrize("hook", ["row_factory", "text_factory"])
def test_keyboard_interrupt_in_a_factory(connection: dbapi2.Connection, hook: str) -> None:
    """It reaches the caller, and the cursor can be used again."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    setattr(connection, hook, interrupt)
    cursor = connection.cursor()
    with pytest.raises(KeyboardInterrupt):
        cursor.execute("SELECT b FROM t").fetchone()
    cursor.row_factory, connection.text_factory = None, str
    assert cursor.execute("SELECT b FROM t WHERE id = 1").fetchall() == [("a",)]


@pytest.mark.parametrize("read", ["fetchone", "fetchall", "fetchmany", "__next__"])
def test_what_a_row_factory_raises(connection: dbapi2.Connection, read: str) -> None:
    """It reaches the caller, and the query is over: it holds nothing."""

    def made(*_: Any) -> None:
        raise Boom

    cursor = connection.execute("SELECT id FROM t")
    cursor.row_factory = made
    with pytest.raises(Boom):
        getattr(cursor, read)()
    del cursor
    connection.execute("DROP TABLE t")
