"""INSERTs of literals: what is translated without the grammar is translated as with it."""

from __future__ import annotations

import random
from typing import Any

import apsw
import pytest

from clusterdb.errors import Error
from clusterdb.flavours import EngineSession, flavour_of, session_of
from clusterdb.flavours.flavour import Flavour
from clusterdb.flavours.schema import read

TABLES = {
    "aurora-mysql": (
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, i INT, b BIGINT, d DECIMAL(12,3), f DOUBLE, r FLOAT, "
        "s VARCHAR(40), c CHAR(9), x TEXT, o BLOB, v VARBINARY(30), da DATE, dt DATETIME(3), ti TIME, y YEAR, "
        "j JSON, e ENUM('a','b'), bo BOOLEAN, "
        "un INT UNSIGNED, bu BIGINT UNSIGNED, st SET('a','b','c'), df VARCHAR(9) DEFAULT 'z', z INT ZEROFILL)"
    ),
    "aurora-postgresql": (
        "CREATE TYPE mood AS ENUM ('a', 'b'); "
        "CREATE TABLE t (id SERIAL PRIMARY KEY, i INT, b BIGINT, d NUMERIC(12,3), n NUMERIC, f DOUBLE PRECISION, "
        "r REAL, s VARCHAR(40), c CHAR(9), x TEXT, o BYTEA, da DATE, dt TIMESTAMP, tz TIMESTAMPTZ, ti TIME, "
        "j JSON, jb JSONB, u UUID, bo BOOLEAN, iv INTERVAL, m mood, df TEXT DEFAULT 'z')"
    ),
}
TEXTS = [
    *(
        "",
        "a",
        "it's",
        "x" * 30,
        'say "y"',
        "a\\b",
        "a\0b\0",
        "tab\there",
        "line\nbreak",
        "ä€😀",
        "%s",
        "?",
        ":name",
        "100%",
    ),
    *("12", "-7", "1.5", "1e3", "-0.001", "0", "2024-02-29", "2024-02-29 12:34:56", "2024-02-29 12:34:56.789"),
    *("12:34:56", "true", "f", "\\x6869", '{"b": 1, "a": [1.0, null]}', "[1, 2]", "b", "a,b", "A"),
    *("6ecd8c99-4036-403d-bf84-cf8400f67836", "1 day 02:03:04", "2024-02-29 12:34:56+02", "NaN", "--x", "/* */", ";"),
]
NUMBERS = [
    "0",
    "7",
    "-7",
    "007",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
]
NUMBERS += ["1.5", "-1.25", "0.001", "123456789.123", "3.14159265358979", "1e3", "-2.5E-3", "0.1", "99999.9995"]
WORDS = ["NULL", "null", "TRUE", "False", "NULL", "NULL", "DEFAULT"]


def written(engine: str, value: str) -> str:
    """A text as a client of the engine writes it."""
    if engine == "aurora-mysql":
        for char, escape in (("\\", "\\\\"), ("\0", "\\0"), ("\n", "\\n"), ("\t", "\\t"), ('"', '\\"'), ("'", "\\'")):
            value = value.replace(char, escape)
        return f"'{value}'"
    return "'" + value.replace("'", "''").replace("\0", "0") + "'"  # no text of PostgreSQL's has a NUL


def literal(engine: str, rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return written(engine, rng.choice(TEXTS))
    if kind < 0.75:
        return rng.choice(NUMBERS)
    if kind < 0.8 and engine == "aurora-mysql":
        return rng.choice(["0x6869", "x'00ff'", "X''"])
    return rng.choice(WORDS)


def fitting(engine: str, declared: str, rng: random.Random) -> str:
    """A literal that the column most often takes."""
    kinds: dict[str, list[str]] = {
        "int": ["1", "-5", "2147483647", "'12'", "NULL"],
        "decimal": ["1.5", "-1.250", "7", "'3.125'", "1e2", "NULL"],
        "real": ["1.5", "-0.1", "3", "1e-3", "'2.5'", "NULL"],
        "date": ["'2024-02-29'", "NULL"],
        "time": ["'12:34:56'", "NULL"],
    }
    for name, values in kinds.items():
        if name in declared:
            return rng.choice(values)
    return literal(engine, rng)


_SESSIONS: list[EngineSession] = []  # as long as the connections


def database(flavour: Flavour) -> apsw.Connection:
    """A database with the engine's table."""
    db = apsw.Connection(":memory:")
    session = session_of(flavour.engine, db)
    session.execute_script(TABLES[flavour.engine], lambda text: db.execute(text).fetchall())
    _SESSIONS.append(session)
    return db


@pytest.fixture(params=sorted(TABLES))
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Each flavour."""
    return flavour_of(request.param)


def stored(db: apsw.Connection, sql: str) -> Any:
    """The rows that a statement leaves, with their types, in a transaction that is rolled back; or its error."""
    db.execute("BEGIN")
    try:
        db.execute(sql).fetchall()
        return [[(value, type(value)) for value in row] for row in db.execute("SELECT * FROM t")]
    except (Error, apsw.Error) as error:
        return type(error), str(error)
    finally:
        db.execute("ROLLBACK")


@pytest.mark.parametrize("seed", range(4))
def test_fast_path_translates_literals_as_the_grammar_does(seed: int, flavour: Flavour) -> None:
    """The text is the same, and so are the rows; refused statements are refused by both."""
    rng, fast_db, slow_db = random.Random(seed), database(flavour), database(flavour)
    schema, accepted = read(fast_db), 0
    columns = {name: column.declared for name, column in schema.tables["t"].items()}
    for _ in range(200):
        names = rng.sample(list(columns), rng.randint(1, 6))
        is_wild = rng.random() < 0.2
        rows = [
            [literal(flavour.engine, rng) if is_wild else fitting(flavour.engine, columns[name], rng) for name in names]
            for _ in range(rng.choice([1, 1, 2, 3, 5]))
        ]
        values = rng.choice([", ", ","]).join(f"({','.join(row)})" for row in rows)
        sql = f"INSERT INTO t ({', '.join(names)}) VALUES {values}"
        fast = flavour.rows.translated(sql, schema)
        try:
            slow = flavour._anew(sql, schema)
        except Error:
            assert fast is None, sql
            continue
        if fast is None:
            assert any(
                value.upper() in ("DEFAULT", "9223372036854775808")
                or (("char" in kind or "text" in kind) and value[0] != "'" and set(".eE") & set(value))
                for row in rows
                for value, kind in zip(row, (columns[name] for name in names), strict=True)
            ), sql  # as a text a decimal number has the digits that it is written with
            continue
        accepted += 1
        assert (fast, (), ()) == (slow.sql, slow.before, slow.after), sql
        assert stored(fast_db, fast) == stored(slow_db, slow.sql), sql
    assert accepted > 20
