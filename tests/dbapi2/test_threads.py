"""Connections, cursors and blobs of another thread, and closed ones, answer as those of CPython's ``sqlite3`` do.

Every attribute and method is used on both; compared is what kind of error comes, or which class the answer has.
``isolation_level = None`` is a use of its own, since it commits.  Only ours, and left out: ``apsw``, ``cluster``.
"""

from __future__ import annotations

import functools
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from clusterdb import dbapi2

Use = Callable[[Any], Any]
OURS = {"apsw", "cluster", "columns"}
MODULES: tuple[Any, Any] = (sqlite3, dbapi2)


def setting(name: str, value: Any) -> Use:
    return lambda used: setattr(used, name, value)


CONNECTION: dict[str, Use] = {
    "__call__": lambda c: c("SELECT 1"),
    "__enter__": lambda c: c.__enter__(),
    "__exit__": lambda c: c.__exit__(None, None, None),
    "__exit__ after an error": lambda c: c.__exit__(ValueError, ValueError(), None),
    "autocommit": lambda c: c.autocommit,
    "autocommit = True": setting("autocommit", True),
    "backup": lambda c: c.backup(type(c)(":memory:", check_same_thread=False)),
    "blobopen": lambda c: c.blobopen("t", "b", 1),
    "close": lambda c: c.close(),
    "commit": lambda c: c.commit(),
    "create_aggregate": lambda c: c.create_aggregate("f", 1, None),
    "create_collation": lambda c: c.create_collation("f", None),
    "create_function": lambda c: c.create_function("f", 1, None),
    "create_window_function": lambda c: c.create_window_function("f", 1, None),
    "cursor": lambda c: c.cursor(),
    "deserialize": lambda c: c.deserialize(b""),
    "enable_load_extension": lambda c: c.enable_load_extension(False),
    "execute": lambda c: c.execute("SELECT 1"),
    "executemany": lambda c: c.executemany("DELETE FROM t WHERE a = ?", [(9,)]),
    "executescript": lambda c: c.executescript("SELECT 1"),
    "getconfig": lambda c: c.getconfig(1002),
    "getlimit": lambda c: c.getlimit(1),
    "in_transaction": lambda c: c.in_transaction,
    "interrupt": lambda c: c.interrupt(),
    "isolation_level": lambda c: c.isolation_level,
    "isolation_level = None": setting("isolation_level", None),
    "isolation_level = 'IMMEDIATE'": setting("isolation_level", "IMMEDIATE"),
    "isolation_level = 'x'": setting("isolation_level", "x"),
    "iterdump": lambda c: c.iterdump(),
    "iterdump, the first line": lambda c: next(c.iterdump()),
    "load_extension": lambda c: c.load_extension("/nowhere"),
    "rollback": lambda c: c.rollback(),
    "row_factory": lambda c: c.row_factory,
    "row_factory = None": setting("row_factory", None),
    "serialize": lambda c: c.serialize(),
    "set_authorizer": lambda c: c.set_authorizer(None),
    "set_progress_handler": lambda c: c.set_progress_handler(None, 1),
    "set_trace_callback": lambda c: c.set_trace_callback(None),
    "setconfig": lambda c: c.setconfig(1002, True),
    "setlimit": lambda c: c.setlimit(1, 1000),
    "text_factory": lambda c: c.text_factory,
    "text_factory = bytes": setting("text_factory", bytes),
    "total_changes": lambda c: c.total_changes,
    "Cursor()": lambda c: (sqlite3 if isinstance(c, sqlite3.Connection) else dbapi2).Cursor(c),
}
CURSOR: dict[str, Use] = {
    "__iter__": lambda c: bool(iter(c)),
    "__next__": lambda c: next(c),
    "for": lambda c: [row for row in c],  # noqa: C416
    "arraysize": lambda c: c.arraysize,
    "arraysize = 7": setting("arraysize", 7),
    "close": lambda c: c.close(),
    "connection": lambda c: c.connection is not None,
    "description": lambda c: c.description,
    "execute": lambda c: c.execute("SELECT 1"),
    "executemany": lambda c: c.executemany("DELETE FROM t WHERE a = ?", [(9,)]),
    "executescript": lambda c: c.executescript("SELECT 1"),
    "fetchall": lambda c: c.fetchall(),
    "fetchmany": lambda c: c.fetchmany(1),
    "fetchone": lambda c: c.fetchone(),
    "lastrowid": lambda c: c.lastrowid,
    "row_factory": lambda c: c.row_factory,
    "row_factory = None": setting("row_factory", None),
    "rowcount": lambda c: c.rowcount,
    "setinputsizes": lambda c: c.setinputsizes([1]),
    "setoutputsize": lambda c: c.setoutputsize(1),
}
BLOB: dict[str, Use] = {
    "__enter__": lambda b: bool(b.__enter__()),
    "__exit__": lambda b: b.__exit__(None, None, None),
    "__getitem__": lambda b: b[0],
    "__len__": lambda b: len(b),
    "__setitem__": lambda b: b.__setitem__(0, 1),
    "close": lambda b: b.close(),
    "read": lambda b: b.read(),
    "seek": lambda b: b.seek(1),
    "tell": lambda b: b.tell(),
    "write": lambda b: b.write(b"a"),
}


