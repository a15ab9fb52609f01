"""SQL on the command line."""

from __future__ import annotations

import csv
import io
import sys
from typing import Any

import click

from clusterdb.cli.app import POINT, cli, opened, split_point
from clusterdb.cli.output import plain, tell_json
from clusterdb.format import table

__all__ = ["cli"]

_FORMS = ("table", "json", "csv")


@cli.command()
@click.argument("cluster", type=POINT)
@click.argument("statements", required=False)
@click.option("--read-only", is_flag=True, help="Refuse writes.")
@click.option("--untrusted", is_flag=True, help="Refuse files (ATTACH, VACUUM) and settings, stop what takes too long.")
@click.option("--endpoint", default="writer", show_default=True, help="writer, reader, an instance, a custom endpoint.")
@click.option("--format", "form", type=click.Choice(_FORMS), default="table", show_default=True, help="How to print.")
@click.option("--json", "form", flag_value="json", help="One object a row; the same as --format json.")
@click.option("--csv", "form", flag_value="csv", help="The same as --format csv.")
@click.pass_context
def sql(
    context: click.Context,
    cluster: str,
    statements: str | None,
    read_only: bool,
    untrusted: bool,
    endpoint: str,
    form: str,
) -> None:
    """Run SQL STATEMENTS (or standard input) in CLUSTER and print what they answer.

    A point in its past can be read: prod@1234, prod@'5 minutes ago'.
    """
    from clusterdb.sqlite import results

    text = statements if statements is not None else sys.stdin.read()
    with opened(context) as store:
        name, at = split_point(cluster)
        found = store.cluster(name)
        connection = found.connect(endpoint, read_only=read_only, at=at, trusted=not untrusted)

        def run(sql: str) -> None:
            for headers, rows in results(connection, sql):
                if headers:
                    _tell(headers, rows, form)

        if found.settings.engine == "sqlite":
            run(text)
        else:
            from clusterdb.flavours import session_of

            session_of(found.settings.engine, connection).execute_script(text, run)


def _tell(headers: list[str], rows: list[tuple[Any, ...]], form: str) -> None:
    if form == "json":
        tell_json([plain(dict(zip(headers, row, strict=True))) for row in rows])
    elif form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(headers)
        writer.writerows([value.hex() if isinstance(value, bytes) else value for value in row] for row in rows)
        click.echo(text.getvalue(), nl=False)
    else:
        click.echo(table(rows, headers))
