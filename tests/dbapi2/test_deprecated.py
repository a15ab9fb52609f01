"""What is deprecated in CPython's ``sqlite3`` is in ``clusterdb.dbapi2``: the same warnings, of the running Python, in
the same words and of the same lines.  On Python 3.11 there are none."""

from __future__ import annotations

import datetime
import sqlite3
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from clusterdb import dbapi2

USES: dict[str, Callable[[Any], object]] = {}


def use(function: Callable[[Any], object]) -> Callable[[Any], object]:
    USES[function.__name__] = function
    return function


@use
def default_adapters(module: Any) -> object:
    db = module.connect(":memory:")
    return db.execute("SELECT ?, ?", (datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4))).fetchall()


@use
def default_converters(module: Any) -> object:
    db = module.connect(":memory:", detect_types=module.PARSE_DECLTYPES)
    db.execute("CREATE TABLE t (a date, b timestamp)")
    db.execute("INSERT INTO t VALUES ('2026-01-02', '2026-01-02 03:04:05.25')")
    return db.execute("SELECT * FROM t").fetchall()


@use
def names_with_a_sequence(module: Any) -> object:
    db = module.connect(":memory:")
    db.execute("CREATE TABLE t (a)")
    db.executemany("INSERT INTO t VALUES (:a)", [(1,), (2,)])
    return [
        db.execute("SELECT :a, ?, @b", (1, 2, 3)).fetchall(),
        db.execute("SELECT ?1, ?2", [1, 2]).fetchall(),
        db.execute("SELECT $1, :2", [1, 2]).fetchall(),
        db.execute("SELECT :a", {"a": 1}).fetchall(),
        db.execute("SELECT * FROM t").fetchall(),
    ]


@use
def versions(module: Any) -> object:
    return module.version, module.version_info, module.dbapi2.version


@use
def arguments_by_position(module: Any) -> object:
    class Own(module.Connection):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)

    opened = [module.connect(":memory:", 1.0), module.connect(":memory:", 1.0, 0, None, True, Own)]
    opened += [module.Connection(":memory:", 1.0, 0), module.connect(":memory:", timeout=1.0)]
    return [(type(db).__name__, db.isolation_level, db.close()) for db in opened]


@use
def arguments_by_name(module: Any) -> object:
    class Sum:
        total = 0

        def step(self, value: int) -> None:
            self.total += value

        def finalize(self) -> int:
            return self.total

    db = module.connect(":memory:")
    db.create_function(name="one", narg=0, func=lambda: 1)
    db.create_function("two", 0, lambda: 2, deterministic=True)
    db.create_aggregate("total_of", n_arg=1, aggregate_class=Sum)
    db.set_authorizer(authorizer_callback=lambda *_: module.SQLITE_OK)
    db.set_progress_handler(progress_handler=lambda: None, n=100)
    messages: list[str] = []
    db.set_trace_callback(trace_callback=messages.append)
    return db.execute("SELECT one(), two(), total_of(3)").fetchall(), messages


@use
def closing_a_transaction(module: Any) -> object:
    messages: list[str] = []
    db = module.connect(":memory:", autocommit=False)
    db.execute("CREATE TABLE t (a)")
    db.set_trace_callback(messages.append)
    db.close()
    return messages


def done(what: Callable[[Any], object], module: ModuleType) -> tuple[object, list[tuple[type, str, str, int]]]:
    """What it answers, and what it warns of, where."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = what(module)
    return answer, [
        (warning.category, str(warning.message), warning.filename, warning.lineno)
        for warning in caught
        if warning.category is not ResourceWarning
    ]


@pytest.mark.parametrize("name", USES)
def test_same_as_sqlite3(name: str) -> None:
    """The answers and the warnings are sqlite3's."""
    if name == "closing_a_transaction" and not hasattr(sqlite3, "LEGACY_TRANSACTION_CONTROL"):
        assert done(USES[name], dbapi2) == (["ROLLBACK"], [])
        return
    answer, warned = done(USES[name], dbapi2)
    expected, expected_told = done(USES[name], sqlite3)
    assert answer == expected
    assert warned == expected_told
