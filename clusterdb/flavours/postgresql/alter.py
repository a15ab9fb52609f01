"""ALTER TABLE: its actions change the table's stored definition one by one; ALTER INDEX and ALTER SEQUENCE.

A statement is split at the commas between its actions; :class:`_Plan` has an edit of the definition for each
(:mod:`~clusterdb.flavours.postgresql.edits`), and then the table is rebuilt once (:mod:`clusterdb.flavours.rebuild`).
SQLite's own ALTER TABLE renames and adds plain columns.  A statement is atomic.

Source: ALTER TABLE in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import (
    IDLE,
    Refused,
    Step,
    Translation,
    Unsupported,
)
from clusterdb.flavours.postgresql import edits, labels, sequences
from clusterdb.flavours.postgresql.assign import assigned
from clusterdb.flavours.postgresql.clauses import clause_of, column_of, split, unquoted
from clusterdb.flavours.postgresql.draft import Edit, checking, rebuilding, renaming_index
from clusterdb.flavours.postgresql.tables import (
    as_kept,
    checks_of,
    column,
    constraint,
    declaration,
    is_nextval,
    kinds_of,
    numbering_of,
    sequence_of,
)
from clusterdb.flavours.schema import Numbering
from clusterdb.flavours.session import together
from clusterdb.flavours.tables import quoted, text
from clusterdb.flavours.trees import has_constraint, target_of
from clusterdb.flavours.types import Kind, annotate

if TYPE_CHECKING:
    from clusterdb.flavours.flavour import Flavour

__all__ = ["altered", "altered_index", "altered_sequence"]

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_HEAD = re.compile(
    rf"ALTER\s+TABLE\s+(?P<exists>IF\s+EXISTS\s+)?(?:ONLY\s+)?(?:(?P<schema>{_NAME})\s*\.\s*)?(?P<table>{_NAME})\s*\*?\s",
    re.IGNORECASE,
)
_COLUMN = rf"ALTER\s+(?:COLUMN\s+)?(?P<column>{_NAME})\s+"
_IDENTITY = re.compile(
    rf"{_COLUMN}ADD\s+GENERATED\s+(?P<when>ALWAYS|BY\s+DEFAULT)\s+AS\s+IDENTITY\s*(?:\((?P<options>.*)\))?",
    re.IGNORECASE | re.DOTALL,
)
_NO_IDENTITY = re.compile(rf"{_COLUMN}DROP\s+IDENTITY(?P<exists>\s+IF\s+EXISTS)?", re.IGNORECASE)
_GENERATED = re.compile(rf"{_COLUMN}SET\s+GENERATED\s+(?P<when>ALWAYS|BY\s+DEFAULT)", re.IGNORECASE)
_RENAMED = re.compile(rf"RENAME\s+CONSTRAINT\s+(?P<old>{_NAME})\s+TO\s+(?P<new>{_NAME})", re.IGNORECASE)
_RENAMED_TABLE = re.compile(rf"RENAME\s+TO\s+(?P<new>{_NAME})", re.IGNORECASE)
_RENAMED_COLUMN = re.compile(rf"RENAME\s+(?:COLUMN\s+)?(?P<old>{_NAME})\s+TO\s+(?P<new>{_NAME})", re.IGNORECASE)
_VALIDATED = re.compile(rf"VALIDATE\s+CONSTRAINT\s+(?P<name>{_NAME})", re.IGNORECASE)
_SEQUENCE_NAME = re.compile(rf"SEQUENCE\s+NAME\s+(?P<name>{_NAME}(?:\.{_NAME})?)", re.IGNORECASE)
_UNNAMED = "clusterdb_unnamed"
"""A temporary name for a constraint without one: sqlglot does not parse ADD CHECK."""
_INDEX = re.compile(
    rf"ALTER\s+INDEX\s+(?P<exists>IF\s+EXISTS\s+)?(?:public\.)?(?P<old>{_NAME})\s+RENAME\s+TO\s+(?P<new>{_NAME})",
    re.IGNORECASE,
)
_SEQUENCE = re.compile(
    rf"ALTER\s+SEQUENCE\s+(?:IF\s+EXISTS\s+)?(?P<name>{_NAME}(?:\.{_NAME})?)\s+"
    rf"(?:OWNED\s+BY\s+(?P<owner>{_NAME}(?:\.{_NAME})*)|AS\s+(?:SMALLINT|INTEGER|INT|BIGINT))",
    re.IGNORECASE,
)


def altered(flavour: Flavour, sql: str, context: Context) -> Translation | None:
    """ALTER TABLE; None for another statement.  Raises Unsupported or Refused."""
    head = _HEAD.match(sql)
    if head is None:
        return None
    table, actions = identifier(head["table"]), split(sql[head.end() :].strip())
    if head["schema"] is not None and identifier(head["schema"]) not in ("public", "pg_temp"):
        raise Unsupported(f"schema {head['schema']}")
    if table.lower() not in context.schema.tables:
        if head["exists"] is not None:
            return Translation(IDLE)
        raise Refused(f'relation "{table}" does not exist')
    plan = _Plan(flavour, table, context)
    for action in actions:
        plan.add(action)
    return plan.translation()


def altered_sequence(sql: str, context: Context) -> Translation | None:
    """ALTER SEQUENCE ... OWNED BY, and AS a type; None for another statement.  Raises Unsupported or Refused."""
    match = _SEQUENCE.fullmatch(sql)
    if match is None:
        return None
    name = sequences.named(match["name"])
    check_sequence = f"SELECT pg_require_sequence({text(sequences.reference(name))})"
    if match["owner"] is None:
        return Translation(IDLE, (check_sequence,))  # all sequences have 64 bits
    steps: list[str | Step] = [check_sequence]
    for table, columns in context.schema.owned.items():
        steps += [rebuilding(table, (edits.own(column, None),)) for column in columns if columns[column] == name]
    if match["owner"].upper() != "NONE":
        *_, table, column = (unquoted(token) for token in re.findall(_NAME, match["owner"]))
        if column.lower() not in context.columns_of(table):
            raise Refused(f'column "{column}" of relation "{table}" does not exist')
        steps.append(rebuilding(table, (edits.own(column, name),)))
    return Translation(IDLE, (together(steps, "SELECT pg_redo()"),))


def altered_index(sql: str) -> Translation | None:
    """ALTER INDEX ... RENAME TO; None for another statement."""
    match = _INDEX.fullmatch(sql)
    if match is None:
        return None
    old, new, must_exist = identifier(match["old"]), identifier(match["new"]), match["exists"] is None
    return Translation(IDLE, (together([renaming_index(old, new, must_exist=must_exist)]),))


def identifier(token: str) -> str:
    """The name that an identifier in PostgreSQL's SQL denotes."""
    return unquoted(token) if token[0] == '"' else token.lower()