def opened(module: Any, **options: Any) -> Any:
    connection = module.connect(":memory:", **options)
    connection.executescript("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, x'0011')")
    return connection


def outcome(use: Use, used: Any) -> tuple[str, str]:
    """The class of the answer or of the error, and the error's text as far as the thread."""
    try:
        answer = use(used)
    except Exception as error:
        return type(error).__name__, "thread" if "created in a thread" in str(error) else str(error)
    return "answered", type(answer).__name__


def in_another_thread(work: Callable[[], Any]) -> Any:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join()
    return answers[0]


def executed(connection: Any) -> Any:
    """A cursor with rows to read, after an INSERT."""
    cursor = connection.cursor()
    cursor.execute("INSERT INTO t VALUES (2, x'00')")
    return cursor.execute("SELECT 1 UNION ALL SELECT 2")


KINDS: dict[str, tuple[dict[str, Use], Use]] = {
    "connection": (CONNECTION, lambda connection: connection),
    "cursor": (CURSOR, executed),
    "blob": (BLOB, lambda connection: connection.blobopen("t", "b", 1)),
}
USES = [(kind, name) for kind, (uses, _) in KINDS.items() for name in uses]


def has_it(kind: str, name: str) -> bool:
    """Whether this Python's ``sqlite3`` has it."""
    used = {"connection": sqlite3.Connection, "cursor": sqlite3.Cursor, "blob": getattr(sqlite3, "Blob", object)}[kind]
    word = name.split()[0].strip(",")
    return not word.isidentifier() or word == "for" or hasattr(used, word)


@pytest.mark.parametrize(("kind", "name"), USES)
def test_uses_from_another_thread_answer_as_those_of_sqlite3(kind: str, name: str) -> None:
    if not has_it(kind, name):
        pytest.skip(f"sqlite3 of Python {sys.version_info.major}.{sys.version_info.minor} lacks it")
    uses, make = KINDS[kind]
    outcomes = []
    for module in MODULES:
        connection = opened(module)
        used = make(connection)
        outcomes.append(in_another_thread(functools.partial(outcome, uses[name], used)))
        connection.close()
    assert outcomes[1] == outcomes[0]


@pytest.mark.parametrize(("kind", "name"), USES)
def test_uses_without_a_check_of_threads_answer_as_those_of_sqlite3(kind: str, name: str) -> None:
    if not has_it(kind, name):
        pytest.skip(f"sqlite3 of Python {sys.version_info.major}.{sys.version_info.minor} lacks it")
    uses, make = KINDS[kind]
    outcomes = []
    for module in MODULES:
        connection = opened(module, check_same_thread=False)
        used = make(connection)
        outcomes.append(in_another_thread(functools.partial(outcome, uses[name], used))[0])
        connection.close()
    assert outcomes[1] == outcomes[0]


@pytest.mark.parametrize(("kind", "name"), USES)
def test_uses_after_closing_answer_as_those_of_sqlite3(kind: str, name: str) -> None:
    if not has_it(kind, name):
        pytest.skip(f"sqlite3 of Python {sys.version_info.major}.{sys.version_info.minor} lacks it")
    if name == "Cursor()":
        pytest.skip("sqlite3 makes a cursor that cannot be used; ours is refused")
    uses, make = KINDS[kind]
    outcomes = []
    for module in MODULES:
        connection = opened(module)
        used = make(connection)
        connection.close()
        outcomes.append(outcome(uses[name], used))
    assert outcomes[1] == outcomes[0]


@pytest.mark.parametrize("module", MODULES)
def test_backup_target_may_belong_to_another_thread(module: Any) -> None:
    target = module.connect(":memory:")

    def copied() -> Any:
        source = opened(module)
        source.commit()
        source.backup(target)
        source.close()

    in_another_thread(copied)
    assert target.execute("SELECT a FROM t").fetchall() == [(1,)]
    target.close()


def test_refused_commit_of_another_thread_changes_nothing() -> None:
    connection = opened(dbapi2)
    connection.execute("INSERT INTO t VALUES (3, NULL)")
    leave: Use = lambda c: c.__exit__(None, None, None)  # noqa: E731
    assert in_another_thread(lambda: outcome(leave, connection)) == ("ProgrammingError", "thread")
    assert connection.in_transaction
    connection.close()


@pytest.mark.parametrize(
    ("kind", "used"), [("connection", dbapi2.Connection), ("cursor", dbapi2.Cursor), ("blob", dbapi2.Blob)]
)
def test_every_public_name_is_used(kind: str, used: type) -> None:
    names = {name for name in dir(used) if not name.startswith("_")} - OURS
    names = {name for name in names if not isinstance(getattr(used, name), type)}  # the exceptions
    names |= {name for name in ("__enter__", "__exit__", "__iter__", "__next__", "__call__") if name in dir(used)}
    words = {name.split()[0].strip(",") for name in KINDS[kind][0]}
    assert not {name for name in names if name not in words and (kind, name) != ("blob", "__iter__")}
