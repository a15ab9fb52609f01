"""A process dies, another tidies up after it, and then the power fails.

Each step alone was always sound; these tests combine them.  ``R3``, ``V2`` and ``W7`` are invariants of queue.py,
volume.py and sweep.py.
"""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import apsw
import pytest

import clusterdb
import vfs.store
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import (
    Device,
    assert_accounted,
    boot_again,
    damage,
    fill,
    filled,
    head_slot,
    letters_of,
    newest_record,
    records,
    rewrite,
    run_until_killed,
)
from tests.support.stores import assert_clean, rows
from tests.torture import record, worlds
from tests.torture.crash import Image
from tests.torture.workers import Doom, Limits, Worker
from vfs.format.layout import HISTORY_RECORD_BYTES, SECTOR_BYTES, SLOT_BYTES, pack_version
from vfs.format.shared import FREE
from vfs.tools import recovery


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


@pytest.mark.parametrize("reopens", [False, True])
def test_sweep_after_a_death_keeps_the_newest_durable_version(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reopens: bool
) -> None:
    """A FULL commit survives a NORMAL one whose process died, a sweep, and commits of others (R3, W7)."""
    store = clusterdb.open(path)
    filled(store, "prod", 60, "a").close()
    other = filled(store, "other", 5, "o")
    device = Device(path, monkeypatch)
    if reopens:
        store.close()
    run_until_killed(
        path,
        "",
        "c = store.cluster('prod').connect(); c.execute('PRAGMA synchronous = NORMAL');"
        "c.execute(\"UPDATE t SET v = replace(v, 'a', 'b')\")",
    )
    if reopens:
        store = clusterdb.open(path)
        other = store.cluster("other").connect()
    assert store.reclaim().put_off == ""
    other.execute("PRAGMA synchronous = NORMAL")
    fill(other, 200, "n")
    lost = tmp_path / "lost"
    device.lose_power(lost, arrived=tuple(range(1, (path / "pool").stat().st_size // SLOT_BYTES)))
    lost_all = tmp_path / "lost-all"
    device.lose_power_but_for(lost_all, lost=(head_slot(store, "prod"),))
    for image in (lost, lost_all):
        with clusterdb.open(image) as after:
            assert letters_of(after, "prod") in ({"a": 60}, {"b": 60})
            assert_clean(after)
    other.close()
    store.close()
    assert_accounted(path)


def test_sweep_that_synced_a_head_keeps_its_record(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later NORMAL commits do not overwrite the record of the version that the sweep relied on (V2, W7)."""
    store = clusterdb.open(path)
    filled(store, "prod", 60, "a").close()
    other = filled(store, "other", 5, "o")
    device = Device(path, monkeypatch)
    run_until_killed(
        path,
        "",
        "c = store.cluster('prod').connect(); c.execute('PRAGMA synchronous = NORMAL');"
        "c.execute(\"UPDATE t SET v = replace(v, 'a', 'b')\")",
    )
    assert store.reclaim().put_off == ""
    writer = store.cluster("prod").connect()
    writer.execute("PRAGMA synchronous = NORMAL")
    for letter in "cdef":
        rewrite(writer, letter)
    other.execute("PRAGMA synchronous = NORMAL")
    fill(other, 200, "n")
    lost = tmp_path / "lost"
    device.lose_power(lost, arrived=(head_slot(store, "prod"),))
    with clusterdb.open(lost) as after:
        assert letters_of(after, "prod") == {"b": 60}
        assert_clean(after)
    for connection in (writer, other):
        connection.close()
    store.close()


def test_off_commits_never_overwrite_the_record_that_warns_of_them(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under synchronous=OFF a torn head sector does not bring back a durable version whose slots are reused (V2)."""
    store = clusterdb.open(path)
    writer = filled(store, "prod", 60, "a")
    durable = max((record for record in records(store, "prod") if record), key=lambda record: record.version)
    writer.execute("PRAGMA synchronous = OFF")
    device = Device(path, monkeypatch)
    for letter in "bcdefg":
        rewrite(writer, letter)
        kept = [record for record in records(store, "prod") if record]
        assert min(record.version for record in kept if not record.durable) == durable.version + 1
        lost = tmp_path / f"lost-{letter}"
        slot = head_slot(store, "prod")
        device.lose_power_but_for(lost, lost=(slot,))
        stale = next(
            sector
            for sector, record in enumerate(records(store, "prod"))
            if record is None or record.version != durable.version + 1
        )
        with open(lost / "pool", "r+b") as pool:
            pool.seek(slot * SLOT_BYTES)
            head = bytearray(pool.read(SLOT_BYTES))
            head[stale * SECTOR_BYTES : (stale + 1) * SECTOR_BYTES] = pack_version(durable)
            pool.seek(slot * SLOT_BYTES)
            pool.write(head)
        with clusterdb.open(lost) as after:
            try:
                connection = after.cluster("prod").connect()
            except clusterdb.CorruptStoreError as error:
                assert "no intact version" in str(error)
                continue
            assert rows(connection, "PRAGMA integrity_check") == [("ok",)]
            connection.close()
    writer.close()
    store.close()


# --- the past ---------------------------------------------------------------------------------------------------------
def lose_records(path: Path, volume: int, *versions: int) -> None:
    """Take the history records of these versions, as a power failure may."""
    with open(path / "history" / str(volume), "r+b") as history:
        for version in versions:
            history.seek(version * HISTORY_RECORD_BYTES)
            history.write(bytes(HISTORY_RECORD_BYTES))


def test_newest_version_is_retained_after_a_power_failure_lost_its_record(path: Path) -> None:
    """The newest version can be gone back to after later commits, by number and by time, and leaks nothing (H4)."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backtrack_window_s=3600)
        writer = prod.connect()
        fill(writer, 30, "a")
        rewrite(writer, "b")
        writer.close()
        newest = newest_record(store, "prod")
    boot_again(path)
    lose_records(path, newest.volume, newest.version)
    with clusterdb.open(path) as store:
        writer = store.cluster("prod").connect()
        time = datetime.now(timezone.utc)
        for letter in "cdef":
            rewrite(writer, letter)
        writer.close()
        store.cluster("prod").clone("version", at=newest.version)
        store.cluster("prod").clone("time", at=time)
        assert letters_of(store, "version") == letters_of(store, "time") == {"b": 30}
        store.cluster("prod").modify(backtrack_window_s=0)
        assert_clean(store)
    assert_accounted(path)


def test_past_whose_pinned_version_lost_its_record_leaks_nothing(path: Path) -> None:
    """Slots of a pinned version are freed with the versions before it, though its record is lost (H4)."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backtrack_window_s=3600)
        writer = prod.connect()
        fill(writer, 30, "a")
        rewrite(writer, "b")
        prod.snapshot("kept")
        pinned = newest_record(store, "prod")
        for letter in "cdef":
            rewrite(writer, letter)
        writer.close()
    boot_again(path)
    lose_records(path, pinned.volume, pinned.version)
    with clusterdb.open(path) as store:
        store.cluster("prod").modify(backtrack_window_s=0)
        assert_clean(store)
        store.restore_snapshot("kept", "restored")
        assert letters_of(store, "restored") == {"b": 30}
        store.cluster("restored").delete()
        store.delete_snapshot("kept")
        assert_clean(store)
    assert_accounted(path)


def histories(path: Path) -> list[str]:
    """The files of past versions."""
    return sorted(file.name for file in (path / "history").iterdir())


@pytest.mark.parametrize("boots", [False, True])
def test_history_of_a_dropped_volume_goes_though_its_process_died(path: Path, boots: bool) -> None:
    """A kill between the catalog and the file leaves no history for good (H5)."""
    with clusterdb.open(path) as store:
        for name in ("prod", "other"):
            with closing(store.create_cluster(name, backtrack_window_s=3600).connect()) as writer:
                fill(writer, 10, "a")
        volumes = [row.volume for row in catalog_of(store).volumes.volume_rows()]
    assert histories(path) == [str(volume) for volume in volumes]
    run_until_killed(path, "reclaim: catalog has forgotten", "kill(); store.cluster('prod').delete()")
    assert histories(path) == [str(volume) for volume in volumes]
    if boots:
        boot_again(path)
    with clusterdb.open(path) as store:
        assert histories(path) == [str(volumes[1])]
        assert_clean(store)


def test_history_is_not_reached_through_a_link(path: Path, tmp_path: Path) -> None:
    """A link in place of the directory is an error, and nothing is written where it leads."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with clusterdb.open(path) as store:
        (path / "history").symlink_to(elsewhere)
        writer = store.create_cluster("prod", backtrack_window_s=3600).connect()
        with pytest.raises(apsw.Error, match="history"):
            writer.execute("CREATE TABLE t (a)")
        writer.close()
        assert list(elsewhere.iterdir()) == []
        (path / "history").unlink()


# --- interrupted between the catalog and the volume table -------------------------------------------------------------
@pytest.mark.parametrize("point", ["past: word set", "catalog: before commit", "catalog: committed"])
def test_past_begun_by_a_process_that_died_is_kept_whole(path: Path, point: str) -> None:
    """Wherever a process dies as a cluster begins to keep its past, no version is offered that is not there (H6)."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", backup_retention_days=0)
        writer = prod.connect()
        fill(writer, 30, "a")
        work = "prod = store.cluster('prod'); store.context.catalog\n"
        if point == "catalog: committed":  # the second one: the first commits the setting
            work += (
                "count = [0]\n"
                "def second():\n"
                "    count[0] += 1\n"
                "    if count[0] == 2:\n"
                "        die()\n"
                "failpoints.armed['catalog: committed'] = second\n"
            )
        else:
            work += "kill()\n"
        run_until_killed(path, point, work + "prod.modify(backtrack_window_s=3600)")
        for letter in "bcdef":
            rewrite(writer, letter)
        writer.close()
    boot_again(path)
    with clusterdb.open(path) as store:
        assert_clean(store)
        volume = catalog_of(store).volumes.volume_of_cluster("prod")
        assert volume is not None
        for version in range(volume.retained or 1 << 30, newest_record(store, "prod").version + 1):
            store.cluster("prod").clone(f"at-{version}", at=version)
            assert sum(letters_of(store, f"at-{version}").values()) == 30
        assert_clean(store)
    assert_accounted(path)


def test_off_commits_never_bring_back_less_than_the_last_full_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If all of a series of OFF commits is lost, what comes back is not older than what was durable before it (K3)."""
    store = clusterdb.open(path)
    writer = filled(store, "prod", 60, "a")
    store.cluster("prod").snapshot("old")
    for letter, mode in (("b", "NORMAL"), ("c", "FULL"), ("d", "OFF"), ("e", "FULL"), ("f", "OFF"), ("g", "OFF")):
        writer.execute(f"PRAGMA synchronous = {mode}")
        rewrite(writer, letter)
    other = filled(store, "other", 200, "o")
    newest = newest_record(store, "prod")
    lost = tmp_path / "lost"
    shutil.copytree(path, lost)
    boot_again(lost)
    with open(lost / "pool", "r+b") as pool:  # neither the last FULL commit is whole nor what follows
        for version in records(store, "prod"):
            if version is not None and version.version > newest.version - 3:
                pool.seek(version.root.slot * SLOT_BYTES)
                pool.write(bytes(SLOT_BYTES))
    with clusterdb.open(lost) as after, pytest.raises(clusterdb.CorruptStoreError, match="no intact version"):
        after.cluster("prod").connect()
    for connection in (writer, other):
        connection.close()
    store.close()


def test_first_off_commits_of_a_clone_sync_nothing_and_fall_back_to_its_base(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base is whole whatever arrives of them, and no later version was durable (K3)."""
    store = clusterdb.open(path)
    filled(store, "prod", 60, "a").close()
    writer = store.cluster("prod").clone("dev").connect()
    writer.execute("PRAGMA synchronous = OFF")
    images = []
    with monkeypatch.context() as patched:
        device = Device(path, patched)
        for letter in "bcdef":
            rewrite(writer, letter)
            for arrived in ((), (head_slot(store, "dev"),)):
                images.append(tmp_path / f"lost-{letter}-{len(arrived)}")
                device.lose_power(images[-1], arrived=arrived)
        assert device.sync_count == 0
    for image in images:
        with clusterdb.open(image) as after:
            assert letters_of(after, "dev") == {"a": 60}
            with after.cluster("dev").connect() as again:
                rewrite(again, "x")
            again.close()
            assert letters_of(after, "prod") == {"a": 60}
            assert_clean(after)
    writer.close()
    store.close()


@pytest.mark.parametrize("modes", [("FULL", "FULL"), ("OFF", "FULL", "FULL"), ("OFF", "FULL", "OFF", "OFF")])
def test_clone_with_a_later_durable_version_never_falls_back_to_its_base(
    path: Path, tmp_path: Path, modes: str
) -> None:
    """If none of its versions is whole any more, it is refused: its base is older than what was durable (K3)."""
    store = clusterdb.open(path)
    filled(store, "prod", 60, "a").close()
    writer = store.cluster("prod").clone("dev").connect()
    for letter, mode in zip("bcde", modes, strict=False):
        writer.execute(f"PRAGMA synchronous = {mode}")
        rewrite(writer, letter)
    lost = tmp_path / "lost"
    shutil.copytree(path, lost)
    boot_again(lost)
    with open(lost / "pool", "r+b") as pool:
        for version in records(store, "dev"):
            if version is not None:
                pool.seek(version.root.slot * SLOT_BYTES)
                pool.write(bytes(SLOT_BYTES))
    with clusterdb.open(lost) as after, pytest.raises(clusterdb.CorruptStoreError, match="no intact version"):
        after.cluster("dev").connect()
    writer.close()
    store.close()


# --- what a closed store is believed ----------------------------------------------------------------------------------
def copy_back(backup: Path, path: Path) -> None:
    """Copy a backup over the files of a closed store, keeping the inodes, as ``cp`` does."""
    for file in backup.iterdir():
        if file.is_file() and file.name not in ("map", "readers", "locks"):
            (path / file.name).write_bytes(file.read_bytes())


def test_backup_copied_over_a_closed_store_is_not_read_by_its_old_map(path: Path, tmp_path: Path) -> None:
    """In the same boot and under the same inodes, derived files of another state are rebuilt (K1)."""
    with clusterdb.open(path) as store:
        filled(store, "prod", 60, "a").close()
    backup = tmp_path / "backup"
    shutil.copytree(path, backup)
    with clusterdb.open(path) as store:
        writer = store.cluster("prod").connect()
        for letter in "bcd":
            rewrite(writer, letter)
        writer.close()
        filled(store, "other", 60, "o").close()
        store.cluster("prod").clone("dev")
    copy_back(backup, path)
    with clusterdb.open(path) as store:
        assert letters_of(store, "prod") == {"a": 60}
        filled(store, "new", 200, "n").close()
        assert letters_of(store, "prod") == {"a": 60}
        assert_clean(store)
    assert_accounted(path)


def test_store_that_was_closed_is_opened_without_a_rebuild(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamp of a clean close is believed once; whoever dies leaves none (K1)."""
    rebuilds: list[str] = []
    rebuild = recovery.rebuild
    monkeypatch.setattr(vfs.store, "rebuild", lambda store: (rebuilds.append("rebuilt"), rebuild(store)))
    with clusterdb.open(path) as store:
        filled(store, "prod", 10, "a").close()
        with clusterdb.open(path) as other:
            assert letters_of(other, "prod") == {"a": 10}
    with clusterdb.open(path):
        pass
    assert rebuilds == ["rebuilt"]
    run_until_killed(path, "", "")
    with clusterdb.open(path) as store:
        assert letters_of(store, "prod") == {"a": 10}
    assert rebuilds == ["rebuilt"] * 2


@pytest.mark.parametrize("boots", [False, True])
def test_damage_to_a_closed_store_is_not_taken_for_an_unfinished_commit(path: Path, boots: bool) -> None:
    """Damage to committed data is reported, and not replaced by the version before (K2)."""
    with clusterdb.open(path) as store:
        writer = filled(store, "prod", 60, "a")
        rewrite(writer, "b")
        writer.close()
        newest = newest_record(store, "prod")
    damage(path, newest.root.slot, 100)
    if boots:
        boot_again(path)
    with clusterdb.open(path) as store:
        with pytest.raises(clusterdb.CorruptStoreError, match="no intact version"):
            store.cluster("prod").connect()
        assert store.check().problems != []


@pytest.mark.parametrize(("holder", "message"), [("volume", "has no pin on version"), ("snapshot", "snapshot 'kept'")])
def test_catalog_that_has_lost_pins_is_refused(path: Path, holder: str, message: str) -> None:
    """Recovery names the contradiction instead of taking back what clones and snapshots stand on."""
    with clusterdb.open(path) as store:
        filled(store, "prod", 10, "a").close()
        store.cluster("prod").clone("dev")
        store.cluster("prod").snapshot("kept")
    catalog = apsw.Connection(str(path / "catalog.db"))
    catalog.execute("DELETE FROM pins WHERE holder LIKE ? || ':%'", (holder,))
    catalog.close()
    pool = (path / "pool").read_bytes()
    with pytest.raises(clusterdb.CorruptStoreError, match=message):
        clusterdb.open(path)
    assert (path / "pool").read_bytes() == pool


def test_closing_seals_nothing_of_a_volume_that_is_dropped(path: Path) -> None:
    """The head slot of a dropped volume is another's, though its row stands for the sake of its clones (K2)."""
    with clusterdb.open(path) as store:
        writer = store.create_cluster("prod", backtrack_window_s=3600).connect()
        fill(writer, 60, "a")
        store.cluster("prod").clone("dev")
        store.cluster("prod").clone("test")
        rewrite(writer, "b")
        writer.close()
        slot = head_slot(store, "prod")
        other = store.create_cluster("other").connect()
        fill(other, 400, "o")
        store.cluster("prod").delete()
        assert pages_of(store).slot_map.states[slot] == FREE
        slot_map = pages_of(store).slot_map
        with pages_of(store).session() as session:
            with session.pool_locked():
                taken = slot_map.reserve_all_free(session.row, 1, slot_map.slot_count)
            slot_map.free([slot])
            rewrite(other, "p")
            slot_map.free([other_slot for other_slot in taken if other_slot != slot])
        other.close()
        assert pages_of(store).slot_map.states[slot] != FREE
    with clusterdb.open(path) as store:
        assert_clean(store)


@pytest.mark.parametrize("ends_off", [False, True])
@pytest.mark.parametrize("kind", ["created", "clone"])
def test_head_slot_that_lost_its_records_is_not_taken_for_an_empty_cluster(
    path: Path, kind: str, ends_off: bool
) -> None:
    """A cluster whose head slot is zeroed in a closed store is refused: the catalog knows that it was written to."""
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod")
        if kind == "clone":
            fill(store.cluster("prod").connect(), 10, "a")
            prod = prod.clone("dev")
        connection = prod.connect()
        fill(connection, 20, "b")
        connection.close()
        name, slot = prod.name, head_slot(store, prod.name)
    with clusterdb.open(path) as store, closing(store.cluster(name).connect()) as connection:
        connection.execute(f"PRAGMA synchronous = {'OFF' if ends_off else 'FULL'}")
        for letter in "cd":
            rewrite(connection, letter)
    damage(path, slot, 0, bytes(SLOT_BYTES))
    boot_again(path)
    with clusterdb.open(path) as store:
        with pytest.raises(clusterdb.CorruptStoreError, match="has no version record"):
            store.cluster(name).connect()
        assert store.check().problems != []


def test_history_of_an_absorbed_source_goes_with_it(path: Path) -> None:
    """The last clone takes the place of a deleted source, whose history nobody needs any more (H5)."""
    with clusterdb.open(path) as store:
        writer = store.create_cluster("prod", backup_retention_days=0, backtrack_window_s=3600).connect()
        fill(writer, 10, "a")
        writer.close()
        store.cluster("prod").clone("dev")
        store.cluster("prod").delete()
    assert histories(path) == []


def test_past_version_dropped_by_recovery_stays_dropped(tmp_path: Path) -> None:
    """Its record is erased on the device, before a later commit makes what is older count as durable (H1, H4)."""
    first, second = tmp_path / "first", tmp_path / "second"
    source = tmp_path / "source.db"
    worlds.fill(source, 1)
    recorder, device = record.Recorder(tmp_path / "store"), record.Device()
    (tmp_path / "store").mkdir()
    with recorder.recording():
        store = clusterdb.open(tmp_path / "store")
        store.create_cluster("prod", from_file=source, backtrack_window_s=3600)
        for number in (2, 3):
            recorder.mark(number)
            worlds.write(store, "prod", number, "NORMAL", worlds.ROWS)
        recorder.mark(4)
        store.close()
    number = 0
    for event in recorder.events:
        number = event.at if event.kind == "mark" else number
        if number == 4:
            break  # power fails before the close
        if not (number == 2 and event.file == "pool" and len(event.data) > SECTOR_BYTES):  # the pages of the first
            device.take(event)
    Image(device.image(random.Random(0), "all"), [], "").write(first)
    recorder, device = record.Recorder(first), record.Device.of(first)
    with recorder.recording(), clusterdb.open(first) as store:
        assert worlds.number_in(store, "prod") == 3
        worlds.write(store, "prod", 4, "FULL", 1)
        recorder.mark(1)
    for event in recorder.events[: recorder.events.index(record.Event("", "mark", 1))]:
        device.take(event)
    Image(device.image(random.Random(0), "none"), [], "").write(second)
    with clusterdb.open(second) as store:
        assert worlds.number_in(store, "prod") == 4
        assert_clean(store)
        past = [worlds.number_at(store, "prod", version) for version in worlds.retained(store, "prod")]
        assert 2 not in past
        assert past[-2:] == [3, 4]


def test_drop_killed_in_its_commit_frees_nothing_before_it_is_durable(tmp_path: Path) -> None:
    """A rebuild first makes durable what the catalog says (R7); at every call of the drop."""
    outcomes = set()
    for count in range(1, 100):
        base = tmp_path / str(count)
        (base / "store").mkdir(parents=True)
        workers = [Worker(number, base / "store", base / "events", Limits(48, 4096)) for number in range(3)]
        try:
            for verb in (("open",), ("create", "prod", 1), ("create", "other", 2), ("close",)):
                assert workers[0].do(*verb).outcome == "done"
            assert workers[1].do("open").outcome == "done"
            outcome = workers[1].do("drop", "prod", doom=Doom(count)).outcome
            workers[1].kill()
            assert workers[2].do("open").outcome == "done"
            assert workers[2].do("commit", "other", 3, "NORMAL", worlds.ROWS, True).outcome == "done"
        finally:
            for worker in workers:
                worker.kill()
        device = record.Device()
        for event in record.read_log(base / "events"):
            device.take(event)
        for name in ("catalog.db", "catalog.db-wal"):
            device.unsynced[name] = []
        Image(device.image(random.Random(0), "all"), [], "").write(base / "image")
        with clusterdb.open(base / "image") as store:
            numbers = {cluster.name: worlds.number_in(store, cluster.name) for cluster in store.clusters()}
            assert_clean(store)
        assert numbers == {"other": 3} | ({"prod": 1} if "prod" in numbers else {})
        outcomes.add("prod" in numbers)
        if outcome == "done":
            break
    assert outcomes == {True, False}
