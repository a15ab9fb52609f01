"""Differences on the command line: what changed between two clusters, and changes taken over from one to another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import click

from clusterdb.cli.app import CLUSTER, POINT, cli, opened, split_point
from clusterdb.cli.output import tell_json

__all__ = ["cli"]

_FORMS = ("text", "summary", "json", "sql")


@cli.command()
@click.argument("before", type=POINT)
@click.argument("after", type=POINT)
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only this table; several times for several.")
@click.option("--format", "form", type=click.Choice(_FORMS), default="text", show_default=True, help="What to print.")
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option("--sql", "form", flag_value="sql", help="A script that makes BEFORE what AFTER is.")
@click.option("--summary", "form", flag_value="summary", help="Numbers of rows instead of rows.")
@click.option(
    "--changeset",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Write the changed rows to FILE, for clusterdb apply.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs.")
@click.pass_context
def diff(
    context: click.Context,
    before: str,
    after: str,
    tables: tuple[str, ...],
    form: str,
    file: Path | None,
    exit_code: bool,
) -> None:
    """Show what made of BEFORE what AFTER is: two clusters, or points in their pasts as prod@'5 minutes ago'."""
    with opened(context) as store:
        (old, old_at), (new, new_at) = split_point(before), split_point(after)
        found = store.diff(old, new, before_at=old_at, after_at=new_at, tables=tables or None)
        if file is not None:
            _write(file, found.changeset())
        elif form == "json":
            tell_json(found.json())
        elif form == "sql":
            click.echo(found.sql(), nl=False)
        else:
            click.echo(found.text(rows=form == "text"))
    if exit_code and found:
        sys.exit(1)


def _write(file: Path, content: bytes) -> None:
    """Write a file, or standard output if it is called ``-`` or is no file.  Raises ExportTargetError, OSError."""
    from clusterdb.access.copies import write_out

    if file == Path("-"):
        click.echo(content, nl=False)
    elif file.exists() and not (file.is_file() or file.is_dir()):  # a pipe, a terminal, /dev/null
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
    help="What to do with changes of rows that CLUSTER has otherwise, or not at all.",
)
@click.pass_context
def apply(context: click.Context, cluster: str, changeset: IO[bytes], on_conflict: str) -> None:
    """Make the changes of the file CHANGESET (of clusterdb diff --changeset) in CLUSTER, all or none."""
    with opened(context) as store:
        done = store.cluster(cluster).apply(changeset.read(), on_conflict=on_conflict)  # type: ignore[arg-type]
        skipped = f", {done.skipped_count} skipped" if done.skipped_count else ""
        click.echo(f"{done.applied_count} changes applied{skipped}")
