"""Repositories that are opened as stores: read page by page, never written, and nothing left behind."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from clusterdb.errors import RemoteNotFoundError, StoreReadOnlyError
from clusterdb.remote import Remote
from clusterdb.remote.repository import Repository
from tests.support.command_line import Shell
from tests.support.dbhash import dbhash


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which is empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def filled(here: clusterdb.Store, url: str) -> str:
    """A repository with the databases ``prod`` and ``small``; its URL."""
    with closing(here.cluster("prod").connect()) as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, body);"
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) "
            "INSERT INTO t SELECT x, hex(randomblob(100)) FROM n"
        )
    here.create_cluster("small", engine="aurora-postgresql")
    for name in ("prod", "small"):
        here.cluster(name).push(url)
    return url


def pins(url: str) -> int:
    return len(Remote(url).repository.objects.list("pin"))


def at(url: str, name: str) -> str:
    place, mark, settings = url.partition("?")
    return f"{place}/{name}{mark}{settings}"


def test_databases_are_clusters_that_are_read_lazily(filled: str, here: clusterdb.Store) -> None:
    with clusterdb.open(filled) as store:
        assert (store.path, store.read_only) == (filled, True)
        assert [(cluster.name, cluster.settings.engine) for cluster in store.clusters()] == [
            ("prod", "sqlite"),
            ("small", "aurora-postgresql"),
        ]
        before = store.stats().pool_bytes
        prod = store.cluster("prod")
        with closing(prod.connect()) as connection:
            assert connection.execute("SELECT length(body) FROM t WHERE id = 777").fetchall() == [(200,)]
            assert store.stats().pool_bytes - before < 100_000
            with closing(here.cluster("prod").connect()) as original:
                assert dbhash(connection) == dbhash(original)
        assert pins(filled) == 1
        Remote(filled).repository.objects.list("pin")
    assert pins(filled) == 0


def test_state_stays_while_the_repository_changes(filled: str, here: clusterdb.Store) -> None:
    """Pushes and collections do not disturb a reader."""
    from datetime import timedelta

    with clusterdb.open(filled) as store:
        prod = here.cluster("prod")
        with closing(prod.connect()) as connection:
            connection.execute("DELETE FROM t; VACUUM")
        prod.push(filled)
        Remote(filled).collect(timedelta(0))
        with closing(store.cluster("prod").connect()) as connection:
            assert connection.execute("SELECT count(body) FROM t").fetchall() == [(20_000,)]
    with clusterdb.open(filled) as store, closing(store.cluster("prod").connect()) as connection:
        assert connection.execute("SELECT count(body) FROM t").fetchall() == [(0,)]


def test_nothing_can_be_written(filled: str) -> None:
    """Neither by SQL, nor by verbs, nor through an attached database."""
    with clusterdb.open(filled) as store:
        prod = store.cluster("prod")
        with closing(prod.connect()) as connection:
            connection.execute("ATTACH 'small' AS other")
            for sql in ("DELETE FROM t", "CREATE TABLE x (a)", "CREATE TABLE other.x (a)", "PRAGMA user_version = 3"):
                with pytest.raises(apsw.ReadOnlyError):
                    connection.execute(sql)
        for verb in (
            lambda: store.create_cluster("x"),
            lambda: prod.clone("x"),
            lambda: prod.delete(),
            lambda: prod.modify(ttl_s=5),
            lambda: prod.snapshot("x"),
            lambda: store.clone(at(filled, "prod"), "x"),
        ):
            with pytest.raises(
                StoreReadOnlyError, match="is a repository, which is open read-only: clone the database"
            ):
                verb()
        with (
            closing(clusterdb.connect(prod)) as connection,
            pytest.raises(clusterdb.OperationalError, match="readonly"),
        ):
            connection.execute("DELETE FROM t")
        assert len(store.clusters()) == 2


def test_place_without_a_repository_is_an_error(url: str) -> None:
    with pytest.raises(RemoteNotFoundError):
        clusterdb.open(url)


def test_repository_that_cannot_be_written_is_read(
    filled: str, monkeypatch: pytest.MonkeyPatch, here: clusterdb.Store
) -> None:
    """Without a pin, for as long as collections spare its state."""

    def refuse(*arguments: object) -> None:
        raise clusterdb.RemoteError("the credentials do not allow it")

    monkeypatch.setattr("clusterdb.remote.repository.Repository.pin", refuse)
    with clusterdb.open(filled) as store, closing(store.cluster("prod").connect()) as connection:
        assert connection.execute("SELECT count(body) FROM t").fetchall() == [(20_000,)]
        assert pins(filled) == 0


def test_pin_is_renewed_while_pages_are_read(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Remote(filled).repository
    with clusterdb.open(filled) as store, closing(store.cluster("prod").connect()) as connection:
        (pin,) = repository.pins()
        connection.execute("SELECT body FROM t WHERE id = 1").fetchall()
        assert repository.pins() == [pin]
        monkeypatch.setattr("clusterdb.remote.visiting.time_ns", lambda: pin.until_ns)
        connection.execute("SELECT count(body) FROM t").fetchall()
        assert max(other.until_ns for other in repository.pins()) > pin.until_ns
    assert repository.pins() == []


def test_state_that_expires_before_it_is_pinned_is_named(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection has moved the oldest state meanwhile: it may not see the pin."""
    repository = Remote(filled).repository
    pin = Repository.pin

    def late(self: Repository, name: str, number: int, until_ns: int) -> None:
        newest = repository.require_newest()
        repository.change(newest, newest.refs, oldest=newest.number + 1)
        pin(self, name, number, until_ns)

    monkeypatch.setattr(Repository, "pin", late)
    with pytest.raises(clusterdb.RemoteNotFoundError, match=r"state 2 of .* has expired: try again"):
        clusterdb.open(filled)
    assert repository.pins() == []


