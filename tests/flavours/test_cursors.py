"""Cursors of aurora-postgresql's SQL: DECLARE, FETCH, MOVE and CLOSE, compared with the server."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

import clusterdb
from tests.flavours.cases.case import normalised

SETUP = (
    'CREATE TABLE t (id int primary key, "Name" varchar(5), n numeric(5,2))',
    "INSERT INTO t SELECT g, 'n' || g, g + 0.5 FROM generate_series(1, 9) AS g",
)
Result = list[tuple[Any, ...]] | str | None
"""Rows, SQLSTATE, or None for a statement without rows."""
SCRIPT: tuple[tuple[str, Result], ...] = (
    ("DECLARE c CURSOR FOR SELECT 1", "25P01"),
    ("FETCH 1 FROM nope", "34000"),
    ("CLOSE nope", "34000"),
    ("BEGIN", None),
    ('DECLARE c SCROLL CURSOR FOR SELECT id, "Name", n, id AS id FROM t WHERE id > 2 ORDER BY id', None),
    ("UPDATE t SET n = 0", None),
    ("FETCH 2 FROM c", [(3, "n3", 3.5, 3), (4, "n4", 4.5, 4)]),
    ("FETCH NEXT FROM c", [(5, "n5", 5.5, 5)]),
    ("FETCH c", [(6, "n6", 6.5, 6)]),
    ("FETCH PRIOR FROM c", [(5, "n5", 5.5, 5)]),
    ("FETCH FIRST IN c", [(3, "n3", 3.5, 3)]),
    ("FETCH LAST FROM c", [(9, "n9", 9.5, 9)]),
    ("FETCH NEXT FROM c", []),
    ("FETCH BACKWARD 2 FROM c", [(9, "n9", 9.5, 9), (8, "n8", 8.5, 8)]),
    ("FETCH ABSOLUTE 2 FROM c", [(4, "n4", 4.5, 4)]),
    ("FETCH ABSOLUTE -2 FROM c", [(8, "n8", 8.5, 8)]),
    ("FETCH ABSOLUTE 50 FROM c", []),
    ("FETCH RELATIVE -3 FROM c", [(7, "n7", 7.5, 7)]),
    ("FETCH RELATIVE 0 FROM c", [(7, "n7", 7.5, 7)]),
    ("FETCH FORWARD 0 FROM c", [(7, "n7", 7.5, 7)]),
    ("FETCH -1 FROM c", [(6, "n6", 6.5, 6)]),
    ("MOVE BACKWARD ALL IN c", None),
    ("FETCH FORWARD ALL FROM c", [(i, f"n{i}", i + 0.5, i) for i in range(3, 10)]),
    ("MOVE ABSOLUTE 3 FROM c", None),
    ("FETCH BACKWARD ALL FROM c", [(4, "n4", 4.5, 4), (3, "n3", 3.5, 3)]),
    ("CLOSE c", None),
    ("COMMIT", None),
    ("FETCH 1 FROM c", "34000"),
    ("BEGIN", None),
    ("DECLARE d CURSOR WITH HOLD FOR SELECT id FROM t WHERE id < 4 ORDER BY id DESC", None),
    ("DECLARE e CURSOR FOR SELECT 5", None),
    ("FETCH 1 FROM e", [(5,)]),
    ("COMMIT", None),
    ("FETCH 2 FROM d", [(3,), (2,)]),
    ("FETCH 1 FROM e", "34000"),
    ("BEGIN", None),
    ("DECLARE f CURSOR WITH HOLD FOR SELECT 1", None),
    ("ROLLBACK", None),
    ("FETCH 1 FROM f", "34000"),
    ("FETCH 5 FROM d", [(1,)]),
    ("CLOSE ALL", None),
    ("FETCH 1 FROM d", "34000"),
    ("BEGIN", None),
    ("DECLARE g NO SCROLL CURSOR FOR SELECT id FROM t ORDER BY id", None),
    ("FETCH 2 FROM g", [(1,), (2,)]),
    ("FETCH ABSOLUTE 4 FROM g", [(4,)]),
    ("SAVEPOINT s", None),
    ("FETCH BACKWARD 1 FROM g", "55000"),
    ("ROLLBACK TO s", None),
    ("DECLARE h CURSOR FOR SELECT 1", None),
    ("ROLLBACK TO s", None),
    ("FETCH 1 FROM h", "34000"),
    ("ROLLBACK", None),
    ("BEGIN", None),
    ("DECLARE i CURSOR FOR SELECT 1", None),
    ("DECLARE i CURSOR FOR SELECT 2", "42P03"),
    ("ROLLBACK", None),
)


def outcome(execute: Callable[[str], Any], sql: str) -> Result:
    """What comes of a statement."""
    try:
        cursor = execute(sql)
        return normalised(cursor.fetchall()) if cursor.description is not None else None
    except Exception as error:
        state = getattr(error, "sqlstate", None)
        if state is None:
            raise
        return str(state)


def test_cursors_answer_as_documented(connection: clusterdb.Connection) -> None:
    """Directions, errors, transactions and holding."""
    assert [(sql, outcome(connection.execute, sql)) for sql, _ in SCRIPT] == list(SCRIPT)


def test_cursor_takes_parameters_and_has_the_columns_of_its_query(connection: clusterdb.Connection) -> None:
    """Named ones, and ones by their places; names and types are those of the query."""
    connection.execute("BEGIN")
    connection.execute('DECLARE a CURSOR FOR SELECT "Name", n FROM t WHERE id = :0', {"0": 4})
    connection.execute("DECLARE b CURSOR FOR SELECT id FROM t WHERE id > %s ORDER BY id", (7,))
    cursor = connection.execute("FETCH ALL FROM a")
    assert cursor.fetchall() == [("n4", 4.5)]
    assert [(column.name, column.kind.name if column.kind else "") for column in cursor.columns] == [
        ("Name", "text"),
        ("n", "decimal"),
    ]
    assert connection.execute("FETCH ALL FROM b").fetchall() == [(8,), (9,)]


def test_declare_begins_the_transaction_of_the_db_api() -> None:
    """Where the DB-API begins transactions, a cursor is in one."""
    with clusterdb.open(":memory:") as store:
        connection = clusterdb.connect(store.create_cluster("fresh", engine="aurora-postgresql"))
        connection.execute("DECLARE c CURSOR FOR VALUES (1), (2)")
        assert connection.in_transaction
        assert connection.execute("FETCH ALL FROM c").fetchall() == [(1,), (2,)]
        connection.commit()
        with pytest.raises(clusterdb.ProgrammingError, match='cursor "c" does not exist'):
            connection.execute("FETCH ALL FROM c").fetchall()
        connection.execute("DECLARE c CURSOR FOR VALUES (3)")
        assert connection.execute("FETCH ALL FROM c").fetchall() == [(3,)]
        connection.close()


# --- the real server --------------------------------------------------------------------------------------------------
def on_server(server: Any, statements: list[str]) -> list[Result]:
    """What comes of statements on the server, where an error does not end the transaction."""
    connection = server.connect()
    results: list[Result] = []
    in_transaction = False
    try:
        for statement in SETUP:
            server.execute(connection, statement, ())
        for statement in statements:
            in_transaction = in_transaction or statement == "BEGIN"
            keeps = in_transaction and not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT"))
            if keeps:
                connection.execute("SAVEPOINT test")
            results.append(outcome(lambda sql: server.execute(connection, sql, ()), statement))
            if keeps:
                connection.execute("ROLLBACK TO test" if isinstance(results[-1], str) else "RELEASE test")
            in_transaction = in_transaction and statement not in ("COMMIT", "ROLLBACK")
    finally:
        connection.close()
    return results


@pytest.mark.slow
def test_server_answers_the_same(postgresql_server: Any) -> None:
    """The script is what the server does."""
    statements = [sql for sql, _ in SCRIPT]
    assert list(zip(statements, on_server(postgresql_server, statements), strict=True)) == list(SCRIPT)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_random_moves_pass_the_rows_that_the_server_passes(
    seed: int, connection: clusterdb.Connection, postgresql_server: Any
) -> None:
    """Any sequence of moves."""
    random = Random(seed)
    directions = ("NEXT", "PRIOR", "FIRST", "LAST", "ALL", "FORWARD ALL", "BACKWARD ALL")
    counted = ("ABSOLUTE", "RELATIVE", "FORWARD", "BACKWARD", "")
    statements = ["BEGIN", "DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY id"]
    for _ in range(60):
        way = random.choice(directions)
        if random.random() < 0.6:
            way = f"{random.choice(counted)} {random.randint(-4, 11)}"
        statements.append(f"{random.choice(('FETCH', 'FETCH', 'MOVE'))} {way} FROM c")
    results = [outcome(connection.execute, sql) for sql in statements]
    pairs = list(zip(statements, results, strict=True))
    assert pairs == list(zip(statements, on_server(postgresql_server, statements), strict=True)), f"seed {seed}"
