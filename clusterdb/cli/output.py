"""Lists for people and for programs: the same records as a table, or whole as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from numbers import Rational
from pathlib import Path
from typing import Any

import click

from clusterdb.listings import Columns, listing

__all__ = ["json_option", "plain", "tell", "tell_json", "warn_of_collations"]

json_option = click.option("--json", "as_json", is_flag=True, help="All of it as JSON; sizes in bytes.")


def tell(records: Iterable[Any], columns: Columns, *, as_json: bool) -> None:
    """Print records (dataclass instances) as a table, or as JSON with all their fields."""
    if as_json:
        tell_json([plain(record) for record in records])
    else:
        click.echo(listing(records, columns))


def tell_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def plain(value: Any) -> Any:
    """A value as JSON has it: times in ISO 8601, blobs in hexadecimal, dataclasses as objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    return float(value) if isinstance(value, Rational) and not isinstance(value, int) else value


def warn_of_collations(file: Path, collations: tuple[str, ...]) -> None:
    """Say on standard error which collations a file needs that SQLite does not have."""
    if collations:
        click.echo(
            f"clusterdb: '{file}' needs the collations {', '.join(collations)}, which SQLite does not have: register "
            "them on each connection that uses it, for apsw by clusterdb.flavours.collations.install(connection)",
            err=True,
        )