def test_store_that_is_not_closed_is_deleted_with_its_process(tmp_path: Path, temporary: Path) -> None:
    """At its end, and if it is killed by the next that opens a repository."""
    url = f"file://{tmp_path}/repository"
    with clusterdb.open(":memory:") as store:
        store.create_cluster("prod").push(url)
    program = "import sys, os, clusterdb; store = clusterdb.open(sys.argv[1]); os.fork() or sys.exit(); os.wait()"
    subprocess.run([sys.executable, "-c", program, url], check=True)
    assert list(temporary.iterdir()) == [] and pins(url) == 0
    subprocess.run([sys.executable, "-c", f"{program}; os.kill(os.getpid(), 9)", url], check=False)
    assert len(list(temporary.iterdir())) == 1
    with clusterdb.open(url):
        assert len(list(temporary.iterdir())) == 1


def test_commands_read_repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"file://{tmp_path}/repository"
    shell = Shell(tmp_path / "store")
    shell("create", "prod")
    shell("sql", "prod", "CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    shell("push", "prod", url, "--quiet")
    shell("sql", "prod", "INSERT INTO t VALUES (2)")
    shell("push", "prod", url, "--quiet")
    there = Shell(url)
    assert [line.split()[0] for line in there("ls").splitlines()[2:]] == ["prod"]
    assert there("sql", "prod", "SELECT count(*) AS n FROM t", "--csv") == "n\n2\n"
    assert there("shell", "prod", "-c", "SELECT count(*) FROM t", "--mode", "list") == "2\n"
    assert there("show", "prod", "--json")
    assert shell("sql", f"{url}/prod@3", "SELECT count(*) AS n FROM t", "--csv") == "n\n1\n"
    for command in (["--store", url, "sql", "prod"], ["sql", f"{url}/prod"]):
        result = shell.tried(*command, "DELETE FROM t")
        assert result.exit_code == 1
        assert str(result.exception).startswith(f"'{url}' is a repository, which is open read-only: clone the database")
    result = there.tried("shell", "prod", "-c", "DELETE FROM t")
    assert f"'{url}' is a repository, which is open read-only: clone the database" in result.stderr
    result = there.tried("create", "x")
    assert str(result.exception).startswith(f"'{url}' is a repository, which is open read-only: clone the database")
    assert "name a directory with --store" in there.tried("bench").output
    monkeypatch.setenv("CLUSTERDB_STORE", url)
    with clusterdb.open() as store:
        assert [cluster.name for cluster in store.clusters()] == ["prod"]
    assert pins(url) == 0
    assert os.environ["CLUSTERDB_STORE"] == url


def test_new_folder_is_not_taken_for_one_that_was_left_behind(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may look for such folders between the creation of one and its lock."""
    flock, lockers = fcntl.flock, list[int]()

    def lock_late(fd: int, operation: int) -> None:
        lockers.append(fd)
        if len(lockers) == 1:
            clusterdb.open(filled).close()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with clusterdb.open(filled) as store, closing(store.cluster("prod").connect()) as connection:
        assert connection.execute("SELECT count(*) FROM t").get
    assert len(lockers) > 3
