"""Bad input: its own error class with the name in it, one line, nothing changed."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb import dbapi2, errors
from clusterdb.dbapi2.codes import TABLES, Codes, with_codes
from tests.support.stores import rows
from vfs.format import layout

ROOT = Path(__file__).parents[2]
BAD_NAMES = ["", "9lives", "-x", "a b", "_a", "a@b", "a.b", "a/b", "ä", "x" * 64, "prod\n", "naïve"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_illegal_names_are_refused(store: clusterdb.Store, name: str) -> None:
    """A name that is none never gets into the catalog, by any door."""
    prod = store.create_cluster("prod")
    for attempt in (
        lambda: store.create_cluster(name),
        lambda: prod.clone(name),
        lambda: prod.rename(name),
        lambda: store.cluster(name),
    ):
        with pytest.raises(clusterdb.InvalidNameError) as caught:
            attempt()
        assert repr(name) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert [cluster.name for cluster in store.clusters()] == ["prod"]


@pytest.mark.parametrize("name", ["a", "Prod", "a-", "a--b", "test_site_gw0", "a_", "a__-b", "x" * 63])
def test_similar_names_stay_apart_by_every_way_of_creating(store: clusterdb.Store, name: str, tmp_path: Path) -> None:
    """Clusters with similar names stay apart, and so do those created from files, points in time and instances."""
    cluster = store.create_cluster(name)
    other = store.create_cluster("y" + name[1:].replace("_", "-"))
    for at, one in enumerate((cluster, other)):
        with clusterdb.connect(one) as connection:
            connection.execute("CREATE TABLE t (a)")
            connection.execute("INSERT INTO t VALUES (?)", (at,))
        connection.close()
    cluster.snapshot("before_it")
    connection = other.connect()
    connection.execute(f"ATTACH '{name}' AS o; UPDATE o.t SET a = 7")
    connection.close()
    again = store.restore_snapshot("before_it", "again_")
    for one, value in ((cluster, 7), (other, 1), (again, 0)):
        connection = one.connect()
        assert rows(connection, "SELECT a FROM t") == [(value,)]
        connection.close()
    cluster.export(tmp_path / name)
    assert sqlite3.connect(tmp_path / name).execute("SELECT a FROM t").fetchall() == [(7,)]
    cluster.add_instance("w_1")
    cluster.clone("c_1").rename("c__1")
    cluster.delete()
    assert {one.name for one in store.clusters()} == {other.name, "again_", "c__1"}


@pytest.mark.parametrize("name", ["a", "A", "x" * 63, "prod-2026", "a-", "prod-journal", "prod-wal"])
def test_legal_names_work(store: clusterdb.Store, name: str) -> None:
    """Every legal name can be created, opened and written to, also one that ends like a journal file's."""
    connection = store.create_cluster(name).connect()
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1, 1)")
    assert rows(connection, "SELECT x FROM t") == [(1,)]
    connection.close()


def test_taken_names_are_refused(store: clusterdb.Store, sample: Path) -> None:
    """Creating, cloning and renaming to a taken name changes nothing."""
    prod, other = store.create_cluster("prod"), store.create_cluster("other")
    before = store.stats()
    for attempt in (
        lambda: store.create_cluster("prod"),
        lambda: store.create_cluster("prod", from_file=sample),
        lambda: other.clone("prod"),
        lambda: other.rename("prod"),
    ):
        with pytest.raises(clusterdb.ClusterExistsError, match="'prod'"):
            attempt()
    assert store.stats() == before
    prod.rename("prod")


def test_unknown_names_suggest_the_nearest(store: clusterdb.Store) -> None:
    """A typing mistake is answered with what was meant."""
    store.create_cluster("staging")
    with pytest.raises(clusterdb.ClusterNotFoundError, match="'stagin'; did you mean 'staging'"):
        store.cluster("stagin")
    with pytest.raises(apsw.CantOpenError, match="did you mean 'staging'"):
        apsw.Connection("stagin", vfs=store.vfs)


