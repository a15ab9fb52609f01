"""The page of the query editor, and its parts: parameters, results, the plan, the names for completion."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from clusterdb.access.sqlite import SQLError
from clusterdb.errors import Error, InvalidArgumentError
from clusterdb.server.console.code import Code, boto_call, cluster_text, python_call
from clusterdb.server.console.fields import Fields
from clusterdb.server.console.site import Asked
from clusterdb.server.console.sql.running import CAPS, Ran, Runs, places_of, run_id, run_script, values_of
from clusterdb.server.console.sql.sessions import Place, Session
from clusterdb.server.console.sql.statements import parameters, risks, statements

__all__ = ["Editor", "PlanStep", "query_code"]

_NAMES = (
    "SELECT t.name, c.name FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c "
    "WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
    "AND t.name NOT LIKE 'clusterdb\\_%' ESCAPE '\\' AND c.hidden <> 1 ORDER BY t.name, c.cid"
)


@dataclass(frozen=True, slots=True)
class PlanStep:
    """A step of a query plan, and its depth."""

    depth: int
    text: str


class Editor:
    """The handlers of the editor, with the runs of this server."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def page(self, asked: Asked) -> Response:
        """The editor, with the query in the URL; it does not run before someone runs it."""
        return self._page(asked, asked.query, None)

    def _page(self, asked: Asked, fields: Fields, result: str | None, status: int = 200) -> Response:
        names = [cluster.name for cluster in asked.store.clusters()]
        chosen = fields.text("cluster") or next(iter(names), "")
        cluster = asked.store.cluster(chosen) if chosen else None
        engine = cluster.settings.engine if cluster is not None else "sqlite"
        sql = fields.raw("sql")
        return asked.page(
            "query.html",
            status=status,
            names=names,
            chosen=chosen,
            engine=engine,
            endpoints=[endpoint.name for endpoint in cluster.endpoints()] if cluster is not None else [],
            fields=fields,
            sql=sql,
            parameters=parameters(sql, engine),
            caps=CAPS,
            result=result,
        )

    # --- parts ------------------------------------------------------------------------------------------------------
    def parameters(self, asked: Asked) -> Response:
        """The form of the parameters in the text, with the values that were filled in before."""
        engine = self._engine(asked)
        return asked.page("_parameters.html", parameters=parameters(asked.form.raw("sql"), engine), fields=asked.form)

    def names(self, asked: Asked) -> Response:
        """The engine, and the columns of every table, for the completion."""
        place = Place(asked.path("cluster"), asked.query.text("at"))
        tables: dict[str, list[str]] = {}
        with closing(Session(asked.store, place, read_only=True)) as session:
            for table, column in session.read(_NAMES):
                tables.setdefault(str(table), []).append(str(column))
        endpoints = [endpoint.name for endpoint in asked.store.cluster(place.cluster).endpoints()]
        return JSONResponse({"engine": session.engine, "tables": tables, "endpoints": endpoints})

    def _engine(self, asked: Asked) -> str:
        name = asked.form.text("cluster")
        return asked.store.cluster(name).settings.engine if name else "sqlite"

    # --- running ----------------------------------------------------------------------------------------------------
    def run(self, asked: Asked) -> Response:
        """Run the text; a statement that risks much is run only once that is confirmed."""
        form, sql = asked.form, asked.form.raw("sql")
        engine, places = self._engine(asked), places_of(form)
        if not statements(sql, engine):
            raise InvalidArgumentError("there is no statement to run: write one")
        is_past = all(place.at for place in places)
        dangers = risks(sql, engine) if not is_past and not form.has("confirmed") else []
        if dangers:
            return self._part(
                asked, "_risks.html", risks=dangers, places=places, can_try=places[0].endpoint == "writer"
            )
        ran = [self._ran(asked, place, sql) for place in places]
        code = asked.shown(query_code(places[0], sql))
        only = _only(ran)
        return self._part(asked, "_results.html", ran=ran, only=only, code=code, sql=sql)

    def _ran(self, asked: Asked, place: Place, sql: str) -> Ran:
        form = asked.form
        engine = asked.store.cluster(place.cluster).settings.engine
        cap = min(max(1, form.whole("cap", "Rows", CAPS[0])), CAPS[-1])
        values = values_of(form, sql, engine)
        return run_script(
            asked.store,
            place,
            sql,
            values,
            cap=cap,
            runs=self._runs,
            run=run_id(asked),
            read_only=asked.is_read_only or bool(form.text("read_only")),
        )

    def _part(self, asked: Asked, template: str, **values: Any) -> Response:
        """A part for htmx; without it, the page with this part."""
        if asked.is_part:
            return asked.page(template, **values)
        text = bytes(asked.page(template, **values).body).decode()
        return self._page(asked, asked.form, text)

    def cancel(self, asked: Asked) -> Response:
        """Interrupt a run."""
        was_running = self._runs.cancel(asked.form.text("run"))
        return asked.page("_message.html", message="cancelling" if was_running else "nothing is running")

    def leave(self, asked: Asked) -> None:
        """Interrupt a run whose page was closed."""
        self._runs.cancel(run_id(asked))

    def explain(self, asked: Asked) -> Response:
        """The plan of every statement, which does not run."""
        sql, place = asked.form.raw("sql"), places_of(asked.form)[0]
        plans = []
        with closing(Session(asked.store, place, read_only=not place.at)) as session:
            for statement in statements(sql, session.engine):
                own = dict.fromkeys(parameters(statement, session.engine))
                prefix = "EXPLAIN QUERY PLAN " if session.engine == "sqlite" else "EXPLAIN "
                try:
                    rows = list(session.run(prefix + statement, own or None).rows)
                    plans.append((statement, plan_steps(rows), ""))
                except (Error, SQLError) as error:
                    plans.append((statement, [], str(error)))
        return self._part(asked, "_plans.html", plans=plans, place=place)


