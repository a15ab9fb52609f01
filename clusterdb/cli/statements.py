"""SQL on the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from clusterdb.cli.app import POINT, cli, endpoint_option, opened, progress_bar, split_point
from clusterdb.cli.output import print_json, terminal_width
from clusterdb.rules.urls import is_url
from clusterdb.views.rows import rows_csv, rows_json
from clusterdb.views.text import cells_of, table

if TYPE_CHECKING:
    from clusterdb.rules.points import Point
    from clusterdb.store import Cluster

__all__ = ["cli"]

_FORMATS = ("table", "json", "csv", "markdown")


@cli.command()
@click.argument("cluster", type=POINT)
@click.argument("statements", required=False)
@click.option("--read-only", is_flag=True, help="Refuse writes.")
@click.option("--untrusted", is_flag=True, help="Refuse files (ATTACH, VACUUM) and settings; limit time and steps.")
@endpoint_option
@click.option(
    "--format",
    "output_format",
    type=click.Choice(_FORMATS),
    default="table",
    show_default=True,
    help="How rows are printed.",
)
@click.option("--json", "output_format", flag_value="json", help="An object for each row; the same as --format json.")
@click.option("--csv", "output_format", flag_value="csv", help="The same as --format csv.")
@click.pass_context
def sql(
    context: click.Context,
    cluster: str,
    statements: str | None,
    read_only: bool,
    untrusted: bool,
    endpoint: str,
    output_format: str,
) -> None:
    """Run SQL STATEMENTS (or standard input) in CLUSTER and print the rows that they return.

    CLUSTER can name a point in time, to read: prod@1234, prod@'5 minutes ago'.  It can be a database that was pushed,
    as s3://BUCKET/PATH/prod: the pages that are needed are read, and nothing is left behind.
    """
    from clusterdb.access.sqlite import ReadOnlyError, results

    text = statements if statements is not None else sys.stdin.read()
    with _target(context, cluster) as (target, at):
        connection = target.connect(endpoint, read_only=read_only, at=at, trusted=not untrusted)

        def run(sql: str) -> None:
            for headers, rows in results(connection, sql):
                if headers:
                    _print_rows(rows, headers, output_format)

        try:
            if target.settings.engine == "sqlite":
                run(text)
            else:
                from clusterdb.flavours import session_of

                session_of(target.settings.engine, connection).execute_script(text, run)
        except ReadOnlyError:
            if at is None and not read_only:
                target.store.context.require_writable()  # its error states the reason
            raise


@contextmanager
def _target(context: click.Context, text: str) -> Iterator[tuple[Cluster, Point | None]]:
    """The cluster that an argument names, and the point in its past; or a database that was pushed."""
    from clusterdb.store import open_database

    name, at = split_point(text)
    if is_url(text):
        with progress_bar("reading") as progress:
            opened_store, cluster = open_database(name, at, progress)
        with opened_store as store:
            yield store.cluster(cluster), None
    else:
        with opened(context) as store:
            yield store.cluster(name), at


def _print_rows(rows: list[tuple[object, ...]], headers: list[str], output_format: str) -> None:
    if output_format == "json":
        print_json(rows_json(rows, headers))
    elif output_format == "csv":
        click.echo(rows_csv(rows, headers), nl=False)
    elif output_format == "markdown":
        from clusterdb.views.grid import markdown

        click.echo("\n".join(markdown(headers, cells_of(rows))))
    else:
        click.echo(table(rows, headers, width=terminal_width()))
