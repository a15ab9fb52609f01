"""The flavour of an engine: translates a statement of the engine's SQL to statements of SQLite's."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import apsw
import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError

from clusterdb.errors import (
    DatabaseError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from clusterdb.flavours import parameters
from clusterdb.flavours.context import Context, Step
from clusterdb.flavours.described import Loader, ResultType, decimal_of
from clusterdb.flavours.failures import Failure, Words
from clusterdb.flavours.functions import SqlValue
from clusterdb.flavours.grouping import Doubtful, doubtful, named_too_late
from clusterdb.flavours.precedence import bracketed, misread
from clusterdb.flavours.registry import Arguments, Call, Functions, guarded
from clusterdb.flavours.rows import Grammar, Rows, Unfit
from clusterdb.flavours.schema import NOTHING, Schema, kinds_comment
from clusterdb.flavours.scripts import Splitter
from clusterdb.flavours.subqueries import mark_single, require_single
from clusterdb.flavours.tables import quoted
from clusterdb.flavours.types import (
    UNKNOWN,
    Columns,
    Kind,
    Typing,
    annotate,
    answers,
    declared_as,
    kind_of,
    set_kind,
)

__all__ = [
    "IDLE",
    "SAVEPOINT",
    "Flavour",
    "Rule",
    "Unsupported",
    "Step",
    "Translation",
    "Refused",
    "arithmetic",
    "call",
    "is_default",
    "literal",
]

SAVEPOINT = re.compile(
    r"\s*+(?:SAVEPOINT|RELEASE(?:\s++SAVEPOINT)?|ROLLBACK\s++TO(?:\s++SAVEPOINT)?)\s++[`\"]?\w++[`\"]?\s*+;?\s*+",
    re.IGNORECASE,
)

Rule = Callable[[Any, Context], exp.Expression | None]
_PLACEHOLDER = re.compile(
    r"""'(?:[^'\\]|''|\\.)*' | "(?:[^"\\]|""|\\.)*" | `[^`]*` | --[^\n]* | /\*.*?\*/ | %% | %s | %\((\w+)\)s""",
    re.VERBOSE | re.DOTALL,
)
_COMMENTS = re.compile(r"(?:\s|--[^\n]*+(?:\n|\Z)|/\*(?!\+).*?\*/)*+", re.DOTALL)
_FIRST_WORD = re.compile(r"\w++")
_OF_AURORA = re.compile(
    r"ALTER\s+SYSTEM\s+(?:CRASH|SIMULATE)\b"
    r"|SELECT\s+aurora_inject_\w+\s*\([^()]*\)\s*+;?\s*+\Z"
    r"|SELECT\b[^()]*\bFROM\s+aurora_replica_status\s*\(\s*\)[^()]*\Z",
    re.IGNORECASE,
)
"""Statements that connections of our own know (:mod:`clusterdb.ha.faults`), if they have an instance or zones."""
_NATIVE = re.compile(r"\s*(PRAGMA|ATTACH|DETACH|SAVEPOINT|RELEASE|ROLLBACK|COMMIT|END|BEGIN)\b", re.IGNORECASE)


_KEPT_MAX = 10_000
"""Longer statements are not kept with their translations."""

_QUOTED_MAX = 2000
"""Messages quote no more of a statement."""


class Unsupported(Exception):
    """The statement has no counterpart in SQLite; the text names the part that has none."""


class Refused(Exception):
    """The engine refuses the statement too; the text is the engine's."""


class UnknownSyntax(Exception):
    """The grammar of the engine does not have the statement.

    ``text`` is what was parsed, ``place`` where that was given up; None if nothing tells.
    """

    def __init__(self, text: str = "", place: int | None = None) -> None:
        self.text, self.place = text, place

    @classmethod
    def of(cls, text: str, error: SqlglotError) -> UnknownSyntax:
        """The exception for an error of sqlglot's."""
        for known in getattr(error, "errors", []):
            line, column, token = known.get("line"), known.get("col"), known.get("highlight") or ""
            if line and column:
                start = sum(len(part) for part in text.splitlines(keepends=True)[: line - 1])
                return cls(text, start + column - len(token))
        return cls(text)


