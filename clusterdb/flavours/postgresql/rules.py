"""PostgreSQL's expressions in SQLite's words: rules for kinds of nodes, and for functions that are more than a call."""

from __future__ import annotations

from contextlib import suppress

from sqlglot import exp

from clusterdb.flavours import rules
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Rule, Unsupported, call, literal
from clusterdb.flavours.postgresql import array_rules
from clusterdb.flavours.postgresql.casts import as_json, as_output, as_text, converted, refuse
from clusterdb.flavours.postgresql.compare import array_of, grouped, quantifier_of, sorted_by
from clusterdb.flavours.postgresql.formats import kind_of_format
from clusterdb.flavours.postgresql.types import EXACT_OR_DOUBLE, INT, REAL
from clusterdb.flavours.postgresql.unnest import ITEMS
from clusterdb.flavours.types import BYTES, DATE, DATETIME, DOUBLE, TEXT, Kind, kind_of, set_kind

_PLACES = "%Y-%m-%d %H:%M:%f"


def now(kind: Kind, context: Context, digits: exp.Expression | None = None) -> exp.Expression:
    """The time at which the transaction began (or the statement, outside of one), with a number of digits."""
    at: exp.Expression = exp.Anonymous(this="strftime", expressions=[literal(_PLACES), literal("now")])
    if context.in_definition:  # no function of ours, so that others can write the table
        if kind.name != "datetime":
            return exp.Anonymous(this="date" if kind == DATE else "time", expressions=[literal("now")])
        micros = exp.DPipe(this=at, expression=literal("000"))
        return exp.Anonymous(this="replace", expressions=[micros, literal(".000000"), literal("")])
    result = call("pg_now", at)
    if digits is not None:
        result = call("pg_as_datetime", result, 0, digits)
    start = {"date": (1, 10), "time": (12,)}.get(kind.name)
    return set_kind(result if start is None else call("pg_substr", result, *start), kind)


# --- what a function takes --------------------------------------------------------------------------------------------
_TAKEN = {
    "x": (frozenset({"bytes", "literal", "unknown", "null"}), BYTES),
    "t": (frozenset({"text", "char", "literal", "unknown", "null"}), TEXT),
    "i": (frozenset({"integer", "number", "literal", "unknown", "null"}), INT),
    "n": (frozenset({"integer", "decimal", "double", "number", "literal", "unknown", "null"}), DOUBLE),
    "b": (frozenset({"boolean", "literal", "unknown", "null"}), Kind("boolean")),
    "d": (frozenset({"date", "datetime", "literal", "unknown", "null"}), DATETIME),
    "j": (frozenset({"json", "jsonb", "literal", "unknown", "null"}), Kind("jsonb")),
}


def argument(name: str, letter: str, value: exp.Expression, context: Context) -> exp.Expression:
    """An argument as a function takes it, by its letter in the registry.

    Raises Unsupported for one of another type.
    """
    if letter == "*":
        return value
    if letter == "!":
        raise Unsupported(f"{name}() with an argument {value.sql(dialect='postgres')}")
    if letter == "o":
        return as_output(value, context)
    own = kind_of(value).name
    if letter == "y" and own == "bytes":
        return value
    allowed, kind = _TAKEN["t" if letter == "y" else letter]
    if own not in allowed:
        raise refuse(f"{name}()", value)
    return value if letter in "tin" and own == "unknown" else converted(value, kind, context)


# --- functions --------------------------------------------------------------------------------------------------------
def rounded(name: str, arguments: list[exp.Expression]) -> exp.Expression:
    """round() and trunc(): of floating point numbers to the nearest even one."""
    kind = kind_of(arguments[0])
    if kind.name == "unknown":
        raise Unsupported(f"{name}() of a parameter without a type")
    if kind == EXACT_OR_DOUBLE:
        raise Unsupported(f"{name}() of what a parameter and an exact number make")
    if kind.name in ("double", "number") and len(arguments) > 1:
        raise Unsupported(f"{name}() of a floating point number to a number of digits")
    if name == "trunc":
        result = call("pg_trunc", *arguments)
    elif kind.name in ("double", "number") or (kind.name == "integer" and len(arguments) == 1):
        result = call("pg_round_even", *arguments)
    else:
        result = call("pg_round", *arguments)
    return result


