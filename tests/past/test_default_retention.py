"""The past that is kept unless somebody says otherwise: the last day in durable stores, bounded by bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import clusterdb
from clusterdb.rules.settings import DURABLE_DEFAULTS
from tests.past.numbers import fill, numbers_of
from tests.support.mishaps import assert_accounted, boot_again
from tests.support.stores import assert_clean, rows
from vfs.format.layout import SLOT_BYTES
from vfs.storage.reader import TEND_SLOTS

MIB = 1 << 20
SERIES = (
    "SELECT value, zeroblob(3500) FROM "
    "(WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s LIMIT {}) SELECT value FROM s)"
)
TENDED_BYTES = TEND_SLOTS * SLOT_BYTES
"""What is written between two looks at the past."""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """The path of a store, which is sound in the end."""
    path = tmp_path / "store"
    yield path
    assert_accounted(path)


def versions(cluster: clusterdb.Cluster) -> list[int]:
    """The retained versions, ascending."""
    return [entry.version for entry in reversed(cluster.log())]


def rewrite(cluster: clusterdb.Cluster, count: int, *, reconnects: bool = False) -> None:
    """Commit ``count`` changes of 100 pages each."""
    connection = cluster.connect()
    connection.execute("PRAGMA synchronous = OFF").fetchall()
    connection.execute("CREATE TABLE IF NOT EXISTS big (id INTEGER PRIMARY KEY, body)")
    connection.execute("INSERT OR IGNORE INTO big " + SERIES.format(100))
    for _ in range(count):
        if reconnects:
            connection.close()
            connection = cluster.connect()
            connection.execute("PRAGMA synchronous = OFF").fetchall()
        connection.execute("UPDATE big SET body = randomblob(3500)")
    connection.close()


def test_durable_store_keeps_the_last_day(path: Path) -> None:
    """Every version of a new cluster, and of its clones from where they begin, can be cloned."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod")
        assert prod.settings == DURABLE_DEFAULTS
        assert (prod.settings.backup_retention_days, prod.settings.backup_retention_bytes) == (1, 256 * MIB)
        states = fill(prod)
        dev = prod.clone("dev")
        assert dev.settings == DURABLE_DEFAULTS
        base = dev.stats().version
        connection = dev.connect()
        connection.execute("DELETE FROM t WHERE n > 3")
        connection.execute("DELETE FROM t")
        connection.close()
        assert versions(prod) == list(range(1, base + 1)) and versions(dev) == [base, base + 1, base + 2]
        clones = {version: prod.clone(f"at-{version}", at=version) for version in states}
        assert {version: numbers_of(clone) for version, clone in clones.items()} == states
        assert [len(numbers_of(dev.clone(f"dev-{at}", at=at))) for at in (base, base + 1, base + 2)] == [10, 3, 0]


def test_imported_cluster_and_restored_snapshot_keep_the_last_day(path: Path, sample: Path) -> None:
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", from_file=sample)
        prod.snapshot("nightly")
        for cluster in (prod, store.restore_snapshot("nightly", "again")):
            assert cluster.settings == DURABLE_DEFAULTS
            first = cluster.stats().version
            rewrite(cluster, 1)
            assert versions(cluster)[0] == first < cluster.stats().version


@pytest.mark.parametrize("where", ["memory", "disposable"])
def test_stores_that_do_not_last_keep_no_past(tmp_path: Path, where: str) -> None:
    """Nor do their clones: tests and templates pay nothing for it."""
    path = ":memory:" if where == "memory" else str(tmp_path / "store")
    with clusterdb.open(path, disposable=where == "disposable") as store:
        prod = store.create_cluster("prod")
        dev = prod.clone("dev")
        for cluster in (prod, dev):
            assert cluster.settings.keeps_past_ns == 0
            rewrite(cluster, 2)
            assert len(versions(cluster)) == 1


def test_days_alone_have_no_limit_of_bytes(path: Path) -> None:
    """Who asks for seven days gets them, whatever they take; both can be given, and either changed."""
    with clusterdb.open(path) as store:
        week = store.create_cluster("week", backup_retention_days=7)
        assert week.settings.backup_retention_bytes is None
        both = store.create_cluster("both", backup_retention_days=7, backup_retention_bytes=MIB)
        assert both.settings.backup_retention_bytes == MIB
        prod = store.create_cluster("prod")
        assert prod.modify(backup_retention_bytes=MIB).backup_retention_days == 1
        assert prod.modify(backup_retention_days=2).backup_retention_bytes is None
        for invalid in (-1, 1.5, "1m", True, 1 << 48):
            with pytest.raises(clusterdb.InvalidArgumentError, match="backup_retention_bytes"):
                prod.modify(backup_retention_bytes=invalid)