@dataclass(frozen=True)
class Translation:
    """``sql`` is what answers; ``before`` and ``after`` run with it.

    ``commits``: an open transaction is committed first.  ``ends``: nothing is done unless a transaction is open.
    ``begins``: a transaction is begun where the session does not commit by itself.  ``writes``: among the steps are
    some that write rows, before which the DB-API begins one.  ``probe``: a statement with the parameters of ``sql``,
    where that cannot be prepared before the steps have run.
    """

    sql: str
    before: tuple[str | Step, ...] = ()
    after: tuple[str | Step, ...] = ()
    commits: bool = False
    ends: bool = False
    begins: bool = False
    writes: bool = False
    probe: str = ""


IDLE = "PRAGMA clusterdb_idle"
"""A statement that does nothing and answers nothing: SQLite passes over settings that it does not know."""


class Flavour:
    """The SQL of one engine."""

    engine: str
    dialect: type[Dialect]
    prefix: str
    functions: Functions
    argument_count_message: str
    """The engine's message for a function called with a wrong number of arguments."""
    schema_name: str
    """What result columns have as the schema of their tables."""
    verbs: frozenset[str]
    """The words that the engine's statements begin with, in upper case."""
    written: frozenset[str] = frozenset(
        [
            *("strftime", "json", "json_array", "json_object", "json_type", "json_extract", "json_group_array"),
            *("json_group_object", "group_concat", "unixepoch", "last_insert_rowid", "changes", "iif", "char"),
            *("min", "max", "typeof", "total_changes"),
        ]
    )
    """SQLite's functions that our rules write; where the engine has one of the same name, a statement means that."""
    rules: dict[type[exp.Expression], Rule]
    splitter_class: type[Splitter]
    """Splits a script into statements."""
    literals: Grammar
    """The grammar of an INSERT of literals."""
    error_class: type[DatabaseError]
    """The class of the errors that the engine's drivers raise for a statement that the engine refuses."""
    several_rows_message: str
    """The engine's message for a query that is used as a value and returns several rows."""
    unknown_column_message: str
    """The engine's message for a column that does not exist."""
    before_select: tuple[str, ...] = ("where",)
    """The parts of a query in which aliases of SELECT cannot be used."""
    typing: Typing
    equations_determine = False
    """Whether conditions, too, determine the columns that have one value in each group of GROUP BY."""
    levels_of_bits = False
    """Whether some operators on bits bind more tightly than others."""
    after_rollback_to: tuple[str, ...] = ()
    """Statements that run after ROLLBACK TO a savepoint."""
    committing: tuple[type[exp.Expression], ...] = ()
    """Statements that commit the open transaction, as every change of the schema does in MySQL."""
    beginning: tuple[type[exp.Expression], ...] = ()
    """Statements that begin a transaction where the session does not commit by itself."""
    statements: tuple[type[exp.Expression], ...] = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)

    # --- connections ------------------------------------------------------------------------------------------------
    def install(self, db: apsw.Connection) -> None:
        """Give a connection the functions of the flavour; names in double quotes are never texts, foreign keys hold."""
        db.execute("PRAGMA foreign_keys = ON")
        db.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
        db.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
        self.functions.install(db, self.prefix)
        db.create_scalar_function(
            self.prefix + "several", guarded(self._refuse_several_rows), 1, flags=apsw.SQLITE_INNOCUOUS
        )
        node_count: int = getattr(db, "storage_node_count", 0)
        db.create_scalar_function(
            self.prefix + "storage_nodes", guarded(lambda: node_count), 0, flags=apsw.SQLITE_INNOCUOUS
        )

    def _refuse_several_rows(self, count: int) -> int:
        raise self.error_class(self.several_rows_message)

    def words(self, failure: Failure) -> Words | None:
        """The engine's words for what SQLite refuses; None if the message has them already."""
        raise NotImplementedError

    # --- translating ------------------------------------------------------------------------------------------------
    def translate(self, sql: str, schema: Schema = NOTHING) -> Translation:
        """A statement for SQLite, where these tables are.  Raises NotSupportedError, which quotes what was tried."""
        rows = self.rows.translated(sql, schema)
        if rows is not None:
            return Translation(rows, begins=exp.Insert in self.beginning)
        return self._kept(sql, schema) if len(sql) <= _KEPT_MAX else self._anew(sql, schema)

    @cached_property
    def rows(self) -> Rows:
        """What translates INSERTs of literals."""
        return Rows(self, self.literals)

    @lru_cache(maxsize=1024)  # noqa: B019 - flavours live as long as the program
    def _kept(self, sql: str, schema: Schema) -> Translation:
        return self._anew(sql, schema)

    def _anew(self, sql: str, schema: Schema) -> Translation:
        try:
            return self.translated_in(sql, Context(schema))
        except RecursionError:
            raise OperationalError(f"the statement is nested too deep: {sql[:200]}") from None

    def translated_in(self, sql: str, context: Context) -> Translation:
        """A statement for SQLite, in a context.  Raises NotSupportedError, and the engine's errors."""
        with self.refusing(sql):
            with_data = self.with_data(sql, context)
            if with_data is not None:
                return with_data
            return self.translated(self.with_placeholders(self.prepared(sql)), context)

    @contextmanager
    def refusing(self, sql: str) -> Iterator[None]:
        """What cannot be translated raises NotSupportedError, which quotes the statement."""
        quote = self.quoted(sql)
        try:
            yield
        except Unsupported as error:
            raise NotSupportedError(f"{error} is not supported by {self.engine} clusters: {quote}") from None
        except Refused as error:
            raise self.error_class(str(error)) from None
        except UnknownSyntax as error:
            raise self._not_understood(sql, quote, error) from None
        except SqlglotError as error:
            raise NotSupportedError(f"{str(error).splitlines()[0]}: {quote}") from None

    def _not_understood(self, sql: str, quote: str, error: UnknownSyntax) -> DatabaseError:
        """The error for a statement that cannot be parsed.

        It is the engine's own if no statement of the engine begins so; else the statement may be one that the engine
        knows and the grammar here does not.
        """
        first = _FIRST_WORD.match(sql, _COMMENTS.match(sql).end())  # type: ignore[union-attr]
        if first is not None and first[0].upper() not in self.verbs:
            words = self.syntax_error(sql, first.start())
            result: DatabaseError = ProgrammingError(words.text)
        else:
            text, at = parameters.shown(error.text), None
            if error.place is not None and text in sql:
                at = sql.index(text) + len(parameters.shown(error.text[: error.place]))
            words = self.syntax_error(sql, at)
            result = NotSupportedError(f"{words.text}, or not supported by {self.engine} clusters: {quote}")
        result.position = words.position
        return result

    def syntax_error(self, sql: str, at: int | None) -> Words:
        """The engine's words for a statement that is wrong from the character ``at`` on, from 0; None if unknown."""
        raise NotImplementedError

    def prepared(self, sql: str) -> str:
        """A statement as it is before it is parsed."""
        return sql

    def translated(self, sql: str, context: Context) -> Translation:
        """A statement for SQLite.  Raises Unsupported, Refused, UnknownSyntax, SqlglotError."""
        text = sql[_COMMENTS.match(sql).end() :]  # type: ignore[union-attr]
        if _OF_AURORA.match(text):
            return Translation(text)
        special = self.special(text, context)
        return self.translated_by_grammar(text, context) if special is None else special

    def translated_by_grammar(self, text: str, context: Context) -> Translation:
        """What the grammar makes of a statement.  Raises as :meth:`translated`."""
        try:
            tree = self._parsed(text, context)
        except SqlglotError as error:
            if _NATIVE.match(text):
                return Translation(text)
            raise UnknownSyntax.of(text, error) from None
        return Translation(IDLE) if tree is None else self._translated_tree(tree, text, context)

    def quoted(self, sql: str) -> str:
        """A statement as messages quote it."""
        return sql if len(sql) <= _QUOTED_MAX else f"{sql[:_QUOTED_MAX]}..."

    def with_data(self, sql: str, context: Context) -> Translation | None:
        """What is not all SQL, so that nothing in it is a placeholder.  Raises Unsupported."""
        return None

    def parsed_insert(self, sql: str) -> exp.Expression | None:
        """The tree of an INSERT.  Raises SqlglotError."""
        return self._parsed(sql, Context())

    def translated_insert(
        self, tree: exp.Expression, schema: Schema, *, is_overriding: bool
    ) -> exp.Expression | Translation:
        """SQLite's tree for an INSERT of literals.  Raises Unfit for what takes several statements, or is refused."""
        context = Context(schema, is_overriding=is_overriding)
        try:
            inserted = self.statement(tree, context)
        except (Unsupported, Refused) as error:
            raise Unfit from error
        if context.before or context.after:
            raise Unfit
        return inserted

    @property
    def has_escapes(self) -> bool:
        """Whether a backslash in a text is more than itself."""
        return False

    def splitter(self, *, whole_copies: bool = True) -> Splitter:
        """What cuts a script into statements; see :class:`Splitter`."""
        splitter = self.splitter_class(whole_copies=whole_copies)
        splitter.obey(self)
        return splitter

    def statements_of(self, script: str) -> list[str]:
        """The texts of several statements; each is translated when those before it have run."""
        return [statement.text for statement in self.splitter().cut(script)]

    def is_complete(self, script: str) -> bool:
        """Whether a script ends with what ends a statement: that is in no text, in no comment, and in no data."""
        splitter = self.splitter()
        deque(splitter.feed(script + "\n"), maxlen=0)
        return splitter.is_between

    def special(self, sql: str, context: Context) -> Translation | None:
        """What no grammar is needed for."""
        return None

    def with_placeholders(self, sql: str) -> str:
        """``%s`` and ``%(name)s`` as SQLite's; where there are such, ``%%`` is a percent sign.

        Parameters of any name (``:0``, ``:from``) get one that the grammar takes; :meth:`_parsed` restores it.
        """
        return parameters.hidden(self._with_percents(sql), has_escapes=self.has_escapes)

    def _with_percents(self, sql: str) -> str:
        result = [match[0] for match in _PLACEHOLDER.finditer(sql)]
        if not any(node == "%s" or (node.startswith("%(") and node.endswith("s")) for node in result):
            return sql

        numbers = itertools.count(1)

        def change(match: re.Match[str]) -> str:
            if match[1]:
                return f":{match[1]}"
            if match[0] == "%s":
                return self.placeholder(next(numbers))
            return "%" if match[0] == "%%" else match[0].replace("%%", "%")

        return _PLACEHOLDER.sub(change, sql)

    def placeholder(self, number: int) -> str:
        """A parameter in the engine's own grammar."""
        return "?"

    def _parsed(self, sql: str, context: Context) -> exp.Expression | None:
        """The tree of a statement; None if there is nothing but comments and semicolons."""
        parsed = sqlglot.parse(sql, read=self.dialect, error_level=ErrorLevel.RAISE)
        trees = [tree for tree in parsed if tree is not None and not isinstance(tree, exp.Semicolon)]
        if not trees:
            return None
        if len(trees) != 1:
            raise SqlglotError("one statement at a time")
        parameters.restored(trees[0])
        for select in trees[0].find_all(exp.Select):
            for node in select.expressions:
                if isinstance(node, exp.Subquery) and node.alias:
                    name = node.args["alias"].this
                    node.set("alias", None)
                    node.replace(exp.Alias(this=node.copy(), alias=name))
        return trees[0]  # type: ignore[return-value]

    def _translated_tree(self, tree: exp.Expression, sql: str, context: Context) -> Translation:
        context = context.for_statement()
        result = misread(tree, levels_of_bits=self.levels_of_bits)
        if result:
            raise Unsupported(result)
        converted = self.statement(tree, context)
        if not isinstance(converted, Translation):
            converted = Translation(self.text(converted), tuple(context.before), tuple(context.after))
        if isinstance(tree, self.committing):
            return replace(converted, commits=True)
        return replace(converted, begins=True) if isinstance(tree, self.beginning) else converted

    def statement(self, tree: exp.Expression, context: Context) -> exp.Expression | Translation:
        """A whole statement.  Raises Unsupported."""
        handler = getattr(self, f"on_{tree.key}", None)
        if handler is not None:
            return handler(tree, context)
        if not isinstance(tree, self.statements):
            raise Unsupported(f"{tree.key.upper() if not isinstance(tree, exp.Command) else tree.name.upper()}")
        return self.expression(self._with_names(tree), context)

    def on_commit(self, tree: exp.Commit, context: Context) -> Translation:
        """COMMIT."""
        return Translation("COMMIT", ends=True)

    def on_rollback(self, tree: exp.Rollback, context: Context) -> Translation:
        """ROLLBACK, of all or to a savepoint."""
        savepoint = tree.args.get("savepoint")
        if savepoint is not None:
            return self.savepoint(f'ROLLBACK TO "{savepoint.name}"')
        return Translation("ROLLBACK", ends=True)

    def savepoint(self, sql: str) -> Translation:
        """A statement about a savepoint, which SQLite has too."""
        return Translation(sql, after=self.after_rollback_to if sql.lstrip()[:8].upper() == "ROLLBACK" else ())

    def _with_names(self, tree: exp.Expression) -> exp.Expression:
        """The columns of a query, and of those in FROM and WITH, are called what the engine calls them."""
        tree = tree.copy()
        inner = [node.this for node in tree.find_all(exp.Subquery, exp.CTE) if self._has_visible_names(node)]
        for first in (tree, *inner):
            while isinstance(first, exp.SetOperation | exp.Subquery):
                first = first.this
            if isinstance(first, exp.Select):
                named = [
                    node
                    if isinstance(node, exp.Alias | exp.Column | exp.Star)
                    else exp.Alias(this=node, alias=exp.to_identifier(self.column_name(node), quoted=True))
                    for node in first.expressions
                ]
                first.set("expressions", named)
        return tree

    @staticmethod
    def _has_visible_names(node: exp.Expr) -> bool:
        """Whether the names of a query's columns can be used outside of it."""
        named = isinstance(node, exp.CTE) or isinstance(node.parent, exp.From | exp.Join)
        return named and not (node.args.get("alias") is not None and node.args["alias"].args.get("columns"))

    def columns_of(self, query: exp.Expression, names: list[str], context: Context) -> list[tuple[str, str]]:
        """The names and declarations of a query's columns."""
        result = answers(query, context.schema, self.typing)
        return list(zip(names or list(result), map(declared_as, result.values()), strict=False))

    def view(self, tree: exp.Create, context: Context) -> Translation:
        """CREATE VIEW, with its columns' types in a comment."""
        names = [node.name for node in tree.this.expressions] if isinstance(tree.this, exp.Schema) else []
        tree.set("expression", self._with_names(tree.expression))
        columns = self.columns_of(tree.expression, names, context)
        text = self.text(self.expression(tree, context))
        head, word, rest = text.partition(" AS ")
        return Translation(f"{head}{word}{kinds_comment(columns)} {rest}", tuple(context.before), tuple(context.after))

    def table_of_query(self, head: str, tree: exp.Create, context: Context) -> Translation:
        """CREATE TABLE ... AS, with the columns' types.

        Raises Unsupported if there are neither columns nor a query.
        """
        if tree.expression is None:
            raise Unsupported("CREATE TABLE without columns")
        if tree.args.get("exists"):
            raise Unsupported("CREATE TABLE IF NOT EXISTS ... AS")
        query, name = self._with_names(tree.expression.unnest()), quoted(tree.this.name)
        names = [
            f'"{column}" {_defined(declared)}'
            for column, declared in self.columns_of(query, [], context)
            if '"' not in column
        ]
        result = self.expression(query, context)
        return Translation(f"{head} {name} ({', '.join(names)})", after=(f"INSERT INTO {name} {self.text(result)}",))

    def kinds(self, sql: str, schema: Schema) -> tuple[Kind | None, ...]:
        """The kinds of the columns that a query returns; see :meth:`EngineSession.kinds`."""
        try:
            tree = self._parsed(self.with_placeholders(self.prepared(sql)), Context(schema))
        except (SqlglotError, RecursionError):
            return ()
        if isinstance(tree, exp.Insert | exp.Update | exp.Delete):
            kinds = self._kinds_returned(tree, schema)
        elif isinstance(tree, exp.Query):
            kinds = list(answers(_with_own_names(tree), schema, self.typing).values())
        else:
            return ()
        return tuple(None if kind.name == UNKNOWN.name else kind for kind in kinds)

    def result_type(self, kind: Kind | None, declared: str, schema: Schema) -> ResultType | None:
        """The engine's type of a result column: by its declaration in the table that it is of, else by its kind."""
        raise NotImplementedError

    def loader(self, kind: Kind | None, declared: str, *, typed: bool) -> Loader | None:
        """What makes Python's values of those of a column; None if they are as SQLite has them.

        ``typed``: booleans are bool, exact numbers Decimal.
        """
        if typed and kind is not None and kind.name == "boolean":
            return bool
        if typed and kind is not None and kind.name == "decimal":
            scale = kind.scale
            return lambda value: decimal_of(value, scale) if isinstance(value, int | float) else value
        return None

    def may_load(self, sql: str, schema: Schema) -> bool:
        """Whether a statement may return values that have loaders even if they are not typed."""
        return False

    def _kinds_returned(self, tree: exp.Insert | exp.Update | exp.Delete, schema: Schema) -> list[Kind]:
        """The kinds of what RETURNING returns."""
        returning = tree.args.get("returning")
        if returning is None:
            return []
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        columns = Context(schema).columns_of(target.name)
        query = exp.Tuple(expressions=[node.copy() for node in returning.expressions])
        annotate(query, schema, self.typing, columns)
        return [
            kind
            for node in query.expressions
            for kind in (columns.values() if isinstance(node, exp.Star) else [kind_of(node)])
        ]

    def column_name(self, tree: exp.Expression) -> str:
        """What a column without a name is called: its expression."""
        return str(tree.sql(dialect=self.dialect))

    def expression(self, tree: exp.Expression, context: Context) -> exp.Expression:
        """A tree with every node in SQLite's words, the inner ones first.  Raises Unsupported."""
        tree = tree.copy()
        names = annotate(tree, context.schema, self.typing, context.own_columns)
        for name in named_too_late(tree, names, parts=self.before_select):
            raise Refused(self.unknown_column_message.format(name))
        for column in doubtful(tree, names, context.schema, equations=self.equations_determine):
            self.ungrouped(column)
        mark_single(tree, names, context.schema)
        self.prepare(tree, context)
        calculated = _calculated_keys(tree)
        for node in reversed(list(tree.walk())):
            result = self._node(node, context)
            if result is node:
                continue
            if result is not None and "kind" not in result.meta:
                set_kind(result, kind_of(node))
            if node is not tree:
                node.replace(result)
            elif result is not None:
                assert isinstance(result, exp.Expression)
                tree = result
        _keep_calculated(tree, calculated)
        require_single(tree, self.prefix + "several")
        return tree

    def ungrouped(self, column: Doubtful) -> None:
        """Refuse a column beside GROUP BY that has no one value.  Raises Unsupported or Refused."""
        raise Unsupported(f"the column {column.name}, of which GROUP BY does not tell one value,")

    def prepare(self, tree: exp.Expression, context: Context) -> None:
        """What is done to a tree whose kinds are known before its nodes are said."""

    def schema_expression(self, tree: exp.Expression, context: Context, own: Columns | None = None) -> exp.Expression:
        """The same for what becomes part of a table: without arithmetic of ours, so that others can write it."""
        return self.expression(tree, context.for_definition(own))

    def _node(self, node: exp.Expr, context: Context) -> exp.Expr | None:
        for kind in type(node).__mro__:
            rule = self.rules.get(kind)
            if rule is not None:
                result = rule(node, context)
                if result is not None and result is not node and node.args.get("negate"):
                    return exp.Not(this=exp.paren(result))
                return result
        if isinstance(node, exp.Func) and not isinstance(node, exp.Connector | exp.Case | exp.Exists | exp.If):
            return self._function(node)
        return node

    def _function(self, node: exp.Func) -> exp.Expr:
        """A function that the grammar has a node for.  Raises Unsupported."""
        name = node.sql_name().lower()
        function = self.functions.by_name.get(name)
        if function is None or not (function.is_native or function.python or function.aggregate):
            raise Unsupported(f"{node.sql_name()}()")
        if function.is_native:
            return node
        values = [node.args.get(part) for part in node.arg_types]
        flat = [expression for value in values for expression in (value if isinstance(value, list) else [value])]
        return call(self.prefix + name, *(expression for expression in flat if isinstance(expression, exp.Expression)))

    def call(self, node: exp.Anonymous, context: Context) -> exp.Expression:
        """A call of a function by its name.  Raises Unsupported or Refused."""
        name = node.name.lower()
        if name in self.functions.by_name:
            return self.call_of(name, node.expressions, node, context)
        if name in self.written or (
            name.startswith(self.prefix) and name.removeprefix(self.prefix) in self.functions.callable_names
        ):
            return node
        raise Unsupported(f"{node.name}()")

    def call_of(
        self, name: str, arguments: list[exp.Expression], node: exp.Expression, context: Context
    ) -> exp.Expression:
        """A call of the function of that name, which a node stands for.  Raises Unsupported or Refused."""
        function = self.functions.by_name[name]
        if not function.takes.accept(len(arguments)):
            raise Refused(self.argument_count_message.format(name=name, count=len(arguments)))
        converted = self.arguments(name, function.takes, arguments, context)
        if function.rewrite is not None:
            return function.rewrite(Call(name, converted, node), context)
        if function.is_native:
            return exp.Anonymous(this=name, expressions=converted)
        return call(self.prefix + name, *converted)

    def arguments(
        self, name: str, takes: Arguments, arguments: list[exp.Expression], context: Context
    ) -> list[exp.Expression]:
        """Arguments as a function takes them.  Raises Unsupported for those that it does not take."""
        return arguments

    def text(self, tree: exp.Expression) -> str:
        """A tree as SQLite's text.  Raises sqlglot's UnsupportedError."""
        tree = bracketed(tree.copy())
        return str(tree.sql(dialect="sqlite", unsupported_level=ErrorLevel.RAISE, normalize_functions=False))


