"""Printing: the same records as a table for people, or whole as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import click

from clusterdb.views.columns import Columns, records_table
from clusterdb.views.json import Json, json_text, to_json

__all__ = ["json_option", "print_json", "print_records", "warn_about_collations"]

Record = TypeVar("Record")

json_option = click.option("--json", "as_json", is_flag=True, help="Print every field as JSON; sizes are in bytes.")


def print_records(records: Iterable[Record], columns: Columns[Record], *, as_json: bool) -> None:
    """Print records (dataclass instances) as a table of columns, or as JSON with all their fields."""
    if as_json:
        print_json([to_json(record) for record in records])
    else:
        click.echo(records_table(records, columns))


def print_json(value: Json) -> None:
    """Print a value as JSON."""
    click.echo(json_text(value))


def warn_about_collations(file: Path, collations: tuple[str, ...]) -> None:
    """Name, on standard error, the collations that a file needs and SQLite does not have."""
    if collations:
        click.echo(
            f"clusterdb: '{file}' needs the collations {', '.join(collations)}, which SQLite does not have: register "
            "them on each connection that uses it, for apsw by clusterdb.flavours.collations.install(connection)",
            err=True,
        )
