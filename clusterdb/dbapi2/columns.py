"""Typed result columns: what ``description``, which has names only as in ``sqlite3``, leaves out.

For programs that show or encode rows: JSON, an HTTP API, the shell.  The types are looked up when they are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from clusterdb.dbapi2.state import ConnectionState
from clusterdb.dbapi2.statements import Plan
from clusterdb.errors import DatabaseError

if TYPE_CHECKING:
    from clusterdb.flavours.types import Kind

__all__ = ["OTHER", "UNKNOWN_NULLABILITY", "Column", "typed_columns"]

OTHER = 1111
"""``java.sql.Types.OTHER``: a type without a number of its own, or an unknown one."""
UNKNOWN_NULLABILITY = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result.

    ``name``: as in ``description``, and ``label`` the same.  ``declared_type``: the type in the definition of the
    table, as SQLite keeps it; None for an expression.  ``kind``: the type of its values by the rules of the cluster's
    engine (a date, a boolean, a decimal and its scale, ...), which SQLite keeps as texts and numbers; None if the
    engine is sqlite, or if the type depends on the values.

    The rest is as JDBC's drivers have it, and empty for the engine sqlite.  ``table`` and ``schema``: of a column of a
    table; empty for an expression.  ``type_name``: the engine's name of the type, ``int4`` or ``INT``; empty if it
    depends on the values.  ``jdbc_type``: its number in ``java.sql.Types``, 1111 (OTHER) if not known.  ``precision``
    and ``scale``: digits or characters, and digits behind the point; 0 where there is no limit.  ``nullable``: 0 no,
    1 yes, 2 unknown.  ``is_auto_increment``: whether it is numbered.  ``element_jdbc_type``: of an array's elements.
    """

    name: str
    declared_type: str | None = None
    kind: Kind | None = None
    table: str = ""
    schema: str = ""
    column: str = ""
    type_name: str = ""
    jdbc_type: int = OTHER
    precision: int = 0
    scale: int = 0
    nullable: int = UNKNOWN_NULLABILITY
    is_auto_increment: bool = False
    is_signed: bool = False
    is_case_sensitive: bool = False
    element_jdbc_type: int = 0

    @property
    def label(self) -> str:
        """The name that the statement gives it."""
        return self.name


def typed_columns(state: ConnectionState, plan: Plan, names: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a statement that has been executed, by the schema of now."""
    now = _planned_now(state, plan)
    declared, origins = now.declared, now.origins
    if len(declared) != len(names):  # the schema has changed since
        declared = (None,) * len(names)
    if len(origins) != len(names):
        origins = ((None, None, None),) * len(names)
    session = state.session
    if session is None or plan.source is None:
        return tuple(map(Column, names, declared))
    kinds = session.kinds(plan.source)
    if len(kinds) != len(names):
        kinds = (None,) * len(names)
    return tuple(
        Column(name, type_, kind, **asdict(result))
        for name, type_, kind, result in zip(
            names, declared, kinds, session.result_columns(kinds, declared, origins), strict=True
        )
    )


def _planned_now(state: ConnectionState, plan: Plan) -> Plan:
    with suppress(DatabaseError):  # the table was dropped: as it was when the statement was planned
        return state.replanned(plan)
    return plan
