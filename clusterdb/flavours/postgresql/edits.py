"""The actions of ALTER TABLE as edits of a :class:`clusterdb.flavours.postgresql.draft.Draft`.

An edit raises ProgrammingError where PostgreSQL refuses the action, and NotSupportedError where SQLite cannot do it.
"""

from __future__ import annotations

import re

import apsw

from clusterdb.errors import NotSupportedError, ProgrammingError
from clusterdb.flavours.postgresql.clauses import Clause, Column, clause_of, column_of, names_in
from clusterdb.flavours.postgresql.dependents import drop_references, drop_views, require_no_view
from clusterdb.flavours.postgresql.draft import ROW_ID, WHOLE, Draft, Edit, never_null
from clusterdb.flavours.postgresql.sequences import reference
from clusterdb.flavours.schema import Numbering
from clusterdb.flavours.tables import quoted, text

__all__ = [
    "add_column",
    "add_constraint",
    "allow_null",
    "drop_column",
    "drop_constraint",
    "drop_default",
    "drop_identity",
    "identify",
    "is_plain",
    "number",
    "own",
    "rename_constraint",
    "require",
    "retype",
    "set_default",
    "set_generated",
]


# --- columns ----------------------------------------------------------------------------------------------------------
def is_plain(column: Column) -> bool:
    """Whether SQLite's own ALTER TABLE can add a column."""
    kinds = {clause.kind for clause in column.clauses}
    default = column.of("DEFAULT")
    is_constant = default is None or re.fullmatch(r"DEFAULT \((?:'(?:[^']|'')*'|-?[\d.]+)\)", default.text) is not None
    return (
        kinds <= {"NULL", "NOT NULL", "DEFAULT", "CHECK"} and is_constant and ("NOT NULL" not in kinds or bool(default))
    )


def add_column(definition: str) -> Edit:
    """ADD COLUMN, filled with its default or with numbers of its sequence."""

    def edit(draft: Draft) -> None:
        column = column_of(definition)
        if column.of("PRIMARY KEY") is not None and draft.table.key:
            raise ProgrammingError(f'multiple primary keys for table "{draft.table.name}" are not allowed')
        draft.table.columns.append(column)
        default = column.of("DEFAULT")
        if column.number is not None:
            draft.sources[column.name] = f"pg_nextval({text(reference(column.number.sequence))})"
        elif default is not None:
            draft.sources[column.name] = default.text.removeprefix("DEFAULT ")
        elif column.of("GENERATED") is None:
            draft.sources[column.name] = "NULL"

    return edit


def drop_column(name: str, *, cascade: bool) -> Edit:
    """DROP COLUMN, together with the constraints and indexes that it is part of."""

    def edit(draft: Draft) -> None:
        table = draft.table
        column = draft.column(name)
        generated = [other.name for other in table.columns if _names(other.of("GENERATED"), name)]
        if generated:
            raise NotSupportedError(
                f"dropping column {name} of table {table.name} is not supported: the generated column {generated[0]} "
                "depends on it: drop that first"
            )
        if len(table.columns) == 1:
            raise NotSupportedError(f"dropping the only column of table {table.name} is not supported")
        subject, key = f"column {name} of table {table.name}", name.lower()
        drop_views(draft.db, table.name, name, cascade=cascade)
        drop_references(draft.db, subject, table.name, [key], is_key=key in table.key, exact=False, cascade=cascade)
        doomed = [clause for _, clause, at in table.named() if at is None and key in clause.columns]
        doomed += [clause for _, clause, at in table.named() if at not in (None, column) and _names(clause, name)]
        table.without(doomed)
        table.columns.remove(column)
        draft.sources.pop(column.name, None)
        draft.indexes = [sql for sql in draft.indexes if key not in names_in(sql[sql.index("(") :])]

    return edit


def _names(clause: Clause | None, name: str) -> bool:
    """Whether a CHECK constraint or the expression of a generated column names a column."""
    return clause is not None and clause.kind in ("CHECK", "GENERATED") and name.lower() in names_in(clause.text)


