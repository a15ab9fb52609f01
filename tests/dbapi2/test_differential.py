"""The same random calls on CPython's ``sqlite3`` and on ``clusterdb.dbapi2`` over a cluster give the same answers.

Compared after every call: what it gives or raises, ``description``, ``rowcount``, ``lastrowid``, ``in_transaction`` and
``total_changes``.  Errors must be of the same class; the text counts where Python wrote it, SQLite's own may differ:
the bundled SQLite is newer than that of the standard library.

Differences that are meant, or known, and kept out of the way:

- ``INSERT ... RETURNING`` is run to its end at once: it is fetched in the same step, and its ``rowcount`` not compared.
- ``lastrowid`` changes with INSERT and REPLACE only, as PEP 249 has it: it is compared after those.
- A type that is not supported is a ProgrammingError; Python 3.11 may raise the error of the statement before again.
- "Error binding parameter" names a named parameter, as from Python 3.12 on: the name is not compared.
- A text that is no UTF-8 ends the query, where ``sqlite3`` gives the row again: it is fetched in the same step.
- A script clears ``description``, where ``sqlite3`` keeps that of the statement before: the cursor is then made anew.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import clusterdb
from clusterdb import dbapi2
from tests.support.stores import assert_clean

CURSORS = 3
CANNOT_BE_BOUND = [("raised", "OverflowError"), ("raised", "UnicodeEncodeError")]
SCHEMA = """
    CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE, b TEXT NOT NULL DEFAULT 'none', c REAL CHECK (c <> 13));
    CREATE TABLE u (x, y, PRIMARY KEY (x)) WITHOUT ROWID;
    CREATE TABLE w (a);
    CREATE TRIGGER g AFTER DELETE ON t WHEN old.id = 3
    BEGIN INSERT INTO w (a) VALUES (old.id); INSERT INTO w (a) VALUES (2); END;
    INSERT INTO t (a, b, c)
    VALUES (1, 'one', 1.5), (2, 'zwei', NULL), (3, 'trois', 3), (4, 'fünf', -0.0), (x'00ff', '', 9);
