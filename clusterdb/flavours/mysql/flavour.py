"""MySQL 8's SQL, as Aurora MySQL 3 has it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import apsw
from sqlglot import exp

from clusterdb.errors import OperationalError
from clusterdb.flavours import collations, parameters, rules
from clusterdb.flavours.context import Context
from clusterdb.flavours.described import Loader, ResultType, mysql_type
from clusterdb.flavours.failures import Failure, Words
from clusterdb.flavours.flavour import (
    Translation,
    Unsupported,
    call,
    literal,
)
from clusterdb.flavours.grouping import Doubtful
from clusterdb.flavours.mysql import assign as a
from clusterdb.flavours.mysql import compare as c
from clusterdb.flavours.mysql import messages
from clusterdb.flavours.mysql import rules as r
from clusterdb.flavours.mysql.base import MySQLBase
from clusterdb.flavours.mysql.compare import as_text
from clusterdb.flavours.mysql.grammar import WRITTEN, dialect_of
from clusterdb.flavours.mysql.modes import OF_GRAMMAR, ZERO_DIVISION, Modes
from clusterdb.flavours.mysql.registry import FUNCTIONS, TYPING
from clusterdb.flavours.mysql.scripts import MySQLSplitter, literals
from clusterdb.flavours.mysql.settings import settings
from clusterdb.flavours.mysql.special import special
from clusterdb.flavours.mysql.visible import with_visible_columns
from clusterdb.flavours.registry import Arguments
from clusterdb.flavours.schema import Schema
from clusterdb.flavours.tables import text
from clusterdb.flavours.types import Kind, kind_of

__all__ = ["MySQLFlavour"]

_TAKEN: dict[str, Callable[[str, exp.Expression], exp.Expression]] = {
    "t": lambda name, argument: as_text(argument),
    "i": lambda name, argument: as_text(argument),
    "n": r.number_argument,
    "d": r.date_argument,
    "*": lambda name, argument: argument,
    "!": r.unsupported_argument,
}
"""What becomes of an argument, by its letter in the registry."""


# --- the flavour ------------------------------------------------------------------------------------------------------
class MySQLFlavour(MySQLBase):
    """Aurora MySQL."""

    engine = "aurora-mysql"
    prefix = "my_"
    functions = FUNCTIONS
    argument_count_message = "Incorrect parameter count in the call to native function '{name}'"
    error_class = OperationalError
    several_rows_message = "Subquery returns more than 1 row"
    unknown_column_message = "Unknown column '{}' in 'where clause'"
    after_rollback_to = ("SELECT my_undo()",)
    schema_name = messages.DATABASE
    verbs = messages.VERBS
    typing = TYPING
    splitter_class = MySQLSplitter
    equations_determine = True
    levels_of_bits = True
    committing = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable)
    beginning = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values, exp.Insert, exp.Update, exp.Delete)

    def __init__(self, modes: Modes = frozenset()) -> None:
        self.modes = modes
        self.dialect = dialect_of(modes & OF_GRAMMAR)
        self.literals = literals(has_escapes=self.has_escapes)
        self.rules = {
            exp.Div: r.of_numbers(r.quotient),
            exp.IntDiv: r.of_numbers(lambda node, context: call("my_int_div", node.this, node.expression)),
            exp.Mul: r.of_numbers(r.calculated("times")),
            exp.Neg: r.negative,
            exp.Between: c.between,
            exp.In: c.among,
            exp.Ordered: c.ordered,
            exp.Mod: r.of_numbers(r.remainder),
            exp.Xor: lambda node, context: call("my_xor", node.this, node.expression),
            exp.BitwiseXor: r.bits("bits_xor"),
            exp.BitwiseAnd: r.bits("bits_and"),
            exp.BitwiseOr: r.bits("bits_or"),
            exp.BitwiseNot: r.bits("bit_not"),
            exp.BitwiseLeftShift: r.bits("bit_left"),
            exp.BitwiseRightShift: r.bits("bit_right"),
            exp.National: lambda node, context: literal(node.this),
            exp.Introducer: r.introduced,
            exp.PropertyEQ: rules.unsupported("an assignment with :="),
            exp.DPipe: lambda node, context: call("my_concat", as_text(node.this), as_text(node.expression)),
            exp.Add: lambda node, context: r.shifted(node, 1, context),
            exp.Sub: lambda node, context: r.shifted(node, -1, context),
            exp.Like: r.like,
            exp.Escape: r.escape,
            exp.Case: c.cases,
            exp.Window: r.window,
            exp.Sum: r.total,
            exp.Avg: r.total,
            exp.RegexpLike: lambda node, context: call("my_regexp", as_text(node.this), as_text(node.expression)),
            exp.NullSafeEQ: c.null_safe,
            **dict.fromkeys((exp.Where, exp.And, exp.Or, exp.Not, exp.Having), c.truth),
            exp.Cast: r.cast,
            exp.Extract: r.extract,
            exp.Trim: r.trim,
            exp.Substring: r.substring,
            exp.StrPosition: r.position,
            exp.GroupConcat: r.group_concat,
            exp.CurrentTimestamp: lambda node, context: r.now("%Y-%m-%d %H:%M:%S", node.this),
            exp.CurrentDate: lambda node, context: r.now("%Y-%m-%d"),
            exp.CurrentTime: lambda node, context: r.now("%H:%M:%S"),
            exp.Anonymous: self.call,
            exp.Concat: lambda node, context: node,
            exp.Count: r.count,
            exp.Parameter: r.variable,
            exp.SessionParameter: r.system_variable,
            exp.Table: _table,
            exp.SetOperation: rules.set_operation,
            exp.Union: r.union,
            exp.Select: r.select,
            exp.Lock: lambda node, context: None,
            exp.If: c.branches,
            exp.Chr: r.char,
            exp.Limit: r.limit,
            **dict.fromkeys((exp.Ceil, exp.Floor), r.whole),
            exp.Values: rules.values,
            exp.HexString: r.hex,
            exp.BitString: lambda node, context: literal(int(node.name, 2)),
            **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), c.comparison),
            exp.JSONObject: r.json_object,
            exp.JSONArrayAgg: lambda node, context: call("my_json_arrayagg", r.as_json(node.this)),
            exp.JSONExtract: lambda node, context: r.json_arrow(node, unquoted=False),
            exp.JSONExtractScalar: lambda node, context: r.json_arrow(node, unquoted=True),
            exp.JSONObjectAgg: r.json_object_agg,
            exp.MatchAgainst: rules.unsupported("MATCH ... AGAINST"),
            exp.Collate: r.collate,
            exp.Lateral: rules.unsupported("LATERAL"),
            exp.Filter: rules.unsupported("FILTER, which MySQL has not,"),
            exp.Group: rules.group,
            exp.Uuid: lambda node, context: call("my_uuid"),
            exp.Rand: lambda node, context: call("my_rand"),
            exp.Literal: r.text_literal,
            exp.All: rules.of_comparison,
            exp.Any: rules.of_comparison,
        }

    def in_modes(self, modes: Modes) -> MySQLFlavour:
        """The flavour in some SQL modes, of those that its translations depend on."""
        return self if modes == self.modes else _in_modes(modes)

    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions and collations."""
        super().install(db)
        collations.install(db)

    def syntax_error(self, sql: str, at: int | None) -> Words:
        """The words for a statement that is wrong from a character on."""
        return messages.syntax_error(sql, at)

    def words(self, failure: Failure) -> Words | None:
        """The engine's words for what SQLite refuses."""
        return messages.words(failure)

    def special(self, sql: str, context: Context) -> Translation | None:
        """Statements that need no grammar, or that sqlglot does not know."""
        return special(self, sql, context)

    def prepared(self, sql: str) -> str:
        """A statement with what is in executable comments."""
        return ";".join(self.statements_of(sql)) if "/*!" in sql else sql

    def result_type(self, kind: Kind | None, declared: str, schema: Schema) -> ResultType | None:
        """MySQL's type of a result column."""
        return mysql_type(kind, declared)

    def loader(self, kind: Kind | None, declared: str, *, typed: bool) -> Loader | None:
        """The same, where TINYINT(1) is a boolean too; of other conditions MySQL makes integers."""
        if typed and declared.lower().startswith("tinyint(1)"):
            return bool
        is_condition = kind is not None and kind.name == "boolean"
        return None if is_condition else super().loader(kind, declared, typed=typed)

    def column_name(self, tree: exp.Expression) -> str:
        """What a column without a name is called: a text by itself, all else as it is written."""
        inner = tree.unnest()
        inner = inner.expression if isinstance(inner, exp.Introducer) else inner
        if isinstance(inner, exp.National) or (isinstance(inner, exp.Literal) and inner.is_string):
            return str(inner.this).lstrip()
        if isinstance(inner, exp.Concat) and all(isinstance(node, exp.Literal) for node in inner.expressions):
            return "".join(node.name for node in inner.expressions).lstrip()
        if isinstance(inner, exp.Null | exp.Boolean):
            return str(inner.sql(dialect=self.dialect))
        if isinstance(inner, exp.Literal | exp.Column) and inner is not tree:
            return str(inner.name)
        return parameters.shown(str(tree.meta.get(WRITTEN) or super().column_name(tree)))

    def ungrouped(self, column: Doubtful) -> None:
        """As with the sql_mode ONLY_FULL_GROUP_BY; without it any row's value is taken.  Raises Unsupported."""
        raise Unsupported(f"the column {column.name} without ANY_VALUE(), of which GROUP BY does not tell one value,")

    def expression(self, tree: exp.Expression, context: Context) -> exp.Expression:
        """A tree in SQLite's words, where a star stands for the columns that can be seen."""
        return super().expression(with_visible_columns(tree, context), context)

    def prepare(self, tree: exp.Expression, context: Context) -> None:
        """What queries answer as MySQL shows it; values as columns take them."""
        a.answered(tree, context)
        if isinstance(tree, exp.Insert | exp.Update) and ZERO_DIVISION not in self.modes:
            a.require_divisors(tree)
        if isinstance(tree, exp.Insert):
            a.inserted(tree, self.modes, context)
        for change in tree.find_all(exp.Update, exp.OnConflict):
            for node in change.expressions:
                if isinstance(node, exp.EQ):
                    result = a.assigned(node.expression, kind_of(node.this), self.modes)
                    if result is not node.expression:
                        node.set("expression", result)
            assert isinstance(change, exp.Update | exp.OnConflict)
            a.refresh(change, context)

    def arguments(
        self, name: str, takes: Arguments, arguments: list[exp.Expression], context: Context
    ) -> list[exp.Expression]:
        """Arguments by their letters.  Raises Unsupported for dates as numbers, and for numbers as dates."""
        return [_TAKEN[takes.letter(place)](name, argument) for place, argument in enumerate(arguments)]

    # --- statements that are no queries -----------------------------------------------------------------------------
    def on_insert(self, tree: exp.Insert, context: Context) -> exp.Expression:
        """INSERT, with IGNORE, SET, ON DUPLICATE KEY UPDATE."""
        conflict = tree.args.get("conflict")
        if tree.args.get("ignore"):
            tree.set("ignore", None)  # of duplicates only: what else MySQL would adjust is refused
            conflict = exp.OnConflict(action=exp.var("DO NOTHING"))
            tree.set("conflict", conflict)
            if isinstance(tree.expression, exp.Select) and not tree.expression.args.get("where"):
                tree.expression.where("TRUE", copy=False)
            return self.expression(tree, context)
        if tree.args.get("partition"):
            raise Unsupported("PARTITION")
        if conflict is not None:
            conflict.set("duplicate", None)
            conflict.set("action", exp.var("DO UPDATE"))
            self._assign_in_order(conflict)
            source = tree.expression
            if isinstance(source, exp.Select) and not source.args.get("where"):
                source.where("TRUE", copy=False)  # or SQLite takes ON for a join's
        return self.expression(tree, context)

    def on_update(self, tree: exp.Update, context: Context) -> exp.Expression:
        """UPDATE: assignments see those before them; several tables; ORDER BY ... LIMIT."""
        table = tree.this
        order, limit = tree.args.get("order"), tree.args.get("limit")
        if order is not None or limit is not None:
            key = exp.select("_rowid_").from_(table.copy())
            for part, value in (("where", tree.args.get("where")), ("order", order), ("limit", limit)):
                key.set(part, value.copy() if value is not None else None)
            for part in ("where", "order", "limit"):
                tree.set(part, None)
            tree.where(exp.In(this=exp.column("_rowid_"), query=key.subquery()), copy=False)
        for node in tree.expressions:
            if isinstance(node.this, exp.Column) and node.this.table == table.alias_or_name and not _is_joined(tree):
                node.this.set("table", None)
        a.set_defaults(tree, context)
        self._assign_in_order(tree)
        joins = table.args.get("joins") or []
        if joins or tree.args.get("joins"):
            return self.expression(self._update_joined(tree), context)
        return self.expression(tree, context)

    def _assign_in_order(self, tree: exp.Update | exp.OnConflict) -> None:
        done: dict[str, exp.Expression] = {}
        for assignment in tree.expressions:
            value = assignment.expression.transform(
                lambda node: (
                    exp.paren(done[node.name.lower()].copy())
                    if isinstance(node, exp.Column) and node.name.lower() in done
                    else node
                )
            )
            assignment.set("expression", value)
            done[assignment.this.name.lower()] = value

    def _update_joined(self, tree: exp.Update) -> exp.Update:
        """UPDATE a JOIN b: the rows of a that the join finds, with the values that it gives them."""
        table = tree.this.copy()
        joins = [*(table.args.get("joins") or []), *(tree.args.get("joins") or [])]
        table.set("joins", None)
        name = table.alias_or_name
        targets = {assignment.this.table or name for assignment in tree.expressions}
        if targets != {name}:
            raise Unsupported("UPDATE of more than the first table")
        columns = [exp.alias_(exp.column("_rowid_", table=name), "clusterdb_row")]
        columns += [exp.alias_(node.expression.copy(), f"v{at}") for at, node in enumerate(tree.expressions)]
        result = exp.select(*columns).from_(table.copy())
        result.set("joins", [join.copy() for join in joins])
        if tree.args.get("where") is not None:
            result.set("where", tree.args["where"].copy())
        converted = exp.Update(
            this=table,
            expressions=[
                exp.EQ(this=exp.column(node.this.name), expression=exp.column(f"v{at}", table="clusterdb_found"))
                for at, node in enumerate(tree.expressions)
            ],
        )
        converted.set("from_", exp.From(this=result.subquery("clusterdb_found")))
        row, found_row = exp.column("_rowid_", table=name), exp.column("clusterdb_row", table="clusterdb_found")
        converted.set("where", exp.Where(this=exp.EQ(this=row, expression=found_row)))
        return converted

    def on_delete(self, tree: exp.Delete, context: Context) -> exp.Expression:
        """DELETE, with joins, USING, ORDER BY ... LIMIT."""
        order, limit, using = tree.args.get("order"), tree.args.get("limit"), tree.args.get("using")
        tables = tree.args.get("tables")
        source = tree.this
        joins = (source.args.get("joins") if source is not None else None) or []
        if not (order or limit or using or tables or joins):
            return self.expression(tree, context)
        if using:
            target, source = source.name, using[0]
        elif tables:
            if len(tables) != 1:
                raise Unsupported("DELETE from several tables")
            target = tables[0].name
        else:
            target = source.alias_or_name
        sources = [source, *(join.this for join in source.args.get("joins") or [])]
        every = {node.alias_or_name: node.name for node in sources}
        if target not in every:
            raise Unsupported(f"DELETE from {target}")
        key = exp.select(exp.column("_rowid_", table=target)).from_(source.copy())
        if source.args.get("joins"):
            key.args["from_"].this.set("joins", None)
            key.set("joins", [join.copy() for join in source.args["joins"]])
        for part, value in (("where", tree.args.get("where")), ("order", order), ("limit", limit)):
            key.set(part, value.copy() if value is not None else None)
        result = exp.Delete(this=exp.to_table(every[target]))
        result.set("where", exp.Where(this=exp.In(this=exp.column("_rowid_"), query=key.subquery())))
        return self.expression(result, context)

    def on_create(self, tree: exp.Create, context: Context) -> exp.Expression | Translation:
        """CREATE TABLE, INDEX, VIEW."""
        kind = tree.args["kind"].upper()
        if kind == "TABLE":
            from clusterdb.flavours.mysql.tables import create_table

            return create_table(self, tree, context)
        if kind == "VIEW":
            for part in ("properties",):
                tree.set(part, None)
            if tree.args.get("replace"):
                tree.set("replace", None)
                context.before.append(f"DROP VIEW IF EXISTS {self.text(tree.this)}")
            return self.view(tree, context)
        if kind == "INDEX":
            index = tree.this
            table = index.args["table"]
            index.set("this", exp.to_identifier(f"{table.name}__{index.name}", quoted=True))
            return self.expression(tree, context)
        raise Unsupported(f"CREATE {kind}")

    def on_drop(self, tree: exp.Drop, context: Context) -> exp.Expression | Translation:
        """DROP TABLE (several), VIEW, INDEX ... ON."""
        kind = tree.args["kind"].upper()
        if kind in ("TABLE", "VIEW"):
            from clusterdb.flavours.mysql.tables import drop

            return drop(tree)
        if kind == "INDEX":
            raise Unsupported("DROP INDEX without ON")
        raise Unsupported(f"DROP {kind}")

    def on_alter(self, tree: exp.Alter, context: Context) -> Translation:
        """ALTER TABLE: one action after the other."""
        from clusterdb.flavours.mysql.alter import alter_table

        return alter_table(self, tree, str(tree.sql(dialect="mysql")))

    def on_truncatetable(self, tree: exp.TruncateTable, context: Context) -> Translation:
        """TRUNCATE: no rows, and numbering begins again."""
        (table,) = tree.expressions
        return Translation(f"DELETE FROM {self.text(table)}", after=(f"SELECT my_restart({text(table.name.lower())})",))

    def on_transaction(self, tree: exp.Transaction, context: Context) -> Translation:
        """BEGIN, which commits the open transaction."""
        return Translation("BEGIN", commits=True)

    def on_set(self, tree: exp.Set, context: Context) -> Translation:
        """SET: variables of the user's and of the session's."""
        return settings(self, tree, context)

    def on_show(self, tree: exp.Show, context: Context) -> Translation:
        """SHOW TABLES, COLUMNS, INDEX, VARIABLES."""
        from clusterdb.flavours.mysql.tables import show

        return show(tree)

    def on_describe(self, tree: exp.Describe, context: Context) -> Translation:
        """DESCRIBE a table."""
        from clusterdb.flavours.mysql.tables import COLUMNS

        return Translation(COLUMNS.format(table=tree.this.name.replace("'", "''")))


def _is_joined(tree: exp.Update) -> bool:
    return bool(tree.this.args.get("joins") or tree.args.get("joins"))


@lru_cache(maxsize=16)
def _in_modes(modes: Modes) -> MySQLFlavour:
    return MySQLFlavour(modes)


def _table(node: exp.Table, context: Context) -> exp.Expression:
    """A table, perhaps one of ``information_schema``."""
    checked = r.table(node, context)
    if checked is not node or node.db.lower() != "information_schema":
        return checked
    from clusterdb.flavours.mysql.tables import information_schema

    return information_schema(node)
