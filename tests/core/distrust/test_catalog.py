"""Catalogs that make no sense or contradict themselves."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import clusterdb
from tests.core.distrust.family import NAMED, WRITTEN, copy_of, in_child, quick, survives
from tests.support.inside import catalog_of
from tests.support.stores import rows
from vfs.format import shared


def change_catalog(path: Path, sql: str) -> None:
    """What a person with a SQLite shell can do to the catalog of a closed store, as far as the schema allows it."""
    connection = apsw.Connection(str(path / "catalog.db"))
    with contextlib.suppress(apsw.MismatchError, apsw.ConstraintError):
        connection.execute(sql)
    connection.close()


def survives_in_any_boot(family: Path, sql: str) -> None:
    """Use the store with that catalog, first as it is, then with everything derived rebuilt from it."""
    for same_boot in (True, False):
        with copy_of(family, same_boot=same_boot) as path:
            change_catalog(path, sql)
            survives(path)


CATALOG_DAMAGE = [
    "UPDATE volumes SET row = -1 WHERE volume = 2",
    "UPDATE volumes SET row = -64 WHERE volume = 2",
    "UPDATE volumes SET row = -100000 WHERE volume = 2",
    "UPDATE volumes SET row = 32768 WHERE volume = 2",
    "UPDATE volumes SET row = 1000000 WHERE volume = 2",
    "UPDATE volumes SET row = 9223372036854775807 WHERE volume = 2",
    "UPDATE volumes SET row = 'text' WHERE volume = 2",
    "UPDATE volumes SET row = 1.5 WHERE volume = 2",
    "UPDATE volumes SET row = x'00' WHERE volume = 2",
    "UPDATE volumes SET row = 0 WHERE volume = 2",
    "UPDATE volumes SET row = 0",
    "UPDATE volumes SET row = row + 100 WHERE volume = 2",
    "UPDATE volumes SET head_slot = -1 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 0 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 0 WHERE volume = 3",
    "UPDATE volumes SET head_slot = 1000000 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 1 << 40 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 9223372036854775807 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 1 << 63 WHERE volume = 2",
    "UPDATE volumes SET head_slot = 'text' WHERE volume = 2",
    "UPDATE volumes SET head_slot = 1.5 WHERE volume = 2",
    "UPDATE volumes SET head_slot = (SELECT head_slot FROM volumes WHERE volume = 1) WHERE volume = 2",
    "UPDATE volumes SET head_slot = (SELECT head_slot FROM volumes WHERE volume = 1) WHERE volume = 3",
    "UPDATE volumes SET state = 'unknown' WHERE volume = 2",
    "UPDATE volumes SET state = '' WHERE volume = 2",
    "UPDATE volumes SET state = x'6c697665' WHERE volume = 2",
    "UPDATE volumes SET state = 'live' WHERE state = 'dead'",
    "UPDATE volumes SET parent = NULL WHERE volume = 2",
    "UPDATE volumes SET parent = 99 WHERE volume = 2",
    "UPDATE volumes SET parent = -1 WHERE volume = 2",
    "UPDATE volumes SET parent = 'text' WHERE volume = 2",
    "UPDATE volumes SET parent = x'01' WHERE volume = 2",
    "UPDATE volumes SET parent = 2 WHERE volume = 2",
    "UPDATE volumes SET parent = 3 WHERE volume = 2",
    "UPDATE volumes SET base = x'' WHERE volume = 2",
    "UPDATE volumes SET base = 'text' WHERE volume = 2",
    "UPDATE volumes SET base = printf('%.84c', 'x') WHERE volume = 2",
    "UPDATE volumes SET base = 7 WHERE volume = 2",
    "UPDATE volumes SET base = 1.5 WHERE volume = 2",
    "UPDATE volumes SET base = zeroblob(84) WHERE volume = 2",
    "UPDATE volumes SET base = zeroblob(100000) WHERE volume = 2",
    "UPDATE volumes SET volume = 0 WHERE volume = 2",
    "UPDATE volumes SET volume = -5 WHERE volume = 2",
    "UPDATE volumes SET volume = 9223372036854775807 WHERE volume = 2",
    "UPDATE volumes SET volume = (1 << 62) + 1 WHERE volume = 1; "
    "UPDATE clusters SET volume = (1 << 62) + 1 WHERE volume = 1",
    "UPDATE pins SET holder = 'me' WHERE volume = 1",
    "UPDATE pins SET holder = 'volume:' WHERE volume = 1",
    "UPDATE pins SET holder = 'volume:x' WHERE volume = 1",
    "UPDATE pins SET holder = 'volume:-1' WHERE volume = 1",
    "UPDATE pins SET holder = 'volume:99999999999999999999999' WHERE volume = 1",
    "UPDATE pins SET holder = x'ff' WHERE volume = 1",
    "UPDATE pins SET version = -1 WHERE volume = 1",
    "UPDATE pins SET version = 9223372036854775807 WHERE volume = 1",
    "UPDATE pins SET version = 'text' WHERE volume = 1",
    "UPDATE pins SET version = x'01' WHERE volume = 1",
    "UPDATE pins SET volume = 99 WHERE volume = 1",
    "UPDATE pins SET volume = 'text' WHERE volume = 1",
    "UPDATE pins SET released = 'text' WHERE volume = 1",
    "UPDATE pins SET released = -1 WHERE volume = 1",
    "UPDATE pins SET record = x'' WHERE volume = 1",
    "UPDATE pins SET record = 'text' WHERE volume = 1",
    "UPDATE pins SET record = 5 WHERE volume = 1",
    "UPDATE pins SET record = (SELECT record FROM pins WHERE volume = 2) WHERE volume = 1",
    "UPDATE clusters SET volume = 99 WHERE volume = 2",
    "UPDATE clusters SET volume = -1 WHERE volume = 2",
    "UPDATE clusters SET volume = (SELECT volume FROM volumes WHERE state = 'dead') WHERE volume = 2",
    "UPDATE clusters SET created_ns = 'text' WHERE volume = 2",
    "UPDATE clusters SET created_ns = x'' WHERE volume = 2",
    "UPDATE clusters SET created_ns = 9223372036854775807 WHERE volume = 2",
    "UPDATE clusters SET created_ns = 1 << 63 WHERE volume = 2",
    "UPDATE clusters SET created_ns = 1e300 WHERE volume = 2",
    "UPDATE clusters SET source = x'00' WHERE volume = 2",
    "UPDATE store SET id = 'text'",
    "UPDATE store SET id = 7",
    "UPDATE store SET id = 9223372036854775807",
    "UPDATE store SET id = 1e15",
    "UPDATE store SET id = x''",
    "UPDATE store SET seal = 'text'",
    "UPDATE store SET seal = 9223372036854775807",
    "UPDATE store SET created_ns = 'text'",
    "UPDATE sqlite_sequence SET seq = 9223372036854775807",
    "UPDATE sqlite_sequence SET seq = -5",
    "UPDATE sqlite_sequence SET seq = 'text'",
    "DELETE FROM store",
    "INSERT INTO store VALUES (x'00', 0, 0)",
    "DELETE FROM volumes",
    "DELETE FROM volumes WHERE volume = 1",
    "DELETE FROM volumes WHERE volume = 4",
    "DELETE FROM clusters",
    "DROP TABLE store",
    "DROP TABLE volumes",
    "DROP TABLE pins",
    "DROP TABLE clusters",
    "ALTER TABLE volumes DROP COLUMN parent",
    "ALTER TABLE volumes RENAME COLUMN head_slot TO other",
    "PRAGMA user_version = 0",
    "PRAGMA user_version = -1",
    "PRAGMA application_id = 0",
]


@pytest.mark.parametrize("sql", [pytest.param(sql, id=sql) for sql in CATALOG_DAMAGE])
def test_damaged_catalog_gives_right_data_or_a_named_error(family: Path, sql: str) -> None:
    """Whatever the catalog contains, the store returns right data or a named error."""
    survives_in_any_boot(family, sql)


COLUMNS = {
    "store": ["id", "created_ns", "seal"],
    "volumes": ["volume", "row", "head_slot", "state", "parent", "base"],
    "pins": ["volume", "version", "holder", "released", "record"],
    "clusters": ["volume", "created_ns", "source"],
}
sql_values = st.one_of(
    st.integers(-3, 40).map(str),
    st.integers(-(1 << 63), (1 << 63) - 1).map(str),
    st.sampled_from(["NULL", "''", "'live'", "'dropped'", "'volume:1'", "'volume:1e9'", "1e300", "-0.5", "32767"]),
    st.binary(max_size=90).map(lambda data: f"x'{data.hex()}'"),
    st.text(st.characters(codec="ascii", exclude_characters="'\0"), max_size=8).map(lambda text: f"'{text}'"),
)


@st.composite
def catalog_changes(draw: st.DrawFn) -> str:
    """An UPDATE of one value of one row, as far as the schema allows it."""
    table = draw(st.sampled_from(sorted(COLUMNS)))
    column = draw(st.sampled_from(COLUMNS[table]))
    which = draw(st.integers(0, 3))
    key = {"store": "id", "volumes": "volume", "pins": "record", "clusters": "volume"}[table]
    place = f"(SELECT {key} FROM {table} ORDER BY 1 LIMIT 1 OFFSET {which})"
    return f"UPDATE OR IGNORE {table} SET {column} = {draw(sql_values)} WHERE {key} = {place}"


@settings(quick, max_examples=25)
@given(sql=catalog_changes())
@example(sql="UPDATE volumes SET row = 'text'")
def test_any_changed_catalog_value_gives_right_data_or_a_named_error(family: Path, sql: str) -> None:
    """One value of the catalog changed to anything that its schema takes: right data or a named error."""
    survives_in_any_boot(family, sql)


@pytest.mark.slow
@settings(quick, max_examples=250)
@given(sql=catalog_changes())
@example(sql="UPDATE volumes SET row = 'text'")
def test_any_changed_catalog_value_at_length(family: Path, sql: str) -> None:
    """More examples of the test above."""
    survives_in_any_boot(family, sql)


OUTSIDE_NAMES = ["", "a/b", "../outside", "new\nline", "file:outside?mode=rwc", ":memory:", "outside.db"]


@pytest.mark.parametrize("name", [pytest.param(name, id=f"name {name!r}") for name in OUTSIDE_NAMES])
def test_invalid_cluster_name_in_the_catalog_opens_no_other_file(family: Path, tmp_path: Path, name: str) -> None:
    """A cluster with an invalid name is refused: no other file is opened or created instead."""
    (tmp_path / "here").mkdir()

    def use() -> None:
        os.chdir(tmp_path / "here")
        with contextlib.suppress(*NAMED), clusterdb.open(path) as store:
            for cluster in store.clusters():
                if cluster.name not in WRITTEN:
                    with contextlib.suppress(*NAMED):
                        answer = rows(cluster.connect(), "SELECT count(*) FROM sqlite_schema")
                        raise AssertionError(f"'{name}' opened a database with {answer}")

    with copy_of(family) as path:
        connection = apsw.Connection(str(path / "catalog.db"))
        connection.execute("UPDATE clusters SET name = ? WHERE volume = 2", (name,))
        connection.close()
        in_child(use)
    assert [entry.name for entry in tmp_path.iterdir()] == ["here"]
    assert list((tmp_path / "here").iterdir()) == []


def test_cluster_name_that_is_a_blob_is_refused(family: Path) -> None:
    """A cluster whose name is a blob is refused by name."""
    survives_in_any_boot(family, "UPDATE clusters SET name = x'00ff' WHERE volume = 2")


CONTRADICTIONS = {
    "two volumes in one row": "UPDATE volumes SET row = (SELECT row FROM volumes WHERE volume = 1) WHERE volume = 2",
    "a row past the table": f"UPDATE volumes SET row = {shared.VOLUME_ROWS} WHERE volume = 2",
    "a row before the table": "UPDATE volumes SET row = -1 WHERE volume = 2",
    "a head before the pool": "UPDATE volumes SET head_slot = -1 WHERE volume = 2",
    "a head in the pool's header": "UPDATE volumes SET head_slot = 0 WHERE volume = 3",
    "two volumes with one head": "UPDATE volumes SET head_slot = 1 WHERE volume = 3",
    "a cluster without a volume": "UPDATE clusters SET volume = 99 WHERE volume = 2",
    "a cluster whose volume is dropped": "UPDATE volumes SET state = 'dropped' WHERE volume = 3",
    "a source that there is not": "UPDATE volumes SET parent = 99 WHERE volume = 2",
    "a pin on another version than its record": "UPDATE pins SET version = version + 1 WHERE volume = 1",
    "a pin with the record of another volume": "UPDATE pins SET record = (SELECT record FROM pins WHERE volume = 2) "
    "WHERE volume = 1",
    "a pin neither released nor not": "UPDATE pins SET released = 'text' WHERE volume = 1",
    "a pin on a volume that there is not": "UPDATE pins SET volume = 99 WHERE volume = 1",
    "a clone without its pin": "DELETE FROM pins WHERE volume = 1",
}


@pytest.mark.parametrize("what", [pytest.param(what, id=what) for what in CONTRADICTIONS])
def test_contradictory_catalog_is_refused_or_reported_by_check(family: Path, what: str) -> None:
    """A store whose catalog contradicts itself does not open, or check reports it."""

    def use() -> None:
        with contextlib.suppress(clusterdb.CorruptStoreError), clusterdb.open(path) as store:
            assert not store.check().ok, f"check finds nothing wrong with {what}"

    with copy_of(family) as path:
        change_catalog(path, CONTRADICTIONS[what])
        in_child(use)


def test_clone_whose_source_is_gone_is_not_deleted(tmp_path: Path) -> None:
    with clusterdb.open(tmp_path / "store") as store:
        dev = store.create_cluster("prod").clone("dev")
        catalog = catalog_of(store)
        row = catalog.volumes.volume_of_cluster("prod")
        assert row is not None
        with catalog.database.transaction():
            catalog.database.change("DELETE FROM volumes WHERE volume = ?", (row.volume,))
        with pytest.raises(clusterdb.CorruptStoreError, match=f"pins volume {row.volume}, which is not there"):
            dev.delete()
        assert [cluster.name for cluster in store.clusters()] == ["dev", "prod"]


FAR_HEADS = [0, 1_000_000, 1 << 32, 1 << 40, (1 << 63) - 1]


@pytest.mark.parametrize("head_slot", [pytest.param(slot, id=f"head slot {slot}") for slot in FAR_HEADS])
def test_absurd_head_slot_does_not_grow_the_pool(family: Path, head_slot: int) -> None:
    """A rebuild neither extends the pool to an absurd head slot nor fills the disk."""
    with copy_of(family, same_boot=False) as path:
        size = (path / "pool").stat().st_size
        change_catalog(path, f"UPDATE volumes SET head_slot = {head_slot} WHERE volume = 3")
        survives(path)
        assert (path / "pool").stat().st_size < 4 * size + (1 << 22)