def test_verbs_of_a_deleted_cluster_name_it(store: clusterdb.Store) -> None:
    """Every verb on a handle of a deleted cluster names it."""
    gone = store.create_cluster("gone")
    gone.delete()
    for attempt in (
        gone.connect,
        gone.stats,
        gone.delete,
        lambda: gone.clone("x"),
        lambda: gone.rename("x"),
        lambda: gone.export("x.db"),
    ):
        with pytest.raises(clusterdb.ClusterNotFoundError, match="'gone'"):
            attempt()
    assert store.clusters() == []


@pytest.mark.parametrize("page_size", [0, 256, 1000, 131072, -4096])
def test_page_sizes_that_sqlite_lacks_are_refused(store: clusterdb.Store, page_size: int) -> None:
    """SQLite knows powers of two from 512 to 65536."""
    with pytest.raises(clusterdb.InvalidArgumentError, match=str(page_size)):
        store.create_cluster("x", page_size=page_size)
    assert store.clusters() == []


def test_page_size_and_import_exclude_each_other(store: clusterdb.Store, sample: Path) -> None:
    """An import keeps the page size of its file."""
    with pytest.raises(clusterdb.InvalidArgumentError, match="page_size"):
        store.create_cluster("x", from_file=sample, page_size=8192)


def damaged(sample: Path, kind: str) -> Path:
    data = sample.read_bytes()
    bad = sample.with_name(f"{kind}.db")
    if kind == "text":
        bad.write_text("this is not a database, but long enough to look at " * 10)
    elif kind == "truncated":
        bad.write_bytes(data[: len(data) // 2])
    elif kind == "half-a-page":
        bad.write_bytes(data[:-100])
    elif kind == "scribbled":
        bad.write_bytes(data[:100] + b"\xff" * 3996 + data[4096:])
    elif kind == "folder":
        bad.mkdir()
    return bad  # "missing" is not made at all


@pytest.mark.parametrize("kind", ["text", "truncated", "half-a-page", "scribbled", "missing", "folder"])
def test_failed_import_leaves_no_cluster(store: clusterdb.Store, sample: Path, kind: str) -> None:
    """A file that is not a database, or damaged, is refused by name; the store is unchanged."""
    before = store.stats()
    bad = damaged(sample, kind)
    expected = (
        clusterdb.DatabaseDamagedError
        if kind in ("truncated", "half-a-page", "scribbled")
        else clusterdb.NotADatabaseError
    )
    with pytest.raises(expected, match=f"{kind}.db"):
        store.create_cluster("x", from_file=bad)
    assert store.clusters() == []
    assert store.stats().used_bytes == before.used_bytes


def test_interrupted_import_leaves_no_cluster(store: clusterdb.Store, sample: Path) -> None:
    """Ctrl-C in the progress callback undoes the import."""

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    before = store.stats()
    with pytest.raises(KeyboardInterrupt):
        store.create_cluster("x", from_file=sample, progress=interrupt)
    assert store.clusters() == []
    assert store.stats().used_bytes == before.used_bytes


def test_empty_file_is_imported_as_an_empty_database(store: clusterdb.Store, tmp_path: Path) -> None:
    """As in SQLite, a file of no bytes is an empty database."""
    (tmp_path / "empty.db").touch()
    connection = store.create_cluster("x", from_file=tmp_path / "empty.db").connect()
    assert rows(connection, "SELECT * FROM sqlite_schema") == []
    connection.close()


def test_export_overwrites_only_when_asked(store: clusterdb.Store, sample: Path, tmp_path: Path) -> None:
    """An existing file stays as it is; with overwrite it is replaced whole."""
    cluster = store.create_cluster("x", from_file=sample)
    target = tmp_path / "there.db"
    target.write_text("precious")
    with pytest.raises(clusterdb.ExportTargetError, match=r"there\.db"):
        cluster.export(target)
    assert target.read_text() == "precious"
    cluster.export(target, overwrite=True)
    assert rows(apsw.Connection(str(target)), "SELECT count(*) FROM t") == [(3000,)]
    with pytest.raises(clusterdb.ExportTargetError, match="nowhere"):
        cluster.export(tmp_path / "nowhere" / "x.db")
    assert sorted(path.name for path in tmp_path.glob("*partial*")) == []


# --- the store itself -------------------------------------------------------------------------------------------------
def test_paths_without_a_store_are_refused_and_unchanged(tmp_path: Path) -> None:
    """A file, a folder of other things, a missing folder: each says what it is, and is left alone."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("x")
    for name in ("file", "folder"):
        with pytest.raises(clusterdb.NotAStoreError, match=name):
            clusterdb.open(tmp_path / name)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["mine.txt"]
    with pytest.raises(clusterdb.NotAStoreError, match="missing"):
        clusterdb.open(tmp_path / "missing", create=False)
    assert not (tmp_path / "missing").exists()


def test_new_store_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """Other users cannot read a new store."""
    clusterdb.open(tmp_path / "s").close()
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    for file in (tmp_path / "s").glob("[!c]*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_store_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A store that a later release wrote is refused, by the pool's format and by the catalog's."""
    clusterdb.open(tmp_path / "pool").close()
    with open(tmp_path / "pool" / "pool", "r+b") as file:
        file.seek(8)
        file.write((layout.FORMAT + 1).to_bytes(4, "little"))
    with pytest.raises(clusterdb.StoreFormatError, match=f"format {layout.FORMAT + 1}"):
        clusterdb.open(tmp_path / "pool")
    clusterdb.open(tmp_path / "catalog").close()
    apsw.Connection(str(tmp_path / "catalog" / "catalog.db")).execute("PRAGMA user_version = 99")
    with pytest.raises(clusterdb.StoreFormatError, match="format 99"):
        clusterdb.open(tmp_path / "catalog")


def test_pool_and_catalog_of_different_stores_are_refused(tmp_path: Path) -> None:
    """A pool beside the catalog of another store, or without any, is refused before anything is written."""
    for name in ("a", "b"):
        with clusterdb.open(tmp_path / name) as store:
            store.create_cluster("x").connect().execute("CREATE TABLE t (x)")
    (tmp_path / "a" / "pool").write_bytes((tmp_path / "b" / "pool").read_bytes())
    with pytest.raises(clusterdb.CorruptStoreError, match="not of the same store"):
        clusterdb.open(tmp_path / "a")
    for file in (tmp_path / "b").glob("catalog.db*"):
        file.unlink()
    with pytest.raises(clusterdb.CorruptStoreError, match="catalog"):
        clusterdb.open(tmp_path / "b")


def test_catalog_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    """Garbage in catalog.db is named as such."""
    clusterdb.open(tmp_path / "s").close()
    (tmp_path / "s" / "catalog.db").write_bytes(b"garbage " * 1000)
    for journal in (tmp_path / "s").glob("catalog.db-*"):
        journal.unlink()
    with pytest.raises(clusterdb.CorruptStoreError, match=r"catalog\.db"):
        clusterdb.open(tmp_path / "s")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_directory_is_reported_as_missing_permission(tmp_path: Path) -> None:
    """Missing rights are said to be missing rights."""
    clusterdb.open(tmp_path / "s").close()
    (tmp_path / "s").chmod(0)
    try:
        with pytest.raises(clusterdb.StoreUnreadableError, match="Permission denied"):
            clusterdb.open(tmp_path / "s")
    finally:
        (tmp_path / "s").chmod(0o700)


def test_directory_that_cannot_be_created_gives_the_systems_reason() -> None:
    """Where no directory can be made, the system's reason is given."""
    with pytest.raises(clusterdb.StoreUnreadableError, match="/proc/nope"):
        clusterdb.open("/proc/nope/store")


def test_verbs_of_a_closed_store_are_refused(tmp_path: Path) -> None:
    """Every verb of a closed store and of its clusters is refused; closing again does no harm."""
    store = clusterdb.open(tmp_path / "s")
    cluster = store.create_cluster("x")
    store.close()
    store.close()
    for attempt in (store.clusters, store.stats, cluster.connect, cluster.stats, cluster.delete):
        with pytest.raises(clusterdb.ClosedError, match="closed"):
            attempt()


def test_close_is_refused_while_foreign_connections_are_open(tmp_path: Path) -> None:
    """Connections that the store did not make must be closed by who made them; then closing works."""
    store = clusterdb.open(tmp_path / "s")
    store.create_cluster("x")
    connection = apsw.Connection("x", vfs=store.vfs)
    with pytest.raises(clusterdb.StoreInUseError, match="connections to x"):
        store.close()
    connection.close()
    store.close()


@pytest.mark.parametrize("synchronous", ["EXTRA", "full", 2])
def test_unknown_synchronous_setting_is_refused(tmp_path: Path, synchronous: str) -> None:
    """The setting is one of three words."""
    with pytest.raises(clusterdb.InvalidArgumentError, match="synchronous"):
        clusterdb.open(tmp_path / "s", synchronous=synchronous)  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


def test_default_store_is_the_environment_variable_or_dot_clusterdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$CLUSTERDB_STORE, else ./.clusterdb."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLUSTERDB_STORE", raising=False)
    clusterdb.open().close()
    assert (tmp_path / ".clusterdb" / "pool").exists()
    monkeypatch.setenv("CLUSTERDB_STORE", str(tmp_path / "elsewhere"))
    clusterdb.open().close()
    assert (tmp_path / "elsewhere" / "pool").exists()


@pytest.mark.parametrize(
    ("mode", "text"), [(0o770, "mode 0770"), (0o702, "mode 0702"), (0o1777, "mode 1777"), (0o2775, "mode 2775")]
)
def test_store_that_others_can_write_to_is_refused(tmp_path: Path, mode: int, text: str) -> None:
    """The text says what to do; nothing is changed, and after that it opens."""
    path = tmp_path / "store"
    clusterdb.open(path).close()
    path.chmod(mode)
    choices: list[dict[str, Any]] = [{}, {"create": False}, {"read_only": True}]
    for options in choices:
        with pytest.raises(clusterdb.StoreUnsafeError, match="other users can write to the directory") as caught:
            clusterdb.open(path, **options)
        assert str(caught.value) == (
            f"other users can write to the directory of store '{path}' ({text}), and replace its files: run chmod go-w "
            f"'{path}'"
        )
    with pytest.raises(clusterdb.StoreUnsafeError):
        clusterdb.repair(path)
    assert path.stat().st_mode & 0o7777 == mode
    subprocess.run(["chmod", "go-w", str(path)], check=True)
    clusterdb.open(path).close()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o500 | 0o200])