def _with_own_names(tree: exp.Query) -> exp.Query:
    """The same query with a name of its own for each column, so that a name stands for one of them."""
    tree = tree.copy()
    parts: list[exp.Expr | None] = [tree]
    while parts:
        part = parts.pop()
        if isinstance(part, exp.SetOperation):
            parts += [part.this, part.expression]
        elif isinstance(part, exp.Subquery):
            parts.append(part.this)
        elif isinstance(part, exp.Select):
            named = [
                node if node.is_star else exp.Alias(this=node.unalias(), alias=exp.to_identifier(f"column {at}", True))
                for at, node in enumerate(part.expressions)
            ]
            part.set("expressions", named)
    return tree


def _defined(declared: str) -> str:
    """A declaration in the definition of a table, where the members of an ENUM are in a comment."""
    kind, _, rest = declared.partition(" members ")
    members, word, collation = rest.partition(" collate ")
    return f"{kind} /* {bytes.fromhex(members).decode()} */{word}{collation}" if members else declared


def _keys(tree: exp.Expression) -> Iterator[tuple[exp.Expression, exp.Expression]]:
    """What queries are ordered and grouped by, each with its place."""
    for node in tree.walk():
        if isinstance(node, exp.Ordered):
            yield node, node.this
        elif isinstance(node, exp.Group):
            yield from ((node, expression) for expression in node.expressions)


