"""PostgreSQL 15's SQL, as Aurora PostgreSQL has it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import apsw
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.tokens import TokenType  # type: ignore[attr-defined]

from clusterdb.errors import ProgrammingError
from clusterdb.flavours import rules
from clusterdb.flavours.context import Context
from clusterdb.flavours.described import Loader, ResultType, postgresql_type
from clusterdb.flavours.failures import Failure, Words
from clusterdb.flavours.flavour import (
    IDLE,
    SAVEPOINT,
    Flavour,
    Refused,
    Rule,
    Translation,
    Unsupported,
    call,
    literal,
)
from clusterdb.flavours.functions import SqlValue
from clusterdb.flavours.grouping import Doubtful
from clusterdb.flavours.postgresql import arithmetic as m
from clusterdb.flavours.postgresql import (
    array_rules,
    arrays,
    cursors,
    enums,
    labels,
    messages,
    names,
    sequences,
    settings,
)
from clusterdb.flavours.postgresql import compare as c
from clusterdb.flavours.postgresql import rules as r
from clusterdb.flavours.postgresql.assign import inserted, require_other, set_defaults, updated
from clusterdb.flavours.postgresql.casts import cast
from clusterdb.flavours.postgresql.copies import copied
from clusterdb.flavours.postgresql.drops import dropping, truncating
from clusterdb.flavours.postgresql.registry import FUNCTIONS, TYPING
from clusterdb.flavours.postgresql.scripts import COPY, LITERALS, PostgreSQLSplitter
from clusterdb.flavours.postgresql.types import ZONED
from clusterdb.flavours.postgresql.unnest import ELEMENT, ITEMS, PLACE, with_items
from clusterdb.flavours.postgresql.upsert import touch_once
from clusterdb.flavours.registry import Arguments
from clusterdb.flavours.schema import Schema
from clusterdb.flavours.session import EngineSession, together
from clusterdb.flavours.tables import quoted
from clusterdb.flavours.types import DATE, DATETIME, TIME, Kind

__all__ = ["PostgreSQLFlavour"]


_SHOWN = {
    "server_version": "15.0",
    "standard_conforming_strings": "on",
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "transaction_isolation": "serializable",
    "search_path": "public",
}
_BEGIN = Translation("BEGIN", before=("SELECT pg_forget()",))
_SET = re.compile(r"(?:RE)?SET\b", re.IGNORECASE)
_SEVERAL = re.compile(
    r"(?:(?:ALTER|CREATE|DROP|SET|COMMENT|TRUNCATE)\b|(?:INSERT|UPDATE|DELETE)\b(?!.*\bRETURNING\b))", re.I | re.S
)
"""A statement that answers nothing, and so may be one of several."""
_WRITES = re.compile(r"(?:INSERT|UPDATE|DELETE|TRUNCATE)\b", re.IGNORECASE)
_VOLUME = re.compile(r"(SELECT\b[^()]*\bFROM\s+)aurora_show_volume_status\s*\(\s*\)([^()]*)", re.IGNORECASE)
_TYPE = re.compile(r"(?:CREATE|ALTER|DROP)\s+TYPE\b", re.IGNORECASE)
_ARRAYS = re.compile(r"\[|array", re.IGNORECASE)
_CURSOR = re.compile(r"(?:DECLARE|FETCH|MOVE|CLOSE)\b", re.IGNORECASE)
_ALTER = re.compile(r"ALTER\s+(?:TABLE|SEQUENCE|INDEX)\b", re.IGNORECASE)
_OVERRIDING = re.compile(
    r"(\s*INSERT\s+INTO\s+[^\s()]+(?:\s+AS\s+\w+)?\s*(?:\([^()]*\)\s*)?)OVERRIDING\s+SYSTEM\s+VALUE\b", re.IGNORECASE
)


def _psql(command: str) -> Translation:
    """A command of psql's that pg_dump writes and that does nothing here.  Raises Unsupported."""
    if not re.match(r"\\(?:un)?restrict\s", command):
        raise Unsupported(f"psql's command {command.split()[0]}")
    return Translation(IDLE)