def total(name: str, node: exp.Expression, arguments: list[exp.Expression]) -> exp.Expression:
    """sum() and avg(): exact of exact numbers."""
    value = arguments[0].expressions[0] if isinstance(arguments[0], exp.Distinct) else arguments[0]
    kind, windowed = kind_of(value), isinstance(node.parent, exp.Window)
    if kind.name == "interval":
        if name == "avg" or windowed or value is not arguments[0]:
            raise Unsupported(f"{name}() of intervals")
        return call("pg_span_sum", value)
    if kind.name == "unknown" and not isinstance(value, exp.Column):
        raise Unsupported(f"{name}() of a parameter without a type")
    if kind.name not in ("integer", "decimal", "double", "number", "unknown", "null"):
        raise refuse(f"{name}()", value)
    if kind == REAL:
        return _total_of_reals(name, value, windowed=windowed, is_distinct=value is not arguments[0])
    exact = kind.name in ("decimal", "number") or (kind.name == "integer" and name == "avg")
    if not exact or windowed:
        result: exp.Expression = exp.Anonymous(this=name, expressions=arguments)
        return result
    return exp.Anonymous(this=f"pg_exact_{name}", expressions=arguments)


def _total_of_reals(name: str, value: exp.Expression, *, windowed: bool, is_distinct: bool) -> exp.Expression:
    """sum() of REALs is one, avg() is a floating point number of 64 bits."""
    if windowed or is_distinct:
        raise Unsupported(f"{name}() of different REALs, or over a window,")
    if name == "sum":
        return exp.Anonymous(this="pg_real_sum", expressions=[value])
    return exp.Anonymous(this="avg", expressions=[call("pg_single", value)])


def extreme(name: str, arguments: list[exp.Expression], context: Context) -> exp.Expression:
    """min() and max()."""
    if kind_of(arguments[0]).name in ("boolean", "uuid", "bytes", "interval", "enum"):
        raise refuse(f"{name}()", arguments[0])
    sorted_by(arguments[0], f"{name}()", context)
    return exp.Anonymous(this=name, expressions=arguments)


def extracted(unit: exp.Expression, value: exp.Expression) -> exp.Expression:
    """EXTRACT and date_part()."""
    kind, name = kind_of(value), unit.name.lower()
    if kind.name == "interval":
        return call("pg_span_part", name, value)
    if kind.name not in ("date", "datetime", "time", "null"):
        raise refuse("a part", value)
    return call("pg_extract", name, value)


def truncated(arguments: list[exp.Expression], context: Context) -> exp.Expression:
    """date_trunc()."""
    unit, value = arguments
    if kind_of(value).name not in ("date", "datetime", "literal"):
        raise refuse("date_trunc()", value)
    return call("pg_date_trunc", unit, converted(value, DATETIME, context))


def to_char(arguments: list[exp.Expression]) -> exp.Expression:
    """to_char()."""
    value, form = arguments
    kind = kind_of(value)
    if kind.name not in ("date", "datetime", "integer", "decimal", "double"):
        raise refuse("to_char()", value)
    wanted = "time" if kind.name in ("date", "datetime") else "number"
    if isinstance(form, exp.Literal) and kind_of_format(form.name) != wanted:
        raise Unsupported(f"to_char() in the form '{form.name}'")
    return call("pg_to_char", value, form)


