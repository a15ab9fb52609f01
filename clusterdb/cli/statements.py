"""SQL on the command line."""

from __future__ import annotations

import sys

import click

from clusterdb.cli.app import POINT, cli, endpoint_option, opened, split_point
from clusterdb.cli.output import print_json, terminal_width
from clusterdb.views.rows import rows_csv, rows_json
from clusterdb.views.text import cells_of, table

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

    CLUSTER can name a point in time, to read: prod@1234, prod@'5 minutes ago'.
    """
    from clusterdb.access.sqlite import results

    text = statements if statements is not None else sys.stdin.read()
    with opened(context) as store:
        name, at = split_point(cluster)
        target = store.cluster(name)
        connection = target.connect(endpoint, read_only=read_only, at=at, trusted=not untrusted)

        def run(sql: str) -> None:
            for headers, rows in results(connection, sql):
                if headers:
                    _print_rows(rows, headers, output_format)

        if target.settings.engine == "sqlite":
            run(text)
        else:
            from clusterdb.flavours import session_of

            session_of(target.settings.engine, connection).execute_script(text, run)


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
