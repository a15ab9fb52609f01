"""A table that is rebuilt under a new definition keeps its rows, indexes, triggers, views, numbers and foreign keys."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from clusterdb.errors import IntegrityError, OperationalError
from clusterdb.flavours.rebuild import definition_of, foreign_keys, rebuild, set_foreign_keys

SCHEMA = """
CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, "a,b" TEXT DEFAULT '(,)', n INT CHECK (n IN (1, 2, 3)));
CREATE INDEX parent_n ON parent (n);
CREATE UNIQUE INDEX parent_two ON parent ("a,b", n);
CREATE TABLE child (id INTEGER PRIMARY KEY, p INT REFERENCES parent (id));
CREATE VIEW shown AS SELECT n, "a,b" AS x FROM parent;
CREATE TABLE log (n INT);
CREATE TRIGGER logged AFTER UPDATE ON parent BEGIN INSERT INTO log VALUES (new.n); END;
INSERT INTO parent VALUES (1, 'x', 1), (2, 'y', 2), (9, 'z', 3);
INSERT INTO child VALUES (1, 1), (2, 2);
DELETE FROM parent WHERE id = 9;
"""
WIDER = (
    'CREATE TABLE "parent" (id INTEGER PRIMARY KEY AUTOINCREMENT, "a,b" TEXT DEFAULT \'(,)\', n TEXT, '
    "extra INT DEFAULT 5)"
)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    """A database of tables that refer to one another, with foreign keys on."""
    connection = apsw.Connection(":memory:")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(SCHEMA)
    yield connection
    connection.close()


def _schema(db: apsw.Connection) -> set[tuple[object, ...]]:
    return set(db.execute("SELECT type, name, tbl_name FROM sqlite_schema").fetchall())


@pytest.mark.parametrize("begin", ["", "BEGIN"])
def test_rebuilt_table_keeps_its_dependents(db: apsw.Connection, begin: str) -> None:
    """A rebuild works inside a transaction, too, where SQLite's pragma cannot switch foreign keys off."""
    before = _schema(db)
    db.execute(begin)
    rebuild(db, "PARENT", WIDER)
    assert db.in_transaction == bool(begin)
    db.execute("COMMIT" if begin else "")
    assert _schema(db) == before
    assert db.execute("SELECT * FROM parent").fetchall() == [(1, "x", "1", 5), (2, "y", "2", 5)]
    assert db.execute("SELECT * FROM shown").fetchall() == [("1", "x"), ("2", "y")]
    assert db.execute("SELECT p FROM child").fetchall() == [(1,), (2,)]
    assert foreign_keys(db)
    with pytest.raises(apsw.ConstraintError):
        db.execute("DELETE FROM parent WHERE id = 1")
    db.execute("UPDATE parent SET n = 'z' WHERE id = 2; INSERT INTO parent (n) VALUES ('w')")
    assert db.execute("SELECT n FROM log").fetchall() == [("z",)]
    assert db.execute("SELECT max(id) FROM parent").get == 10
    assert db.pragma("integrity_check") == "ok"


def test_columns_are_filled_from_expressions_over_the_old_row(db: apsw.Connection) -> None:
    """A new column can be of several old ones; indexes can be others than before."""
    sources = {"id": "id", "both": "\"a,b\" || '/' || n"}
    create = 'CREATE TABLE "parent" (id INTEGER PRIMARY KEY, both TEXT)'
    db.execute("DROP VIEW shown; DROP TRIGGER logged")
    rebuild(db, "parent", create, sources, ["CREATE INDEX parent_both ON parent (both)"])
    assert db.execute("SELECT * FROM parent").fetchall() == [(1, "x/1"), (2, "y/2")]
    assert db.execute("SELECT name FROM pragma_index_list('parent')").fetchall() == [("parent_both",)]


def test_row_that_violates_the_new_definition_undoes_the_rebuild(db: apsw.Connection) -> None:
    """Nothing is done, and the connection is as it was."""
    before = db.execute("SELECT * FROM sqlite_schema").fetchall()
    with pytest.raises(apsw.ConstraintError):
        rebuild(db, "parent", WIDER.replace("n TEXT", "n TEXT CHECK (n < '2')"))
    assert db.execute("SELECT * FROM sqlite_schema").fetchall() == before
    assert db.execute("SELECT count(*) FROM parent").get == 2
    assert foreign_keys(db)
    assert not db.in_transaction
    assert not db.config(apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, -1)


def test_dangling_new_foreign_key_is_refused_unless_keys_are_off(db: apsw.Connection) -> None:
    """A key that leads nowhere is refused; one that led nowhere before is not this change's."""
    db.execute("INSERT INTO log VALUES (7)")
    create = 'CREATE TABLE "log" (n INT REFERENCES parent (id))'
    with pytest.raises(IntegrityError, match="rows of 'log' refer to missing rows of 'parent'"):
        rebuild(db, "log", create)
    set_foreign_keys(db, False)
    rebuild(db, "log", create)
    set_foreign_keys(db, True)
    rebuild(db, "log", 'CREATE TABLE "log" (n BIGINT REFERENCES parent (id))')
    assert db.execute("SELECT * FROM log").fetchall() == [(7,)]


def test_definition_is_split_at_its_own_commas(db: apsw.Connection) -> None:
    """Commas in names, texts, brackets and comments do not split it."""
    definition = definition_of(db, "Parent")
    assert definition.columns == {"id": 0, "a,b": 1, "n": 2}
    assert definition.parts[1:] == ["\"a,b\" TEXT DEFAULT '(,)'", "n INT CHECK (n IN (1, 2, 3))"]
    db.execute("CREATE TABLE odd ([x] INT /* a, b) */, `check` INT, PRIMARY KEY (x, `check`)) WITHOUT ROWID, STRICT")
    odd = definition_of(db, "odd")
    assert (odd.columns, len(odd.parts), odd.tail) == ({"x": 0, "check": 1}, 3, " WITHOUT ROWID, STRICT")
    with pytest.raises(OperationalError, match="no such table: nothing"):
        definition_of(db, "nothing")


def test_temporary_table_is_rebuilt_in_its_schema(db: apsw.Connection) -> None:
    """One of the session hides one of the same name."""
    db.execute("CREATE TEMP TABLE log (n INT, UNIQUE (n)); INSERT INTO temp.log VALUES (3)")
    db.execute("CREATE INDEX temp.log_n ON log (n)")
    definition = definition_of(db, "log")
    definition.parts[0] = '"n" TEXT'
    rebuild(db, "log", definition.sql)
    assert db.execute("SELECT typeof(n) FROM temp.log").get == "text"
    assert db.execute("SELECT count(*) FROM main.log").get == 0
    assert db.execute("SELECT name FROM temp.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").get == "log_n"