def test_store_that_others_can_list_is_accepted(tmp_path: Path, mode: int) -> None:
    """Its files cannot be read by others all the same."""
    path = tmp_path / "store"
    clusterdb.open(path).close()
    path.chmod(mode)
    clusterdb.open(path).close()
    assert all(not file.stat().st_mode & 0o077 for file in path.iterdir())


def test_empty_directory_becomes_private(tmp_path: Path) -> None:
    """One that mkdir has made under a loose umask can become a store, and is its owner's alone then."""
    path = tmp_path / "store"
    path.mkdir()
    path.chmod(0o777)
    clusterdb.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o700


def test_store_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could replace its files at any time."""
    path = tmp_path / "store"
    clusterdb.open(path).close()
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        clusterdb.open(path).close()  # of root's there is nothing to fear
        os.chown(path, 12345, -1)
        owner = 12345
    with pytest.raises(clusterdb.StoreUnsafeError, match=rf"belongs to another user \(uid {owner}\)"):
        clusterdb.open(path)


# --- classes and codes ------------------------------------------------------------------------------------------------
ROWS: list[tuple[type[Exception], type[Exception], str | None]] = [
    (errors.BacktrackDisabledError, errors.OperationalError, "InvalidDBClusterStateFault"),
    (errors.ChangesetConflictError, errors.IntegrityError, None),
    (errors.CloneLimitError, errors.OperationalError, "DBClusterQuotaExceededFault"),
    (errors.ClosedError, errors.ProgrammingError, None),
    (errors.ClusterExistsError, errors.OperationalError, "DBClusterAlreadyExistsFault"),
    (errors.ClusterNotFoundError, errors.OperationalError, "DBClusterNotFoundFault"),
    (errors.ClusterStateError, errors.OperationalError, "InvalidDBClusterStateFault"),
    (errors.CorruptStoreError, errors.DatabaseError, None),
    (errors.DataError, errors.DataError, None),
    (errors.DatabaseDamagedError, errors.DatabaseError, None),
    (errors.DatabaseError, errors.DatabaseError, None),
    (errors.DeletionProtectedError, errors.OperationalError, "InvalidParameterCombination"),
    (errors.EndpointExistsError, errors.OperationalError, "DBClusterEndpointAlreadyExistsFault"),
    (errors.EndpointNotFoundError, errors.OperationalError, "DBClusterEndpointNotFoundFault"),
    (errors.Error, errors.Error, None),
    (errors.ExportTargetError, errors.OperationalError, None),
    (errors.ForkedStoreError, errors.ProgrammingError, None),
    (errors.ImportSourceError, errors.OperationalError, None),
    (errors.InstanceExistsError, errors.OperationalError, "DBInstanceAlreadyExists"),
    (errors.InstanceNotFoundError, errors.OperationalError, "DBInstanceNotFound"),
    (errors.InstanceRestartedError, errors.OperationalError, None),
    (errors.IntegrityError, errors.IntegrityError, None),
    (errors.InterfaceError, errors.InterfaceError, None),
    (errors.InternalError, errors.InternalError, None),
    (errors.InvalidArgumentError, errors.ProgrammingError, "InvalidParameterValue"),
    (errors.InvalidNameError, errors.ProgrammingError, "InvalidParameterValue"),
    (errors.InvalidRestoreTimeError, errors.OperationalError, "InvalidRestoreFault"),
    (errors.LimitExceededError, errors.OperationalError, None),
    (errors.NoReaderError, errors.OperationalError, "InvalidDBClusterStateFault"),
    (errors.NoSourceError, errors.OperationalError, "DBClusterNotFoundFault"),
    (errors.NotADatabaseError, errors.OperationalError, None),
    (errors.NotAStoreError, errors.OperationalError, None),
    (errors.NotAuthorizedError, errors.ProgrammingError, None),
    (errors.NotSupportedError, errors.NotSupportedError, None),
    (errors.OperationalError, errors.OperationalError, None),
    (errors.ProgrammingError, errors.ProgrammingError, None),
    (errors.SnapshotExistsError, errors.OperationalError, "DBClusterSnapshotAlreadyExistsFault"),
    (errors.SnapshotNotFoundError, errors.OperationalError, "DBClusterSnapshotNotFoundFault"),
    (errors.StoreBusyError, errors.OperationalError, None),
    (errors.StoreFailedError, errors.OperationalError, None),
    (errors.StoreFormatError, errors.OperationalError, None),
    (errors.StoreFullError, errors.OperationalError, "InsufficientStorageClusterCapacity"),
    (errors.StoreInUseError, errors.OperationalError, None),
    (errors.StoreReadOnlyError, errors.OperationalError, None),
    (errors.StoreUnreadableError, errors.OperationalError, None),
    (errors.StoreUnsafeError, errors.OperationalError, None),
    (errors.TooManyClustersError, errors.OperationalError, "DBClusterQuotaExceededFault"),
    (errors.TooManyConnectionsError, errors.OperationalError, None),
    (errors.TooManyReadersError, errors.OperationalError, "InstanceQuotaExceeded"),
    (errors.UnknownEngineError, errors.ProgrammingError, "InvalidParameterValue"),
    (errors.UnsupportedFileSystemError, errors.OperationalError, None),
    (errors.Warning, errors.Warning, None),
]
"""Each public class, the class of PEP 249 that it is, or is caught as, and the RDS API's code."""
AWS_CODE = re.compile(r"(?:Invalid\w+|DB\w+|InstanceQuotaExceeded|InsufficientStorageClusterCapacity)")


