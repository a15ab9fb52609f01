"""Runs of a script: the first rows of every statement, up to a cap; errors as one line; cancelling."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from clusterdb.access.sqlite import SQLError
from clusterdb.errors import Error, InvalidArgumentError
from clusterdb.server.console.fields import Fields
from clusterdb.server.console.site import Asked, one_line
from clusterdb.server.console.sql.sessions import Place, Session
from clusterdb.server.console.sql.statements import parameters, statements
from clusterdb.store import Store

__all__ = ["CAPS", "Outcome", "Ran", "Runs", "places_of", "run_id", "run_script", "values_of"]

CAPS = (100, 1000, 10_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one statement returned: ``is_cut`` if it has more rows than were read."""

    sql: str
    columns: tuple[str, ...]
    rows: tuple[Sequence[object], ...]
    is_cut: bool
    changed_count: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Ran:
    """A run in one place: the outcomes of its statements, up to the one that failed with an ``error``."""

    place: Place
    outcomes: tuple[Outcome, ...]
    error: str = ""
    failed: str = ""
    is_rolled_back: bool = False


@dataclass
class Runs:
    """The runs of a server, by the id that the page has chosen, so that it can cancel them."""

    _sessions: dict[str, list[Session]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def known(self, run: str, session: Session) -> Iterator[None]:
        """Let a run be cancelled in the body."""
        with self._guard:
            self._sessions.setdefault(run, []).append(session)
        try:
            yield
        finally:
            with self._guard:
                self._sessions[run].remove(session)
                if not self._sessions[run]:
                    del self._sessions[run]

    def cancel(self, run: str) -> bool:
        """Interrupt the statements of a run; whether there were any."""
        with self._guard:
            sessions = list(self._sessions.get(run, ()))
            for session in sessions:
                session.interrupt()
        return bool(sessions)


def run_id(asked: Asked) -> str:
    """The id that the page has chosen for this run; one that nobody else has, if it has chosen none."""
    return asked.form.text("run") or f"request-{id(asked)}"


def places_of(fields: Fields) -> list[Place]:
    """The place, or the two places beside each other, that the fields name.  Raises InvalidArgumentError."""
    first = Place(fields.required("cluster", "Database"), fields.text("at"), fields.text("endpoint") or "writer")
    other = fields.text("with")
    return [first, Place(other, fields.text("with_at"))] if other else [first]


def values_of(fields: Fields, sql: str, engine: str) -> dict[str, Any]:
    """The values of the parameters in a script, from fields ``p:NAME`` and their kinds ``k:NAME``.

    Raises InvalidArgumentError for a value that is missing or does not fit its kind.
    """
    values: dict[str, Any] = {}
    for name in parameters(sql, engine):
        if not fields.has(f"p:{name}"):
            raise InvalidArgumentError(f"parameter :{name} has no value: fill it in")
        values[name] = _value(name, fields.raw(f"p:{name}"), fields.text(f"k:{name}", "auto"))
    return values


def _value(name: str, text: str, kind: str) -> object:
    if kind == "null":
        return None
    if kind == "text":
        return text
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    if kind == "number":
        raise InvalidArgumentError(f"parameter :{name}: '{text:.40}' is not a number: choose another kind, or a number")
    return text


def run_script(
    store: Store,
    place: Place,
    sql: str,
    values: Mapping[str, Any],
    *,
    cap: int,
    runs: Runs,
    run: str,
    read_only: bool = False,
) -> Ran:
    """Run the statements of a script in one place; errors are part of what is returned, as one line."""
    outcomes: list[Outcome] = []
    statement = ""
    try:
        with closing(Session(store, place, read_only=read_only)) as session, runs.known(run, session):
            for statement in statements(sql, session.engine):
                outcomes.append(_outcome(session, statement, values, cap))
            return Ran(place, tuple(outcomes), is_rolled_back=session.in_transaction)
    except (Error, SQLError) as error:
        text = "cancelled" if type(error).__name__ == "InterruptError" else one_line(error)
        return Ran(place, tuple(outcomes), text, statement)


def _outcome(session: Session, statement: str, values: Mapping[str, Any], cap: int) -> Outcome:
    begin, before = time.perf_counter(), session.changed_count
    own = {name: values[name] for name in parameters(statement, session.engine)}
    result = session.run(statement, own or None)
    rows = list(islice(result.rows, cap + 1))
    changed = None if result.is_read_only else session.changed_count - before
    return Outcome(statement, result.columns, tuple(rows[:cap]), len(rows) > cap, changed, time.perf_counter() - begin)
