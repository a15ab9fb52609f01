"""Lazy clones of repositories: pages come when they are read, and what is here works without a network."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from clusterdb.remote import Remote
from tests.support.dbhash import dbhash
from tests.support.inside import catalog_of, pages_of, pinned_head
from tests.support.mishaps import assert_accounted, boot_again
from tests.support.stores import assert_clean
from vfs.abc import Durability
from vfs.storage.volumes import open_volume
from vfs.storage.walk import reached

ROWS = 20_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A repository with the database ``prod``."""
    url = f"file://{tmp_path}/repository"
    with clusterdb.open(":memory:") as store:
        prod = store.create_cluster("prod")
        with closing(prod.connect()) as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body); CREATE TABLE zeros (v)")
            connection.execute(
                f"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {ROWS}) "
                "INSERT INTO t SELECT x, hex(randomblob(100)) FROM n"
            )
            connection.execute("INSERT INTO zeros VALUES (zeroblob(20000))")
        prod.push(url)
    return url


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The path of a store on disk, which is sound in the end."""
    path = tmp_path / "store"
    yield path
    assert_accounted(path)


def pool_bytes(path: Path) -> int:
    return (path / "pool").stat().st_blocks * 512


def whole(url: str) -> str:
    """The hash of the database in the repository."""
    with clusterdb.open(":memory:") as store, closing(store.clone(f"{url}/prod", "x").connect()) as connection:
        return dbhash(connection)


def hash_of(cluster: clusterdb.Cluster) -> str:
    with closing(cluster.connect()) as connection:
        return dbhash(connection)


def test_point_query_fetches_few_pages(url: str, path: Path) -> None:
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")
        before = pool_bytes(path)
        with closing(dev.connect()) as connection:
            assert connection.execute("SELECT length(body) FROM t WHERE id = 777").fetchall() == [(200,)]
        assert pool_bytes(path) - before < 64 << 10
        assert hash_of(dev) == whole(url)
        assert pool_bytes(path) > ROWS * 200


def test_clones_of_lazy_clones_share_what_is_fetched(url: str, path: Path) -> None:
    """Writes change only one of them; both outlive their source."""
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")
        clone = dev.clone("clone")
        with closing(clone.connect()) as connection:
            connection.execute("UPDATE t SET body = 'mine' WHERE id < 21")
        size = pool_bytes(path)
        with closing(dev.connect()) as connection:
            assert connection.execute("SELECT count(*) FROM t WHERE body = 'mine' AND id < 21").fetchall() == [(0,)]
        assert pool_bytes(path) == size
        expected = hash_of(dev)
        dev.delete()
        with closing(clone.connect()) as connection:
            assert connection.execute("SELECT count(*) FROM t WHERE body = 'mine'").fetchall() == [(20,)]
        again = store.clone(f"{url}/prod", "again")
        assert hash_of(again) == expected == whole(url)
        for cluster in store.clusters():
            cluster.delete()
        assert_clean(store)


def test_slots_that_had_absent_pages_are_reused(url: str, path: Path) -> None:
    """A page of zeros in such a slot stays one."""
    with clusterdb.open(path) as store:
        store.clone(f"{url}/prod", "gone").delete()
        own = store.create_cluster("own", backup_retention_days=0)
        with closing(own.connect()) as connection:
            connection.execute("CREATE TABLE zeros (v); INSERT INTO zeros VALUES (zeroblob(3000000))")
            assert connection.execute("SELECT v = zeroblob(3000000) FROM zeros").fetchall() == [(1,)]
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert_clean(store)


def test_other_processes_fetch_too(url: str, path: Path) -> None:
    """One that opens the store later, and one that had it open before."""
    program = (
        "import sys, clusterdb\n"
        "with clusterdb.open(sys.argv[1]) as store:\n"
        "    print('open', flush=True); sys.stdin.readline()\n"
        "    print(store.cluster('dev').connect().execute('SELECT count(*), count(DISTINCT body) FROM t').fetchall())\n"
    )
    with (
        clusterdb.open(path) as store,
        subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
    ):
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        store.clone(f"{url}/prod", "dev")
        output, _ = other.communicate("go\n", timeout=60)
        assert output == f"[({ROWS}, {ROWS})]\n"
    with clusterdb.open(path) as store:
        assert hash_of(store.cluster("dev")) == whole(url)


def test_without_a_network_what_is_here_works(url: str, path: Path, tmp_path: Path) -> None:
    """Reads of fetched pages and commits go on; a missing page is an error that names the place."""
    repository, away = tmp_path / "repository", tmp_path / "away"
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")
        with closing(dev.connect()) as connection:
            connection.execute("SELECT body FROM t WHERE id = 5").fetchall()
            repository.rename(away)
            connection.execute("UPDATE t SET body = 'mine' WHERE id = 5")
            assert connection.execute("SELECT body FROM t WHERE id = 5").fetchall() == [("mine",)]
            with pytest.raises(apsw.IOError, match="a page is on object storage: "):
                connection.execute("SELECT count(body) FROM t").fetchall()
            away.rename(repository)
            assert connection.execute("SELECT count(body) FROM t").fetchall() == [(ROWS,)]


def test_fetch_takes_everything(url: str, path: Path, tmp_path: Path) -> None:
    """Then nothing needs the network; a second time nothing is fetched."""
    expected = whole(url)
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")
        repository, away = tmp_path / "repository", tmp_path / "away"
        repository.rename(away)
        with pytest.raises(clusterdb.RemoteNotFoundError, match=r"has expired there|is no repository"):
            dev.fetch()
        away.rename(repository)
        assert dev.fetch() > 0
        repository.rename(away)
        assert dev.fetch() == 0
        assert hash_of(dev) == expected
        own = store.create_cluster("own")
        assert own.fetch() == 0


def test_collection_spares_what_a_lazy_clone_needs(url: str, path: Path) -> None:
    """A pin keeps its state, though the database has changed and every state has expired."""
    from datetime import timedelta

    expected = whole(url)
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")
        with clusterdb.open(":memory:") as other:
            prod = other.clone(f"{url}/prod", "prod")
            with closing(prod.connect()) as connection:
                connection.execute("DELETE FROM t; VACUUM")
            prod.push(url)
        Remote(url).collect(timedelta(0))
        assert hash_of(dev) == expected


@pytest.mark.parametrize("kept", [0, 100, 2048])
def test_fetched_pages_that_did_not_reach_the_device_are_fetched_again(url: str, path: Path, kept: int) -> None:
    """A power failure leaves a part of a page that was fetched; what others wrote to reused slots stays."""
    with clusterdb.open(path) as store:
        store.clone(f"{url}/prod", "gone").delete()
        dev = store.clone(f"{url}/prod", "dev")
        with closing(dev.connect()) as connection:
            connection.execute("SELECT count(body) FROM t").fetchall()
            connection.execute("UPDATE t SET body = 'mine' WHERE id < 500")
            expected = connection.execute("SELECT id, body FROM t").fetchall()
        with pinned_head(store, "dev") as volume:
            reached_slots = [at.entry for at in reached(pages_of(store).read_slot, volume.version) if at.level < 0]
        old = [entry.slot for entry in reached_slots if entry.birth < volume.version.version]
    with (path / "pool").open("r+b") as pool:
        for slot in old[::3]:
            pool.seek(slot * 4096 + kept)
            pool.write(bytes(4096 - kept))
    boot_again(path)
    with clusterdb.open(path) as store:
        assert store.check().problems == []
        with closing(store.cluster("dev").connect()) as connection:
            assert connection.execute("SELECT id, body FROM t").fetchall() == expected
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_new_clone_does_not_rely_on_a_pin_that_has_expired(
    url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a state that was cloned long ago, it has a pin of its own."""
    with clusterdb.open(path) as store:
        store.clone(f"{url}/prod", "old")
        store.clone(f"{url}/prod", "beside")
        repository = Remote(url).repository
        assert len(repository.objects.list("pin")) == 1
        later_ns = time.time_ns() + 40 * 86_400 * 10**9
        monkeypatch.setattr("clusterdb.remote.places.time_ns", lambda: later_ns)
        store.clone(f"{url}/prod", "new")
        assert repository.pinned(later_ns) == {1}


