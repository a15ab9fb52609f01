"""Differences: show the changes between two clusters, and apply them to another cluster."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from clusterdb.cli.app import CLUSTER, POINT, cli, opened, split_point
from clusterdb.cli.output import STANDARD_OUTPUT, print_bytes, print_json

if TYPE_CHECKING:
    from clusterdb.diff import Diff, OnConflict

__all__ = ["cli"]

_FORMATS = ("text", "summary", "json", "sql")


@cli.command()
@click.argument("before", type=POINT)
@click.argument("after", type=POINT, required=False)
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Compare only this table; may be repeated.")
@click.option(
    "--format", "output_format", type=click.Choice(_FORMATS), default="text", show_default=True, help="The output."
)
@click.option("--json", "output_format", flag_value="json", help="The same as --format json.")
@click.option("--sql", "output_format", flag_value="sql", help="Print a script that turns BEFORE into AFTER.")
@click.option(
    "--summary", "output_format", flag_value="summary", help="Print the numbers of changed rows instead of the rows."
)
@click.option(
    "--changeset",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write the changed rows to FILE as a changeset, for the command apply; - is standard output.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs.")
@click.pass_context
def diff(
    context: click.Context,
    before: str,
    after: str | None,
    tables: tuple[str, ...],
    output_format: str,
    file: Path | None,
    exit_code: bool,
) -> None:
    """Show the changes from BEFORE to AFTER.

    Both are clusters or points in time, as prod@'5 minutes ago'. Without AFTER: what the clone BEFORE has changed since
    it was cloned, whatever its source did, as from dev@base to dev; or what changed since the point BEFORE.
    """
    with opened(context) as store:
        old, old_at = split_point(before)
        new, new_at = split_point(after) if after is not None else (None, None)
        difference = store.diff(old, new, before_at=old_at, after_at=new_at, tables=tables or None)
        if file is not None:
            _write(file, difference.changeset())
        elif output_format == "json":
            print_json(difference.json())
        elif output_format == "sql":
            click.echo(difference.sql(), nl=False)
        else:
            _show(difference, rows=output_format == "text")
    if exit_code and difference:
        sys.exit(1)


def _show(difference: Diff, *, rows: bool) -> None:
    """Print a difference; on a terminal, one that is larger than the screen is summed up first, and paged."""
    text = difference.text(rows=rows)
    if rows and sys.stdout.isatty() and text.count("\n") >= shutil.get_terminal_size().lines:
        click.echo_via_pager(f"{difference.text(rows=False)}\n\n{text}")
    else:
        click.echo(text)


def _write(file: Path, content: bytes) -> None:
    """Write to a file, or to standard output for ``-``; a pipe or a device is written in place.

    Raises ExportTargetError, OSError.
    """
    from clusterdb.access.copies import write_out

    if file == STANDARD_OUTPUT:
        print_bytes(content)
    elif file.exists() and not (file.is_file() or file.is_dir()):  # a pipe, a terminal, /dev/null: cannot be replaced
        with file.open("wb") as target:
            target.write(content)
    else:
        write_out(file, content)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("changeset", type=click.File("rb"))
@click.option(
    "--on-conflict",
    type=click.Choice(("abort", "skip", "replace")),
    default="abort",
    show_default=True,
    help="How to handle changes of rows that differ in CLUSTER, or are missing there.",
)
@click.pass_context
def apply(context: click.Context, cluster: str, changeset: IO[bytes], on_conflict: OnConflict) -> None:
    """Apply the file CHANGESET to CLUSTER, in one transaction.

    The command diff --changeset writes such a file; - is standard input.
    """
    with opened(context) as store:
        counts = store.cluster(cluster).apply(changeset.read(), on_conflict=on_conflict)
        skipped = f", {counts.skipped_count} skipped" if counts.skipped_count else ""
        click.echo(f"{counts.applied_count} changes applied{skipped}")
