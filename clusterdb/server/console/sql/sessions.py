"""A connection for one run of the editor, which takes statements of the cluster's engine.

The connection does not trust its SQL: statements read and write this database, and no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clusterdb.access.sqlite import SQLError
from clusterdb.access.untrusted import Limits
from clusterdb.rules.points import Point, parse
from clusterdb.store import Store

if TYPE_CHECKING:
    from clusterdb.flavours import EngineSession

__all__ = ["Place", "Result", "Session"]

_LIMITS = Limits(steps=None, seconds=3600.0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where statements run: a cluster, through an endpoint, or at a point in its past (``at``, as it is written)."""

    cluster: str
    at: str = ""
    endpoint: str = "writer"

    @property
    def label(self) -> str:
        """As it is shown: ``prod@12``."""
        if self.at:
            return f"{self.cluster}@{self.at}"
        return self.cluster if self.endpoint == "writer" else f"{self.cluster} ({self.endpoint})"

    @property
    def point(self) -> Point | None:
        """The point in the past.  Raises InvalidArgumentError."""
        return parse(self.at) if self.at else None


@dataclass(slots=True)
class Result:
    """What one statement returns: ``columns`` is empty if it returns no rows."""

    columns: tuple[str, ...]
    is_read_only: bool
    rows: Iterator[Sequence[object]]


class Session:
    """An open connection; close it.  Another thread may call :meth:`interrupt`."""

    def __init__(self, store: Store, place: Place, *, read_only: bool = False) -> None:
        cluster = store.cluster(place.cluster)
        point = place.point
        endpoint = "writer" if point is not None else place.endpoint or "writer"
        self.engine = cluster.settings.engine
        self._connection = cluster.connect(endpoint, read_only=read_only, at=point, trusted=False, limits=_LIMITS)
        self._engine_session: EngineSession | None = None
        try:
            if self.engine != "sqlite":
                from clusterdb.flavours import session_of

                self._engine_session = session_of(self.engine, self._connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; what is not committed is rolled back."""
        self._connection.close()

    def interrupt(self) -> None:
        """Stop the running statement, which then raises an error; does nothing once it is closed."""
        try:
            self._connection.interrupt()
        except SQLError:
            return

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    @property
    def changed_count(self) -> int:
        """The rows that were changed through this connection."""
        return self._connection.total_changes()

    def run(self, sql: str, values: Mapping[str, Any] | None = None) -> Result:
        """Run one statement; read its rows before the next.  Raises what the statement raises."""
        session = self._engine_session
        if session is None:
            return self._result(sql, values, ())
        from clusterdb.flavours.session import plan, run

        translation = session.translate(sql, session.schema())
        planned = plan(translation, in_transaction=self.in_transaction, autocommit=session.autocommit)
        for step in planned.before:
            run(step, session)
        if not planned.answer:
            for step in planned.after:
                run(step, session)
            return Result((), False, iter(()))
        return self._result(planned.answer, values, planned.after)

    def read(self, sql: str) -> list[Sequence[object]]:
        """The rows of a query in SQLite's own SQL."""
        return list(self._connection.execute(sql))

    def _result(self, sql: str, values: Mapping[str, Any] | None, steps: Sequence[Any]) -> Result:
        columns: list[tuple[str, ...]] = []
        is_read_only: list[bool] = []

        def traced(cursor: Any, _sql: str, _bindings: object) -> bool:
            columns.append(tuple(column[0] for column in cursor.get_description()))
            is_read_only.append(bool(cursor.is_readonly))
            return True

        cursor = self._connection.cursor()
        cursor.exec_trace = traced
        cursor.execute(sql, values)
        rows: Iterator[Sequence[object]] = self._then(iter(cursor), steps) if steps else iter(cursor)
        return Result(columns[-1] if columns else (), all(is_read_only), rows)

    def _then(self, rows: Iterator[Sequence[object]], steps: Sequence[Any]) -> Iterator[Sequence[object]]:
        """The rows, and then the steps that end the statement."""
        from clusterdb.flavours.session import run

        yield from rows
        assert self._engine_session is not None
        for step in steps:
            run(step, self._engine_session)
