"""The version of a cluster since which a query has another answer, by binary search in its past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from clusterdb.access.sqlite import Connection, SQLError
from clusterdb.catalog.rows import ClusterRow
from clusterdb.core.context import ClusterRef, Context
from clusterdb.core.volumes import lent
from clusterdb.errors import InvalidArgumentError
from clusterdb.history.log import RetainedVersion, retained_versions
from clusterdb.past.find import utc

__all__ = ["Answer", "Bisection", "bisect"]

Row: TypeAlias = tuple[Any, ...]
"""Values of SQLite."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a query in a version: its rows, or the text of the error that it raised there."""

    version: int
    time: datetime
    rows: tuple[Row, ...] = ()
    error: str | None = None

    def is_same(self, other: Answer) -> bool:
        """Whether two versions gave the same rows in the same order, or failed alike."""
        kinds = [[type(value) for row in answer.rows for value in row] for answer in (self, other)]
        return self.rows == other.rows and kinds[0] == kinds[1] and self.error == other.error


@dataclass(frozen=True, slots=True)
class Bisection:
    """The result of :meth:`clusterdb.Cluster.bisect`.

    ``after`` is the answer of the first version that answers as the newest does, ``before`` that of the version just
    before it; both are None if the oldest and the newest version give the same answer.  ``oldest`` and ``newest`` are
    the ends of the search, and ``tested_count`` the number of versions that were asked.
    """

    oldest: Answer
    newest: Answer
    before: Answer | None
    after: Answer | None
    tested_count: int


def bisect(context: Context, cluster: ClusterRef, sql: str) -> Bisection:
    """Find the version since which a query has its present answer; see :meth:`clusterdb.Cluster.bisect`."""
    context.require_writable()  # temporary clones are read
    row = context.row_of(cluster)
    versions = [version for version in retained_versions(context, row) if not version.is_left][::-1]
    answers: dict[int, Answer] = {}

    def ask(index: int) -> Answer:
        if index not in answers:
            answers[index] = _answer(context, row, versions[index], sql)
        return answers[index]

    newest, oldest = ask(len(versions) - 1), ask(0)
    if newest.error is not None:
        raise InvalidArgumentError(f"cluster '{row.name}' cannot answer the query: {newest.error}")
    if oldest.is_same(newest):
        return Bisection(oldest, newest, None, None, len(answers))
    other, same = 0, len(versions) - 1
    while same - other > 1:
        middle = (other + same) // 2
        if ask(middle).is_same(newest):
            same = middle
        else:
            other = middle
    return Bisection(oldest, newest, answers[other], answers[same], len(answers))


def _answer(context: Context, row: ClusterRow, version: RetainedVersion, sql: str) -> Answer:
    number, time = version.record.version, utc(version.record.time_ns)
    with lent(context, version.ref, read_only=True) as (_, connection):
        try:
            return Answer(number, time, tuple(_rows(connection, row.settings.engine, sql)))
        except SQLError as error:
            return Answer(number, time, error=str(error))


def _rows(connection: Connection, engine: str, sql: str) -> list[Row]:
    if engine == "sqlite":
        return list(connection.execute(sql))
    from clusterdb.flavours import session_of

    rows: list[Row] = []
    session_of(engine, connection).execute_script(sql, lambda text: rows.extend(connection.execute(text)))
    return rows
