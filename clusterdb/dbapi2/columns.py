"""Typed result columns: what ``description``, which has names only as in ``sqlite3``, leaves out.

For programs that show or encode rows: JSON, an HTTP API, the shell.  The types are looked up when they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterdb.dbapi2.state import ConnectionState
from clusterdb.dbapi2.statements import Plan
from clusterdb.errors import DatabaseError

if TYPE_CHECKING:
    from clusterdb.flavours.types import Kind

__all__ = ["Column", "typed_columns"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result.

    ``name``: as in ``description``.  ``declared_type``: the type in the definition of the table, as SQLite keeps it;
    None for an expression.  ``kind``: the type of its values by the rules of the cluster's engine (a date, a boolean, a
    decimal and its scale, ...), which SQLite keeps as texts and numbers; None if the engine is sqlite, or if the type
    depends on the values.
    """

    name: str
    declared_type: str | None = None
    kind: Kind | None = None


def typed_columns(state: ConnectionState, plan: Plan, names: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a statement that has been executed, by the schema of now."""
    declared = _declared(state, plan)
    kinds = state.session.kinds(plan.source) if state.session is not None and plan.source is not None else ()
    if len(declared) != len(names):  # the schema has changed since
        declared = (None,) * len(names)
    if len(kinds) != len(names):
        kinds = (None,) * len(names)
    return tuple(map(Column, names, declared, kinds))


def _declared(state: ConnectionState, plan: Plan) -> tuple[str | None, ...]:
    with suppress(DatabaseError):  # the table was dropped: as it was when the statement was planned
        return state.replanned(plan).declared
    return plan.declared