def made_interval(arguments: list[exp.Expression]) -> exp.Expression:
    """make_interval(), by the names of its arguments."""
    parts: list[exp.Expression | str] = []
    for node in arguments:
        if not isinstance(node, exp.Kwarg | exp.PropertyEQ):
            raise Unsupported("make_interval() without names")
        parts += [node.expression, f" {node.this.name} "]
    return call("pg_as_interval", call("pg_concat", *parts))


def built(name: str, arguments: list[exp.Expression], context: Context) -> exp.Expression:
    """json_build_object() and the like: values as JSON."""
    if name.endswith("_object"):
        result = [as_json(node, context) if at % 2 else as_text(node, context) for at, node in enumerate(arguments)]
    else:
        result = [as_json(node, context) for node in arguments]
    return call(f"pg_{name}", *result)


def gathered(name: str, arguments: list[exp.Expression], context: Context) -> exp.Expression:
    """json_agg() and the like: the last argument as JSON, perhaps in an order."""
    *keys, last = arguments
    order = last if isinstance(last, exp.Order) else None
    value = last.this if order is not None else last
    if isinstance(value, exp.Distinct):
        raise Unsupported(f"{name}(DISTINCT ...)")
    result: list[exp.Expression] = [*(as_text(key, context) for key in keys), as_json(value, context)]
    if order is not None:
        result[-1] = exp.Order(this=result[-1].copy(), expressions=order.expressions)
    return exp.Anonymous(this=f"pg_{name}", expressions=[node.copy() for node in result])


def string_agg(node: exp.GroupConcat, context: Context) -> exp.Expression:
    arguments = [node.this]
    if node.args.get("separator") is not None:
        arguments.append(node.args["separator"])
    return string_agg_of(arguments, context)


def string_agg_of(arguments: list[exp.Expression], context: Context) -> exp.Expression:
    """string_agg(), perhaps of different texts, perhaps in an order."""
    what = arguments[0]
    separator = arguments[1] if len(arguments) > 1 else literal(",")
    order = None
    if isinstance(separator, exp.Order):
        order, separator = separator, separator.this
    if isinstance(what, exp.Order):
        order, what = what, what.this
    inner = what.expressions[0] if isinstance(what, exp.Distinct) else what
    if kind_of(inner).name not in ("text", "char", "literal", "unknown", "null"):
        raise refuse("string_agg()", inner)
    if isinstance(what, exp.Distinct):
        if separator.name != ",":
            raise Unsupported("string_agg(DISTINCT ...) with another separator than a comma")
        result: list[exp.Expression] = [what]
    else:
        result = [as_text(what, context), separator]
    if order is not None:
        result[-1] = exp.Order(this=result[-1].copy(), expressions=order.expressions)
    return exp.Anonymous(this="group_concat", expressions=result)


def counted(arguments: list[exp.Expression]) -> exp.Expression:
    """count()."""
    for node in arguments:
        if isinstance(node, exp.Distinct):
            for inner in node.expressions:
                grouped("count(DISTINCT ...)")(inner)
    return exp.Anonymous(this="count", expressions=arguments)


def bytes_only(node: exp.HexString, context: Context) -> exp.Expression:
    """X'...': bits, unless a rule of ours wrote bytes."""
    if kind_of(node).name != "bytes":
        raise Unsupported("a string of bits")
    return node


def limit(node: exp.Limit, context: Context) -> exp.Expression | None:
    """LIMIT NULL does not limit."""
    return None if isinstance(node.expression, exp.Null) and not node.args.get("offset") else node


# --- texts ------------------------------------------------------------------------------------------------------------
def _texts(context: Context, *nodes: exp.Expression) -> list[exp.Expression]:
    for node in nodes:
        if kind_of(node).name not in _TAKEN["t"][0]:
            raise refuse("a function of texts", node)
    return [converted(node, TEXT, context) for node in nodes]


