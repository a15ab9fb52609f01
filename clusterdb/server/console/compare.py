"""Differences between two points: schema and tables, the rows of one table, and both to download."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from clusterdb.diff import Diff, TableChanges
from clusterdb.errors import InvalidArgumentError
from clusterdb.rules.points import split
from clusterdb.server.console.fields import Fields
from clusterdb.server.console.site import Asked
from clusterdb.store import Store
from clusterdb.views.points import points

__all__ = ["ShownRow", "changeset", "difference", "rows_of", "script", "table"]

_ROWS_MAX = 100


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A changed row: its key, and for each column the values before and after, and whether they differ."""

    kind: str
    key: str
    cells: tuple[tuple[object, object, bool], ...]


def rows_of(table: TableChanges, first: int = 0, count: int = _ROWS_MAX) -> list[ShownRow]:
    """The changed rows of a table, from the number ``first``."""
    rows = []
    for change in table.changes[first : first + count]:
        old, new = change.old, change.new
        width = len(table.columns)
        before = tuple(old) + (None,) * (width - len(old)) if old is not None else (None,) * width
        after = tuple(new) if new is not None else (None,) * width
        cells = tuple(
            (a, b, change.kind == "update" and (a != b or type(a) is not type(b)))
            for a, b in zip(before, after, strict=False)
        )
        key = ", ".join(map(str, change.key[-len(table.key_columns) :]))
        rows.append(ShownRow(change.kind, key, cells))
    return rows


def _compared(store: Store, query: Fields, tables: list[str] | None = None) -> Diff:
    """The difference that the URL names.  Raises InvalidArgumentError."""
    before, after = query.text("before"), query.text("after")
    if not before:
        raise InvalidArgumentError("the first side is missing: choose a database, as prod or prod@12")
    old, old_at = split(before)
    if not after:
        return store.diff(old, before_at=old_at, tables=tables)
    new, new_at = split(after)
    return store.diff(old, new, before_at=old_at, after_at=new_at, tables=tables)


def difference(asked: Asked) -> Response:
    """The form of two points, and what differs: the schema, and the number of rows of every table."""
    store, query = asked.store, asked.query
    result = _compared(store, query) if query.text("before") else None
    return asked.page(
        "diff.html",
        before=query.text("before"),
        after=query.text("after"),
        difference=result,
        points=_points(store),
        names=[cluster.name for cluster in store.clusters()],
    )


def _points(store: Store) -> list[tuple[str, str]]:
    """What both sides can be, with a description: clusters, where clones began, newest versions, snapshots."""
    listed: list[tuple[str, str]] = []
    snapshots = store.snapshots()
    for cluster in store.clusters()[:100]:
        listed.append((cluster.name, "now"))
        if cluster.source is not None:
            listed.append((f"{cluster.name}@base", f"where it was cloned from {cluster.source}"))
        earliest, latest = cluster.restorable()
        own = [snapshot for snapshot in snapshots if snapshot.cluster == cluster.name]
        for point in points(cluster.name, own, cluster.versions(5), earliest, latest):
            listed.append((f"{cluster.name}@{point.text}", point.what))
    return listed


def table(asked: Asked) -> Response:
    """The changed rows of one table."""
    name, first = asked.path("table"), max(0, asked.query.whole("from", "Row", 0))
    result = _compared(asked.store, asked.query, [name])
    changes = next((item for item in result.tables if item.name.lower() == name.lower()), None)
    others = [item.name for item in _compared(asked.store, asked.query).tables]
    count = len(changes.changes) if changes is not None else 0
    return asked.page(
        "diff_table.html",
        before=asked.query.text("before"),
        after=asked.query.text("after"),
        difference=result,
        name=name,
        table=changes,
        rows=rows_of(changes, first) if changes is not None else [],
        others=others,
        first=first,
        count=count,
        previous=max(first - _ROWS_MAX, 0) if first else None,
        following=first + _ROWS_MAX if count > first + _ROWS_MAX else None,
    )


def _file(asked: Asked, content: str | bytes, ending: str, media_type: str) -> Response:
    names = "-".join(filter(None, (asked.query.text("before"), asked.query.text("after"))))
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in names)
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="diff-{safe}.{ending}"'},
    )


def script(asked: Asked) -> Response:
    """The difference as an SQL script."""
    result = _compared(asked.store, asked.query, asked.query.all("table") or None)
    return _file(asked, result.sql(), "sql", "application/sql; charset=utf-8")


def changeset(asked: Asked) -> Response:
    """The difference as a changeset."""
    result = _compared(asked.store, asked.query, asked.query.all("table") or None)
    return _file(asked, result.changeset(), "changeset", "application/octet-stream")