def retype(name: str, declared: str, checks: list[str], source: str, usual: str | None, *, is_alike: bool) -> Edit:
    """ALTER COLUMN ... TYPE.

    ``declared``, ``checks``: the declaration and the CHECK clauses of the new type.  ``source``: the new value, an
    expression over the old row.  ``usual``: the same by assignment conversion; None if PostgreSQL has none.
    ``is_alike``: both types are of one kind, so that expressions over the column keep their meaning.
    """

    def edit(draft: Draft) -> None:
        column = draft.column(name)
        require_no_view(draft.db, draft.table.name, name)
        if column.of("GENERATED") is not None:
            raise NotSupportedError(f'ALTER COLUMN ... TYPE of the generated column "{name}" is not supported')
        if column.declared == ROW_ID and declared in WHOLE:
            return  # row ids have 64 bits whatever the type
        column.drop_type_checks()
        if not is_alike:
            _require_plain(draft, name)
        default = column.of("DEFAULT")
        if default is not None and usual != quoted(name):
            default.text = f"DEFAULT ({_converted(draft, column, default, declared, usual)})"
        column.declared = declared
        column.clauses += map(clause_of, checks)
        draft.sources[column.name] = source

    return edit


def _require_plain(draft: Draft, name: str) -> None:
    """Raise NotSupportedError if an expression names a column: it was translated for the old type."""
    users = [own_name for own_name, clause, _ in draft.table.named() if _names(clause, name)]
    users += [column.name for column in draft.table.columns if _names(column.of("GENERATED"), name)]
    calculated = [sql for sql in draft.indexes if sql.count("(") > 1 or re.search(r"\)\s*WHERE\b", sql, re.IGNORECASE)]
    users += [sql for sql in calculated if name.lower() in names_in(sql[sql.index("(") :])]
    if users:
        raise NotSupportedError(
            f'ALTER COLUMN ... TYPE of column "{name}" is not supported: {users[0]} depends on it: drop that first'
        )


def _converted(draft: Draft, column: Column, default: Clause, declared: str, usual: str | None) -> str:
    """A default converted to the new type.  Raises ProgrammingError if PostgreSQL has no assignment conversion."""
    if usual is None:
        raise ProgrammingError(
            f'default for column "{column.name}" cannot be cast automatically to type {declared}: drop the default '
            "first, and set another one afterwards"
        )
    value = default.text.removeprefix("DEFAULT ")
    return apsw.format_sql_value(draft.db.execute(f"SELECT {usual} FROM (SELECT {value} AS {quoted(column.name)})").get)


def require(name: str) -> Edit:
    """SET NOT NULL."""

    def edit(draft: Draft) -> None:
        never_null(draft.column(name))

    return edit


def allow_null(name: str) -> Edit:
    """DROP NOT NULL."""

    def edit(draft: Draft) -> None:
        if name.lower() in draft.table.key:
            raise ProgrammingError(f'column "{name}" is in a primary key')
        number = draft.column(name).number
        if number is not None and number.kind == "always":
            raise _is_identity(draft, name)
        draft.column(name).drop("NOT NULL")

    return edit


def set_default(name: str, value: str) -> Edit:
    """SET DEFAULT to an expression in SQLite's SQL."""

    def edit(draft: Draft) -> None:
        drop_default(name)(draft)
        draft.column(name).clauses.append(Clause("DEFAULT", f"DEFAULT ({value})"))

    return edit


def drop_default(name: str) -> Edit:
    """DROP DEFAULT; a sequence that the column owns remains owned."""

    def edit(draft: Draft) -> None:
        column = draft.column(name)
        column.drop("DEFAULT")
        if column.number is not None and column.number.kind == "always":
            raise _is_identity(draft, name)
        if column.number is not None:
            own = column.number.kind in ("serial", "owned")
            column.number = Numbering(column.number.sequence, "owned") if own else None

    return edit


def _is_identity(draft: Draft, name: str) -> ProgrammingError:
    return ProgrammingError(f'column "{name}" of relation "{draft.table.name}" is an identity column')


# --- numbers ----------------------------------------------------------------------------------------------------------
def number(name: str, sequence: str) -> Edit:
    """SET DEFAULT nextval(...)."""

    def edit(draft: Draft) -> None:
        column = draft.column(name)
        if column.number is not None and column.number.kind == "always":
            raise _is_identity(draft, name)
        if column.declared.lower() not in WHOLE:
            raise NotSupportedError(
                f'nextval() as the default of column "{name}" of type {column.declared} is not supported: '
                "use smallint, integer or bigint"
            )
        is_own = column.number is not None and column.number.sequence == sequence and column.number.kind != "nextval"
        if is_own:
            _require_never_null(draft, column)
        column.drop("DEFAULT")
        column.number = Numbering(sequence, "serial" if is_own else "nextval")

    return edit


