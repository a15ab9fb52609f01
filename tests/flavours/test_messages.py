"""Errors about definitions have the servers' own texts, since clients match on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import clusterdb


class Refusal(NamedTuple):
    """A statement and the message that it raises; ``is_proven``: the server in the tests has the same text."""

    sql: str
    message: str
    is_proven: bool = True


MYSQL_SETUP = (
    "CREATE TABLE parent (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b INT, KEY i (a), KEY j (b))",
    "CREATE TABLE child (id INT, p INT, FOREIGN KEY (p) REFERENCES parent (id))",
    "CREATE TABLE single (a INT)",
    "CREATE TABLE keyed (id INT PRIMARY KEY, a INT)",
)
MYSQL = (
    Refusal("ALTER TABLE parent ADD COLUMN a INT", "Duplicate column name 'a'"),
    Refusal("ALTER TABLE parent MODIFY nope INT", "Unknown column 'nope' in 'parent'"),
    Refusal("ALTER TABLE keyed ADD PRIMARY KEY (a)", "Multiple primary key defined"),
    Refusal(
        "ALTER TABLE single DROP COLUMN a",
        "You can't delete all columns with ALTER TABLE; use DROP TABLE instead",
    ),
    Refusal("ALTER TABLE parent RENAME INDEX nope TO x", "Key 'nope' doesn't exist in table 'parent'"),
    Refusal("ALTER TABLE parent RENAME INDEX i TO j", "Duplicate key name 'j'"),
    Refusal("CREATE TABLE t (d DATE DEFAULT 'x')", "Invalid default value for 'd'"),
    Refusal("CREATE TABLE t (e ENUM('a') DEFAULT 'x')", "Invalid default value for 'e'"),
    Refusal("CREATE TABLE t (a VARCHAR)", "You have an error in your SQL syntax"),
    # MariaDB has other texts than MySQL for these.
    Refusal("ALTER TABLE single DROP INDEX nope", "Can't DROP 'nope'; check that column/key exists", False),
    Refusal("ALTER TABLE single DROP PRIMARY KEY", "Can't DROP 'PRIMARY'; check that column/key exists", False),
    Refusal(
        "ALTER TABLE parent DROP PRIMARY KEY",
        "Incorrect table definition; there can be only one auto column and it must be defined as a key",
        False,
    ),
    Refusal("DROP TABLE nope", "Unknown table 'nope'", False),
    Refusal("DROP VIEW nope", "Unknown table 'nope'", False),
    Refusal(
        "DROP TABLE parent",
        "Cannot drop table 'parent' referenced by a foreign key constraint 'child_ibfk_1' on table 'child'.",
        False,
    ),
    Refusal(
        "ALTER TABLE child DROP COLUMN p",
        "Cannot drop column 'p': needed in a foreign key constraint 'child_ibfk_1'",
        False,
    ),
)
POSTGRESQL_SETUP = (
    "CREATE TABLE p (id INT PRIMARY KEY, a TEXT DEFAULT 'x', n INT GENERATED ALWAYS AS IDENTITY)",
    "CREATE TABLE c (id INT, p INT REFERENCES p, m INT DEFAULT 5)",
    "CREATE VIEW v AS SELECT a FROM p",
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE TABLE moods (mood mood)",
    "CREATE SEQUENCE s",
)
POSTGRESQL = (
    Refusal("ALTER TABLE nope ADD COLUMN b INT", 'relation "nope" does not exist'),
    Refusal("ALTER TABLE p DROP COLUMN b", 'column "b" of relation "p" does not exist'),
    Refusal("ALTER TABLE p ADD COLUMN a TEXT", 'column "a" of relation "p" already exists'),
    Refusal("ALTER TABLE p ALTER COLUMN a TYPE VARCHAR(9)", "cannot alter type of a column used by a view or rule"),
    Refusal("ALTER TABLE p DROP COLUMN a", "cannot drop column a of table p because other objects depend on it"),
    Refusal("DROP TABLE p", "cannot drop table p because other objects depend on it"),
    Refusal("ALTER TABLE p DROP CONSTRAINT p_pkey", "cannot drop constraint p_pkey on table p because other objects"),
    Refusal("DROP TYPE mood", "cannot drop type mood because other objects depend on it"),
    Refusal("ALTER TYPE mood ADD VALUE 'ok'", 'enum label "ok" already exists'),
    Refusal("ALTER TYPE mood ADD VALUE 'x' BEFORE 'y'", '"y" is not an existing enum label'),
    Refusal("CREATE TYPE mood AS ENUM ('a')", 'type "mood" already exists'),
    Refusal("TRUNCATE p", "cannot truncate a table referenced in a foreign key constraint"),
    Refusal("INSERT INTO p (id, n) VALUES (1, 2)", 'cannot insert a non-DEFAULT value into column "n"'),
    Refusal("UPDATE p SET n = 3", 'column "n" can only be updated to DEFAULT'),
    Refusal("ALTER TABLE p ADD PRIMARY KEY (a)", 'multiple primary keys for table "p" are not allowed'),
    Refusal("ALTER TABLE p DROP CONSTRAINT nope", 'constraint "nope" of relation "p" does not exist'),
    Refusal("ALTER TABLE p ALTER COLUMN id DROP NOT NULL", 'column "id" is in a primary key'),
    Refusal(
        "ALTER TABLE c ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY",
        'column "id" of relation "c" must be declared NOT NULL before identity can be added',
    ),
    Refusal("ALTER TABLE p ALTER COLUMN n SET DEFAULT 5", 'column "n" of relation "p" is an identity column'),
    Refusal("ALTER TABLE c ALTER COLUMN id DROP IDENTITY", 'column "id" of relation "c" is not an identity column'),
    Refusal("ALTER TABLE c ALTER COLUMN id TYPE DATE", 'column "id" cannot be cast automatically to type date'),
    Refusal(
        "ALTER TABLE c ALTER COLUMN m TYPE DATE USING '2024-01-01'::date",
        'default for column "m" cannot be cast automatically to type date',
    ),
    Refusal("ALTER INDEX nope RENAME TO i", 'relation "nope" does not exist'),
    Refusal("SELECT setval('s', 0)", 'setval: value 0 is out of bounds for sequence "s" (1..9223372036854775807)'),
    Refusal("ALTER SEQUENCE s RESTART WITH 0", "RESTART value (0) cannot be less than MINVALUE (1)"),
    Refusal("CREATE SEQUENCE z START 0", "START value (0) cannot be less than MINVALUE (1)"),
    Refusal("SELECT currval('s')", 'currval of sequence "s" is not yet defined in this session'),
    Refusal(
        "INSERT INTO p (id) VALUES (1), (1) ON CONFLICT (id) DO UPDATE SET a = 'y'",
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    ),
)


def refusals(cases: tuple[Refusal, ...]) -> list[Any]:
    """Cases as pytest's parameters, named by their statements."""
    return [pytest.param(case, id=case.sql) for case in cases]


