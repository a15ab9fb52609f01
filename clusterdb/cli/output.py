"""Printing: the same records as a table for people, or whole as JSON for programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from clusterdb.rules.names import suggestion
from clusterdb.views.columns import Columns, records_table
from clusterdb.views.json import Json, json_text, to_json

__all__ = [
    "STANDARD_OUTPUT",
    "chosen_columns",
    "columns_option",
    "filter_option",
    "json_option",
    "output_file",
    "file_name",
    "print_bytes",
    "print_json",
    "print_records",
    "terminal_width",
    "warn_about_collations",
]

STANDARD_OUTPUT = Path("-")
_COPIED_BYTES = 1 << 20
Record = TypeVar("Record")

json_option = click.option("--json", "as_json", is_flag=True, help="Print every field as JSON; sizes are in bytes.")


columns_option = click.option("--columns", metavar="NAME,...", help="The columns of the table, in this order.")
filter_option = click.option(
    "--filter",
    "filters",
    metavar="GLOB",
    multiple=True,
    help="Only names that match, as 'prod*', or a field, as 'source=prod'; may be repeated: all must match.",
)


def print_records(
    records: Iterable[Record], columns: Columns[Record], *, as_json: bool, chosen: str | None = None
) -> None:
    """Print records (dataclass instances) as a table of columns, or as JSON with all their fields."""
    columns = chosen_columns(columns, chosen, as_json=as_json)
    if as_json:
        print_json([to_json(record) for record in records])
    else:
        click.echo(records_table(records, columns, width=terminal_width()))


def chosen_columns(
    columns: Columns[Record], chosen: str | None, *, as_json: bool, default: Sequence[str] = ()
) -> Columns[Record]:
    """The columns that ``--columns`` names, else the ``default`` ones, else all.  Raises UsageError."""
    if chosen is None:
        return {name: columns[name] for name in default or columns}
    if as_json:
        raise click.UsageError("--columns applies to the table: --json prints every field")
    names = [re.sub(r"[-_\s]+", " ", name.strip()) for name in chosen.split(",")]
    for name in names:
        if name not in columns:
            raise click.UsageError(f"no column '{name}'{suggestion(name, columns)}; columns: {', '.join(columns)}")
    return {name: columns[name] for name in names}


def terminal_width() -> int | None:
    """The width of the terminal; None if standard output is a file or a pipe, where lines may have any length."""
    if not sys.stdout.isatty():
        return None
    import shutil  # slow to import, and only a terminal needs it

    return shutil.get_terminal_size().columns


def print_json(value: Json) -> None:
    """Print a value as JSON."""
    click.echo(json_text(value))


def print_bytes(content: bytes) -> None:
    """Write bytes to standard output.  Raises OSError, which names it."""
    try:
        click.echo(content, nl=False)
    except OSError as error:
        error.filename = "standard output"
        raise


def file_name(file: Path) -> str:
    """The name of an output file in a message."""
    return "standard output" if file == STANDARD_OUTPUT else str(file)


@contextmanager
def output_file(file: Path) -> Iterator[Path]:
    """The path at which to write ``file``; for ``-`` a temporary one, whose content goes to standard output.

    Raises UsageError if that is a terminal.
    """
    if file != STANDARD_OUTPUT:
        yield file
        return
    from tempfile import TemporaryDirectory

    if sys.stdout.isatty():
        raise click.UsageError("a database is not for a terminal: redirect standard output, or name a file")
    with TemporaryDirectory(prefix="clusterdb-") as folder:
        path = Path(folder) / "database"
        yield path
        with path.open("rb") as source:
            while content := source.read(_COPIED_BYTES):
                print_bytes(content)


def warn_about_collations(file: Path, collations: tuple[str, ...]) -> None:
    """Name, on standard error, the collations that a file needs and SQLite does not have."""
    if collations:
        click.echo(
            f"clusterdb: '{file}' needs the collations {', '.join(collations)}, which SQLite does not have: register "
            "them on each connection that uses it, for apsw by clusterdb.flavours.collations.install(connection)",
            err=True,
        )
