"""ALTER TABLE: the actions change the table's definition one by one, then the table is rebuilt once.

A statement is atomic.  SQLite's own ALTER TABLE appends columns and changes names, and indexes are created and dropped
without a rebuild.  Otherwise the definition is edited as text, an expression over the old row fills each column, and
:func:`clusterdb.flavours.rebuild.rebuild` copies the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import apsw
from sqlglot import exp, parse_one

from clusterdb.errors import OperationalError
from clusterdb.flavours.collations import CI
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, Translation, Unsupported
from clusterdb.flavours.indexes import index_statement, indexes_of
from clusterdb.flavours.mysql import columns as c
from clusterdb.flavours.mysql.assign import assigned
from clusterdb.flavours.mysql.compare import collation_of
from clusterdb.flavours.mysql.indexes import PRIMARY, Parts
from clusterdb.flavours.rebuild import definition_of, rebuild, savepoint, split, tokens, without_default
from clusterdb.flavours.schema import KINDS_COMMENT, kinds_comment, read
from clusterdb.flavours.tables import quoted, text
from clusterdb.flavours.trees import has_constraint, quoted_column, quoted_names
from clusterdb.flavours.types import Columns, Kind, answers, declared_as, set_kind

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.base import MySQLBase
    from clusterdb.flavours.session import EngineSession

__all__ = ["alter_table", "convert_table", "rename_tables"]

_NOT_ABOUT_ROWS = (
    *(exp.EngineProperty, exp.SchemaCommentProperty, exp.RowFormatProperty, exp.AlgorithmProperty, exp.LockProperty),
    *(exp.CharacterSetProperty, exp.Order, exp.ForceProperty, exp.AlterIndex, exp.Property),
)
"""Actions that change how a server stores a table but not its content: they do nothing."""
_ZERO = {"integer": "0", "decimal": "0", "double": "0", "boolean": "0", "text": "''", "bytes": "x''"}
"""The implicit default of a kind, which fills a new NOT NULL column in the existing rows."""


def alter_table(flavour: MySQLBase, tree: exp.Alter, sql: str) -> Translation:
    """ALTER TABLE.  Raises Unsupported."""
    if str(tree.args.get("kind")).upper() != "TABLE":
        raise Unsupported(f"ALTER {tree.args.get('kind')}")
    table = tree.this.name
    actions = [*tree.args["actions"], *(tree.args.get("options") or [])]
    for action in actions:
        if type(action) not in _ACTIONS and not isinstance(action, _NOT_ABOUT_ROWS):
            raise Unsupported(f"ALTER TABLE ... {action.sql(dialect='mysql')}")

    def run(session: EngineSession) -> None:
        with flavour.refusing(sql), savepoint(session.db):
            alteration = _Alteration(flavour, session.db, table, Context(read(session.db)))
            for action in actions:
                alteration.apply(action.copy())
            alteration.flush()
            _refresh_views(flavour, session.db)

    return Translation(IDLE, (run,))


def rename_tables(flavour: MySQLBase, pairs: list[tuple[str, str]]) -> Translation:
    """RENAME TABLE; ``pairs`` are old and new names."""

    def run(session: EngineSession) -> None:
        with savepoint(session.db):
            for old, new in pairs:
                _Alteration(flavour, session.db, old, Context()).rename(new)

    return Translation(IDLE, (run,), commits=True)


def convert_table(flavour: MySQLBase, table: str, collation: str) -> Translation:
    """CONVERT TO CHARACTER SET: one collation for all text columns."""

    def run(session: EngineSession) -> None:
        with savepoint(session.db):
            alteration = _Alteration(flavour, session.db, table, Context())
            alteration.convert(collation_of(Kind("text", collation=collation)))
            alteration.flush()

    return Translation(IDLE, (run,), commits=True)


class _Alteration:
    """The definition of a table while it is being changed, and the expressions that fill its columns."""

    def __init__(self, flavour: MySQLBase, db: apsw.Connection, table: str, context: Context) -> None:
        self._flavour = flavour
        self._db = db
        self._context = context
        self._open(table, context)

    def _open(self, table: str, context: Context) -> None:
        self._definition = definition_of(self._db, table)
        self._table = self._definition.table
        self._own: Columns = context.columns_of(table)
        schema = self._definition.schema
        stored = self._db.execute(
            "SELECT name FROM pragma_table_xinfo(?, ?) WHERE hidden NOT IN (2, 3)", (self._table, schema)
        ).fetchall()
        self._sources = {str(name): quoted(str(name)) for (name,) in stored}
        stored_indexes = indexes_of(self._db, schema, self._table)
        self._indexes = {name.removeprefix(f"{self._table}__"): sql for name, sql in stored_indexes.items()}
        self._stored_indexes = tuple(self._indexes)
        self._is_changed = False

    def apply(self, action: exp.Expression) -> None:
        """Apply one action to the definition, or to the table itself where SQLite can."""
        method = _ACTIONS.get(type(action))
        if method is not None:
            method(self, action)

    def flush(self) -> None:
        """Bring the table to the pending definition and indexes."""
        if self._is_changed:
            rebuild(self._db, self._table, self._definition.sql, self._sources, list(self._indexes.values()))
        else:
            for name in self._stored_indexes:
                if name not in self._indexes:
                    self._db.execute(f"DROP INDEX {quoted(f'{self._table}__{name}')}")
            for name, sql in self._indexes.items():
                if name not in self._stored_indexes:
                    self._db.execute(sql)
        self._reopen()

    def _reopen(self, table: str = "") -> None:
        self._open(table or self._table, Context(read(self._db)))

    # --- columns ------------------------------------------------------------------------------------------------------
    def _place(self, name: str) -> int:
        place = self._definition.columns.get(name.lower())
        if place is None:
            raise OperationalError(f"Unknown column '{name}' in '{self._table}'")
        return place

    def add(self, tree: exp.ColumnDef) -> None:
        """ADD COLUMN."""
        if tree.name.lower() in self._definition.columns:
            if tree.args.get("exists"):
                return
            raise OperationalError(f"Duplicate column name '{tree.name}'")
        kind = self._own[tree.name.lower()] = c.kind_of_column(tree)
        is_key = has_constraint(tree, exp.PrimaryKeyColumnConstraint)
        part = c.column(self._flavour, tree, self._context, own=self._own, required=is_key)
        if self._append(tree, part):
            return
        parts = self._parts(tree.name if c.is_numbered(tree) else "")
        self._insert(part, tree.args.get("position"))
        words = [word.upper() for word in tokens(part)]
        if "NOT" in words and "DEFAULT" not in words and not c.is_numbered(tree) and "GENERATED" not in words:
            members = kind.members.partition("','")[0].removesuffix("'") + "'" if kind.members else ""
            zero = members or _ZERO.get(kind.name)
            if zero is not None:
                self._sources[tree.name] = zero
        parts.of_column(tree)
        self._take(parts)
        self._is_changed = True

    def _append(self, tree: exp.ColumnDef, part: str) -> bool:
        """Have SQLite append a column; False if it cannot."""
        if self._is_changed or tree.args.get("position") is not None or "PRIMARY" in part:
            return False
        if has_constraint(tree, exp.UniqueColumnConstraint) or c.user_checks(tree):
            return False
        self.flush()
        try:
            self._db.execute(f"ALTER TABLE {self._definition.schema}.{quoted(self._table)} ADD COLUMN {part}")
        except apsw.SQLError:  # its default is not a constant, or it needs a value in existing rows
            return False
        self._reopen()
        return True

    def _insert(self, part: str, position: exp.ColumnPosition | None) -> None:
        """Insert the definition of a column at its position, after the other columns by default."""
        at = len(self._definition.columns)
        if position is not None:
            is_first = str(position.args.get("position")).upper() == "FIRST"
            at = 0 if is_first else self._place(position.this.name) + 1
        self._definition.parts.insert(at, part)

    def drop_column(self, name: str, *, exists: bool) -> None:
        """DROP COLUMN; the column is removed from keys and indexes too."""
        if exists and name.lower() not in self._definition.columns:
            return
        place = self._place(name)
        if len(self._definition.columns) == 1:
            raise OperationalError("You can't delete all columns with ALTER TABLE; use DROP TABLE instead")
        for part in self._definition.parts[len(self._definition.columns) :]:
            if "FOREIGN KEY" in part and quoted(name).lower() in part.lower():
                key_name = tokens(part)[1].strip('"')
                raise OperationalError(f"Cannot drop column '{name}': needed in a foreign key constraint '{key_name}'")
        del self._definition.parts[place]
        self._sources = {column: value for column, value in self._sources.items() if column.lower() != name.lower()}
        key = self._primary_key()
        if key is not None and name.lower() in map(str.lower, key[1]):
            rest = [quoted(column) for column in key[1] if column.lower() != name.lower()]
            self._definition.parts[key[0] : key[0] + 1] = [f"PRIMARY KEY ({', '.join(rest)})"] if rest else []
        for index, sql in list(self._indexes.items()):
            columns, tail = split(sql)
            rest = [column for column in columns if tokens(column)[0].lower() != quoted(name).lower()]
            if not rest:
                del self._indexes[index]
            elif rest != columns:
                self._indexes[index] = f"{sql[: sql.index('(')]}({', '.join(rest)}){tail}"
        self._is_changed = True

    def modify(self, tree: exp.ModifyColumn) -> None:
        """MODIFY and CHANGE: another definition of a column, optionally with another name or position."""
        definition, old = tree.this, tree.args.get("rename_from")
        name = definition.name
        if old is not None and old.name.lower() != name.lower():
            self.rename_column(old.name, name)
        place = self._place(name)
        before = self._definition.parts[place]
        kind, new = self._own.get(name.lower(), Kind("unknown")), c.kind_of_column(definition)
        self._own[name.lower()] = new
        key = self._primary_key()
        numbers, inline = c.is_numbered(definition), _has_words(before, "PRIMARY", "KEY")
        required = inline or (key is not None and name.lower() in map(str.lower, key[1]))
        part = c.column(self._flavour, definition, self._context, own=self._own, required=required)
        if _has_words(before, "UNIQUE") and not numbers:
            part += " UNIQUE"
        self._definition.parts[place] = part
        if inline and not numbers:
            self._definition.parts.append(f"PRIMARY KEY ({quoted(name)})")
        elif numbers and key is not None and not inline:
            self._number(name, key)
        self._fill(name, kind, new)
        if definition.args.get("position") is not None:
            del self._definition.parts[self._place(name)]
            self._insert(part, definition.args["position"])
        parts = self._parts(name if numbers else "")
        parts.of_column(definition)
        self._take(parts)
        self._is_changed = True

    def _number(self, name: str, key: tuple[int, list[str]]) -> None:
        """Give a column of the primary key AUTO_INCREMENT; ``key``: the constraint's place and its columns."""
        at, columns = key
        del self._definition.parts[at]
        if [column.lower() for column in columns] != [name.lower()]:
            parts = self._parts(name)
            parts.primary(quoted_names(columns))
            self._take(parts)

    def _fill(self, name: str, kind: Kind, new: Kind) -> None:
        """Fill a column with its old values, converted to its new type."""
        self._sources = {column: value for column, value in self._sources.items() if column.lower() != name.lower()}
        if "GENERATED" in [word.upper() for word in tokens(self._definition.parts[self._place(name)])]:
            return
        old = set_kind(quoted_column(name), kind)
        value = old if kind == new else assigned(old, new, self._flavour.modes)
        self._sources[name] = self._flavour.text(value)

    def rename_column(self, old: str, new: str) -> None:
        """RENAME COLUMN by SQLite's, which also changes keys, views and other tables."""
        self.flush()
        self._place(old)
        if new.lower() in self._definition.columns and old.lower() != new.lower():
            raise OperationalError(f"Duplicate column name '{new}'")
        schema = self._definition.schema
        head = f"ALTER TABLE {schema}.{quoted(self._table)} RENAME COLUMN"
        self._db.execute(f"{head} {quoted(old)} TO {quoted(new)}")
        self._reopen()

    def change_default(self, tree: exp.AlterColumn) -> None:
        """ALTER COLUMN ... SET DEFAULT, DROP DEFAULT."""
        if tree.args.get("default") is None and not tree.args.get("drop"):
            raise Unsupported(f"ALTER TABLE ... {tree.sql(dialect='mysql')}")
        place = self._place(tree.name)
        part = without_default(self._definition.parts[place])
        if tree.args.get("default") is not None:
            kind = self._own.get(tree.name.lower(), Kind("unknown"))
            part += f" DEFAULT {c.default(self._flavour, tree.name, tree.args['default'], kind, self._context)}"
        self._definition.parts[place] = part
        self._is_changed = True

    # --- keys and constraints -----------------------------------------------------------------------------------------
    def _parts(self, numbered: str = "") -> Parts:
        """An empty collection of new parts that knows the names in use; ``numbered``: the AUTO_INCREMENT column."""
        present = numbered or next((name for name, at in self._definition.columns.items() if self._numbers(at)), "")
        named = [tokens(part)[1].strip('"') for part in self._definition.parts if part.startswith("CONSTRAINT ")]
        taken = {name.lower() for name in (*named, *self._indexes)}
        return Parts(self._flavour, self._context, self._own, self._table, numbered=present, taken=taken)

    def _numbers(self, place: int) -> bool:
        """Whether the column at a place has AUTO_INCREMENT."""
        return self._definition.parts[place].upper().endswith(c.NUMBERED)

    def _take(self, parts: Parts) -> None:
        self._is_changed |= bool(parts.constraints)
        self._definition.parts += parts.constraints
        self._indexes |= parts.indexes

    def add_constraint(self, tree: exp.AddConstraint) -> None:
        """ADD CONSTRAINT, PRIMARY KEY, UNIQUE, INDEX, FOREIGN KEY, CHECK."""
        for added in tree.expressions:
            inner = added.expressions[0] if isinstance(added, exp.Constraint) else added
            if isinstance(inner, exp.PrimaryKey):
                self._require_columns_of_key(inner)
            parts = self._parts()
            parts.constraint(added)
            self._take(parts)

    def _require_columns_of_key(self, tree: exp.PrimaryKey) -> None:
        """Make the columns of a new primary key NOT NULL.  Raises OperationalError if the table has a primary key."""
        is_taken = self._primary_key() is not None or PRIMARY in self._indexes
        if is_taken or any(map(self._is_key, self._places())):
            raise OperationalError("Multiple primary key defined")
        for part in tree.expressions:
            place = self._place(part.name)
            if not _has_words(self._definition.parts[place], "NOT", "NULL"):
                self._definition.parts[place] += " NOT NULL"
        self._is_changed = True

    def _places(self) -> list[int]:
        return list(self._definition.columns.values())

    def _is_key(self, place: int) -> bool:
        return _has_words(self._definition.parts[place], "PRIMARY", "KEY") and not self._numbers(place)

    def _primary_key(self) -> tuple[int, list[str]] | None:
        """The place and the columns of the table's PRIMARY KEY constraint; None if only a column has one, or none."""
        column_count = len(self._definition.columns)
        for at, part in enumerate(self._definition.parts[column_count:], column_count):
            words = tokens(part)
            if "PRIMARY" in [word.upper() for word in words[:3]]:
                columns, _ = split(part)
                return at, [tokens(column)[0].strip('"').replace('""', '"') for column in columns]
        return None

    def drop_primary_key(self, _: exp.Expression) -> None:
        """DROP PRIMARY KEY."""
        key = self._primary_key()
        places = [at for at in self._places() if _has_words(self._definition.parts[at], "PRIMARY", "KEY")]
        if key is not None:
            del self._definition.parts[key[0]]
        elif PRIMARY in self._indexes:
            del self._indexes[PRIMARY]
        elif places and self._numbers(places[0]):
            raise OperationalError(
                "Incorrect table definition; there can be only one auto column and it must be defined as a key"
            )
        elif places:
            part = self._definition.parts[places[0]]
            self._definition.parts[places[0]] = re.sub(r"\s+PRIMARY\s+KEY\b", "", part, flags=re.IGNORECASE)
        else:
            raise OperationalError("Can't DROP 'PRIMARY'; check that column/key exists")
        self._is_changed = True

    def drop(self, tree: exp.Drop) -> None:
        """DROP COLUMN, INDEX, FOREIGN KEY, CHECK, CONSTRAINT."""
        kind = str(tree.args["kind"]).upper()
        target = tree.this or (tree.args.get("tables") or tree.expressions)[0]
        name, exists = target.name, bool(tree.args.get("exists"))
        if kind == "COLUMN":
            self.drop_column(name, exists=exists)
            return
        index = next((index for index in self._indexes if index.lower() == name.lower()), None)
        at = self._constraint(name, kind)
        if index is not None and kind in ("INDEX", "KEY", "CONSTRAINT"):
            del self._indexes[index]
        elif name.upper() == PRIMARY and kind in ("INDEX", "KEY", "CONSTRAINT"):
            self.drop_primary_key(tree)
        elif at is not None:
            del self._definition.parts[at]
            self._is_changed = True
        elif not exists:
            raise OperationalError(f"Can't DROP '{name}'; check that column/key exists")

    def _constraint(self, name: str, kind: str) -> int | None:
        """The place of a named constraint."""
        for at, part in enumerate(self._definition.parts):
            words = tokens(part)
            if words[0].upper() == "CONSTRAINT" and words[1].strip('"').lower() == name.lower():
                own = "FOREIGN KEY" if words[2].upper() == "FOREIGN" else words[2].upper()
                return at if kind in (own, "CONSTRAINT") else None
        return None

    def rename_index(self, tree: exp.RenameIndex) -> None:
        """RENAME INDEX."""
        old, new = tree.this.name, tree.args["to"].name
        if old not in self._indexes:
            raise OperationalError(f"Key '{old}' doesn't exist in table '{self._table}'")
        if new in self._indexes:
            raise OperationalError(f"Duplicate key name '{new}'")
        self._indexes[new] = index_statement(self._indexes.pop(old), f"{self._table}__{new}")

    # --- the table itself ---------------------------------------------------------------------------------------------
    def rename_to(self, tree: exp.AlterRename) -> None:
        """RENAME TO."""
        self.flush()
        self.rename(tree.this.name)

    def rename(self, new: str) -> None:
        """Rename the table and its indexes."""
        schema = self._definition.schema
        for name in self._indexes:
            self._db.execute(f"DROP INDEX {schema}.{quoted(f'{self._table}__{name}')}")
        old, sqls = self._table, self._indexes
        self._db.execute(f"ALTER TABLE {schema}.{quoted(old)} RENAME TO {quoted(new)}")
        for name, sql in sqls.items():
            self._db.execute(index_statement(sql, f"{new}__{name}", table=new, schema=schema))
        for table in (old, new):
            self._db.execute("SELECT my_forget(?)", (table.lower(),)).fetchall()
        self._reopen(new)

    def count_from(self, tree: exp.AutoIncrementProperty) -> None:
        """AUTO_INCREMENT = n: the next number, but above the greatest one in use."""
        self.flush()
        at = next((at for at in self._places() if self._numbers(at)), None)
        if at is None:
            return
        schema, name = self._definition.schema, tokens(self._definition.parts[at])[0]
        table = f"{schema}.{quoted(self._table)}"
        last = self._db.execute(f"SELECT max(ifnull(max({name}), 0), ?) FROM {table}", (int(tree.this.name) - 1,)).get
        self._db.execute(f"DELETE FROM {schema}.sqlite_sequence WHERE name = {text(self._table)}")
        self._db.execute(f"INSERT INTO {schema}.sqlite_sequence VALUES ({text(self._table)}, {last})")
        self._db.execute("SELECT my_forget(?)", (self._table.lower(),)).fetchall()

    def collate(self, tree: exp.CollateProperty) -> None:
        """COLLATE: the collation of columns added later.  Raises Unsupported for a binary one."""
        if collation_of(Kind("text", collation=tree.this.name)) != CI:
            raise Unsupported("ALTER TABLE ... COLLATE with a binary collation")

    def convert(self, wanted: str) -> None:
        """Give all text columns one collation."""
        for at in self._places():
            part = self._definition.parts[at]
            self._definition.parts[at] = re.sub(r"\bCOLLATE utf8mb4_\w+", f"COLLATE {wanted}", part, count=1)
            self._is_changed |= self._definition.parts[at] != part