def test_volume_with_holes_is_cloned_lazily(tmp_path: Path, path: Path) -> None:
    """Its leaves name no page in many places, at their ends and between."""
    url = f"file://{tmp_path}/sparse"
    pages = [0, 1, 5, 255, 256, 300, 70_000, 70_001]

    def content(page: int) -> bytes:
        return (page + 1).to_bytes(4, "big") * 1024 if page != 5 else bytes(4096)

    with clusterdb.open(":memory:") as here, clusterdb.open(path) as there:
        prod = here.create_cluster("prod")
        row = catalog_of(here).volumes.volume_of_cluster("prod")
        assert row is not None
        with closing(open_volume(pages_of(here), row)) as volume:
            volume.pin()
            transaction = volume.begin_write()
            for page in pages:
                transaction.write(content(page), page << 12)
            transaction.publish(Durability.FULL)
            transaction.end()
        prod.push(url)
        for copy_type in ("copy-on-write", "full-copy"):
            there.clone(f"{url}/prod", copy_type, copy_type=copy_type)
            with pinned_head(there, copy_type) as volume:
                assert volume.size_bytes == 70_002 << 12
                for page in (*pages, 2, 254, 257, 65_536, 69_999):
                    wanted = content(page) if page in pages else bytes(4096)
                    assert bytes(volume.read(4096, page << 12)) == wanted, page
            there.cluster(copy_type).delete()
        assert_clean(there)


def test_clone_that_fails_leaves_nothing(url: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk when it is nearly complete."""

    def fail(fd: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    with clusterdb.open(path) as store:
        with monkeypatch.context() as patch:
            patch.setattr("clusterdb.remote.absent.os.pwrite", fail)
            with pytest.raises(clusterdb.StoreFullError, match="the file 'remote' cannot grow: No space left"):
                store.clone(f"{url}/prod", "dev")
        assert store.clusters() == []
        assert_clean(store)
        size = (path / "pool").stat().st_size
        dev = store.clone(f"{url}/prod", "dev")
        assert (path / "pool").stat().st_size <= size + (1 << 20)
        assert hash_of(dev) == whole(url)