"""
QUERIES = [
    "SELECT * FROM t ORDER BY id",
    "SELECT a, b AS name, c + 1 FROM t WHERE id > ? ORDER BY id DESC",
    "SELECT b, count(*) n FROM t GROUP BY b ORDER BY b",
    "SELECT x, y FROM u ORDER BY x",
    "SELECT :a, typeof(:a), :b",
    "SELECT ?, ?2, ?1",
    "VALUES (1, 'a'), (2, x'61'), (NULL, 2.5)",
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 40) SELECT i, 'row ' || i FROM n",
    "SELECT 1 WHERE 0",
    "  -- a comment\n /* and another; */ SELECT b FROM t WHERE id = 1; -- the end",
    "SELECT 1 UNION ALL SELECT abs(-9223372036854775807 - 1)",
    "PRAGMA table_info(t)",
]
WRITES = [
    "INSERT INTO t (a, b, c) VALUES (?, ?, ?)",
    "INSERT INTO t (id, a) VALUES (?, ?)",
    "INSERT OR IGNORE INTO t (a) VALUES (?)",
    "INSERT OR REPLACE INTO t (id, a, b) VALUES (:a, :b, 'named')",
    "REPLACE INTO u VALUES (?, ?)",
    "INSERT INTO u SELECT id, b FROM t WHERE id < ?",
    "INSERT INTO t (a, c) VALUES (99, 13)",
    "INSERT INTO t (b) VALUES (NULL)",
    "UPDATE t SET b = b || '+' WHERE id < ?",
    "UPDATE OR ROLLBACK t SET a = 1",
    "DELETE FROM t WHERE id = ?",
    "DELETE FROM u",
    "/* first */ -- then\n INSERT INTO w (a) VALUES (?)",
    "WITH one(i) AS (VALUES (7)) INSERT INTO w (a) SELECT i FROM one",
]
RETURNING = [
    "INSERT INTO w (a) VALUES (?), (2) RETURNING a, rowid",
    "UPDATE t SET c = 0 WHERE id < ? RETURNING id, b",
    "DELETE FROM t WHERE id = ? RETURNING *",
    "INSERT INTO t (a) VALUES (?) RETURNING id",
]
OTHERS = [
    *("BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT s", "SAVEPOINT r", "RELEASE s", "ROLLBACK TO s"),
    *("CREATE TABLE v (a, b)", "DROP TABLE v", "CREATE INDEX i ON t (b)", "DROP INDEX i", "ANALYZE", "REINDEX"),
    *("", ";", "-- nothing", "SELECT 1; SELECT 2", "SELEC 1", "SELECT * FROM nowhere", "SELECT 'open", "INSERT INTO t"),
    *("CREATE TEMP TABLE IF NOT EXISTS z (a)", "SELECT * FROM z", "PRAGMA user_version", "PRAGMA user_version = 5"),
]
ALTERS = [
    *("ALTER TABLE w ADD COLUMN d1 DEFAULT 1", "ALTER TABLE w ADD COLUMN d2 TEXT", "ALTER TABLE w DROP COLUMN d1"),
    *("SELECT * FROM w", "SELECT w.*, 1 FROM w", "SELECT d1 FROM w"),
]
SCRIPTS = [
    "INSERT INTO w (a) VALUES (1); SELECT 1; INSERT INTO w (a) VALUES (2)",
    "BEGIN; INSERT INTO w (a) VALUES (3);",
    "INSERT INTO w (a) VALUES (4); SELECT * FROM nowhere; INSERT INTO w (a) VALUES (5)",
    "",
    "CREATE TRIGGER IF NOT EXISTS h AFTER INSERT ON u BEGIN SELECT 1; SELECT ';'; END; DELETE FROM u;",
    "COMMIT",
    "INSERT INTO w (a) VALUES ('never",
]


class Adapted:
    """A value that adapts itself."""

    def __conform__(self, protocol: object) -> str:
        return "adapted"


values = st.one_of(
    st.integers(-3, 12),
    st.sampled_from([None, True, 2**62, -(2**63), 2**63, 0.5, float("inf"), float("nan"), -0.0]),
    st.sampled_from(["", "text", "ü€😀", "a\0b", "\ud800", b"", b"bytes\0", bytearray(b"array"), memoryview(b"view")]),
    st.sampled_from([Adapted(), object(), {}, (), 1j]),
)
good = st.one_of(st.integers(-3, 12), st.sampled_from([None, "text", b"blob", 2.5]))
exact = st.tuples(good) | st.tuples(good, good) | st.tuples(good, good, good)
parameters = st.one_of(
    *[exact] * 4,
    st.just(()),
    st.lists(values, max_size=3),
    st.lists(values, max_size=3).map(tuple),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), values),
    st.fixed_dictionaries({"a": good, "b": good}),
    st.sampled_from([None, 5, "ab", {1}, range(2), iter(())]),
)
cursors = st.integers(0, CURSORS - 1)
ROW_FACTORIES = {
    "none": None,
    "list": lambda _, row: list(row),
    "Row": "Row",
    "named": lambda c, row: (len(c.description), row),
}
TEXT_FACTORIES: dict[str, Any] = {
    "str": str,
    "bytes": bytes,
    "bytearray": bytearray,
    "own": lambda raw: raw.decode("latin-1"),
}


def plain(value: Any) -> Any:
    """A value that compares as itself: rows of either Row class, NaN and -0.0 by their text."""
    if isinstance(value, sqlite3.Row | dbapi2.Row):
        return ("Row", value.keys(), plain(tuple(value)))
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(plain, value)]
    return (type(value).__name__, repr(value) if isinstance(value, float) else value)


class Side:
    """One of the two, with its connection and cursors."""

    def __init__(self, module: Any, connection: Any) -> None:
        self.module = module
        self.connection = connection
        self.cursors = [connection.cursor() for _ in range(CURSORS)]

    def row_factory(self, name: str) -> Any:
        factory = ROW_FACTORIES[name]
        return self.module.Row if factory == "Row" else factory

    def outcome(self, call: Any) -> Any:
        """What a call gives, or the class of what it raises and the text if Python wrote it."""
        try:
            given = call(self)
        except Exception as error:
            code = getattr(error, "sqlite_errorcode", None)
            text = re.sub(r"(?<=parameter )(\d+|':\w+')", "?", str(error))
            return ("raised", type(error).__name__, text if code is None else code & 0xFF)
        return ("gave", "itself" if given in self.cursors else plain(given))

    def seen(self, at: int, has_rowcount: bool, has_lastrowid: bool) -> Any:
        cursor, connection = self.cursors[at], self.connection
        return {
            "description": cursor.description,
            "rowcount": cursor.rowcount if has_rowcount else None,
            "lastrowid": cursor.lastrowid if has_lastrowid else None,
            "in_transaction": connection.in_transaction,
            "total_changes": connection.total_changes,
            "isolation_level": connection.isolation_level,
        }


class SameCalls(RuleBasedStateMachine):
    """Every rule is one call of DB-API, made on both sides."""

    error_before: Any = None
    """The last error of SQLite's that the model has raised."""

    @initialize(detect=st.sampled_from([0, 0, 3]), level=st.sampled_from(["", "IMMEDIATE", None]))
    def connect(self, detect: int, level: Any) -> None:
        self.store = clusterdb.open(":memory:")
        model = sqlite3.connect(":memory:", detect_types=detect, isolation_level=level)
        ours = dbapi2.connect(self.store.create_cluster("prod"), detect_types=detect, isolation_level=level)
        self.sides = [Side(sqlite3, model), Side(dbapi2, ours)]
        self.both(0, lambda side: side.cursors[0].executescript(SCHEMA))

    def both(self, at: int, call: Any, *, has_rowcount: bool = True, has_lastrowid: bool = False) -> Any:
        model, ours = (side.outcome(call) for side in self.sides)
        is_unsupported = ours[0] == model[0] == "raised" and "is not supported" in str(ours[2])
        # for a value that cannot be bound sqlite3 reports the error before, if there was one
        is_of_before = model == self.error_before and ours[:2] in CANNOT_BE_BOUND
        assert ours == model or is_unsupported or is_of_before
        if model[0] == "raised" and isinstance(model[2], int):
            self.error_before = model
        has_lastrowid = has_lastrowid and model[0] == "gave"
        seen = [side.seen(at, has_rowcount, has_lastrowid) for side in self.sides]
        assert seen[1] == seen[0]
        return model

    def renew(self, at: int) -> None:
        for side in self.sides:
            factory = side.cursors[at].row_factory
            side.cursors[at].close()
            side.cursors[at] = side.connection.cursor()
            side.cursors[at].row_factory = factory

    @rule(at=cursors, sql=st.sampled_from([*QUERIES, *OTHERS]), values=parameters)
    def execute(self, at: int, sql: str, values: Any) -> None:
        self.both(at, lambda side: side.cursors[at].execute(sql, values))

    @rule(at=cursors, sql=st.sampled_from([*QUERIES, *OTHERS]))
    def execute_alone(self, at: int, sql: str) -> None:
        self.both(at, lambda side: side.cursors[at].execute(sql))

    @rule(at=cursors, sql=st.sampled_from(WRITES), values=parameters)
    def write(self, at: int, sql: str, values: Any) -> None:
        inserts = "INSERT INTO t" in sql or "REPLACE INTO t" in sql
        self.both(at, lambda side: side.cursors[at].execute(sql, values), has_lastrowid=inserts)

    @rule(at=cursors, sql=st.sampled_from(RETURNING), value=good)
    def write_and_fetch(self, at: int, sql: str, value: Any) -> None:
        self.both(at, lambda side: side.cursors[at].execute(sql, (value,)).fetchall(), has_rowcount=False)

    @rule(at=cursors, sql=st.sampled_from(["SELECT CAST(x'FF41' AS TEXT) AS broken", *QUERIES]))
    def execute_and_fetch(self, at: int, sql: str) -> None:
        if self.both(at, lambda side: side.cursors[at].execute(sql).fetchall())[0] == "raised":
            self.renew(at)

    @rule(at=cursors, sql=st.sampled_from(ALTERS))
    def alter(self, at: int, sql: str) -> None:
        self.both(at, lambda side: side.cursors[at].execute(sql))

    @rule(at=cursors, sql=st.sampled_from([*WRITES, *QUERIES[:1]]), many=st.lists(parameters, min_size=1, max_size=4))
    def executemany(self, at: int, sql: str, many: list[Any]) -> None:
        self.both(at, lambda side: side.cursors[at].executemany(sql, many))

    @rule(at=cursors, sql=st.sampled_from(["DELETE FROM w WHERE a = ?", "INSERT INTO w (a) VALUES (?)"]))
    def executemany_of_nothing(self, at: int, sql: str) -> None:
        """Of statements that compile in any schema: nobody here compiles again what is not executed."""
        self.both(at, lambda side: side.cursors[at].executemany(sql, []))

    @rule(
        at=cursors, good=st.lists(st.tuples(good), max_size=3), error=st.sampled_from([KeyError("k"), ValueError("v")])
    )
    def executemany_that_fails(self, at: int, good: list[Any], error: Exception) -> None:
        def call(side: Side) -> Any:
            def rows() -> Any:
                yield from good
                raise error

            return side.cursors[at].executemany("INSERT INTO w (a) VALUES (?)", rows())

        self.both(at, call)

    @rule(at=cursors, script=st.sampled_from(SCRIPTS))
    def executescript(self, at: int, script: str) -> None:
        self.renew(at)
        self.both(at, lambda side: side.cursors[at].executescript(script))
        self.renew(at)

    @rule(at=cursors, how=st.sampled_from(["fetchone", "fetchone", "fetchall", "__next__"]))
    def fetch(self, at: int, how: str) -> None:
        self.both(at, lambda side: getattr(side.cursors[at], how)(), has_rowcount=False)

    @rule(at=cursors, size=st.sampled_from([0, 1, 2, 3, 100, -1, None]))
    def fetchmany(self, at: int, size: int | None) -> None:
        arguments = [] if size is None else [size]
        self.both(at, lambda side: side.cursors[at].fetchmany(*arguments), has_rowcount=False)

    @rule(at=cursors, rows_max=st.sampled_from([1, 2, None]))
    def loop(self, at: int, rows_max: int | None) -> None:
        self.both(at, lambda side: list(itertools.islice(side.cursors[at], rows_max)), has_rowcount=False)

    @rule(at=cursors, end=st.sampled_from(["commit", "rollback"]))
    def end(self, at: int, end: str) -> None:
        self.both(at, lambda side: getattr(side.connection, end)(), has_rowcount=False)

    @rule(at=cursors, level=st.sampled_from([None, "", "DEFERRED", "immediate", "EXCLUSIVE", "bogus", 5]))
    def isolation_level(self, at: int, level: Any) -> None:
        self.both(at, lambda side: setattr(side.connection, "isolation_level", level), has_rowcount=False)

    @rule(at=cursors, name=st.sampled_from(sorted(ROW_FACTORIES)), whose=st.sampled_from(["cursor", "connection"]))
    def row_factory(self, at: int, name: str, whose: str) -> None:
        for side in self.sides:
            owner = side.cursors[at] if whose == "cursor" else side.connection
            owner.row_factory = side.row_factory(name)

    @rule(name=st.sampled_from(["str", *sorted(TEXT_FACTORIES)]))
    def text_factory(self, name: str) -> None:
        for side in self.sides:
            side.connection.text_factory = TEXT_FACTORIES[name]

    @rule(at=cursors)
    def new_cursor(self, at: int) -> None:
        for side in self.sides:
            side.cursors[at].close()
            side.cursors[at] = side.connection.cursor()

    @rule(at=cursors, fails=st.booleans())
    def context(self, at: int, fails: bool) -> None:
        def call(side: Side) -> None:
            with side.connection:
                side.connection.execute("INSERT INTO w (a) VALUES (1)")
                if fails:
                    raise KeyError("out")

        self.both(at, call, has_rowcount=False)

    def teardown(self) -> None:
        if not hasattr(self, "sides"):
            return
        sql = "SELECT * FROM {} ORDER BY 1"
        contents = []
        for side in self.sides:
            with contextlib.suppress(Exception):
                side.connection.commit()
            side.connection.text_factory = bytes
            contents.append([plain(side.connection.execute(sql.format(name)).fetchall()) for name in ("t", "u")])
            side.cursors = []
            side.connection.close()
        try:
            assert contents[1] == contents[0]
            assert_clean(self.store)
        finally:
            self.store.close()


SameCalls.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestSameCalls = SameCalls.TestCase
