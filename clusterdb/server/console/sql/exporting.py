"""All rows of a query as CSV or JSON, written while they are read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from starlette.responses import Response, StreamingResponse

from clusterdb.errors import InvalidArgumentError
from clusterdb.server.console.site import Asked
from clusterdb.server.console.sql.running import Runs, places_of, run_id, values_of
from clusterdb.server.console.sql.sessions import Result, Session
from clusterdb.server.console.sql.statements import statements
from clusterdb.views.json import to_json

__all__ = ["export"]

_ROWS_AT_ONCE = 500


def export(asked: Asked, runs: Runs) -> Response:
    """The rows of one query, without a cap.  The connection is read-only: an export changes nothing."""
    sql, form = asked.form.raw("sql"), asked.form.text("format", "csv")
    if form not in ("csv", "json"):
        raise InvalidArgumentError(f"unknown format '{form:.20}': use csv or json")
    place = places_of(asked.form)[0]
    session = Session(asked.store, place, read_only=True)
    try:
        texts = statements(sql, session.engine)
        if len(texts) != 1:
            raise InvalidArgumentError(f"an export takes one query, this text has {len(texts)} statements: select one")
        with runs.known(run_id(asked), session):  # until the first row: then the reader can stop reading
            result = session.run(texts[0], values_of(asked.form, sql, session.engine) or None)
        if not result.columns:
            raise InvalidArgumentError("the statement returns no rows: export a query")
    except BaseException:
        session.close()
        raise
    rows = _csv(result) if form == "csv" else _json(result)
    return StreamingResponse(
        _closing(rows, session),
        media_type="text/csv; charset=utf-8" if form == "csv" else "application/json",
        headers={"Content-Disposition": f'attachment; filename="{place.cluster}.{form}"'},
    )


def _closing(parts: Iterator[str], session: Session) -> Iterator[str]:
    try:
        yield from parts
    finally:
        session.close()


def _csv(result: Result) -> Iterator[str]:
    """A line of names and a line for each row: NULL is empty, a blob hexadecimal."""
    for rows in _portions(result, first=[result.columns]):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(
            [value.hex() if isinstance(value, bytes) else value for value in row] for row in rows
        )
        yield text.getvalue()


def _json(result: Result) -> Iterator[str]:
    """An array of objects, one in each line."""
    separator = "["
    for rows in _portions(result, first=[]):
        lines = []
        for row in rows:
            record = {name: _plain(value) for name, value in zip(result.columns, row, strict=True)}
            lines.append(f"{separator}\n{json.dumps(record, ensure_ascii=False)}")
            separator = ","
        yield "".join(lines)
    yield "[]\n" if separator == "[" else "\n]\n"


def _plain(value: object) -> object:
    try:
        return to_json(value)
    except TypeError:
        return str(value)


def _portions(result: Result, first: list[Sequence[object]]) -> Iterator[list[Sequence[object]]]:
    rows = first
    for row in result.rows:
        rows.append(row)
        if len(rows) >= _ROWS_AT_ONCE:
            yield rows
            rows = []
    yield rows