class _Plan:
    """The translation of one ALTER TABLE, built action by action."""

    def __init__(self, flavour: Flavour, table: str, context: Context) -> None:
        self.flavour, self.table, self.context = flavour, table, context
        self.own = context.columns_of(table)
        self.edits: list[Edit] = []
        self.native: list[str] = []
        """SQLite's statements for the actions, used if SQLite has all of them."""
        self.is_native = True
        self.before: list[str | Step] = []
        self.after: list[str | Step] = []

    def translation(self) -> Translation:
        """The statement for SQLite."""
        if self.is_native:
            steps: list[str | Step] = list(self.native)
        else:
            steps = [rebuilding(self.table, tuple(self.edits))] if self.edits else []
        all_steps = (*self.before, *steps, *self.after)
        return Translation(IDLE, (together(all_steps, "SELECT pg_redo()"),)) if all_steps else Translation(IDLE)

    def edit(self, edit: Edit) -> None:
        """Add an edit for an action that SQLite's ALTER TABLE does not have."""
        self.edits.append(edit)
        self.is_native = False

    # --- actions ------------------------------------------------------------------------------------------------------
    def add(self, action: str) -> None:
        """Add an action, given as text.  Raises Unsupported or Refused."""
        for pattern, handler in (
            (_IDENTITY, self._add_identity),
            (_NO_IDENTITY, self._drop_identity),
            (_GENERATED, self._set_generated),
            (_RENAMED, self._rename_constraint),
            (_RENAMED_TABLE, self._rename_table),
            (_RENAMED_COLUMN, self._rename_column),
            (_VALIDATED, self._validate),
        ):
            match = pattern.fullmatch(action)
            if match is not None:
                handler(match)
                return
        tree = self._parsed(action)
        if isinstance(tree, exp.AddConstraint):
            for constraint_tree in tree.expressions:
                self._add_constraint(constraint_tree)
        elif isinstance(tree, exp.ColumnDef):
            self._add_column(tree)
        elif isinstance(tree, exp.AlterColumn):
            self._alter_column(tree)
        elif isinstance(tree, exp.Drop):
            self._drop(tree)
        else:
            raise Unsupported(f"ALTER TABLE ... {action}")

    def _parsed(self, action: str) -> exp.Expression:
        """The tree of an action.  Raises Unsupported."""
        named = re.sub(r"^ADD\s+(?=CHECK\b)", f"ADD CONSTRAINT {_UNNAMED} ", action, flags=re.IGNORECASE)
        try:
            tree = parse_one(f"ALTER TABLE t {named}", read=self.flavour.dialect)
        except SqlglotError:
            raise Unsupported(f"ALTER TABLE ... {action}") from None
        actions = tree.args.get("actions") or []
        if not isinstance(tree, exp.Alter) or len(actions) != 1:
            raise Unsupported(f"ALTER TABLE ... {action}")
        return labels.resolve(actions[0], self.context)

    def _add_constraint(self, tree: exp.Expression) -> None:
        clause = clause_of(constraint(self.flavour, tree, self.own, self.context))
        if clause.name == _UNNAMED:
            clause.name = ""
        self._require_parent(tree)
        self.edit(edits.add_constraint(clause))

    def _rename_table(self, match: re.Match[str]) -> None:
        self.native.append(f"ALTER TABLE {quoted(self.table)} RENAME TO {quoted(identifier(match['new']))}")

    def _rename_column(self, match: re.Match[str]) -> None:
        old = identifier(match["old"])
        self._require(old)
        new = quoted(identifier(match["new"]))
        self.native.append(f"ALTER TABLE {quoted(self.table)} RENAME COLUMN {quoted(old)} TO {new}")

    def _require(self, name: str) -> Kind:
        """The kind of a column.  Raises Refused if it does not exist."""
        if name.lower() not in self.own:
            raise Refused(f'column "{name}" of relation "{self.table}" does not exist')
        return self.own[name.lower()]

    def _require_parent(self, tree: exp.Expression) -> None:
        """Raise Refused if a foreign key refers to a table that does not exist."""
        for reference in tree.find_all(exp.Reference):
            parent = target_of(reference)
            if parent.name.lower() not in self.context.schema.tables:
                raise Refused(f'relation "{parent.name}" does not exist')

    # --- columns ------------------------------------------------------------------------------------------------------
    def _add_column(self, tree: exp.ColumnDef) -> None:
        name = tree.name
        if name.lower() in self.own:
            if tree.args.get("exists"):
                return
            raise Refused(f'column "{name}" of relation "{self.table}" already exists')
        self.own |= kinds_of([tree])
        self._require_parent(tree)
        is_key = has_constraint(tree, exp.PrimaryKeyColumnConstraint)
        context = self.context.for_statement()
        numbering = numbering_of(tree, exp.to_identifier(self.table, quoted=True), context, is_temporary=False)
        definition = column(self.flavour, tree, [name] if is_key else [], self.own, self.context, numbering)
        if numbering is None and edits.is_plain(column_of(definition)):
            self.native.append(f"ALTER TABLE {quoted(self.table)} ADD COLUMN {definition}")
        else:
            self.is_native = False
            self.before += [*context.before, *context.after]
        self.edits.append(edits.add_column(definition))

    def _alter_column(self, tree: exp.AlterColumn) -> None:
        name = tree.this.name
        kind = self._require(name)
        if tree.args.get("dtype") is not None:
            self._retype(tree, name)
        elif tree.args.get("default") is not None:
            value = tree.args["default"]
            if is_nextval(value):
                sequence = sequence_of(value)
                self.before.append(f"SELECT pg_require_sequence({text(sequences.reference(sequence))})")
                self.edit(edits.number(name, sequence))
            else:
                self.edit(edits.set_default(name, as_kept(self.flavour, value, kind, self.context)))
        elif tree.args.get("allow_null") is not None:
            is_required = not tree.args["allow_null"]
            self.edit(edits.require(name) if is_required else edits.allow_null(name))
        elif tree.args.get("drop"):
            self.edit(edits.drop_default(name))
        else:
            raise Unsupported(f"ALTER TABLE ... {tree.sql(dialect='postgres')}")

    def _retype(self, tree: exp.AlterColumn, name: str) -> None:
        """ALTER COLUMN ... TYPE, optionally USING an expression."""
        if tree.args.get("collate"):
            raise Unsupported("ALTER COLUMN ... TYPE ... COLLATE")
        definition = exp.ColumnDef(this=tree.this.copy(), kind=tree.args["dtype"].copy())
        wanted = kinds_of([definition])[name.lower()]
        try:
            usual: str | None = self._value(exp.column(name, quoted=True), wanted)
        except Unsupported:
            usual = None
        if tree.args.get("using"):
            source = self._value(tree.args["using"], wanted)
        elif usual is None:
            wanted_type = tree.args["dtype"].sql("postgres").lower()
            raise Refused(f'column "{name}" cannot be cast automatically to type {wanted_type}')
        else:
            source = usual
        is_alike = self.own[name.lower()].name == wanted.name
        declared = declaration(definition)
        checks = checks_of(name, declared, self.context.schema)
        self.edit(edits.retype(name, declared, checks, source, usual, is_alike=is_alike))
        self.own[name.lower()] = wanted

    def _value(self, value: exp.Expression, kind: Kind) -> str:
        """An expression over the old row, converted to a column's kind, in SQLite's SQL.  Raises Unsupported."""
        context = replace(self.context, own_columns=self.own)
        tree = value.copy()
        annotate(tree, context.schema, self.flavour.typing, self.own)
        return self.flavour.text(self.flavour.expression(assigned(tree, kind, context), context))

    def _drop(self, tree: exp.Drop) -> None:
        """DROP COLUMN, DROP CONSTRAINT."""
        name = (tree.this or (tree.args.get("tables") or tree.expressions)[0]).name
        cascade, exists = bool(tree.args.get("cascade")), bool(tree.args.get("exists"))
        kind = str(tree.args["kind"]).upper()
        if kind == "CONSTRAINT":
            self.edit(edits.drop_constraint(name, cascade=cascade, exists=exists))
            return
        if kind != "COLUMN":
            raise Unsupported(f"ALTER TABLE ... {tree.sql(dialect='postgres')}")
        if exists and name.lower() not in self.own:
            return
        self._require(name)
        self.edit(edits.drop_column(name, cascade=cascade))
        self.after += sequences.of_column(self.table, name, self.context)
        del self.own[name.lower()]

    # --- numbers ------------------------------------------------------------------------------------------------------
    def _add_identity(self, match: re.Match[str]) -> None:
        name = identifier(match["column"])
        self._require(name)
        options = match["options"] or ""
        wanted = _SEQUENCE_NAME.search(options)
        sequence = parse_one(f"CREATE SEQUENCE s {_SEQUENCE_NAME.sub('', options)}", read=self.flavour.dialect)
        if not isinstance(sequence, exp.Create):
            raise Unsupported(f"ALTER TABLE ... {match[0]}")
        is_always = match["when"].upper() == "ALWAYS"
        table = exp.to_identifier(self.table, quoted=True)
        numbering = sequences.numbering(
            table, exp.to_identifier(name, quoted=True), self.context, is_always=is_always, is_temporary=False
        )
        if wanted is not None:
            numbering = Numbering(sequences.named(wanted["name"]), numbering.kind)
        context = self.context.for_statement()
        sequences.make(context, numbering.sequence, sequences.first_of(sequence))
        self.before += [*context.before, *context.after]
        self.edit(edits.identify(name, numbering))

    def _drop_identity(self, match: re.Match[str]) -> None:
        name = identifier(match["column"])
        self._require(name)
        self.edit(edits.drop_identity(name, exists=match["exists"] is not None))
        self.after += sequences.of_column(self.table, name, self.context)

    def _set_generated(self, match: re.Match[str]) -> None:
        name = identifier(match["column"])
        self._require(name)
        self.edit(edits.set_generated(name, "always" if match["when"].upper() == "ALWAYS" else "serial"))

    # --- constraints --------------------------------------------------------------------------------------------------
    def _rename_constraint(self, match: re.Match[str]) -> None:
        self.edit(edits.rename_constraint(identifier(match["old"]), identifier(match["new"])))

    def _validate(self, match: re.Match[str]) -> None:
        self.before.append(checking(self.table, identifier(match["name"])))