@pytest.fixture(scope="module")
def stores() -> Iterator[clusterdb.Store]:
    """A store with a cluster of each engine, to clone."""
    with clusterdb.open(":memory:") as store:
        for engine, setup in (("aurora-mysql", MYSQL_SETUP), ("aurora-postgresql", POSTGRESQL_SETUP)):
            connection = clusterdb.connect(store.create_cluster(engine, engine=engine), autocommit=True)
            for statement in setup:
                connection.execute(statement)
            connection.close()
        yield store


def check_message(store: clusterdb.Store, engine: str, case: Refusal) -> None:
    """The statement fails with the case's message."""
    clone = store.cluster(engine).clone("clone")
    connection = clusterdb.connect(clone, autocommit=True)
    try:
        with pytest.raises(clusterdb.DatabaseError) as caught:
            connection.execute(case.sql).fetchall()
        assert str(caught.value).startswith(case.message)
    finally:
        connection.close()
        clone.delete()


@pytest.mark.parametrize("case", refusals(MYSQL))
def test_messages_about_definitions_are_those_of_mysql(case: Refusal, stores: clusterdb.Store) -> None:
    """The message begins with MySQL's text."""
    check_message(stores, "aurora-mysql", case)


@pytest.mark.parametrize("case", refusals(POSTGRESQL))
def test_messages_about_definitions_are_those_of_postgresql(case: Refusal, stores: clusterdb.Store) -> None:
    """The message begins with PostgreSQL's text."""
    check_message(stores, "aurora-postgresql", case)


def check_server(server: Any, setup: tuple[str, ...], case: Refusal) -> None:
    """The server's message has the case's text."""
    connection = server.connect()
    try:
        for statement in setup:
            server.execute(connection, statement, ())
        with pytest.raises(Exception) as caught:
            server.execute(connection, case.sql, ())
        assert case.message in str(caught.value)
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("case", refusals(tuple(case for case in MYSQL if case.is_proven)))
def test_mysql_has_the_messages(case: Refusal, mysql_server: Any) -> None:
    """The texts are the server's."""
    check_server(mysql_server, MYSQL_SETUP, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", refusals(POSTGRESQL))
def test_postgresql_has_the_messages(case: Refusal, postgresql_server: Any) -> None:
    """The texts are the server's."""
    check_server(postgresql_server, POSTGRESQL_SETUP, case)
