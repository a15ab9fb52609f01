"""The keys and constraints of MySQL's tables: a key is a SQLite index whose name is that of the table and the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Unsupported
from clusterdb.flavours.mysql.columns import is_numbered, user_checks
from clusterdb.flavours.mysql.compare import collation_of
from clusterdb.flavours.mysql.grammar import NOT_ENFORCED
from clusterdb.flavours.tables import quoted
from clusterdb.flavours.trees import quoted_column, type_name
from clusterdb.flavours.types import Columns, kind_of

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.base import MySQLBase

__all__ = ["PRIMARY", "Parts", "names_of"]

PRIMARY = "PRIMARY"
"""The name of the index that stands for the primary key of a table whose AUTO_INCREMENT column is SQLite's."""

Key = exp.Expression
"""A part of a key: a column, a prefix of one, or another expression, optionally with a direction."""


@dataclass
class Parts:
    """The parts of a table: the definitions of its columns and constraints, and the statements that create its indexes,
    by the names of the keys.  ``numbered`` is the AUTO_INCREMENT column."""

    flavour: MySQLBase
    context: Context
    own: Columns
    table: str
    numbered: str = ""
    columns: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    """Names of keys and constraints in use, in lower case."""

    def free(self, name: str) -> str:
        """The name, or the first of name_2, name_3, ... that is not in use; it is in use from now on."""
        return self._first_free([name], f"{name}_", 2)

    def numbered_name(self, kind: str) -> str:
        """The name of an unnamed constraint: table_kind_1, table_kind_2, ..."""
        return self._first_free([], f"{self.table}_{kind}_", 1)

    def _first_free(self, names: list[str], prefix: str, first: int) -> str:
        candidates = chain(names, (f"{prefix}{number}" for number in count(first)))
        name = next(candidate for candidate in candidates if candidate.lower() not in self.taken)
        self.taken.add(name.lower())
        return name

    def index(self, name: str, keys: Sequence[Key], *, unique: bool) -> str:
        """Add an index and return its name: ``name``, or the name of the first column if that is empty."""
        first = keys[0].this if isinstance(keys[0], exp.Ordered) else keys[0]
        is_column = isinstance(first, exp.Column | exp.Identifier | exp.ColumnPrefix)
        name = self.free(name or (first.name if is_column else "functional_index"))
        content = ", ".join(self._key(key, unique=unique) for key in keys)
        word = "CREATE UNIQUE INDEX" if unique else "CREATE INDEX"
        full = quoted(f"{self.table}__{name}")
        self.indexes[name] = f"{word} IF NOT EXISTS {full} ON {quoted(self.table)} ({content})"
        return name

    def primary(self, keys: Sequence[Key]) -> None:
        """Add the primary key; as an index if an AUTO_INCREMENT column is SQLite's primary key."""
        names = names_of(keys)
        if [name.lower() for name in names] == [self.numbered.lower()]:
            return
        if self.numbered or len(names) < len(keys):
            self.index(PRIMARY, keys, unique=True)
        else:
            self.constraints.append(f"PRIMARY KEY ({', '.join(map(quoted, names))})")

    def of_column(self, tree: exp.ColumnDef) -> None:
        """Add the keys and checks of a column's definition."""
        column = exp.to_identifier(tree.name, quoted=True)
        for constraint_of_column in tree.constraints:
            if isinstance(constraint_of_column.kind, exp.PrimaryKeyColumnConstraint):
                self.primary([column])
            elif isinstance(constraint_of_column.kind, exp.UniqueColumnConstraint):
                self.index("", [column], unique=True)
        if is_numbered(tree) and type_name(tree.args["kind"]) == "SERIAL":
            self.index("", [column], unique=True)
        for check in user_checks(tree):
            self.constraint(check)

    def constraint(self, tree: exp.Expression, name: str = "") -> None:
        """Add a constraint or a key of a table to its self.  Raises Unsupported."""
        if isinstance(tree, exp.Constraint):
            for inner in tree.expressions:
                self.constraint(inner, tree.name)
        elif isinstance(tree, exp.PrimaryKey):
            self.primary(tree.expressions)
        elif isinstance(tree, exp.IndexColumnConstraint):
            name = self.index(tree.name or name, tree.expressions, unique=False)
            if str(tree.args.get("kind") or "").upper() in ("FULLTEXT", "SPATIAL"):
                self.indexes[name] += (
                    " WHERE 0"  # searches that would use it are refused: it needs a name, but no entries
                )
        elif isinstance(tree, exp.UniqueColumnConstraint):
            key = tree.this
            self.index(name or key.name, key.expressions, unique=True)
        elif isinstance(tree, exp.ForeignKey):
            self.constraints.append(self._foreign_key(tree, name))
        elif isinstance(tree, exp.CheckColumnConstraint):
            name = self.free(name) if name else self.numbered_name("chk")
            if not tree.meta.get(NOT_ENFORCED):
                condition = self._written(tree.this)
                self.constraints.append(f"CONSTRAINT {quoted(name)} CHECK ({condition})")
        else:
            raise Unsupported(f"{tree.key.upper()} in a table definition")

    def _foreign_key(self, tree: exp.ForeignKey, name: str) -> str:
        reference = tree.args["reference"]
        target = reference.this
        parent = target.this if isinstance(target, exp.Schema) else target
        columns = target.expressions if isinstance(target, exp.Schema) else []
        name = self.free(name or tree.name) if name or tree.name else self.numbered_name("ibfk")
        options = [str(option).upper() for option in reference.args.get("options") or []]
        if any("SET DEFAULT" in option for option in options):
            raise Unsupported("a foreign key with SET DEFAULT")
        words = [option for option in options if option.startswith("ON ")]
        referred = f" ({', '.join(quoted(column.name) for column in columns)})" if columns else ""
        referring = ", ".join(quoted(column.name) for column in tree.expressions)
        target_name = quoted(parent.name)
        return " ".join(
            [f"CONSTRAINT {quoted(name)} FOREIGN KEY ({referring}) REFERENCES {target_name}{referred}", *words]
        )

    def _key(self, tree: Key, *, unique: bool) -> str:
        """A part of an index.  A prefix of a column indexes the whole column, unless the index is unique."""
        descending = " DESC" if isinstance(tree, exp.Ordered) and tree.args.get("desc") else ""
        inner = tree.this if isinstance(tree, exp.Ordered) else tree
        if isinstance(inner, exp.ColumnPrefix):
            if not unique:
                return quoted(inner.name) + descending
            kind = self.own.get(inner.name.lower(), kind_of(quoted_column(inner.name)))
            collate = f" COLLATE {collation_of(kind)}" if kind.name in ("text", "enum") else ""
            return f"substr({quoted(inner.name)}, 1, {int(inner.expression.name)}){collate}{descending}"
        if isinstance(inner, exp.Column | exp.Identifier):
            return quoted(inner.name) + descending
        return f"({self._written(inner)}){descending}"

    def _written(self, tree: exp.Expression) -> str:
        """An expression over the table's columns, in SQLite's SQL.  Raises Unsupported."""
        return self.flavour.text(self.flavour.schema_expression(tree, self.context, self.own))


def names_of(keys: Sequence[Key]) -> list[str]:
    """The columns of a key, without its expressions and prefixes of columns."""
    inner = [key.this if isinstance(key, exp.Ordered) else key for key in keys]
    return [key.name for key in inner if isinstance(key, exp.Column | exp.Identifier)]