@pytest.mark.parametrize(("error", "base", "code"), ROWS, ids=lambda value: getattr(value, "__name__", None))
def test_class_has_its_base_and_code(error: type[Exception], base: type[Exception], code: str | None) -> None:
    pep_249 = [kind for kind in error.__mro__ if getattr(dbapi2, kind.__name__, None) is kind]
    assert pep_249[0] is base
    assert getattr(clusterdb, error.__name__) is error
    if issubclass(error, errors.Error):
        assert (error.aws_code, error.sqlstate, error.errno) == (code, None, None)
        assert code is None or AWS_CODE.fullmatch(code)
    else:
        assert error is errors.Warning and code is None


def test_every_public_class_has_a_row() -> None:
    """A class without a row fails here: add one, and its code if the RDS API has the error."""
    assert [error.__name__ for error, _, _ in ROWS] == sorted(errors.__all__)
    defined = {kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__}
    assert defined == {error for error, _, _ in ROWS}


def test_reference_shows_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reference/errors.md is generated from the classes and the tables of codes."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    error_tables = import_module("error_tables")
    tree = "\n".join(error_tables.error_tree())
    for error, _, code in ROWS:
        entry = tree.partition(f".. autoexception:: clusterdb.{error.__name__}\n")[2].partition("..")[0]
        assert entry, error
        assert ("aws_code" in entry) == (code is not None)
        assert code is None or f"``aws_code``: ``{code}``" in entry
    shown = [row[1:] for row in error_tables.code_rows()]
    for codes in (codes for table in TABLES.values() for codes in table.all()):
        assert any(codes.sqlstate in row and (codes.errno is None or str(codes.errno) in row) for row in shown)


