"""Repacking: what is left of mostly dead objects moves, and everything that anybody can read stays readable."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clusterdb
from clusterdb.remote import Remote
from clusterdb.remote.handle import Remote as Handle
from clusterdb.remote.manifest import FIRST_SLOT, Segment, pack_table, unpack_table
from clusterdb.remote.repacking import runs_left
from tests.support.dbhash import hash_of


def run(cluster: clusterdb.Cluster, sql: str) -> None:
    with closing(cluster.connect()) as connection:
        connection.execute(sql)


def filled(store: clusterdb.Store, url: str) -> clusterdb.Cluster:
    """A database of 8 MB, of which most was written again, in a repository."""
    prod = store.create_cluster("prod")
    run(
        prod,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body); "
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 8000) "
        "INSERT INTO t SELECT x, randomblob(900) FROM n",
    )
    prod.push(url)
    run(prod, "UPDATE t SET body = randomblob(900) WHERE id > 1500 AND id % 2000 > 10")
    prod.push(url)
    return prod


def object_bytes(remote: Handle) -> int:
    return sum(listed.size_bytes for listed in remote.repository.objects.list("segment"))


def age(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let collections delete objects of any age."""
    monkeypatch.setattr("clusterdb.remote.handle._ORPHANS_AGE", timedelta(days=-1))


def test_repacked_objects_can_be_collected(
    url: str, here: clusterdb.Store, there: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.cluster("prod").delete()
    prod = filled(here, url)
    before = Remote(url)
    estimate = before.repack(dry_run=True)
    assert object_bytes(before) > 14_000_000
    remote = Remote(url)
    result = remote.repack()
    assert result.segment_count == estimate.segment_count >= 1
    assert (result.new_count, result.copied_bytes) == (estimate.new_count, estimate.copied_bytes)
    assert (result.requests.puts, result.requests.gets) == (estimate.requests.puts, estimate.requests.gets)
    assert result.freed_bytes > 4_000_000
    assert remote.check() == []
    age(url, monkeypatch)
    former = object_bytes(remote)
    assert remote.collect(timedelta(0)).object_bytes == result.freed_bytes + result.copied_bytes
    assert former - object_bytes(remote) == result.freed_bytes + result.copied_bytes
    assert remote.check() == []
    assert remote.repack().segment_count == 0
    assert hash_of(there.clone(f"{url}/prod" if "?" not in url else url.replace("?", "/prod?"), "copy")) == hash_of(
        prod
    )


def test_lazy_clones_pulls_and_pushes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pin keeps the old objects; a clone of before the repack pulls and pushes after it."""
    url = f"file://{tmp_path}/repository"
    with clusterdb.open(":memory:") as here, clusterdb.open(tmp_path / "there") as there:
        prod = filled(here, url)
        dev = there.clone(f"{url}/prod", "dev")
        expected = hash_of(prod)
        run(prod, "UPDATE t SET body = randomblob(900) WHERE id BETWEEN 3 AND 4")
        prod.push(url)
        remote = Remote(url)
        assert remote.repack().segment_count
        age(url, monkeypatch)
        remote.collect(timedelta(0))
        assert hash_of(dev) == expected
        dev.evict()
        dev.pull()
        assert hash_of(dev) == hash_of(prod)
        dev.evict()
        run(dev, "UPDATE t SET body = 'mine' WHERE id = 3000")
        assert dev.push(url, name="prod").requests.sent_bytes < 200_000
        assert remote.check() == []
        again = there.clone(f"{url}/prod", "again")
        assert hash_of(again) == hash_of(dev)


def test_repack_of_a_damaged_repository_changes_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/repository"
    with clusterdb.open(":memory:") as here:
        filled(here, url)
    oldest = min((tmp_path / "repository" / "segment").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    data = bytearray(oldest.read_bytes())
    for at in range(1_000, len(data), 4096):
        data[at] ^= 1
    oldest.write_bytes(data)
    remote = Remote(url)
    number = remote.repository.require_newest().number
    with pytest.raises(clusterdb.RemoteDamagedError, match="nothing was repacked"):
        remote.repack()
    assert remote.repository.require_newest().number == number


@given(st.sets(st.integers(0, 2047)))
def test_runs_have_all_slots_and_are_few(offsets: set[int]) -> None:
    segment = Segment(FIRST_SLOT + 5000, 2048, "0" * 16)
    slots = {segment.first + offset for offset in offsets}
    runs = runs_left(segment, dict.fromkeys(slots, 0))
    covered = [slot for one in runs for slot in range(one.first, one.first + one.length)]
    assert covered == sorted({*covered})
    assert slots <= {*covered}
    assert len(runs) <= 64
    assert {one.first for one in runs} | {one.first + one.length - 1 for one in runs} <= slots


def test_segments_with_offsets_survive_packing() -> None:
    segments = (Segment(FIRST_SLOT, 5, "a" * 16), Segment(FIRST_SLOT + 9, 2, "a" * 16, 5))
    assert unpack_table(pack_table(segments), "x") == segments