def plan_steps(rows: Sequence[Sequence[object]]) -> list[PlanStep]:
    """The steps of ``EXPLAIN QUERY PLAN``, whose rows are id, parent, unused, and a text."""
    depths: dict[object, int] = {0: -1}
    steps = []
    for number, parent, _unused, text in rows:
        depths[number] = depths.get(parent, -1) + 1
        steps.append(PlanStep(depths[number], str(text)))
    return steps


def _only(ran: Sequence[Ran]) -> list[set[int]]:
    """For two runs of one query each: the numbers of the rows that the other does not have."""
    if len(ran) != 2 or any(len(side.outcomes) != 1 for side in ran):
        return [set() for _ in ran]
    sides = [[repr(tuple(row)) for row in side.outcomes[0].rows] for side in ran]
    return [
        {number for number, row in enumerate(own) if row not in other}
        for own, other in ((sides[0], set(sides[1])), (sides[1], set(sides[0])))
    ]


def query_code(place: Place, sql: str) -> Code:
    """The same query as code."""
    point = place.point
    named = {"at": point} if point is not None else {}
    arguments = [place.endpoint] if place.endpoint != "writer" and not place.at else []
    options = ["--endpoint", place.endpoint] if arguments else []
    target = f"{place.cluster}@{place.at}" if place.at else place.cluster
    boto = boto_call(
        "execute_statement",
        client="data",
        resourceArn=f"arn:aws:rds:REGION:ACCOUNT:cluster:{place.cluster}",
        secretArn="arn:aws:secretsmanager:REGION:ACCOUNT:secret:any",
        sql=sql,
    )
    if place.at or arguments:
        boto = "# The Data API queries the present, through the writer."
    python = f"connection = {python_call(f'{cluster_text(place.cluster)}.connect', *arguments, **named)}\n"
    return Code(("sql", *options, target, sql), boto, python + python_call("connection.execute", sql) + ".fetchall()")