# --- codes of other engines -------------------------------------------------------------------------------------------
TEXTS: dict[str, list[tuple[str, str, int | None]]] = {
    "aurora-postgresql": [
        ("no such table: t", "42P01", None),
        ('relation "nope" does not exist: ALTER TABLE nope RENAME TO z', "42P01", None),
        ("no such column: n", "42703", None),
        ('column "b" of relation "t" does not exist: ...', "42703", None),
        ("no such function: f", "42883", None),
        ('constraint "k" of relation "t" does not exist', "42704", None),
        ('type "mood" does not exist: DROP TYPE mood', "42704", None),
        ("table t already exists", "42P07", None),
        ('relation "s" already exists', "42P07", None),
        ('column "a" of relation "t" already exists: ...', "42701", None),
        ('constraint "k" for relation "t" already exists', "42710", None),
        ('multiple primary keys for table "t" are not allowed', "42P16", None),
        ("ambiguous column name: a", "42702", None),
        ('near "FORM": syntax error', "42601", None),
        ("table t has 1 columns but 2 values were supplied", "42601", None),
        ("2 values for 1 columns", "42601", None),
        ('column "id" of relation "t" is an identity column', "42601", None),
        ('column "id" of relation "t" is not an identity column', "55000", None),
        ('column "b" cannot be cast automatically to type INT', "42804", None),
        ('column "p.id" must appear in the GROUP BY clause or be used in an aggregate function', "42803", None),
        ('cannot insert a non-DEFAULT value into column "id"', "428C9", None),
        ("cannot drop table t because view v depends on it: drop that first", "2BP01", None),
        ("cannot truncate a table referenced in a foreign key constraint: c refers to p", "0A000", None),
        ('currval of sequence "s" is not yet defined in this session', "55000", None),
        ("START value (0) cannot be less than MINVALUE (1)", "22023", None),
        ("field position must not be zero", "22023", None),
        ("division by zero", "22012", None),
        ("integer out of range", "22003", None),
        ("numeric field overflow: 1000", "22003", None),
        ("date/time field value out of range: '2024-13-01'", "22008", None),
        ("invalid input syntax for type integer: 'abc'", "22P02", None),
        ("invalid regular expression '(': missing )", "2201B", None),
        ("LIKE pattern must not end with escape character", "22025", None),
        ("negative substring length not allowed", "22011", None),
        ("null values cannot be formatted as an SQL identifier", "22004", None),
        ("COPY t: missing data for column b: 1", "22P04", None),
        ("more than one row returned by a subquery used as an expression", "21000", None),
        ("null value in a serial column violates its not-null constraint", "23502", None),
        ("FOREIGN KEY constraint failed: rows of 'c' refer to no row of 'p'", "23503", None),
        ("string or blob too big", "54000", None),
        ("the statement is nested too deep: SELECT ((((", "54001", None),
        ("out of memory", "53200", None),
    ],
    "aurora-mysql": [
        ("no such table: t", "42S02", 1146),
        ("Unknown table 't'", "42S02", 1051),
        ("Unknown column 'n' in 'where clause': ...", "42S22", 1054),
        ("no such function: f", "42000", 1305),
        ("table t already exists", "42S01", 1050),
        ("Duplicate column name 'w'", "42S21", 1060),
        ("Duplicate key name 'k'", "42000", 1061),
        ('table "t" has more than one primary key', "42000", 1068),
        ("table t has 2 columns but 3 values were supplied", "21S01", 1136),
        ("FOREIGN KEY constraint failed: rows of 'c' refer to no row of 'p'", "23000", None),
        ("there can be only one auto column and it must be defined as a key", "42000", 1075),
        ("You can't delete all columns with ALTER TABLE: drop the table 't'", "42000", 1090),
        ("Can't DROP INDEX 'i'; check that it exists", "42000", 1091),
        ("Key 'i' doesn't exist in table 't'", "42000", 1176),
        ("Cannot drop column 'a': needed in a foreign key constraint", "HY000", 1828),
        ("Cannot drop table 'p' referenced by a foreign key constraint on table 'c'", "HY000", 3730),
        ("Invalid default value 'y': ...", "42000", 1067),
        ("Variable 'sql_mode' can't be set to the value of 'NULL'", "42000", 1231),
        ("Subquery returns more than 1 row", "21000", 1242),
        ("Failed to read auto-increment value from storage engine", "HY000", 1467),
        ("ambiguous column name: a", "23000", 1052),
        ('near "FORM": syntax error', "42000", 1064),
        ("Division by 0", "22012", 1365),
        ("BIGINT value is out of range", "22003", 1690),
        ("Out of range value for a YEAR: 3000", "22003", 1264),
        ("out of memory", "HY001", 1037),
    ],
}


