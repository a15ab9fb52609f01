"""Slots are freed once, by the process that superseded them."""

from __future__ import annotations

from pathlib import Path

import clusterdb
from tests.core.races.family import PROD, Opener
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import (
    copy_store,
    damage,
    filled,
    letters,
    letters_of,
    newest_record,
    rewrite,
    run_until_killed,
)
from tests.support.stores import assert_clean, rows
from vfs.format.layout import SECTOR_BYTES, pack_version


# --- one party frees a slot -----------------------------------------------------------------------------------------
def test_delete_of_a_clone_frees_no_slot_that_another_process_will_free(open_store: Opener) -> None:
    """Deleting a clone does not take space that another process has replaced and not yet given back (R5, C2)."""
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 100, "a")
    store.cluster("prod").clone("dev")
    rewrite(writer, "b", below=60)  # too few slots to be freed at once
    other.cluster("dev").delete()
    reuser = filled(other, "new", 150, "n")
    for number in range(40):  # now they are freed
        writer.execute("UPDATE t SET v = ? WHERE id = 90", ("c" * number,))
    filled(other, "more", 400, "m")
    reuser.close()
    assert letters_of(store, "new") == {"n": 150}
    assert_clean(store)


def test_slot_waiting_for_durability_is_freed_once(store: clusterdb.Store) -> None:
    """Under synchronous=NORMAL, what a commit replaced and a deleted clone held comes free once, not twice (R5, C2)."""
    writer = filled(store, "prod", 100, "a")
    writer.execute("PRAGMA synchronous = NORMAL")
    rewrite(writer, "b", below=60)
    clone = store.cluster("prod").clone("dev")
    rewrite(writer, "c", below=60)
    clone.delete()
    reuser = store.create_cluster("new").connect()
    reuser.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    for number in range(80):
        reuser.execute("INSERT INTO t VALUES (?, ?)", (number, "n" * (900 if number < 40 else 3500)))
    writer.execute("PRAGMA synchronous = FULL")
    for number in range(60):
        writer.execute("UPDATE t SET v = ? WHERE id = 90", ("c" * number,))
    assert_clean(store)
    assert letters_of(store, "new") == {"n": 80}


def test_superseded_slots_of_a_closed_process_are_not_freed_by_its_successor(
    path: Path, open_store: Opener, opened: list[clusterdb.Store]
) -> None:
    """A process that closes the store leaves nothing in its name: the next to die in its place frees no data (R8).

    Neither what a clone stands on, nor what somebody still reads.
    """
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 200, "a")
    store.cluster("prod").clone("dev")
    rewrite(writer, "b")
    reader = other.cluster("prod").connect()
    reader.execute("PRAGMA cache_size = 1; BEGIN")
    assert rows(reader, "SELECT count(*) FROM t WHERE id < 5") == [(5,)]
    rewrite(writer, "c")
    keeper_row = pages_of(store).keeper().row
    opened.remove(store)
    store.close()
    work = f"""
connections = [store.cluster('prod').connect() for _ in range({keeper_row} + 1)]
for c in connections:
    c.execute('SELECT count(*) FROM t').fetchall()
"""
    run_until_killed(path, "", work)
    store = open_store()
    filled(store, "filler", 1000, "f")
    assert letters_of(store, "dev") == {"a": 200}
    assert letters(reader) == {"b": 200}
    reader.execute("COMMIT")
    assert store.reclaim().put_off == ""


# --- slots that two could take for theirs -----------------------------------------------------------------------------
def test_recovery_believes_one_of_two_records_with_the_same_slots(path: Path, store: clusterdb.Store) -> None:
    """When two records that power left behind name the same slots, recovery believes one of them."""
    filled(store, PROD, 60, "d").close()
    names = ("one", "two")
    first, _ = (store.cluster(PROD).clone(name) for name in names)
    connection = first.connect()
    connection.execute("PRAGMA synchronous = NORMAL").fetchall()
    rewrite(connection, "e")
    record = newest_record(store, "one")
    row = catalog_of(store).volumes.volume_of_cluster("two")
    assert row is not None
    copy = path.with_name("copy")
    copy_store(path, copy)
    damage(copy, row.head_slot, SECTOR_BYTES, pack_version(record._replace(volume=row.volume)))
    with clusterdb.open(copy) as rebuilt:
        assert {*letters_of(rebuilt, "one"), *letters_of(rebuilt, "two")} == {"d", "e"}
        assert_clean(rebuilt)
    connection.close()
