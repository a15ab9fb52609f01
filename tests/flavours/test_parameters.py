"""Named parameters of any name, as the clients of the RDS Data API write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import clusterdb

ENGINES = ("aurora-mysql", "aurora-postgresql")
Connect = Callable[[str], clusterdb.Connection]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """What connects to a fresh cluster of an engine."""
    with clusterdb.open(":memory:") as store:
        opened: list[clusterdb.Connection] = []

        def connect(engine: str) -> clusterdb.Connection:
            opened.append(clusterdb.connect(store.create_cluster("fresh", engine=engine), autocommit=True))
            return opened[-1]

        yield connect
        for connection in opened:
            connection.close()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["0", "1", "10", "param_1", "name", "from", "select", "Values", "order", "1a", "_x"])
def test_parameter_has_any_name(engine: str, name: str, connect: Connect) -> None:
    """Digits and the words of the grammar are names like others."""
    connection = connect(engine)
    connection.execute("CREATE TABLE t (id INT, a VARCHAR(9))")
    connection.execute(f"INSERT INTO t (id, a) VALUES (:id, :{name})", {"id": 1, name: "x"})
    row = connection.execute(f"SELECT id FROM t WHERE a = :{name} AND a IN (:{name}, 'y')", {name: "x"}).fetchall()
    assert row == [(1,)]
    connection.execute(f"UPDATE t SET a = :{name} WHERE id=:id", {"id": 1, name: "z"})
    assert connection.execute("SELECT a FROM t").fetchall() == [("z",)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "text",
    ["'a:0'", "'it''s :0'", "':0' /* :0 ' */", "':0' -- :0 '\n", '\'{"a":1, "b":2}\''],
)
def test_colon_in_a_text_or_comment_names_nothing(engine: str, text: str, connect: Connect) -> None:
    """What only looks like a parameter takes no value."""
    connection = connect(engine)
    value = text[1:].partition("' ")[0].removesuffix("'").replace("''", "'")
    assert connection.execute(f"SELECT {text} AS a, :0 AS b", {"0": 5}).fetchall() == [(value, 5)]


@pytest.mark.parametrize(
    ("sql", "parameters", "value"),
    [
        (r"SELECT '\' || :1 || '\'", {"1": "a"}, r"\a" + "\\"),
        (r"SELECT E'\':0' || :1", {"1": "a"}, "':0a"),
        ("SELECT $$:0'$$ || :1", {"1": "a"}, ":0'a"),
        ("SELECT $x$:0$$'$x$ || :1", {"1": "a"}, ":0$$'a"),
        ("SELECT :0::text || :1::int", {"0": "a", "1": "5"}, "a5"),
        ("""SELECT ('{"a": {"b": 7}}'::jsonb -> 'a' ->> :0)::int + :1::int""", {"0": "b", "1": 1}, 8),
        ("""SELECT "a:0" FROM (SELECT :0::int AS "a:0") AS q""", {"0": 3}, 3),
    ],
)
def test_parameters_stand_beside_what_postgresql_writes_with_colons(
    sql: str, parameters: dict[str, Any], value: Any, connect: Connect
) -> None:
    """Casts, escapes, quotes of dollars and quoted names."""
    assert connect("aurora-postgresql").execute(sql, parameters).fetchall() == [(value,)]


@pytest.mark.parametrize(
    ("sql", "parameters", "row"),
    [
        (r"SELECT '\':0', :0", {"0": 1}, ("':0", 1)),
        ('SELECT ":0", :0', {"0": 1}, (":0", 1)),
        ("SELECT `a:0`, :0 FROM (SELECT 2 AS `a:0`) AS q", {"0": 1}, (2, 1)),
        ("SELECT :0 # :1 '\n", {"0": 1}, (1,)),
        ("SELECT JSON_EXTRACT('{\"a\": [1, 2]}', '$.a[1]'), :0", {"0": 1}, ("2", 1)),
    ],
)
def test_parameters_stand_beside_what_mysql_writes_with_colons(
    sql: str, parameters: dict[str, Any], row: tuple[Any, ...], connect: Connect
) -> None:
    """Escapes, texts in double quotes, backticks and comments after ``#``."""
    cursor = connect("aurora-mysql").execute(sql, parameters)
    assert cursor.fetchall() == [row]
    assert cursor.description is not None
    assert cursor.description[-1][0] == ":0"


@pytest.mark.parametrize("engine", ENGINES)
def test_missing_parameter_is_named_as_it_is_written(engine: str, connect: Connect) -> None:
    """The message has the name in the statement."""
    with pytest.raises(clusterdb.ProgrammingError, match=r"binding parameter :0\."):
        connect(engine).execute("SELECT :0", {"1": 1})