def own(name: str, sequence: str | None) -> Edit:
    """ALTER SEQUENCE ``sequence`` OWNED BY a column; None: the column's sequence is OWNED BY NONE."""

    def edit(draft: Draft) -> None:
        column, numbered = draft.column(name), draft.column(name).number
        if sequence is None:
            column.number = (
                None if numbered is None or numbered.kind == "owned" else Numbering(numbered.sequence, "nextval")
            )
            return
        is_default = numbered is not None and numbered.sequence == sequence and numbered.kind in ("nextval", "serial")
        if numbered is not None and numbered.sequence != sequence:
            raise NotSupportedError(
                f'a second sequence of column "{name}" is not supported: it has the sequence {numbered.sequence}'
            )
        if is_default:
            _require_never_null(draft, column)
        column.number = Numbering(sequence, "serial" if is_default else "owned")

    return edit


def _require_never_null(draft: Draft, column: Column) -> None:
    """Raise NotSupportedError unless a column is NOT NULL, as one with its own sequence has to be here."""
    if column.declared != ROW_ID and column.of("NOT NULL") is None and column.name.lower() not in draft.table.key:
        raise NotSupportedError(
            f'a nullable column with its own sequence is not supported: set column "{column.name}" NOT NULL first'
        )


def identify(name: str, numbering: Numbering) -> Edit:
    """ADD GENERATED ... AS IDENTITY."""

    def edit(draft: Draft) -> None:
        column, table = draft.column(name), draft.table
        if column.number is not None and column.number.kind in ("serial", "always"):
            raise ProgrammingError(f'column "{name}" of relation "{table.name}" is already an identity column')
        if column.of("DEFAULT") is not None or (column.number is not None and column.number.kind != "owned"):
            raise ProgrammingError(f'column "{name}" of relation "{table.name}" already has a default value')
        if column.of("NOT NULL") is None and name.lower() not in table.key:
            raise ProgrammingError(
                f'column "{name}" of relation "{table.name}" must be declared NOT NULL before identity can be added'
            )
        if column.declared.lower() not in WHOLE:
            raise ProgrammingError("identity column type must be smallint, integer, or bigint")
        column.number = numbering

    return edit


def drop_identity(name: str, *, exists: bool) -> Edit:
    """DROP IDENTITY."""

    def edit(draft: Draft) -> None:
        column = draft.column(name)
        if column.number is None or column.number.kind not in ("serial", "always"):
            if exists:
                return
            raise ProgrammingError(f'column "{name}" of relation "{draft.table.name}" is not an identity column')
        column.number = None
        never_null(column)

    return edit


def set_generated(name: str, kind: str) -> Edit:
    """SET GENERATED ALWAYS, BY DEFAULT."""

    def edit(draft: Draft) -> None:
        column = draft.column(name)
        if column.number is None or column.number.kind not in ("serial", "always"):
            raise ProgrammingError(f'column "{name}" of relation "{draft.table.name}" is not an identity column')
        column.number = Numbering(column.number.sequence, kind)

    return edit


# --- constraints ------------------------------------------------------------------------------------------------------
def add_constraint(clause: Clause) -> Edit:
    """ADD CONSTRAINT."""

    def edit(draft: Draft) -> None:
        table = draft.table
        if clause.kind == "PRIMARY KEY" and table.key:
            raise ProgrammingError(f'multiple primary keys for table "{table.name}" are not allowed')
        if clause.name and any(name.lower() == clause.name.lower() for name, _, _ in table.named()):
            raise ProgrammingError(f'constraint "{clause.name}" for relation "{table.name}" already exists')
        for name in clause.columns if clause.kind != "CHECK" else ():
            draft.column(name)
        table.constraints.append(Clause(clause.kind, clause.text, clause.name))

    return edit


def drop_constraint(name: str, *, cascade: bool, exists: bool) -> Edit:
    """DROP CONSTRAINT; with ``cascade`` also drops the foreign keys that depend on it."""

    def edit(draft: Draft) -> None:
        table = draft.table
        try:
            clause, column = draft.constraint(name)
        except ProgrammingError:
            if exists:
                return
            raise
        if clause.kind in ("PRIMARY KEY", "UNIQUE"):
            subject = f"constraint {name} on table {table.name}"
            columns = [column.name.lower()] if column else clause.columns
            is_key = clause.kind == "PRIMARY KEY"
            drop_references(draft.db, subject, table.name, columns, is_key=is_key, exact=True, cascade=cascade)
        keys = table.key if clause.kind == "PRIMARY KEY" else []
        table.without([clause])
        for key in keys:
            never_null(draft.column(key))

    return edit


def rename_constraint(old: str, new: str) -> Edit:
    """RENAME CONSTRAINT."""

    def edit(draft: Draft) -> None:
        if any(name.lower() == new.lower() for name, _, _ in draft.table.named()):
            raise ProgrammingError(f'constraint "{new}" for relation "{draft.table.name}" already exists')
        draft.constraint(old)[0].name = new

    return edit