def _calculated_keys(tree: exp.Expression) -> set[int]:
    """The places of keys that are no plain literals, and so no numbers of columns."""
    return {id(place) for place, key in _keys(tree) if not isinstance(key, exp.Literal)}


def _keep_calculated(tree: exp.Expression, calculated: set[int]) -> None:
    """A key that has become a number, or becomes one in SQLite, is still none of a column's."""
    for place, key in list(_keys(tree)):
        if id(place) in calculated and key.find(exp.Column, exp.Anonymous, exp.Query, exp.Placeholder) is None:
            key.replace(exp.Add(this=exp.paren(key.copy()), expression=literal(0)))


def call(name: str, *arguments: exp.Expr | SqlValue) -> exp.Anonymous:
    """A call of a function."""
    trees = [argument.copy() if isinstance(argument, exp.Expr) else literal(argument) for argument in arguments]
    return exp.Anonymous(this=name, expressions=trees)


def literal(value: SqlValue) -> exp.Expression:
    """A value as a tree."""
    return exp.convert(value)  # type: ignore[return-value]


def arithmetic(name: str) -> Rule:
    """An operation as a function, which refuses texts of dates; between plain numbers it stays what it is."""

    def rule(node: exp.Expression, context: Context) -> exp.Expression:
        parts = [node.this, *([node.expression] if node.args.get("expression") is not None else [])]
        plain = all(isinstance(part, exp.Literal) and not part.is_string for part in parts)
        return node if plain or context.in_definition else call(name, *parts)

    return rule


def is_default(tree: exp.Expression) -> bool:
    """Whether an expression is the word DEFAULT."""
    quoted = isinstance(tree, exp.Column) and tree.this.args.get("quoted")
    return isinstance(tree, exp.Var | exp.Column) and tree.name.upper() == "DEFAULT" and not quoted
