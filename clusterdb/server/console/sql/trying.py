"""Statements that risk much: on a throwaway clone first, then what they changed, then on the database itself."""

from __future__ import annotations

import secrets

from starlette.responses import Response

from clusterdb.errors import InvalidArgumentError
from clusterdb.server.console.actions.clusters import path_of
from clusterdb.server.console.compare import rows_of
from clusterdb.server.console.site import Asked, Notice
from clusterdb.server.console.sql.editor import query_code
from clusterdb.server.console.sql.running import Runs, places_of, run_id, run_script, values_of
from clusterdb.server.console.sql.sessions import Place

__all__ = ["Trying"]

_HOUR_S = 3600
_TAG = "try-of"
_ROWS_SHOWN = 20


class Trying:
    """The handlers; the clones expire by themselves after an hour."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def attempt(self, asked: Asked) -> Response:
        """Run the text on a new clone, and show what it changed there."""
        store, sql = asked.store, asked.form.raw("sql")
        place = places_of(asked.form)[0]
        source = store.cluster(place.cluster)
        values = values_of(asked.form, sql, source.settings.engine)
        name = f"try-{source.name[:50]}-{secrets.token_hex(3)}"
        clone = source.clone(name, ttl_s=_HOUR_S, tags={_TAG: source.name})
        try:
            ran = run_script(store, Place(name), sql, values, cap=100, runs=self._runs, run=run_id(asked))
            if ran.error:
                raise InvalidArgumentError(f"the statement failed on the clone, which was deleted: {ran.error}")
            difference = store.diff(clone)
        except BaseException:
            clone.delete()
            raise
        template = "_tried.html" if asked.is_part else "tried.html"
        return asked.page(
            template,
            cluster=source.name,
            clone=name,
            sql=sql,
            values=asked.form.pairs,
            difference=difference,
            tables=[(table, rows_of(table, 0, _ROWS_SHOWN)) for table in difference.tables],
            is_rolled_back=ran.is_rolled_back,
        )

    def apply(self, asked: Asked) -> Response:
        """Apply what changed on the clone to the database, and delete the clone.

        Changed rows are applied as a changeset, which conflicts if the database has changed meanwhile.  If the schema
        changed too, the statements themselves are run.
        """
        store, form = asked.store, asked.form
        clone, source = store.cluster(form.required("clone")), store.cluster(form.required("cluster"))
        if clone.settings.tags.get(_TAG) != source.name:
            raise InvalidArgumentError(
                f"'{clone.name}' is not a throwaway clone of '{source.name}': try the statement again"
            )
        difference = store.diff(clone)
        if difference.schema:
            sql = form.raw("sql")
            values = values_of(form, sql, source.settings.engine)
            ran = run_script(store, Place(source.name), sql, values, cap=1, runs=self._runs, run=run_id(asked))
            if ran.error:
                raise InvalidArgumentError(f"'{source.name}' refused the statement: {ran.error}")
            message = f"ran the statement on {source.name}"
        else:
            applied = source.apply(difference.changeset())
            message = f"applied {applied.applied_count:,} changed rows to {source.name}"
        clone.delete()
        code = asked.shown(query_code(Place(source.name), form.raw("sql")))
        return asked.go(path_of(source.name), Notice(f"{message}; deleted the clone {clone.name}", code))

    def discard(self, asked: Asked) -> Response:
        """Delete the throwaway clone."""
        clone = asked.store.cluster(asked.form.required("clone"))
        source = clone.settings.tags.get(_TAG)
        if source is None:
            raise InvalidArgumentError(f"'{clone.name}' is not a throwaway clone: delete it on its page")
        clone.delete()
        return asked.page("_message.html", message=f"deleted the clone {clone.name}; {source} was not changed")