@pytest.mark.parametrize(
    ("engine", "message", "sqlstate", "errno"),
    [(engine, *example) for engine, examples in TEXTS.items() for example in examples],
)
def test_message_has_its_codes(engine: str, message: str, sqlstate: str, errno: int | None) -> None:
    error = with_codes(errors.OperationalError(message), engine)
    assert isinstance(error, errors.Error)
    assert (error.sqlstate, error.errno) == (sqlstate, errno)


@pytest.mark.parametrize("engine", TABLES)
def test_every_text_of_the_table_has_an_example(engine: str) -> None:
    texts = TABLES[engine].texts
    used = {next(text for text in texts if re.match(text, message)) for message, _, _ in TEXTS[engine]}
    assert set(texts) - used == set()


@pytest.mark.parametrize(
    ("engine", "code", "codes"),
    [(engine, code, codes) for engine, table in TABLES.items() for code, codes in table.results.items()],
)
def test_result_code_has_its_codes(engine: str, code: int, codes: Codes) -> None:
    """By the extended code first, by the primary one for an extended code without a row."""
    for result, expected in ((code, codes), (code & 0xFF | 99 << 8, TABLES[engine].results.get(code & 0xFF))):
        error = errors.OperationalError("why")
        error.sqlite_errorcode = result
        with_codes(error, engine)
        assert (error.sqlstate, error.errno) == ((expected.sqlstate, expected.errno) if expected else (None, None))


