"""Notes of what a command has done, on standard error; ``--quiet`` silences them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

__all__ = ["note", "quiet_option"]

Command = TypeVar("Command", bound=Callable[..., object])

_KEY = "clusterdb.quiet"


def _remember(context: click.Context, parameter: click.Parameter, is_quiet: bool) -> None:
    context.meta[_KEY] = is_quiet


quiet_option: Callable[[Command], Command] = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    envvar="CLUSTERDB_QUIET",
    expose_value=False,
    callback=_remember,
    help="Print no note of what was done.",
)


def note(context: click.Context, text: str) -> None:
    """Write a note to standard error, unless the command is quiet."""
    if not context.meta.get(_KEY):
        click.echo(text, err=True)