_ACTIONS: dict[type[exp.Expression], Callable[..., None]] = {
    exp.ColumnDef: _Alteration.add,
    exp.ModifyColumn: _Alteration.modify,
    exp.RenameColumn: lambda alteration, tree: alteration.rename_column(tree.this.name, tree.args["to"].name),
    exp.AlterColumn: _Alteration.change_default,
    exp.AddConstraint: _Alteration.add_constraint,
    exp.DropPrimaryKey: _Alteration.drop_primary_key,
    exp.Drop: _Alteration.drop,
    exp.RenameIndex: _Alteration.rename_index,
    exp.AlterRename: _Alteration.rename_to,
    exp.AutoIncrementProperty: _Alteration.count_from,
    exp.CollateProperty: _Alteration.collate,
}
"""The method that applies an action, by the action's class."""


def _has_words(part: str, *wanted: str) -> bool:
    """Whether a definition contains the words in a row, outside of parentheses."""
    depth, words = 0, []
    for token in tokens(part):
        depth += (token == "(") - (token == ")")
        words.append("" if depth else token.upper())
    return any(tuple(words[at : at + len(wanted)]) == wanted for at in range(len(words)))


# --- views ------------------------------------------------------------------------------------------------------------
def _refresh_views(flavour: MySQLBase, db: apsw.Connection) -> None:
    """Rewrite the comments in which views declare the types of their columns, where those have changed."""
    for schema in ("main", "temp"):
        listed = db.execute(f"SELECT name, sql FROM {schema}.sqlite_schema WHERE type = 'view'").fetchall()
        for name, sql in listed:
            comment = KINDS_COMMENT.search(str(sql))
            if comment is None:
                continue
            before = [pair.partition("=")[::2] for pair in comment[1].split("; ") if pair]
            query = parse_one(str(sql), read="sqlite").expression
            kinds = {column.lower(): kind for column, kind in answers(query, read(db), flavour.typing).items()}
            after = [(column, _declared(kinds.get(column.lower()), declared)) for column, declared in before]
            if after != before:
                db.execute(f"DROP VIEW {schema}.{quoted(str(name))}")
                head = "CREATE TEMP VIEW" if schema == "temp" else "CREATE VIEW"
                definition = str(sql).replace(comment[0], kinds_comment(after), 1)
                db.execute(re.sub(r"^CREATE (?:TEMP )?VIEW", head, definition))


def _declared(kind: Kind | None, usual: str) -> str:
    return declared_as(kind) if kind is not None and kind.name not in ("unknown", "null") else usual
