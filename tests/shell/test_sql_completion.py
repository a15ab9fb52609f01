"""What completes SQL: the names that can stand at the cursor, which is ``|`` in these texts."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusterdb.shell.completion import Names, completions

NAMES = Names(
    tables={
        "users": ["id", "name", "email"],
        "orders": ["id", "user_id", "total"],
        "order lines": ["order", "price"],
    },
    schemas=["main", "temp"],
    functions=["count(", "max(", "upper("],
    keywords=["SELECT ", "FROM ", "WHERE ", "JOIN ", "ON ", "AS ", "USING ", "SET ", "ORDER ", "VALUES(", "EXISTS "],
    others=["NOCASE"],
)


def completed(text: str) -> list[str]:
    line, _, after = text.partition("|")
    begin = max(line.rfind(character) for character in " ,(=.\n") + 1
    return [word.strip() for word in completions(line + after, begin, len(line), NAMES)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # tables
        ("SELECT * FROM |", ["users", "orders", '"order lines"', "main", "temp"]),
        ("SELECT * FROM us|", ["users"]),
        ("SELECT * FROM users, or|", ["orders", '"order lines"']),
        ("SELECT * FROM users JOIN o|", ["orders", '"order lines"']),
        ("SELECT * FROM users u LEFT JOIN o|", ["orders", '"order lines"']),
        ("INSERT INTO o|", ["orders", '"order lines"']),
        ("UPDATE u|", ["users"]),
        ("DELETE FROM u|", ["users"]),
        ("DROP TABLE IF EXISTS u|", ["users"]),
        ("ALTER TABLE u|", ["users"]),
        ("SELECT * FROM main.u|", ["users"]),
        # columns of the tables in scope, also if these stand behind the cursor
        ("SELECT n| FROM users", ["name", "nocase"]),
        ("SELECT id, t| FROM orders", ["total"]),
        ("SELECT e| FROM orders", ["exists"]),
        ("SELECT * FROM users WHERE e|", ["email", "exists"]),
        ("SELECT * FROM users WHERE id = 1 AND em|", ["email"]),
        ("SELECT * FROM users JOIN orders ON u|", ["user_id", "users", "upper(", "using"]),
        ("SELECT * FROM users JOIN orders USING (i|", ["id"]),
        ("SELECT * FROM users ORDER BY e|", ["email", "exists"]),
        ("SELECT * FROM users GROUP BY name HAVING ma|", ["max("]),
        ("UPDATE users SET e|", ["email", "exists"]),
        ("INSERT INTO orders (u|", ["user_id"]),
        ("INSERT INTO orders (id, t|", ["total"]),
        ("SELECT upper(n| FROM users", ["name", "nocase"]),
        ('SELECT p| FROM "order lines"', ["price"]),
        ("SELECT o| FROM `order lines`", ['"order"', '"order lines"', "on", "order"]),
        # aliases
        ("SELECT u.| FROM users u", ["id", "name", "email"]),
        ("SELECT u.n| FROM users AS u JOIN orders o", ["name"]),
        ("SELECT * FROM users u JOIN orders o ON u.id = o.u|", ["user_id"]),
        ("SELECT * FROM main.users x WHERE x.e|", ["email"]),
        ("SELECT orders.t| FROM users", ["total"]),
        ("SELECT zz.| FROM users", []),
        ("SELECT U.N| FROM users u", ["Name"]),
        # queries in queries
        ("SELECT * FROM users WHERE id IN (SELECT u| FROM orders)", ["user_id", "users", "upper(", "using"]),
        ("SELECT * FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.i|)", ["id"]),
        ("SELECT s.| FROM (SELECT id, total AS sum FROM orders) s", ["id", "sum"]),
        ("SELECT s.| FROM (SELECT * FROM orders) AS s", ["id", "user_id", "total"]),
        ("WITH big AS (SELECT id, total FROM orders) SELECT * FROM b|", ["big"]),
        ("WITH big AS (SELECT id, total FROM orders) SELECT b.| FROM big b", ["id", "total"]),
        ("WITH big(x, y) AS (SELECT id, total FROM orders) SELECT big.| FROM big", ["x", "y"]),
        ("SELECT (SELECT max(t|) FROM orders) FROM users", ["total"]),
        # keywords
        ("sel|", ["select"]),
        ("SELECT name f|", ["from"]),
        ("SELECT * FROM users w|", ["where"]),
        ("SELECT * FROM users JOIN orders o|", ["on", "order"]),
        ("SELECT * FROM users WHERE id = 1 o|", ["on", "order"]),
        ("SELECT 1; SELECT * FROM u|", ["users"]),
        # nothing in strings and comments
        ("SELECT 'us|", []),
        ("SELECT 'it''s us|", []),
        ("SELECT 1 -- us|", []),
        ("SELECT /* us|", []),
        ('SELECT "us|', []),
        ("SELECT 'x' FROM u|", ["users"]),
        ("SELECT 1 -- one\nFROM u|", ["users"]),
    ],
)
def test_completion_knows_what_can_stand_at_the_cursor(text: str, expected: list[str]) -> None:
    assert completed(text) == expected


def test_completion_without_a_statement_offers_everything() -> None:
    assert {"users", "select"} <= {word.lower() for word in completed("|")}


def test_completion_replaces_what_readline_calls_the_word() -> None:
    """A word with its qualifier; names are quoted as the engine does."""
    text = "SELECT u.na FROM users u"
    assert completions(text, 7, 11, NAMES) == ["u.name"]
    mysql = Names(tables={"order lines": ["select"]}, quote="`")
    assert completions("SELECT * FROM o", 14, 15, mysql) == ["`order lines`"]
    assert completions("SELECT s", 7, 8, mysql)[0] == "`select`"


UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PIECES = st.sampled_from(
    [
        "select",
        "from",
        "(",
        ")",
        ",",
        ".",
        "users",
        "u",
        "*",
        "'",
        '"',
        "join",
        "on",
        "with",
        "as",
        ";",
        "--",
        "\n",
        "1",
    ]
)


@UNHURRIED
@given(before=st.lists(PIECES, max_size=12), after=st.lists(PIECES, max_size=6))
def test_completion_survives_any_text(before: list[str], after: list[str]) -> None:
    """Whatever stands around it, completions begin with the word, in any case."""
    line = " ".join([*before, "u"])
    for word in completions(f"{line} {' '.join(after)}", len(line) - 1, len(line), NAMES):
        assert word.lstrip('"').lower().startswith("u")