def matched(name: str, *more: str) -> Rule:
    """LIKE, SIMILAR TO, regular expressions."""

    def rule(node: exp.Expression, context: Context) -> exp.Expression:
        if isinstance(node.expression, exp.Any | exp.All):
            raise Unsupported("LIKE ANY")
        value, pattern = node.this, node.expression
        if kind_of(value).name not in ("text", "char", "literal", "unknown", "null"):
            raise refuse("a pattern", value)
        if kind_of(value).name == "char" and name not in ("pg_like", "pg_ilike"):
            value = converted(value, TEXT, context)
        return call(name, value, *_texts(context, pattern), *more)

    return rule


def trim(node: exp.Trim, context: Context) -> exp.Expression:
    where = str(node.args.get("position") or "both").lower()
    return call("pg_trim", *_texts(context, node.this, node.expression or literal(" ")), where)


def substring(node: exp.Substring, context: Context) -> exp.Expression:
    start = node.args.get("start") or literal(1)
    if kind_of(start).name in ("literal", "text"):
        return call("pg_regexp_substr", *_texts(context, node.this), start)
    arguments = [*_texts(context, node.this), start]
    if node.args.get("length") is not None:
        arguments.append(node.args["length"])
    return call("pg_substring", *arguments)


def overlay(node: exp.Expression, context: Context) -> exp.Expression:
    size = node.args.get("for_") or node.args.get("for") or call("pg_length", node.expression)
    start = node.args.get("from_") or node.args.get("from")
    return call("pg_overlay", *_texts(context, node.this, node.expression), start, size)


def overlaps(node: exp.Expression, context: Context) -> exp.Expression:
    if not isinstance(node.this, exp.Tuple) or not isinstance(node.expression, exp.Tuple):
        raise Unsupported("OVERLAPS")
    parts = [*node.this.expressions, *node.expression.expressions]
    if {kind_of(part).name for part in parts} - {"date", "datetime"}:
        raise refuse("OVERLAPS", *parts)
    return call("pg_overlaps", *(converted(part, DATETIME, context) for part in parts))


def collate(node: exp.Collate, context: Context) -> exp.Expression:
    if node.expression.name.upper() not in ("C", "POSIX"):
        raise Unsupported(f"COLLATE {node.expression.name}")
    return exp.Collate(this=node.this, expression=exp.var("BINARY"))


def of_quantifier(node: exp.Array, context: Context) -> exp.Expression:
    """ARRAY[...] in ANY or ALL."""
    if quantifier_of(node) is None or any(
        isinstance(item, exp.Array) or kind_of(item).name == "array" for item in node.expressions
    ):
        return array_rules.built(node, context)
    return exp.Tuple(expressions=node.expressions)


def array_cast(node: exp.Cast, context: Context) -> exp.Expression | None:
    """A cast to an array in ANY or ALL; None if it is another cast."""
    is_array = isinstance(node.to.this, exp.DataType.Type) and node.to.this == exp.DataType.Type.ARRAY
    if is_array and quantifier_of(node) is not None:
        with suppress(Unsupported):
            return array_of(node, context)
    return array_rules.cast(node, context)


def json_at(node: exp.Expression, name: str) -> exp.Expression:
    """``->`` and ``->>``: a step at a time."""
    if kind_of(node.this).name not in ("json", "jsonb", "literal", "unknown", "null"):
        raise refuse("a member", node.this)
    path = node.expression
    if not isinstance(path, exp.JSONPath):
        return call(name, node.this, path)
    steps = [expression.this for expression in path.expressions if not isinstance(expression, exp.JSONPathRoot)]
    if len(steps) != 1:
        raise Unsupported("such a path into JSON")
    return call(name, node.this, *steps)


def json_test(name: str) -> Rule:
    """``@>`` and ``?``: of jsonb."""

    def rule(node: exp.Expression, context: Context) -> exp.Expression:
        parts = [node.this, node.expression]
        if name == "pg_json_contains" and array_rules.is_array(*parts):
            return array_rules.contained("pg_array_contains")(node, context) or node
        if kind_of(node.this).name not in ("jsonb", "literal", "unknown"):
            raise refuse("a test", node.this)
        if name == "pg_json_contains":
            parts = [converted(part, Kind("jsonb"), context) for part in parts]
        return call(name, *parts)

    return rule


