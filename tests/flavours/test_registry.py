"""The registries of the engines' functions: what is derived from a row, and that each row is tested."""

from __future__ import annotations

import re
from collections.abc import Iterator

import apsw
import pytest

import clusterdb
from clusterdb.flavours import flavour_of, session_of
from clusterdb.flavours.registry import Arguments, Function
from tests.flavours.cases.table import MYSQL, POSTGRESQL, Case

CASES = {"aurora-mysql": MYSQL, "aurora-postgresql": POSTGRESQL}
WORDS = frozenset({"current_timestamp", "localtimestamp", "current_user", "session_user", "user", "current_date"})
"""Functions that are called without parentheses, too."""
TESTED_HERE = frozenset({"any_value", "regexp_like"})
"""Functions of MySQL's that MariaDB does not have, so no case can be proved: the tests below call them."""
ROWS = [
    pytest.param(engine, row, id=f"{engine.removeprefix('aurora-')}-{row.names.split()[0]}")
    for engine in CASES
    for row in flavour_of(engine).functions.rows
]


def _text(case: Case) -> str:
    return " ".join((*case.setup, case.sql, case.then))


TEXTS = {
    engine: "\n".join(_text(case) for case in cases if not case.unsupported and not case.fails)
    for engine, cases in CASES.items()
}


def _calls(name: str) -> re.Pattern[str]:
    return re.compile(rf"\b{name}\b" if name in WORDS else rf"\b{name}\s*\(", re.IGNORECASE)


@pytest.fixture
def mysql() -> Iterator[clusterdb.Connection]:
    """A connection to a fresh aurora-mysql cluster."""
    with clusterdb.open(":memory:") as store:
        connection = clusterdb.connect(store.create_cluster("fresh", engine="aurora-mysql"), autocommit=True)
        yield connection
        connection.close()


@pytest.mark.parametrize(("engine", "row"), ROWS)
def test_each_row_has_a_case(engine: str, row: Function) -> None:
    """A function that no supported case calls is not proved on the engine's own server."""
    names = row.names.split()
    assert TESTED_HERE.intersection(names) or any(_calls(name).search(TEXTS[engine]) for name in names)


@pytest.mark.parametrize("engine", CASES)
def test_no_function_has_two_rows(engine: str) -> None:
    """A name belongs to one row."""
    names = [name for row in flavour_of(engine).functions.rows for name in row.names.split()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("engine", CASES)
def test_helpers_and_functions_have_different_names(engine: str) -> None:
    """Both are registered with SQLite behind the same prefix."""
    functions = flavour_of(engine).functions
    helpers = [*functions.helpers, *functions.null_helpers, *functions.helper_aggregates]
    assert len(helpers) == len(set(helpers))
    assert not set(helpers) & set(functions.by_name)


@pytest.mark.parametrize("engine", CASES)
def test_callable_names_are_registered(engine: str) -> None:
    """What rules can call exists on each connection, behind the engine's prefix."""
    db = apsw.Connection(":memory:")
    session = session_of(engine, db)
    flavour = session.flavour
    registered = {str(name) for (name,) in db.execute("SELECT name FROM pragma_function_list")}
    assert {flavour.prefix + name for name in flavour.functions.callable_names} <= registered


@pytest.mark.parametrize(("engine", "row"), ROWS)
def test_each_signature_uses_letters_of_its_engine(engine: str, row: Function) -> None:
    """The letters are those that the docstring of the registry explains."""
    assert set(row.takes.letters) <= set("tind*!" if engine == "aurora-mysql" else "tinbdjxyo*!")


@pytest.mark.parametrize(
    ("signature", "accepted", "refused"),
    [("", [0], [1]), ("tt", [2], [1, 3]), ("t/i", [1, 2], [0, 3]), ("t*+", [2, 5], [1]), ("/*+", [0, 4], [])],
)
def test_signature_accepts_its_numbers_of_arguments(signature: str, accepted: list[int], refused: list[int]) -> None:
    """What is behind a slash is optional, what is before a plus sign is repeated."""
    takes = Arguments(signature)
    assert all(map(takes.accept, accepted))
    assert not any(map(takes.accept, refused))


def test_last_letter_is_that_of_repeated_arguments() -> None:
    """Also of those that are not written."""
    assert [Arguments("t/i*+").letter(place) for place in range(5)] == ["t", "i", "*", "*", "*"]


@pytest.mark.parametrize(
    ("engine", "sql", "message"),
    [
        ("aurora-mysql", "SELECT UPPER('a', 'b')", "Incorrect parameter count in the call to native function 'upper'"),
        ("aurora-postgresql", "SELECT upper('a', 'b')", "function upper() with 2 arguments does not exist"),
    ],
)
def test_wrong_number_of_arguments_is_refused_in_the_engine_s_words(engine: str, sql: str, message: str) -> None:
    """Before the statement runs, with nothing but the engine's text."""
    with clusterdb.open(":memory:") as store:
        connection = clusterdb.connect(store.create_cluster("fresh", engine=engine), autocommit=True)
        with pytest.raises(clusterdb.DatabaseError, match=f"^{re.escape(message)}$") as caught:
            connection.execute(sql)
        assert not isinstance(caught.value, clusterdb.NotSupportedError)
        connection.close()


@pytest.mark.parametrize("name", ["into_int", "decimal_round", "add_interval", "my_nothing"])
def test_helpers_are_not_functions_of_the_engine(name: str, mysql: clusterdb.Connection) -> None:
    """A statement cannot call them under their own names."""
    with pytest.raises(clusterdb.NotSupportedError):
        mysql.execute(f"SELECT {name}(1)")


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SELECT REGEXP_LIKE('abc', 'B')", 1),
        ("SELECT REGEXP_LIKE('abc', 'x')", 0),
        ("SELECT ANY_VALUE(NULL)", None),
    ],
)
def test_functions_that_mariadb_does_not_have(sql: str, value: object, mysql: clusterdb.Connection) -> None:
    """Results by MySQL's manual."""
    assert mysql.execute(sql).fetchone() == (value,)