class _Dialect(Postgres):
    """PostgreSQL's grammar, with functions under their own names, and subscripts as they are written."""

    INDEX_OFFSET = 0

    class Parser(Postgres.Parser):  # type: ignore[valid-type,misc]
        FUNCTIONS: dict[str, Callable[..., exp.Expression]] = {}  # noqa: RUF012
        FUNCTION_PARSERS = {  # noqa: RUF012
            name: parser for name, parser in Postgres.Parser.FUNCTION_PARSERS.items() if name != "DATE_PART"
        }

        def _warn_unsupported(self) -> None:
            """What is not understood is refused by name: nothing is to be logged."""

        def _parse_interval(self, require_interval: bool = True, parse_function_unit: bool = True) -> exp.Expression:
            """An interval with its whole text, of which sqlglot would drop what it does not know."""
            if not require_interval or not self._match_pair(TokenType.INTERVAL, TokenType.STRING, advance=False):
                return super()._parse_interval(require_interval, parse_function_unit)
            self._advance(2)
            text = exp.Literal.string(self._prev.text)
            units = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
            unit = self._parse_var(upper=True) if self._match_texts(units, advance=False) else None
            return self.expression(exp.Interval(this=text, unit=unit))


# --- the flavour ------------------------------------------------------------------------------------------------------
class _Harmless:
    """A connection as modules are made for; their tables can be read in views where the schema is not trusted.

    A table whose arguments are columns of others is read for each of their rows: the planner may not begin with it.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def create_module(self, name: str, source: Any, **options: Any) -> None:
        """Register a module."""
        connect = source.Connect

        def connected(db: apsw.Connection, *arguments: SqlValue) -> object:
            answer: Any = connect(db, *arguments)
            db.vtab_config(apsw.SQLITE_VTAB_INNOCUOUS)
            table, first = answer[1], len(source.columns)
            choose = table.BestIndexObject

            def chosen(index: Any) -> bool:
                places = range(index.nConstraint)
                arguments = (at for at in places if index.get_aConstraint_iColumn(at) >= first)
                return all(map(index.get_aConstraint_usable, arguments)) and choose(index)

            table.BestIndexObject = chosen
            return answer

        source.Create = source.Connect = connected
        self._db.create_module(name, source, **options)


class PostgreSQLFlavour(Flavour):
    """Aurora PostgreSQL."""

    engine = "aurora-postgresql"
    dialect = _Dialect
    prefix = "pg_"
    functions = FUNCTIONS
    argument_count_message = "function {name}() with {count} arguments does not exist"
    error_class = ProgrammingError
    several_rows_message = "more than one row returned by a subquery used as an expression"
    unknown_column_message = 'column "{}" does not exist'
    before_select = ("where", "having")
    after_rollback_to = ("SELECT pg_redo()",)
    schema_name = "public"
    verbs = messages.VERBS
    typing = TYPING
    splitter_class = PostgreSQLSplitter
    literals = LITERALS

    def __init__(self) -> None:
        self.rules = {
            exp.Div: m.divided,
            exp.Mul: m.times,
            exp.Neg: m.negative,
            exp.Mod: lambda node, context: m.remainder(node, [node.this, node.expression], context),
            exp.Pow: self._written_as("power", "this", "expression"),
            exp.BitwiseXor: m.bits("bits_xor"),
            exp.BitwiseAnd: m.bits("bits_and"),
            exp.BitwiseOr: m.bits("bits_or"),
            exp.BitwiseNot: m.bits("bits_not"),
            exp.BitwiseLeftShift: m.bits("shift_left"),
            exp.BitwiseRightShift: m.bits("shift_right"),
            exp.Add: m.plus,
            exp.Sub: m.minus,
            exp.DPipe: lambda node, context: (
                array_rules.joined(node, context)
                if array_rules.is_array(node.this, node.expression)
                else m.joined(node, context)
            ),
            exp.Bracket: array_rules.subscript,
            exp.ArrayOverlaps: array_rules.contained("pg_array_overlaps"),
            exp.ArrayContainedBy: array_rules.contained("pg_array_contains", swapped=True),
            exp.Interval: m.interval,
            exp.Like: r.matched("pg_like"),
            exp.ILike: r.matched("pg_ilike"),
            exp.Escape: r.escape,
            exp.SimilarTo: r.matched("pg_similar"),
            exp.RegexpLike: r.matched("pg_regexp"),
            exp.RegexpILike: r.matched("pg_regexp", "i"),
            **dict.fromkeys((exp.NullSafeEQ, exp.NullSafeNEQ), c.distinct_from),
            **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), c.comparison),
            **dict.fromkeys((exp.Where, exp.And, exp.Or, exp.Not, exp.Having), c.truth),
            exp.In: c.among,
            exp.Is: c.is_truth,
            exp.Limit: r.limit,
            exp.Between: c.between,
            exp.Case: c.cases,
            exp.Ordered: c.ordered,
            exp.All: rules.of_comparison,
            exp.Any: rules.of_comparison,
            exp.Array: r.of_quantifier,
            exp.Cast: lambda node, context: r.array_cast(node, context) or cast(node, context),
            exp.Extract: lambda node, context: r.extracted(node.this, node.expression),
            exp.Trim: r.trim,
            exp.Substring: r.substring,
            exp.StrPosition: self._written_as("strpos", "this", "substr"),
            exp.Overlay: r.overlay,
            exp.Initcap: self._written_as("initcap", "this"),
            exp.Concat: self._written_as("concat", "expressions"),
            exp.Decode: self._written_as("decode", "this", "charset"),
            exp.GroupConcat: r.string_agg,
            exp.CurrentTimestamp: lambda node, context: r.now(ZONED, context, node.this),
            exp.Localtimestamp: lambda node, context: r.now(DATETIME, context, node.this),
            exp.CurrentDate: lambda node, context: r.now(DATE, context),
            exp.CurrentTime: lambda node, context: r.now(TIME, context),
            exp.Anonymous: self.call,
            exp.Parameter: lambda node, context: (
                exp.Placeholder(this=None) if not node.this else exp.var(f"?{node.name}")
            ),
            exp.Table: _table,
            exp.Select: self._select,
            exp.SetOperation: r.set_operation,
            exp.Lock: lambda node, context: None,
            exp.Group: rules.group,
            exp.JSONExtract: lambda node, context: r.json_at(node, "pg_json_get"),
            exp.JSONExtractScalar: lambda node, context: r.json_at(node, "pg_json_get_text"),
            exp.JSONBExtract: lambda node, context: call("pg_json_path", node.this, node.expression),
            exp.JSONBExtractScalar: lambda node, context: call("pg_json_path_text", node.this, node.expression),
            exp.ArrayContainsAll: r.json_test("pg_json_contains"),
            exp.JSONBContains: r.json_test("pg_json_has"),
            exp.JSONArrayAgg: lambda node, context: r.gathered("json_agg", [node.this], context),
            exp.Overlaps: r.overlaps,
            exp.Values: r.values,
            exp.Boolean: lambda node, context: node if isinstance(node.parent, exp.Is) else literal(int(node.this)),
            exp.Opclass: lambda node, context: node.this,
            exp.Column: r.column,
            exp.CTE: r.cte,
            exp.OnConflict: r.conflict,
            exp.ByteString: lambda node, context: literal(node.name),
            exp.Collate: r.collate,
            exp.CurrentUser: lambda node, context: literal("local"),
            exp.CurrentSchema: lambda node, context: literal("public"),
            exp.CurrentDatabase: lambda node, context: literal("main"),
            exp.Dot: r.dot,
            exp.Lateral: rules.unsupported("LATERAL"),
            exp.WithinGroup: rules.unsupported("WITHIN GROUP"),
            exp.MatchAgainst: rules.unsupported("full text search"),
            exp.AtTimeZone: rules.unsupported("AT TIME ZONE"),
            exp.JSONObject: rules.unsupported("JSON_OBJECT"),
            exp.HexString: r.bytes_only,
            exp.BitString: rules.unsupported("a string of bits"),
            exp.UnicodeString: rules.unsupported("U&'...'"),
            **dict.fromkeys((exp.Rollup, exp.Cube, exp.GroupingSets), rules.unsupported("GROUPING SETS")),
        }
        for name in ("JSONBContainsTopKey",):
            if hasattr(exp, name):
                self.rules[getattr(exp, name)] = r.json_test("pg_json_has")
        for name in ("JSONBDeleteAtPath", "Columns", "JSONBContainsAllTopKeys", "JSONBContainsAnyTopKeys"):
            if hasattr(exp, name):
                self.rules[getattr(exp, name)] = rules.unsupported(name)

    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions, generate_series() and the elements of arrays."""
        import apsw.ext

        super().install(db)
        series: Any = apsw.ext.generate_series
        apsw.ext.make_virtual_module(_Harmless(db), "generate_series", series)  # type: ignore[arg-type]

        items: Any = arrays.items
        items.columns = ("clusterdb_value", "clusterdb_number")
        items.column_access = apsw.ext.VTColumnAccess.By_Index
        apsw.ext.make_virtual_module(_Harmless(db), "pg_items", items)  # type: ignore[arg-type]

    def placeholder(self, number: int) -> str:
        """``$1``: a question mark is an operator.  The space keeps ``$1,$`` from being taken for a quote."""
        return f"${number} "

    def with_data(self, sql: str, context: Context) -> Translation | None:
        """COPY with its data, and commands of psql's."""
        return _psql(sql) if sql.startswith("\\") else copied(self, sql, context)

    def quoted(self, sql: str) -> str:
        """A statement as messages quote it, without the data of COPY."""
        copy = COPY.match(sql)
        return super().quoted(sql if copy is None else copy[0])

    def translated(self, sql: str, context: Context) -> Translation:
        """A statement without the comments before it, or several that answer nothing."""
        text = settings.spaced(settings.bare(sql))
        text = text.rstrip(" \t\r\n;")
        if not text:
            return Translation(IDLE)
        if ";" in text:
            texts = [statement for statement in map(settings.bare, self.statements_of(text)) if statement]
            if len(texts) > 1 and all(map(_SEVERAL.match, texts)):
                steps_of = [partial(self._run, statement) for statement in texts]
                return Translation(
                    IDLE, (together(steps_of, "SELECT pg_redo()"),), writes=any(map(_WRITES.match, texts))
                )
            text = texts[0] if len(texts) == 1 else text
        return super().translated(text, context)

    def _run(self, sql: str, session: EngineSession) -> None:
        """One of several statements, by the schema as those before it have left it."""
        translation = session.translate(sql, session.schema())
        session.execute(translation, lambda text: session.db.execute(text).fetchall())

    def _parsed(self, sql: str, context: Context) -> exp.Expression | None:
        tree = super()._parsed(sql, context)
        if tree is None:
            return None
        with_items(tree)
        return labels.resolve(tree, context)

    def syntax_error(self, sql: str, at: int | None) -> Words:
        """The words for a statement that is wrong from a character on."""
        return messages.syntax_error(sql, at)

    def words(self, failure: Failure) -> Words | None:
        """The engine's words for what SQLite refuses."""
        return messages.words(failure)

    def special(self, sql: str, context: Context) -> Translation | None:
        """Settings that make no difference, and statements that sqlglot does not know."""
        if settings.OWNER.fullmatch(sql):
            return Translation(IDLE)
        if _SET.match(sql):
            return settings.set_constraints(sql) or settings.set_variable(sql)
        if SAVEPOINT.fullmatch(sql):
            return self.savepoint(sql)
        if _TYPE.match(sql):
            return enums.translated(sql, context)
        volume = _VOLUME.fullmatch(sql)
        if volume is not None:
            return Translation(
                f"{volume[1]}(SELECT pg_storage_nodes() AS disks, pg_storage_nodes() AS nodes){volume[2]}"
            )
        altered = self._altered(sql, context)
        if altered is not None:
            return altered
        if re.fullmatch(r"\s*(?:START\s+TRANSACTION|BEGIN)\b[^;]*;?\s*", sql, re.I):
            return _BEGIN
        if re.fullmatch(r"\s*(?:ABORT|END)(?:\s+(?:WORK|TRANSACTION))?\s*+;?\s*+", sql, re.I):
            return Translation("ROLLBACK" if sql.strip()[:1].upper() == "A" else "COMMIT", ends=True)
        if re.fullmatch(r"\s*(?:DISCARD|DEALLOCATE)\s+ALL\s*+;?\s*+", sql, re.I):
            return Translation(IDLE)
        shown = re.fullmatch(r"\s*SHOW\s+(\w+|TRANSACTION\s++ISOLATION\s++LEVEL|TIME\s++ZONE)\s*+;?\s*+", sql, re.I)
        if shown is not None:
            name = " ".join(shown[1].lower().split())
            name = {"transaction isolation level": "transaction_isolation", "time zone": "timezone"}.get(name, name)
            if name in _SHOWN:
                return Translation(f"SELECT '{_SHOWN[name]}' AS \"{'TimeZone' if name == 'timezone' else name}\"")
        if re.fullmatch(r"\s*(?:VACUUM|ANALYZE|REINDEX)\b.*", sql, re.I | re.DOTALL):
            return Translation("ANALYZE")
        cursor = cursors.translated(self, sql, context) if _CURSOR.match(sql) else None
        if cursor is not None:
            return cursor
        overriding = _OVERRIDING.match(sql)
        if overriding is not None:
            return self.translated(overriding[1] + sql[overriding.end() :], replace(context, is_overriding=True))
        explained = re.match(
            r"\s*EXPLAIN(?:\([^)]*\)|ANALYZE|VERBOSE|\s)*+(?=SELECT|UPDATE|DELETE|INSERT|WITH)", sql, re.I
        )
        if explained is not None:
            return Translation("EXPLAIN QUERY PLAN " + self.translated(sql[explained.end() :], context).sql)
        return None

    def _altered(self, sql: str, context: Context) -> Translation | None:
        """ALTER TABLE, SEQUENCE, INDEX; None for another statement."""
        if not _ALTER.match(sql):
            return None
        from clusterdb.flavours.postgresql.alter import altered, altered_index, altered_sequence

        return (
            altered(self, sql, context)
            or altered_sequence(sql, context)
            or altered_index(sql)
            or sequences.altered(sql)
        )

    def ungrouped(self, column: Doubtful) -> None:
        """Raises Refused, in PostgreSQL's words."""
        if column.within:
            raise Refused(f'subquery uses ungrouped column "{column.name}" from outer query')
        raise Refused(f'column "{column.name}" must appear in the GROUP BY clause or be used in an aggregate function')

    def prepare(self, tree: exp.Expression, context: Context) -> None:
        """Values as columns take them; what is grouped or united, of one type."""
        sequences.require_plain(tree)
        require_other(tree)
        for node in list(tree.find_all(exp.Cast)):
            if node.to.sql().lower() == "regclass":
                inner = node.this
                while isinstance(inner, exp.Cast | exp.Paren):
                    inner = inner.this
                if isinstance(inner, exp.Literal):
                    node.replace(inner)
        if isinstance(tree, exp.Insert):
            inserted(tree, context, self.typing)
        updated(tree, context)
        for union in list(tree.find_all(exp.SetOperation)):
            if not isinstance(union.parent, exp.SetOperation):
                c.united(union, context)
        for select in tree.find_all(exp.Select):
            group = select.args.get("group")
            for node in group.expressions if group is not None else []:
                c.grouped("GROUP BY")(node)
            if select.args.get("distinct") is not None:
                for node in select.expressions:
                    c.grouped("DISTINCT")(node.unalias())

    def call(self, node: exp.Anonymous, context: Context) -> exp.Expression:
        """A call of a function by its name, or a word that is written like one.  Raises Unsupported or Refused."""
        if node.name in (ELEMENT, PLACE):
            return array_rules.element(node) if node.name == ELEMENT else array_rules.place(node)
        return node if node.name.lower() in ("any", "all", "some", ITEMS) else super().call(node, context)

    def arguments(
        self, name: str, takes: Arguments, arguments: list[exp.Expression], context: Context
    ) -> list[exp.Expression]:
        """Arguments by their letters.  Raises Unsupported for those of another type."""
        return [r.argument(name, takes.letter(place), value, context) for place, value in enumerate(arguments)]

    def _written_as(self, name: str, *parts: str) -> Rule:
        """A rule for a node that is another way to write a call, whose arguments are these parts of it."""

        def rule(node: exp.Expression, context: Context) -> exp.Expression:
            values = [node.args.get(part) for part in parts]
            listed = [expression for value in values for expression in (value if isinstance(value, list) else [value])]
            arguments = [expression for expression in listed if expression is not None]
            return self.call_of(name, arguments, node, context)

        return rule

    def kinds(self, sql: str, schema: Schema) -> tuple[Kind | None, ...]:
        """The kinds of the columns that a query, or a FETCH, returns."""
        return cursors.kinds_fetched(sql, schema) or super().kinds(sql, schema)

    def result_type(self, kind: Kind | None, declared: str, schema: Schema) -> ResultType | None:
        """PostgreSQL's type of a result column."""
        return postgresql_type(kind, declared, schema)

    def loader(self, kind: Kind | None, declared: str, *, typed: bool) -> Loader | None:
        """The same, where arrays are always lists."""
        if kind is not None and kind.name == "array":
            members = kind.members
            return lambda value: arrays.loaded(value, members) if isinstance(value, str) else value
        return super().loader(kind, declared, typed=typed)

    def may_load(self, sql: str, schema: Schema) -> bool:
        """Whether there may be arrays: of a column, or by a word of the statement."""
        return bool(_ARRAYS.search(sql)) or schema.has_arrays

    def column_name(self, tree: exp.Expression) -> str:
        """What a column without a name is called: its function, its type, or nothing in particular."""
        return names.column_name(tree)

    def _with_names(self, tree: exp.Expression) -> exp.Expression:
        """The same for the queries that others read from."""
        result = super()._with_names(tree)
        names.with_names(result)
        return result

    # --- queries ----------------------------------------------------------------------------------------------------
    def _select(self, node: exp.Select, context: Context) -> exp.Expression:
        node.set("locks", None)
        distinct = node.args.get("distinct")
        if node.args.get("into") is not None:
            raise Unsupported("SELECT ... INTO")
        if distinct is not None and distinct.args.get("on") is not None:
            return self._distinct_on(node, distinct.args["on"])
        return node

    def _distinct_on(self, node: exp.Select, on: exp.Expression) -> exp.Expression:
        """The first row of each group, in the order of the query."""
        keys = on.expressions if isinstance(on, exp.Tuple) else [on]
        order = node.args.get("order")
        inner = node.copy()
        inner.set("distinct", None)
        inner.set("order", None)
        for part in ("limit", "offset"):
            inner.set(part, None)
        names: list[exp.Expression] = []
        if not any(isinstance(expression, exp.Star) for expression in inner.expressions):
            columns = []
            for at, expression in enumerate(inner.expressions):
                name = expression.alias_or_name or f"column{at + 1}"
                columns.append(exp.alias_(expression.unalias().copy(), name, quoted=True))
                names.append(exp.column(name, quoted=True))
            inner.set("expressions", columns)
        window = exp.Window(
            this=exp.Anonymous(this="row_number"),
            partition_by=[key.copy() for key in keys],
            order=order.copy() if order is not None else None,
        )
        inner.append("expressions", exp.alias_(window, "clusterdb_row"))
        if not names:
            raise Unsupported("DISTINCT ON with *")
        result = exp.select(*names).from_(inner.subquery("clusterdb_rows")).where("clusterdb_row = 1")
        if order is not None:
            plain = [expression.name for expression in names]
            for expression in order.expressions:
                if isinstance(expression.this, exp.Column) and expression.this.name in plain:
                    result.order_by(
                        exp.Ordered(**{**expression.args, "this": exp.column(expression.this.name)}), copy=False
                    )
        for part in ("limit", "offset"):
            result.set(part, node.args.get(part))
        return result

    # --- statements that are no queries -----------------------------------------------------------------------------
    def on_insert(self, tree: exp.Insert, context: Context) -> exp.Expression:
        """INSERT ... ON CONFLICT, RETURNING."""
        conflict = tree.args.get("conflict")
        if conflict is not None and isinstance(tree.expression, exp.Select) and not tree.expression.args.get("where"):
            tree.expression.where("TRUE", copy=False)  # or SQLite takes ON for a join's
        tree = tree.copy()
        names.with_names(tree)
        result = self.expression(tree, context)
        assert isinstance(result, exp.Insert)
        sequences.number(result, context.schema)
        touch_once(result)
        return result

    def on_update(self, tree: exp.Update, context: Context) -> exp.Expression:
        """UPDATE, also FROM."""
        tree = tree.copy()
        set_defaults(tree, context)
        names.with_names(tree)
        return self.expression(tree, context)

    def on_delete(self, tree: exp.Delete, context: Context) -> exp.Expression:
        """DELETE, also USING."""
        tree = tree.copy()
        names.with_names(tree)
        using = tree.args.get("using")
        if not using:
            return self.expression(tree, context)
        table = tree.this
        if tree.args.get("returning") is not None and table.alias:
            raise Unsupported("DELETE ... USING with an alias and RETURNING")
        key = exp.select(exp.column("_rowid_", table=table.alias_or_name)).from_(table.copy())
        for node in using:
            key.join(node.copy(), copy=False)
        if tree.args.get("where") is not None:
            key.set("where", tree.args["where"].copy())
        result = exp.Delete(this=exp.to_table(table.name))
        result.set("where", exp.Where(this=exp.In(this=exp.column("_rowid_"), query=key.subquery())))
        result.set("returning", tree.args.get("returning"))
        return self.expression(result, context)

    def on_create(self, tree: exp.Create, context: Context) -> exp.Expression | Translation:
        """CREATE TABLE, INDEX, VIEW."""
        kind = tree.args["kind"].upper()
        if kind == "TABLE":
            from clusterdb.flavours.postgresql.tables import create_table

            return create_table(self, tree, context)
        if kind == "SEQUENCE":
            return sequences.created(tree, context)
        if kind == "VIEW":
            properties = tree.args.get("properties")
            kinds = [type(node) for node in (properties.expressions if properties is not None else [])]
            if exp.MaterializedProperty in kinds:
                raise Unsupported("CREATE MATERIALIZED VIEW")
            if tree.args.get("replace"):
                tree.set("replace", None)
                named = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
                context.before.append(f"DROP VIEW IF EXISTS {quoted(named.name)}")
            names.keep_names(tree.expression)
            return self.view(tree, context)
        if kind == "INDEX":
            parameters = tree.this.args.get("params")
            if parameters is not None:
                using = parameters.args.get("using")
                if using is not None and using.name.lower() not in ("btree", "hash"):
                    raise Unsupported(f"an index USING {using.name}")
                parameters.set("using", None)
                for column in parameters.args.get("columns") or []:
                    column.set("nulls_first", None)
                parameters.set("include", None)
            tree.set("concurrently", None)
            if tree.this.this is None:
                columns = "_".join(column.this.name for column in parameters.args.get("columns") or [])
                tree.this.set("this", exp.to_identifier(f"{tree.this.args['table'].name}_{columns}_idx", quoted=True))
            return self.schema_expression(tree, context, context.columns_of(tree.this.args["table"].name))
        raise Unsupported(f"CREATE {kind}")

    def on_drop(self, tree: exp.Drop, context: Context) -> exp.Expression | Translation:
        """DROP TABLE (several), VIEW, INDEX."""
        kind = tree.args["kind"].upper()
        several = tree.args.get("tables") or [tree.this, *tree.expressions]
        if kind == "SEQUENCE":
            names = [node.sql(dialect="postgres") for node in several]
            return sequences.dropped(names, context, must_exist=not tree.args.get("exists"))
        if kind not in ("TABLE", "VIEW", "INDEX"):
            raise Unsupported(f"DROP {kind}")
        exists, names_of = bool(tree.args.get("exists")), [node.name for node in several]
        if kind == "INDEX":
            texts = [f"DROP INDEX {'IF EXISTS ' if exists else ''}{quoted(name)}" for name in names_of]
            return Translation(texts[-1], tuple(texts[:-1]))
        step = dropping(kind, names_of, cascade=bool(tree.args.get("cascade")), must_exist=not exists)
        after = [text for name in names_of if kind == "TABLE" for text in sequences.of_table(name, context)]
        return Translation(IDLE, (together([step, *after], "SELECT pg_redo()"),))

    def on_truncatetable(self, tree: exp.TruncateTable, context: Context) -> Translation:
        """TRUNCATE: numbering continues, unless RESTART IDENTITY."""
        restarts: dict[str, list[str]] = {}
        if str(tree.args.get("identity") or "").upper() == "RESTART":
            restarts = {table: sequences.restarted(table, context) for table in context.schema.owned}
        cascade = str(tree.args.get("option") or "").upper() == "CASCADE"
        step = truncating([node.name for node in tree.expressions], restarts, cascade=cascade)
        return Translation(IDLE, (together([step], "SELECT pg_redo()"),), writes=True)

    def on_transaction(self, tree: exp.Transaction, context: Context) -> Translation:
        """BEGIN."""
        return _BEGIN

    def on_comment(self, tree: exp.Comment, context: Context) -> Translation:
        """COMMENT ON: nobody can ask for it."""
        return Translation(IDLE)


def _table(node: exp.Table, context: Context) -> exp.Expression:
    """A table, perhaps one of ``information_schema`` or ``pg_catalog``."""
    is_own = node.name.lower() in context.schema.tables and not node.db
    if node.db.lower() == "pg_catalog" or (node.name.lower().startswith("pg_") and node.db == "" and not is_own):
        from clusterdb.flavours.postgresql.catalog import pg_catalog

        return pg_catalog(node, context)
    checked = r.table(node, context)
    if checked is not node or node.db.lower() != "information_schema":
        return checked
    from clusterdb.flavours.postgresql.tables import information_schema

    return information_schema(node)
