"""Lazy clones of repositories: pages come when they are read, and what is here works without a network."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from clusterdb.remote import Remote
from clusterdb.remote.absent import AbsentPages
from clusterdb.remote.repository import Slots
from tests.support.dbhash import dbhash, hash_of
from tests.support.inside import catalog_of, pages_of, pinned_head
from tests.support.mishaps import boot_again
from tests.support.stores import assert_clean, pool_bytes
from vfs import failpoints
from vfs.abc import Durability
from vfs.errors import PoolFullError
from vfs.storage.pool import Pool
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


def whole(url: str) -> str:
    """The hash of the database in the repository."""
    with clusterdb.open(":memory:") as store, closing(store.clone(f"{url}/prod", "x").connect()) as connection:
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


def test_absent_pages_survive_a_boot(url: str, path: Path) -> None:
    """Of a clone that has read nothing, and of one that has written; nothing is fetched to recover them."""
    with clusterdb.open(path) as store:
        store.clone(f"{url}/prod", "idle")
        with closing(store.clone(f"{url}/prod", "busy").connect()) as connection:
            connection.execute("UPDATE t SET body = 'mine' WHERE id = 5")
    boot_again(path)
    size = pool_bytes(path)
    with clusterdb.open(path) as store:
        assert pool_bytes(path) - size < 64 << 10
        assert hash_of(store.cluster("idle")) == whole(url)
        with closing(store.cluster("busy").connect()) as connection:
            assert connection.execute("SELECT body FROM t WHERE id = 5").fetchall() == [("mine",)]
            assert connection.execute("SELECT count(body) FROM t").fetchall() == [(ROWS,)]
        assert_clean(store)


def test_store_with_a_torn_page_is_read_only_but_for_that_page(url: str, path: Path) -> None:
    """Until it was opened once to write: the rest of the page has to be fetched."""
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")
        expected = hash_of(dev)
        with pinned_head(store, "dev") as volume:
            slots = [at.entry.slot for at in reached(pages_of(store).read_slot, volume.version) if at.level < 0]
    with (path / "pool").open("r+b") as pool:
        pool.seek(slots[7] * 4096 + 512)
        pool.write(bytes(4096 - 512))
    boot_again(path)
    with (
        clusterdb.open(path, read_only=True) as store,
        closing(store.cluster("dev").connect()) as connection,
        pytest.raises(apsw.CorruptError, match=rf"\(slot {slots[7]}\) .* fails its checksum"),
    ):
        connection.execute("SELECT count(body) FROM t").fetchall()
    with clusterdb.open(path) as store:
        assert hash_of(store.cluster("dev")) == expected


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


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize("reads", ["SELECT 1", "SELECT count(body) FROM t WHERE id < 1000"])
def test_boot_loses_no_clone(url: str, path: Path, reads: str, is_killed: bool) -> None:
    """Of which nothing, or some, was read, and nothing written; recovery fetches nothing."""
    program = (
        "import sys, os, clusterdb\n"
        "store = clusterdb.open(sys.argv[1])\n"
        "dev = store.clone(sys.argv[2], 'dev')\n"
        "dev.connect().execute(sys.argv[3]).fetchall()\n"
        "store.close() if sys.argv[4] == 'False' else os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path), f"{url}/prod", reads, str(is_killed)], check=True)
    boot_again(path)
    before = pool_bytes(path)
    with clusterdb.open(path) as store:
        assert pool_bytes(path) < before + (64 << 10)
        assert hash_of(store.cluster("dev")) == whole(url)


@pytest.mark.parametrize("kept", [0, 100])
def test_store_that_is_read_only_after_a_boot_returns_no_torn_page(
    url: str, path: Path, tmp_path: Path, kept: int
) -> None:
    """It cannot mend them: a query that needs one is refused, and all others are answered."""
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")
        own = store.create_cluster("own")
        with closing(own.connect()) as connection:
            connection.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
        expected = hash_of(dev)
        with pinned_head(store, "dev") as volume:
            slots = [at.entry.slot for at in reached(pages_of(store).read_slot, volume.version) if at.level < 0]
    with (path / "pool").open("r+b") as pool:
        for slot in slots[len(slots) // 2 :]:
            pool.seek(slot * 4096 + kept)
            pool.write(bytes(4096 - kept))
    boot_again(path)
    with clusterdb.open(path, read_only=True) as store:
        with closing(store.cluster("own").connect()) as connection:
            assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
        with closing(store.cluster("dev").connect()) as connection:
            assert connection.execute("SELECT id FROM t WHERE id = 1").fetchall() == [(1,)]
            message = "fails its checksum" if kept else "the store is open read-only: open it for writing"
            with pytest.raises((apsw.IOError, apsw.CorruptError), match=message):
                connection.execute("SELECT count(body) FROM t").fetchall()
    with clusterdb.open(path) as store:
        assert hash_of(store.cluster("dev")) == expected


def test_damaged_page_of_the_repository_is_not_read(url: str, path: Path, tmp_path: Path) -> None:
    """A query, a fetch and a check name the object."""
    (segment,) = (tmp_path / "repository" / "segment").iterdir()
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    place = re.escape(f"{url}/segment/{segment.name} is damaged: a page of it")
    with clusterdb.open(path) as store:
        dev = store.clone(f"{url}/prod", "dev")
        with closing(dev.connect()) as connection, pytest.raises(apsw.CorruptError, match=place):
            connection.execute("SELECT max(body) FROM t").fetchall()
        with pytest.raises(clusterdb.RemoteDamagedError, match=place):
            dev.fetch()
        (problem,) = store.check().problems
        assert re.search(place, problem)
        dev.delete()


def test_threads_that_miss_the_first_page_at_once_open_one_file(
    url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(AbsentPages):
        def __init__(self, pool: Pool, directory: Path, slots_of: Callable[[int], Slots]) -> None:
            super().__init__(pool, directory, slots_of)
            time.sleep(0.1)  # others look meanwhile

    monkeypatch.setattr("clusterdb.remote.places.AbsentPages", Slow)
    with clusterdb.open(path) as store:
        store.clone(f"{url}/prod", "dev").clone("other")
    with clusterdb.open(path) as store:
        barrier = threading.Barrier(8)

        def read(number: int) -> None:
            with closing(store.cluster("dev").connect()) as connection:
                barrier.wait()
                connection.execute("SELECT body FROM t WHERE id = ?", (number * 2000 + 1,)).fetchall()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read, range(8)))
        opened = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()]
        assert opened.count(str(path / "remote")) == 1


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

    def fail(fd: int, buffers: Sequence[object], offset: int) -> None:
        raise PoolFullError("no space left on the device")

    with clusterdb.open(path) as store:
        with monkeypatch.context() as patch:
            patch.setattr("clusterdb.remote.absent.write_at", fail)
            with pytest.raises(clusterdb.StoreFullError, match="no space left on the device"):
                store.clone(f"{url}/prod", "dev")
        assert store.clusters() == []
        assert_clean(store)
        size = (path / "pool").stat().st_size
        dev = store.clone(f"{url}/prod", "dev")
        assert (path / "pool").stat().st_size <= size + (1 << 20)
        assert hash_of(dev) == whole(url)


@pytest.mark.parametrize("when", ["page is looked up", "page is received"])
def test_check_writes_no_slot_that_is_another_clusters_meanwhile(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It fetches the pages of a snapshot of a deleted cluster, which another process deletes; the slots are reused."""
    path, place_of = tmp_path / "store", AbsentPages._entry
    acts: list[bool] = []
    with clusterdb.open(path) as store, clusterdb.open(path) as other:
        lazy = store.clone(f"{url}/prod", "lazy", backup_retention_days=0)
        lazy.snapshot("snap")
        lazy.delete()
        used = other.create_cluster("used", backup_retention_days=0)
        with closing(used.connect()) as connection:
            connection.execute("CREATE TABLE z (v)")

            def act() -> None:
                failpoints.armed.clear()
                if not acts:
                    acts.append(True)
                    other.delete_snapshot("snap")
                    connection.execute(
                        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000) "
                        "INSERT INTO z SELECT zeroblob(3000) FROM n"
                    )

            def looked_up(self: AbsentPages, slot: int) -> tuple[int, int, int, int]:
                act()
                return place_of(self, slot)

            if when == "page is received":
                failpoints.armed["fetch: page received"] = act
            else:
                monkeypatch.setattr(AbsentPages, "_entry", looked_up)
            store.check()
            assert acts
        assert other.check().problems == []
        with closing(store.cluster("used").connect()) as connection:
            assert connection.execute("SELECT count(*) FROM z WHERE v = zeroblob(3000)").get == 2000