@pytest.mark.parametrize("reconnects", [False, True])
def test_oldest_versions_expire_when_the_past_is_too_large(path: Path, *, reconnects: bool) -> None:
    """Also where every connection commits once."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backup_retention_days=1, backup_retention_bytes=4 * MIB)
        rewrite(prod, 60, reconnects=reconnects)  # 25 MB
        head = prod.stats().version
        kept = versions(prod)
        assert 4 < len(kept) < 40 and kept == list(range(kept[0], head + 1))
        live = prod.stats().logical_bytes
        assert store.stats().used_bytes < live + 4 * MIB + TENDED_BYTES + MIB
        assert store.check().leaked_count == 0
        assert rows(prod.connect(at=kept[0]), "SELECT count(*) FROM big") == [(100,)]
        with pytest.raises(clusterdb.InvalidRestoreTimeError, match="it has the versions"):
            prod.clone("gone", at=kept[0] - 1)


def test_past_of_the_size_of_the_database_is_always_kept(path: Path) -> None:
    """One change of everything can be undone, however small the limit is."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backup_retention_days=1, backup_retention_bytes=1)
        connection = prod.connect()
        connection.execute("CREATE TABLE big (id INTEGER PRIMARY KEY, body)")
        connection.execute("INSERT INTO big " + SERIES.format(4000))
        before = prod.stats().version
        connection.execute("UPDATE big SET body = NULL")
        connection.close()
        store.expire()
        assert versions(prod)[0] <= before
        assert rows(prod.connect(at=before), "SELECT sum(length(body)) FROM big") == [(14_000_000,)]


def test_backtrack_window_is_kept_whatever_it_takes(path: Path) -> None:
    """The limit is for what is older."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster(
            "prod", backup_retention_days=1, backup_retention_bytes=MIB, backtrack_window_s=3600
        )
        rewrite(prod, 40)
        store.expire()
        assert versions(prod) == list(range(1, prod.stats().version + 1))


def test_lower_limit_expires_at_once(path: Path) -> None:
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod")
        rewrite(prod, 30)
        used = store.stats().used_bytes
        assert len(versions(prod)) == prod.stats().version
        prod.modify(backup_retention_bytes=MIB)
        store.expire()
        assert store.stats().used_bytes < used - 8 * MIB
        prod.modify(backup_retention_days=0)
        assert len(versions(prod)) == 1


def test_size_of_the_past_is_known_after_a_boot(path: Path) -> None:
    """What was written is in the records of versions (H7): a limit holds across boots."""
    with clusterdb.open(path) as store:
        rewrite(store.create_cluster("prod", backup_retention_days=1, backup_retention_bytes=8 * MIB), 15)
        before = versions(store.cluster("prod"))
    boot_again(path)
    with clusterdb.open(path) as store:
        prod = store.cluster("prod")
        assert versions(prod) == before
        rewrite(prod, 30)
        kept = versions(prod)
        assert 15 < len(kept) < 35 and kept[-1] == prod.stats().version
        assert store.stats().used_bytes < 9 * MIB + TENDED_BYTES + prod.stats().logical_bytes


def test_volumes_that_backtracks_have_left_count(path: Path) -> None:
    """What a reset has left beside the present state is part of the past, and the oldest part of it."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod")
        rewrite(prod, 1)
        dev = prod.clone("dev", backup_retention_bytes=MIB)
        rewrite(dev, 2)
        dev.reset()
        assert any(entry.is_left for entry in dev.log())
        rewrite(dev, 12)
        store.expire()
        assert not any(entry.is_left for entry in dev.log())
        assert_clean(store)


def test_opening_tends_to_the_past_of_all_clusters_once_an_hour(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is opened again and again does not look at every cluster each time."""
    with clusterdb.open(path) as store:
        rewrite(store.create_cluster("prod"), 20)
        header = store.context.pages.tables.header
        settings = DURABLE_DEFAULTS.changed({"backup_retention_bytes": MIB})
        with store.context.catalog.transaction():
            row = store.context.catalog.clusters.named("prod")
            assert row is not None
            store.context.catalog.clusters.set_settings(row.cluster, settings)
        kept = versions(store.cluster("prod"))
        clusterdb.open(path).close()
        assert versions(store.cluster("prod")) == kept
        header.tended_ns -= 3_600_000_000_000
        clusterdb.open(path).close()
        assert versions(store.cluster("prod"))[0] > kept[0]


def test_clone_keeps_its_past_from_the_transaction_that_creates_it(path: Path) -> None:
    """No process can find a clone that keeps its past, but does not do so yet."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod")
        fill(prod, 2)
        dev = prod.clone("dev")
        volume = store.context.volume_of(dev)
        assert volume.retained == store.context.pages.volume(volume).retained == dev.stats().version
        with pytest.raises(apsw.SQLError):
            dev.connect().execute("SELECT nothing")