@pytest.mark.parametrize(
    ("engine", "kind", "codes"),
    [(engine, kind, codes) for engine, table in TABLES.items() for kind, codes in table.classes.items()],
)
def test_error_class_has_its_codes(engine: str, kind: type[errors.Error], codes: Codes) -> None:
    derived = type("Derived", (kind,), {})
    for error in (kind("why"), derived("why")):
        with_codes(error, engine)
        assert (error.sqlstate, error.errno) == (codes.sqlstate, codes.errno)


@pytest.mark.parametrize("engine", TABLES)
def test_codes_have_their_form(engine: str) -> None:
    """PostgreSQL has no numbers."""
    for codes in TABLES[engine].all():
        assert re.fullmatch(r"[0-9A-Z]{5}", codes.sqlstate)
        assert codes.errno is None or (engine == "aurora-mysql" and 1000 <= codes.errno < 5000)


@pytest.mark.parametrize(
    ("engine", "sql", "sqlstate", "errno"),
    [
        ("sqlite", "INSERT INTO t VALUES (1, 1)", None, None),
        ("sqlite", "SELECT * FROM nowhere", None, None),
        ("aurora-mysql", "INSERT INTO t VALUES (1, 1)", "23000", 1062),
        ("aurora-mysql", "INSERT INTO t VALUES (2, NULL)", "23000", 1048),
        ("aurora-mysql", "SELECT * FROM nowhere", "42S02", 1146),
        ("aurora-mysql", "SELECT missing FROM t", "42S22", 1054),
        ("aurora-mysql", "CREATE PROCEDURE p() SELECT 1", "42000", 1235),
        ("aurora-mysql", "ALTER TABLE t DROP INDEX missing", "42000", 1091),
        ("aurora-postgresql", "INSERT INTO t VALUES (1, 1)", "23505", None),
        ("aurora-postgresql", "INSERT INTO t VALUES (2, NULL)", "23502", None),
        ("aurora-postgresql", "SELECT * FROM nowhere", "42P01", None),
        ("aurora-postgresql", "SELECT 1 / 0", "22012", None),
        ("aurora-postgresql", "LISTEN channel", "0A000", None),
        ("aurora-postgresql", "ALTER TABLE t DROP COLUMN missing", "42703", None),
    ],
)
def test_statement_raises_with_codes(
    store: clusterdb.Store, engine: str, sql: str, sqlstate: str | None, errno: int | None
) -> None:
    """When it is translated, prepared, executed, and read."""
    with closing(clusterdb.connect(store.create_cluster("c", engine=engine))) as connection:
        connection.execute("CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL)")
        connection.execute("INSERT INTO t VALUES (1, 1)")
        with pytest.raises(clusterdb.Error) as caught:
            connection.execute(sql).fetchall()
        assert (caught.value.sqlstate, caught.value.errno) == (sqlstate, errno)


def test_commit_raises_with_codes(store: clusterdb.Store) -> None:
    """A deferred foreign key is checked by COMMIT."""
    with closing(clusterdb.connect(store.create_cluster("c", engine="aurora-postgresql"))) as connection:
        connection.execute("CREATE TABLE p (id INT PRIMARY KEY)")
        connection.execute("CREATE TABLE c (p INT REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
        connection.execute("INSERT INTO c VALUES (7)")
        with pytest.raises(clusterdb.IntegrityError) as caught:
            connection.commit()
        assert caught.value.sqlstate == "23503"
