"""Bad input: one line that states what happened, where, and what to do; nothing half done, here or there."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

import clusterdb
from clusterdb.errors import RemoteConflictError, RemoteDamagedError, RemoteFormatError, RemoteNotFoundError
from clusterdb.remote import Remote
from clusterdb.remote.manifest import Manifest, Segments
from clusterdb.remote.repository import TOMBSTONE, Repository, manifest_path
from tests.remote.engines import Memory, Reply, answering, objects_on
from tests.support.command_line import Shell
from tests.support.mishaps import assert_accounted
from vfs.storage import device

NOT_THERE = (404, "NoSuchKey", "The specified key does not exist.")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setattr("clusterdb.remote.objects._PATIENCE_S", 1)


def no_bucket(method: str, path: str) -> tuple[int, str, str]:
    return 404, "NoSuchBucket", "The specified bucket does not exist"


def foreign(method: str, path: str) -> tuple[int, str, str]:
    return 403, "AccessDenied", "Access Denied"


def skewed(method: str, path: str) -> tuple[int, str, str]:
    return 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."


def unconditional(method: str, path: str) -> tuple[int, str, str]:
    return NOT_THERE if method == "GET" else (501, "NotImplemented", "A header that you provided is not implemented")


def racing(method: str, path: str) -> tuple[int, str, str]:
    return NOT_THERE if method == "GET" else (409, "ConditionalRequestConflict", "try again")


EVERY = (["push", "prod"], ["clone"], ["ls"], ["sql"], ["remote", "check"], ["remote", "gc"])


@pytest.mark.parametrize(
    ("reply", "message", "verbs"),
    [
        (no_bucket, r"cannot \w+ '\w+' in s3://bucket/path: there is no such bucket: create it first", EVERY),
        (foreign, r"cannot \w+ '\w+' in s3://bucket/path: the credentials do not allow it, .*: set those of", EVERY),
        (skewed, r"cannot \w+ '\w+' in s3://bucket/path: the clock of this machine is off: set it", EVERY),
        (unconditional, r"cannot write 'probe/.*' in s3://bucket/path: .* \(If-None-Match\), so .*: use", EVERY[:1]),
        (
            racing,
            r"cannot write 'probe/.*' in s3://bucket/path: the engine reports a conflict, .*: try again",
            EVERY[:1],
        ),
    ],
)
def test_service_that_refuses_is_one_line(shell: Shell, reply: Reply, message: str, verbs: Sequence[list[str]]) -> None:
    before = shell("ls", "--json")
    with answering(reply) as endpoint:
        for verb in verbs:
            name = "/prod" if verb[0] in ("clone", "sql") else ""
            rest = {"clone": ["x"], "sql": ["SELECT 1"]}.get(verb[0], [])
            result = shell.tried(*verb, f"s3://bucket/path{name}?endpoint={endpoint}", *rest)
            assert result.exit_code == 1
            assert re.fullmatch(f"{message}.*", str(result.exception)), (verb, result.exception)
    assert shell("ls", "--json") == before


def test_credentials_that_are_missing_are_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library then asks a host that only machines in a cloud have."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = shell.tried("push", "prod", "s3://bucket/path?metadata_endpoint=http://127.0.0.1:9")
    assert re.fullmatch(
        r"cannot read 'format' in s3://bucket/path: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.*",
        str(result.exception),
    )


def test_repository_of_a_newer_release_is_neither_read_nor_written(shell: Shell, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/repository"
    shell("push", "prod", url)
    manifest = tmp_path / "repository" / manifest_path(1)
    manifest.write_bytes(manifest.read_bytes().replace(b"manifest 1 ", b"manifest 9 "))
    before = sorted((tmp_path / "repository").rglob("*"))
    shell("sql", "prod", "INSERT INTO t VALUES (2)")
    for arguments in (["push", "prod", url], ["clone", f"{url}/prod", "x"], ["ls", url], ["remote", "gc", url]):
        result = shell.tried(*arguments)
        assert isinstance(result.exception, RemoteFormatError)
        message = f"{url}/{manifest_path(1)} has format 9; this release reads format 1: upgrade clusterdb"
        assert str(result.exception) == message
    assert sorted((tmp_path / "repository").rglob("*")) == before


def test_state_that_has_expired_under_a_clone_is_named(tmp_path: Path) -> None:
    """A pin that nobody renewed: what is here can be read, and the error names what to do."""
    url = f"file://{tmp_path}/repository"
    with clusterdb.open(tmp_path / "store") as store:
        prod = store.create_cluster("prod")
        with closing(prod.connect()) as connection:
            connection.execute("CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(100000)), (randomblob(100000))")
        prod.push(url)
        store.clone(f"{url}/prod", "dev")
    Remote(url).repository.objects.put(manifest_path(1), TOMBSTONE)
    message = f"state 1 of {url}, from which pages are missing here, has expired there: clone the database again"
    with clusterdb.open(tmp_path / "store") as store:
        dev = store.cluster("dev")
        with pytest.raises(clusterdb.StoreUnreadableError, match=f"a page is on object storage: {re.escape(message)}$"):
            dev.connect()
        with pytest.raises(RemoteNotFoundError, match=re.escape(message)):
            dev.fetch()
        dev.delete()


@pytest.mark.parametrize("copy_type", ["copy-on-write", "full-copy"])
def test_state_that_expires_before_its_table_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy_type: str
) -> None:
    """A collection has deleted the table of its segments meanwhile: that is no damage."""
    url = f"file://{tmp_path}/repository"
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod").push(url)

        def gone(self: Repository, manifest: Manifest) -> Segments:
            self.objects.put(manifest_path(manifest.number), TOMBSTONE)
            raise RemoteDamagedError(f"{url}/table/0 is missing")

        monkeypatch.setattr(Repository, "segments", gone)
        with pytest.raises(RemoteNotFoundError, match="has expired meanwhile: copy a newer one"):
            store.clone(f"{url}/prod", "dev", copy_type=copy_type)
        assert [cluster.name for cluster in store.clusters()] == ["prod"]


def test_disk_that_is_full_during_a_fetch_leaves_no_wrong_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query and the fetch fail, and succeed when there is room again."""
    url, path = f"file://{tmp_path}/repository", tmp_path / "store"
    with clusterdb.open(":memory:") as other:
        prod = other.create_cluster("prod")
        with closing(prod.connect()) as connection:
            connection.execute("CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(300000))")
            expected = connection.execute("SELECT hex(a) FROM t").fetchall()
        prod.push(url)
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")

        def full(fd: int, buffers: Sequence[object], offset: int) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with closing(dev.connect()) as connection:
            monkeypatch.setattr(device.CALLS, "pwritev", full)
            with pytest.raises(apsw.FullError):
                connection.execute("SELECT hex(a) FROM t").fetchall()
            with pytest.raises(clusterdb.StoreFullError):
                dev.fetch()
            monkeypatch.undo()
            assert connection.execute("SELECT hex(a) FROM t").fetchall() == expected
    assert_accounted(path)