def _series(node: exp.Table) -> exp.Expression:
    """generate_series() of whole numbers."""
    call_of = node.this
    if not all(
        isinstance(expression, exp.Literal | exp.Neg | exp.Placeholder | exp.Var) for expression in call_of.expressions
    ):
        raise Unsupported("generate_series() of something else than numbers")
    if any(isinstance(expression, exp.Literal) and expression.is_string for expression in call_of.expressions):
        raise Unsupported("generate_series() of something else than numbers")
    alias = node.args.get("alias")
    name = alias.name if alias is not None else "generate_series"
    column = alias.columns[0].name if alias is not None and alias.columns else name
    source = exp.Table(this=exp.Anonymous(this="generate_series", expressions=call_of.expressions))
    return exp.select(exp.alias_(exp.column("value"), column, quoted=True)).from_(source).subquery(name)


# --- names, tables, rows ----------------------------------------------------------------------------------------------
def escape(node: exp.Escape, context: Context) -> exp.Expression:
    result = node.this
    if isinstance(result, exp.Not):
        inner = result.this.this if isinstance(result.this, exp.Paren) else result.this
        return exp.Not(this=exp.paren(escape(exp.Escape(this=inner, expression=node.expression), context)))
    if isinstance(result, exp.Anonymous):
        return call(result.name, *result.expressions, node.expression)
    return node


def dot(node: exp.Dot, context: Context) -> exp.Expression:
    if node.this.name.lower() != "pg_catalog":
        raise Unsupported(f"{node.this.name}. ...")
    return node.expression


def column(node: exp.Column, context: Context) -> exp.Expression:
    if node.db.lower() in ("public", "pg_catalog", "information_schema"):
        node.set("db", None)
    return node


def cte(node: exp.CTE, context: Context) -> exp.Expression:
    if isinstance(node.this, exp.Insert | exp.Update | exp.Delete):
        raise Unsupported("a CTE that changes data")
    return node


def conflict(node: exp.OnConflict, context: Context) -> exp.Expression:
    if node.args.get("constraint") is not None:
        raise Unsupported("ON CONFLICT ON CONSTRAINT")
    return node


def table(node: exp.Table, context: Context) -> exp.Expression:
    if isinstance(node.this, exp.Anonymous) and node.this.name == ITEMS:
        result = array_rules.items(node.this)
        result.set("alias", node.args.get("alias"))
        return result
    if isinstance(node.this, exp.Anonymous) and node.this.name.lower() == "generate_series":
        return _series(node)
    if node.db.lower() in ("pg_catalog",) or (
        node.name.lower().startswith("pg_") and isinstance(node.this, exp.Identifier)
    ):
        raise Unsupported(f"{node.name}")
    if node.db.lower() == "public":
        node.set("db", None)
    if isinstance(node.this, exp.Func):
        raise Unsupported("a function in FROM")
    return node


def set_operation(node: exp.SetOperation, context: Context) -> exp.Expression:
    if node.args.get("distinct") is False and not isinstance(node, exp.Union):
        raise Unsupported(f"{node.key.upper()} ALL")
    rules.set_operation(node, context)
    if isinstance(node.expression, exp.SetOperation):
        node.set("expression", exp.select("*").from_(node.expression.subquery("clusterdb_part")))
    return node


def values(node: exp.Values, context: Context) -> exp.Expression:
    rules.values(node, context)
    alias = node.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        columns = enumerate(alias.columns, 1)
        names = [exp.alias_(exp.column(f"column{at}"), expression.name, quoted=True) for at, expression in columns]
        inner = node.copy()
        inner.set("alias", None)
        return exp.select(*names).from_(exp.Subquery(this=inner)).subquery(alias.name)
    return node
