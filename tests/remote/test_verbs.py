"""Push, clone, list, check and collect, on every engine."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from operator import attrgetter
from pathlib import Path

import pytest

import clusterdb
from clusterdb.errors import (
    InvalidRestoreTimeError,
    RemoteConflictError,
    RemoteDamagedError,
    RemoteNotFoundError,
)
from clusterdb.remote import Counts, Pushed, Remote
from clusterdb.remote.manifest import pack
from clusterdb.remote.repository import TOMBSTONE, manifest_path
from tests.support.dbhash import dbhash

SERIES = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {}) "


def change(cluster: clusterdb.Cluster, *statements: str) -> None:
    with closing(cluster.connect()) as connection:
        for sql in statements:
            connection.execute(sql)


def filled(cluster: clusterdb.Cluster, count: int = 2000) -> clusterdb.Cluster:
    change(
        cluster,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body)",
        f"{SERIES.format(count)} INSERT INTO t SELECT x, hex(randomblob(60)) FROM n",
    )
    return cluster


def hash_of(cluster: clusterdb.Cluster) -> str:
    with closing(cluster.connect(read_only=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dbhash(connection)


def at(url: str, name: str = "prod") -> str:
    """The URL of a database in a repository."""
    place, mark, settings = url.partition("?")
    return f"{place}/{name}{mark}{settings}"


def test_pushed_database_is_copied_by_another_store(url: str, here: clusterdb.Store, there: clusterdb.Store) -> None:
    prod = filled(here.cluster("prod"))
    pushed = prod.push(url)
    assert (pushed.name, pushed.version) == ("prod", prod.versions(1)[0].version)
    copy = there.clone(at(url), "dev")
    assert hash_of(copy) == hash_of(prod)
    (database,) = Remote(url).databases()
    assert (database.name, database.version, database.engine) == ("prod", pushed.version, "sqlite")
    assert Remote(url).check() == []


def test_second_push_sends_only_what_changed(url: str, here: clusterdb.Store, there: clusterdb.Store) -> None:
    """Ten changed rows take three PUTs and less than 150 KB; nothing new sends nothing."""
    prod = filled(here.cluster("prod"), 20_000)
    first = prod.push(url)
    assert prod.push(url).slot_count == 0
    change(prod, "UPDATE t SET body = 'x' WHERE id % 2000 = 7")
    second = prod.push(url)
    assert second.requests.puts == 3
    assert second.requests.sent_bytes < 150_000
    assert second.slot_count < first.slot_count // 10
    assert hash_of(there.clone(at(url), "dev")) == hash_of(prod)
    assert Remote(url).check() == []


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_databases_of_every_page_size_and_size(
    url: str, here: clusterdb.Store, there: clusterdb.Store, page_size: int
) -> None:
    """Growing, shrinking by VACUUM, and empty."""
    own = here.create_cluster("own", page_size=page_size)
    for number, statements in enumerate(
        (
            (),
            ("CREATE TABLE t (id INTEGER PRIMARY KEY, body)",),
            (f"{SERIES.format(9000)} INSERT INTO t SELECT x, zeroblob(300) FROM n",),
            ("DELETE FROM t WHERE id > 10", "VACUUM"),
            ("DROP TABLE t", "VACUUM"),
        )
    ):
        change(own, *statements)
        own.push(url)
        copy = there.clone(at(url, "own"), f"copy{number}")
        assert hash_of(copy) == hash_of(own)
        assert copy.stats().logical_bytes == own.stats().logical_bytes
    assert Remote(url).check() == []


def test_copy_has_the_engine_and_what_the_call_sets(url: str, here: clusterdb.Store, there: clusterdb.Store) -> None:
    here.create_cluster("shop", engine="aurora-postgresql", tags={"team": "web"}).push(url)
    copy = there.clone(at(url, "shop"), "dev", tags={"for": "Ada"})
    assert (copy.settings.engine, dict(copy.settings.tags)) == ("aurora-postgresql", {"for": "Ada"})
    assert [event.message for event in there.events("dev")] == [
        f"cluster 'dev' copied from 'shop' in {Remote(url).url}"
    ]


def test_earlier_states_are_copied_by_version_and_time(url: str, here: clusterdb.Store, there: clusterdb.Store) -> None:
    prod, hashes, times = here.cluster("prod"), {}, {}
    for number in range(5):
        change(prod, f"CREATE TABLE t{number} (a)")
        version = prod.push(url).version
        hashes[version], times[version] = hash_of(prod), datetime.now(timezone.utc)
    for version, expected in hashes.items():
        assert hash_of(there.clone(at(url), f"v{version}", at=version)) == expected
        assert hash_of(there.clone(at(url), f"t{version}", at=times[version])) == expected
    with pytest.raises(InvalidRestoreTimeError, match=f"no version 9999: the one pushed before it is {version}"):
        there.clone(at(url), "x", at=9999)
    with pytest.raises(InvalidRestoreTimeError, match="has no database 'prod' at"):
        there.clone(at(url), "x", at=timedelta(days=1))
    with pytest.raises(clusterdb.InvalidArgumentError, match="keeps no snapshots"):
        there.clone(at(url), "x", at="monday")
    assert "x" not in [cluster.name for cluster in there.clusters()]


# --- who may push -----------------------------------------------------------------------------------------------------
def test_database_moves_only_to_descendants(url: str, here: clusterdb.Store, there: clusterdb.Store) -> None:
    """A copy is pushed in place of its source unless that has gone on; then who was there first has to give in."""
    prod = filled(here.cluster("prod"))
    prod.push(url)
    copy = there.clone(at(url), "dev")
    change(copy, "DELETE FROM t WHERE id < 100")
    copy.push(url, name="prod")
    change(prod, "DELETE FROM t WHERE id > 100")
    with pytest.raises(RemoteConflictError, match=r"'prod' in .* has gone on: cluster 'prod' does not descend"):
        prod.push(url)
    assert hash_of(here.clone(at(url), "theirs")) == hash_of(copy)
    prod.push(url, name="mine")
    prod.push(url, force=True)
    assert hash_of(there.clone(at(url), "forced")) == hash_of(prod)
    assert [database.name for database in Remote(url).databases()] == ["mine", "prod"]
    assert Remote(url).check() == []


def test_clone_continues_its_source_and_a_backtrack_does_not(
    url: str, here: clusterdb.Store, there: clusterdb.Store
) -> None:
    """Both share what they have in common with what is there."""
    prod = filled(here.cluster("prod"))
    first = prod.push(url)
    clone = prod.clone("dev")
    change(clone, "UPDATE t SET body = 'y' WHERE id = 5")
    assert clone.push(url, name="prod").slot_count < first.slot_count // 4
    change(prod, "UPDATE t SET body = 'z' WHERE id = 6")
    prod.backtrack(first.version)
    change(prod, "UPDATE t SET body = 'w' WHERE id = 7")
    with pytest.raises(RemoteConflictError, match="does not descend"):
        prod.push(url)
    prod.push(url, force=True)
    assert hash_of(there.clone(at(url), "forced")) == hash_of(prod)
    assert Remote(url).check() == []


def test_dry_run_changes_nothing(url: str, here: clusterdb.Store) -> None:
    prod = filled(here.cluster("prod"))
    would = prod.push(url, dry_run=True)
    assert would.number == 0
    with pytest.raises(RemoteNotFoundError):
        Remote(url).databases()
    assert_cost(would, prod.push(url))
    change(prod, "UPDATE t SET body = 'x' WHERE id % 7 = 5")
    here.create_cluster("second")
    for cluster in (prod, here.cluster("second")):
        assert_cost(cluster.push(url, dry_run=True), cluster.push(url))
    assert prod.push(url, dry_run=True).slot_count == 0


def assert_cost(would: Pushed, pushed: Pushed) -> None:
    """A push costs what the dry run announced."""
    assert would.slot_count == pushed.slot_count
    expected, taken = would.requests, pushed.requests
    kinds = attrgetter("puts", "gets", "lists", "deletes", "received_bytes")
    assert kinds(expected) == pytest.approx(kinds(taken))
    assert expected.sent_bytes == pytest.approx(taken.sent_bytes, abs=40)


def test_clone_and_fetch_report_what_they_asked(url: str, here: clusterdb.Store, tmp_path: Path) -> None:
    filled(here.cluster("prod")).push(url)
    with clusterdb.open(tmp_path / "store") as store:
        cloned, fetched, again = Counts(), Counts(), Counts()
        dev = store.clone(at(url), "dev", requests=cloned)
        assert 0 < cloned.gets < 8 and cloned.puts == 1  # the pin
        dev.fetch(requests=fetched)
        assert fetched.gets > 0 and fetched.received_bytes > dev.stats().logical_bytes * 0.9
        dev.fetch(requests=again)
        assert again == Counts()


# --- care -------------------------------------------------------------------------------------------------------------
def test_collection_keeps_what_is_needed(url: str, here: clusterdb.Store, there: clusterdb.Store) -> None:
    """States within the time stay; later what only they had goes, and their numbers stay taken."""
    prod = filled(here.cluster("prod"))
    first = prod.push(url).version
    filled(here.create_cluster("other")).push(url)
    change(prod, "UPDATE t SET body = 'new'")
    prod.push(url)
    remote = Remote(url)
    remote.remove("other")
    assert remote.collect().state_count == 0
    there.clone(at(url), "before", at=first)
    assert remote.collect(timedelta(0)).state_count > 0
    assert remote.repository.objects.get(manifest_path(1)) == TOMBSTONE
    with pytest.raises(InvalidRestoreTimeError):
        there.clone(at(url), "gone", at=first)
    assert hash_of(there.clone(at(url), "now")) == hash_of(prod)
    assert remote.check() == []
    change(prod, "DELETE FROM t WHERE id > 5")
    prod.push(url)
    assert hash_of(there.clone(at(url), "later")) == hash_of(prod)


def test_damage_is_found_and_copies_nothing(tmp_path: Path, here: clusterdb.Store, there: clusterdb.Store) -> None:
    """Each object is flipped, cut, or missing in turn."""
    url = f"file://{tmp_path}/repository"
    filled(here.cluster("prod"), 200).push(url)
    for path in sorted((tmp_path / "repository").rglob("*")):
        if path.is_dir() or path.name == "latest":
            continue
        content = path.read_bytes()
        for damaged in (bytes([content[0] ^ 1]) + content[1:], content[: len(content) // 2], None):
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            if path.name != "format":  # only who pushes looks at it
                with pytest.raises((RemoteDamagedError, RemoteNotFoundError), match=re.escape(url)):
                    there.clone(at(url), "x")
                assert there.clusters() == []
            path.unlink(missing_ok=True)
            path.write_bytes(content)
    assert hash_of(there.clone(at(url), "x")) == hash_of(here.cluster("prod"))


def test_push_names_a_damaged_node_of_the_repository(tmp_path: Path, here: clusterdb.Store) -> None:
    """It is the repository that is damaged, not the store."""
    url = f"file://{tmp_path}/repository"
    prod = filled(here.cluster("prod"), 200)
    prod.push(url)
    (segment,) = (tmp_path / "repository" / "segment").iterdir()
    content = bytearray(segment.read_bytes())
    content[100] ^= 1  # nodes come first
    segment.write_bytes(content)
    change(prod, "UPDATE t SET body = 'x' WHERE id = 5")
    place = re.escape(f"{url}/segment/{segment.name} is damaged: ")
    for dry_run in (False, True):
        with pytest.raises(RemoteDamagedError, match=place):
            prod.push(url, dry_run=dry_run)
    assert re.match(f"'prod': {place}", Remote(url).check()[0])
    with pytest.raises(RemoteDamagedError, match=f"so nothing was deleted: {place}"):
        Remote(url).collect(timedelta(0))


def test_states_that_somebody_has_replaced_are_problems(tmp_path: Path, here: clusterdb.Store) -> None:
    """A manifest has the checksum of the one before, also when both are whole."""
    url = f"file://{tmp_path}/repository"
    prod = here.cluster("prod")
    for number in range(4):
        change(prod, f"CREATE TABLE t{number} (a)")
        prod.push(url)
    repository = Remote(url).repository
    second = repository.state(2)
    assert second is not None and Remote(url).check() == []
    repository.objects.put(manifest_path(2), pack(replace(second, writer="other")))
    problem = f"{url}/{manifest_path(2)} is not the state that {manifest_path(3)} follows: somebody has replaced it"
    assert Remote(url).check() == [problem]
    with pytest.raises(RemoteDamagedError, match=re.escape(problem)):
        Remote(url).collect()


def test_damaged_page_is_not_pushed(tmp_path: Path) -> None:
    with clusterdb.open(tmp_path / "store") as store:
        filled(store.create_cluster("prod"), 200)
    with (tmp_path / "store" / "pool").open("r+b") as pool:
        content = bytearray(pool.read())
        at_row = content.rindex(b"CREATE TABLE t")
        content[at_row] ^= 1
        pool.seek(0)
        pool.write(content)
    url = f"file://{tmp_path}/repository"
    with clusterdb.open(tmp_path / "store") as store, pytest.raises(clusterdb.CorruptStoreError, match="checksum"):
        store.cluster("prod").push(url)
    with pytest.raises(RemoteNotFoundError):
        Remote(url).databases()
