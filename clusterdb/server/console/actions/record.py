"""An action: what it does with the fields of its form, and the same as code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from clusterdb.server.console.code import Code
from clusterdb.server.console.fields import Fields
from clusterdb.store import Store

__all__ = ["Action", "Done"]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in one line; the page to continue at; and the action that undoes it, with its fields."""

    message: str
    to: str
    undo: tuple[str, str, Mapping[str, str]] | None = field(default=None)


@dataclass(frozen=True, slots=True)
class Action:
    """A form of the console.

    ``perform`` raises the errors of the verb that it calls.  ``code`` uses the fields only, so that a form can show
    it while it is filled in.
    """

    name: str
    perform: Callable[[Store, Fields], Done]
    code: Callable[[Fields], Code]
