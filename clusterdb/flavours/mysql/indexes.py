"""The keys and constraints of MySQL's tables: keys are indexes of SQLite's, named after the table and the key."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import NotSaid
from clusterdb.flavours.mysql.columns import is_numbered, user_checks
from clusterdb.flavours.mysql.compare import collation_of
from clusterdb.flavours.mysql.grammar import NOT_ENFORCED
from clusterdb.flavours.tables import quoted
from clusterdb.flavours.types import Columns, kind_of

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.flavour import MySQLFlavour

__all__ = ["PRIMARY", "Parts", "constraint", "names_of"]

PRIMARY = "PRIMARY"
"""The name of the index of a primary key beside a column that numbers the rows."""


@dataclass
class Parts:
    """What a table consists of: its columns and constraints, and the statements that create its indexes, by the names
    of the keys.  ``numbered`` is the column with AUTO_INCREMENT."""

    table: str
    numbered: str = ""
    columns: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    """Names of keys and constraints, in lower case."""

    def free(self, name: str) -> str:
        """The name, or the first of name_2, name_3 that is free."""
        return self._first_free([name], f"{name}_", 2)

    def numbered_name(self, kind: str) -> str:
        """The name of a constraint that has none: table_kind_1, table_kind_2."""
        return self._first_free([], f"{self.table}_{kind}_", 1)

    def _first_free(self, names: list[str], prefix: str, first: int) -> str:
        candidates = chain(names, (f"{prefix}{number}" for number in count(first)))
        name = next(each for each in candidates if each.lower() not in self.taken)
        self.taken.add(name.lower())
        return name

    def index(
        self, flavour: MySQLFlavour, name: str, keys: list[Any], own: Columns, context: Context, *, unique: bool
    ) -> str:
        """Add an index; its name, which is that of its first column if it has none."""
        first = keys[0].this if isinstance(keys[0], exp.Ordered) else keys[0]
        is_column = isinstance(first, exp.Column | exp.Identifier | exp.ColumnPrefix)
        name = self.free(name or (first.name if is_column else "functional_index"))
        content = ", ".join(_key(flavour, each, own, context, unique=unique) for each in keys)
        word = "CREATE UNIQUE INDEX" if unique else "CREATE INDEX"
        full = quoted(f"{self.table}__{name}")
        self.indexes[name] = f"{word} IF NOT EXISTS {full} ON {quoted(self.table)} ({content})"
        return name

    def primary(self, flavour: MySQLFlavour, keys: list[Any], own: Columns, context: Context) -> None:
        """The primary key; beside a column that numbers the rows, which is SQLite's, it is an index."""
        names = names_of(keys)
        if [name.lower() for name in names] == [self.numbered.lower()]:
            return
        if self.numbered or len(names) < len(keys):
            self.index(flavour, PRIMARY, keys, own, context, unique=True)
        else:
            self.constraints.append(f"PRIMARY KEY ({', '.join(map(quoted, names))})")

    def of_column(self, flavour: MySQLFlavour, tree: exp.ColumnDef, own: Columns, context: Context) -> None:
        """The keys and checks that a column's definition has."""
        column = exp.to_identifier(tree.name, quoted=True)
        for each in tree.constraints:
            if isinstance(each.kind, exp.PrimaryKeyColumnConstraint):
                self.primary(flavour, [column], own, context)
            elif isinstance(each.kind, exp.UniqueColumnConstraint):
                self.index(flavour, "", [column], own, context, unique=True)
        if is_numbered(tree) and tree.args["kind"].this == exp.DataType.Type.SERIAL:
            self.index(flavour, "", [column], own, context, unique=True)
        for check in user_checks(tree):
            constraint(flavour, check, self, own, context)


def constraint(flavour: MySQLFlavour, tree: Any, parts: Parts, own: Columns, context: Context, name: str = "") -> None:
    """Add a constraint or a key of a table; one for texts or places only serves what is refused.  Raises NotSaid."""
    if isinstance(tree, exp.Constraint):
        for each in tree.expressions:
            constraint(flavour, each, parts, own, context, tree.name)
    elif isinstance(tree, exp.PrimaryKey):
        parts.primary(flavour, tree.expressions, own, context)
    elif isinstance(tree, exp.IndexColumnConstraint):
        name = parts.index(flavour, tree.name or name, tree.expressions, own, context, unique=False)
        if str(tree.args.get("kind") or "").upper() in ("FULLTEXT", "SPATIAL"):
            parts.indexes[name] += " WHERE 0"  # what it serves is refused: it has a name, and no entries
    elif isinstance(tree, exp.UniqueColumnConstraint):
        inner = tree.this
        parts.index(flavour, name or inner.name, inner.expressions, own, context, unique=True)
    elif isinstance(tree, exp.ForeignKey):
        parts.constraints.append(_foreign_key(tree, parts, name))
    elif isinstance(tree, exp.CheckColumnConstraint):
        name = parts.free(name) if name else parts.numbered_name("chk")
        if not tree.meta.get(NOT_ENFORCED):
            condition = flavour.text(flavour.schema_expression(tree.this, context, own))
            parts.constraints.append(f"CONSTRAINT {quoted(name)} CHECK ({condition})")
    else:
        raise NotSaid(f"{tree.key} in a table")


def _foreign_key(tree: exp.ForeignKey, parts: Parts, name: str) -> str:
    reference = tree.args["reference"]
    target = reference.this
    parent = target.this if isinstance(target, exp.Schema) else target
    columns = target.expressions if isinstance(target, exp.Schema) else []
    name = parts.free(name or tree.name) if name or tree.name else parts.numbered_name("ibfk")
    options = [str(option).upper() for option in reference.args.get("options") or []]
    if any("SET DEFAULT" in option for option in options):
        raise NotSaid("SET DEFAULT of a foreign key")
    words = [option for option in options if option.startswith("ON ")]
    there = f" ({', '.join(quoted(each.name) for each in columns)})" if columns else ""
    here = ", ".join(quoted(each.name) for each in tree.expressions)
    return " ".join([f"CONSTRAINT {quoted(name)} FOREIGN KEY ({here}) REFERENCES {quoted(parent.name)}{there}", *words])


def names_of(keys: list[Any]) -> list[str]:
    """The names of the columns of a key; those of expressions, and of beginnings of columns, are left out."""
    inner = [each.this if isinstance(each, exp.Ordered) else each for each in keys]
    return [each.name for each in inner if isinstance(each, exp.Column | exp.Identifier)]


def _key(flavour: MySQLFlavour, tree: Any, own: Columns, context: Context, *, unique: bool) -> str:
    """A part of an index.  One on the beginning of a text is on all of it, unless it is to be unique."""
    descending = " DESC" if isinstance(tree, exp.Ordered) and tree.args.get("desc") else ""
    inner = tree.this if isinstance(tree, exp.Ordered) else tree
    if isinstance(inner, exp.ColumnPrefix):
        if not unique:
            return quoted(inner.name) + descending
        column = exp.column(exp.to_identifier(inner.name, quoted=True))
        kind = own.get(inner.name.lower(), kind_of(column))
        collate = f" COLLATE {collation_of(kind)}" if kind.name in ("text", "enum") else ""
        return f"substr({quoted(inner.name)}, 1, {int(inner.expression.name)}){collate}{descending}"
    if isinstance(inner, exp.Column | exp.Identifier):
        return quoted(inner.name) + descending
    return f"({flavour.text(flavour.schema_expression(inner, context, own))}){descending}"