@pytest.mark.parametrize("hours", [-30, 30])
def test_collection_with_a_clock_that_is_off_deletes_what_is_old_on_the_storage(
    monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    """The clock here decides nothing."""
    remote = Remote("memory://off")
    remote.repository = Repository(objects_on(engine := Memory()))
    first = remote.repository.change(None, {})
    remote.repository.change(first, {})
    before = dict(engine.content)
    now_ns = time.time_ns()
    monkeypatch.setattr("clusterdb.remote.repository.time.time_ns", lambda: now_ns + int(hours * 3600 * 10**9))
    assert remote.collect(timedelta(hours=1)).state_count == 0
    assert engine.content == before
    engine.age(timedelta(hours=2))
    assert remote.collect(timedelta(hours=1)).state_count == 1
    assert engine.content[manifest_path(1)] == TOMBSTONE


def test_pin_of_a_slow_clock_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives from when the engine created it."""
    repository = Repository(objects_on(Memory()))
    now_ns, day_ns = time.time_ns(), 86_400 * 10**9
    monkeypatch.setattr("clusterdb.remote.repository.time.time_ns", lambda: now_ns - 90 * day_ns)
    repository.pin("a", 7, now_ns - 60 * day_ns)
    assert repository.pinned(now_ns + 29 * day_ns) == {7}
    assert repository.pinned(now_ns + 31 * day_ns) == set()


def test_engine_that_replaces_objects_is_refused_before_anything_is_sent(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading from it is not."""

    class Replacing(Memory):
        def create(self, path: str, data: bytes) -> bool:
            self.content[path] = data
            return True

    engine = Replacing()
    monkeypatch.setattr("clusterdb.remote.handle.open_objects", lambda url: objects_on(engine))
    result = shell.tried("push", "prod", "s3://bucket/path")
    assert isinstance(result.exception, RemoteConflictError)
    assert re.search(
        r"replaces objects that are created twice \(it ignores If-None-Match\), .*: use", str(result.exception)
    )
    assert engine.content == {}
    other = Memory()
    monkeypatch.setattr("clusterdb.remote.handle.open_objects", lambda url: objects_on(other))
    shell("push", "prod", "s3://bucket/path")
    engine.content.update(other.content)
    monkeypatch.setattr("clusterdb.remote.handle.open_objects", lambda url: objects_on(engine))
    shell("clone", "s3://bucket/path/prod", "dev", "--full-copy")
    assert shell("sql", "dev", "SELECT a FROM t", "--csv") == "a\n1\n"
