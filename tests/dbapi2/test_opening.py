"""connect(): names, stores, URIs, plain files and their modes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import count, fill


def test_name_is_a_cluster_of_the_default_store(default: Path) -> None:
    """``$CLUSTERDB_STORE`` says which store; what one connection commits, others of the same name see."""
    with clusterdb.open(default) as store:
        store.create_cluster("prod")
    with closing(dbapi2.connect("prod")) as first, closing(dbapi2.connect("prod")) as second:
        fill(first)
        assert count(second) == 5
        assert first.cluster is not None
        assert Path(first.cluster.store.path) == default


def test_create_adds_missing_store_and_cluster(default: Path) -> None:
    """``create=True`` and ``mode="rwc"`` make what is missing, and find what is there."""
    with closing(dbapi2.connect("prod", create=True)) as first:
        fill(first)
    with closing(dbapi2.connect("prod", mode="rwc")) as second:
        assert count(second) == 5


@pytest.mark.parametrize("mode", [None, "rw", "ro"])
def test_connect_without_create_creates_nothing(default: Path, mode: Any) -> None:
    """Without ``create`` a missing store is an error, and stays missing."""
    with pytest.raises(clusterdb.NotAStoreError, match="'prod'"):
        dbapi2.connect("prod", mode=mode)
    assert not default.exists()


def test_store_argument_is_a_store_or_a_path(disk_store: clusterdb.Store) -> None:
    """``store=`` takes an open store, a path as text and a Path."""
    disk_store.create_cluster("prod")
    with closing(dbapi2.connect("prod", store=disk_store)) as first:
        fill(first)
    for given in (disk_store.path, Path(disk_store.path)):
        with closing(dbapi2.connect("prod", store=given)) as second:
            assert count(second) == 5
            assert second.cluster is not None
            second.cluster.store.close()


def test_connect_takes_a_cluster_object(store: clusterdb.Store) -> None:
    """``connect()`` takes a Cluster."""
    cluster = store.create_cluster("prod")
    with closing(dbapi2.connect(cluster)) as connection:
        fill(connection)
        assert connection.cluster is cluster
    with closing(dbapi2.connect(cluster, mode="ro")) as connection:
        assert count(connection) == 5


@pytest.mark.parametrize("form", ["clusterdb:prod?store={}", "file:prod?store={}", "clusterdb:pr%6Fd?store={}&mode=rw"])
def test_uri_names_cluster_store_and_options(disk_store: clusterdb.Store, form: str) -> None:
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


def test_uri_options_override_arguments(disk_store: clusterdb.Store, tmp_path: Path) -> None:
    """Options in the URI override the arguments of connect()."""
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
def test_invalid_values_of_uri_options_are_refused(store: clusterdb.Store, uri: str) -> None:
    """The error is one of PEP 249."""
    store.create_cluster("other")
    with pytest.raises(clusterdb.InvalidArgumentError):
        dbapi2.connect(uri, store=store).close()


@pytest.mark.parametrize("database_of", [str, os.fsencode, Path], ids=["str", "bytes", "path"])
def test_path_opens_a_plain_sqlite_file(tmp_path: Path, database_of: Callable[[str], Any]) -> None:
    """A path is a plain SQLite file, which ``sqlite3`` reads; it is no cluster."""
    path = str(tmp_path / "plain.db")
    with closing(dbapi2.connect(database_of(path))) as connection:
        fill(connection)
        assert connection.cluster is None
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM t").fetchall() == [(5,)]


def test_bytes_and_path_objects_are_always_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and Path objects are files whatever they are called."""
    monkeypatch.chdir(tmp_path)
    names: list[bytes | Path] = [b"one", Path("two")]
    for at, name in enumerate(names):
        with closing(dbapi2.connect(name)) as connection:
            connection.execute("CREATE TABLE t (a)")
        assert Path(["one", "two"][at]).is_file()


def test_file_uri_with_a_mode_opens_plain_files(tmp_path: Path) -> None:
    """``file:`` URIs of paths are SQLite's own."""
    with pytest.raises(dbapi2.OperationalError) as caught:
        dbapi2.connect(f"file:{tmp_path}/missing.db?mode=ro", uri=True)
    assert caught.value.sqlite_errorname == "SQLITE_CANTOPEN"


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_modes_ro_and_rw_create_no_plain_file(tmp_path: Path, mode: Any) -> None:
    """``mode="ro"`` and ``"rw"`` make no file."""
    with pytest.raises(dbapi2.OperationalError):
        dbapi2.connect(tmp_path / "missing.db", mode=mode).close()


def test_clusterdb_uri_mode_applies_to_plain_files(tmp_path: Path) -> None:
    """The mode in a URI counts for a plain file too."""
    with pytest.raises(dbapi2.Error):
        dbapi2.connect(f"clusterdb:{tmp_path}/missing.db?mode=ro").close()


def test_plain_file_in_mode_ro_cannot_be_written(tmp_path: Path) -> None:
    """``mode="ro"`` reads what is there, and writes nothing."""
    with closing(dbapi2.connect(tmp_path / "plain.db")) as writer:
        writer.execute("CREATE TABLE t (a)")
    with closing(dbapi2.connect(tmp_path / "plain.db", mode="ro")) as connection:
        assert count(connection) == 0
        with pytest.raises(dbapi2.OperationalError, match="readonly"):
            connection.execute("DELETE FROM t")


@pytest.mark.parametrize("database", ["./plain.db", Path("plain.db"), ":memory:", "clusterdb:x?mode=memory"])
def test_endpoint_of_a_plain_file_or_anonymous_cluster_is_refused(
    database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        dbapi2.connect(target, mode="bogus").close()


def test_timeout_must_be_a_number() -> None:
    """As in ``sqlite3``."""
    with pytest.raises(TypeError):
        dbapi2.connect(":memory:", timeout="1").close()


def test_unknown_names_suggest_the_nearest(store: clusterdb.Store) -> None:
    """The error for a mistyped name suggests an existing one."""
    store.create_cluster("production")
    with pytest.raises(clusterdb.ClusterNotFoundError, match="did you mean 'production'"):
        dbapi2.connect("prodution", store=store)


@pytest.mark.parametrize("database", [5, None, 1.5, ["prod"]])
def test_invalid_database_type_is_a_type_error(database: Any) -> None:
    """Something that is neither a name nor a path is a TypeError, as in ``sqlite3``."""
    with pytest.raises(TypeError):
        dbapi2.connect(database)


@pytest.mark.parametrize("name", ["a\0b", "1st", "a b", "-", "ü"])
def test_invalid_cluster_name_suggests_a_path(store: clusterdb.Store, name: str) -> None:
    """The error says how a plain file would be written."""
    with pytest.raises(clusterdb.InvalidNameError, match="plain file"):
        dbapi2.connect(name, store=store)
