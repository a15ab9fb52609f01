"""How PostgreSQL makes one type of another: by itself beside what has a type, by a cast, as text, as JSON."""

from __future__ import annotations

import re
from decimal import Decimal

from sqlglot import exp

from clusterdb.errors import DataError
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Unsupported, call, literal
from clusterdb.flavours.postgresql import labels
from clusterdb.flavours.postgresql.arrays import converted as read_array
from clusterdb.flavours.postgresql.types import NUMERIC, REAL, WHOLE_OR_DOUBLE, Mixed, cast_kind, cast_to, common
from clusterdb.flavours.postgresql.values import HELPERS, number_text
from clusterdb.flavours.rows import READ_BY
from clusterdb.flavours.types import GIVEN, NUMBERS, TEXT, Kind, kind_of, set_kind

__all__ = ["as_json", "as_output", "as_text", "cast", "chosen_of", "common_of", "converted", "is_column", "refuse"]

_TEXTUAL = frozenset({"text", "char"})
_PARTLY_READ = frozenset({"date", "datetime", "time", "interval", "bytes"})
"""Types of which PostgreSQL reads more forms than are read here."""


def refuse(what: str, *nodes: exp.Expression) -> Unsupported:
    """What is to be raised for values of these kinds."""
    names = [kind_of(node).name for node in nodes]
    return Unsupported(f"{what} of {' and '.join(names)}" if names else what)


def is_column(node: exp.Expression) -> bool:
    """Whether it is a value of a table, of which the kind may just not be known."""
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, exp.Column | exp.Subquery | exp.Select | exp.Star)


def common_of(what: str, nodes: list[exp.Expression]) -> Kind:
    """The type of what is one of several values.  Raises Unsupported."""
    try:
        return common([kind_of(node) for node in nodes])
    except Mixed as error:
        raise Unsupported(f"{what}: {error} values beside each other") from None


def chosen_of(what: str, nodes: list[exp.Expression]) -> Kind:
    """The same where the values become one another: a CHAR among texts would lose or keep its spaces."""
    kind = common_of(what, nodes)
    if any(kind_of(node).name == "char" for node in nodes) and any(
        kind_of(node).name not in ("null", "char") or kind_of(node).size not in (0, kind.size) for node in nodes
    ):
        raise Unsupported(f"{what}: CHAR and text values beside each other")
    return kind


# --- beside what has a type -------------------------------------------------------------------------------------------
def _reader(kind: Kind, context: Context) -> tuple[str, list[int | str]]:
    """The helper that reads a value of a type, and its other arguments."""
    if kind.name == "double":
        return ("as_real" if kind == REAL else "as_double"), []
    if kind.name == "datetime":
        return "as_datetime", [int(bool(kind.collation)), 6 if kind.scale is None else kind.scale]
    if kind.name == "char":
        return "as_char", [kind.size or 1]
    if kind.name == "enum":
        return "as_label", list(labels.text_of_labels(kind, context))
    if kind.name == "number":
        return ("as_integer" if kind == WHOLE_OR_DOUBLE else "as_decimal"), []
    return f"as_{kind.name}", []


def _literal_as(node: exp.Expression, kind: Kind, context: Context) -> exp.Expression:
    """A literal in quotes as a value of a type.  Raises Unsupported for what the type does not have."""
    inner = node
    while isinstance(inner, exp.Paren):
        inner = inner.this
    name, more = _reader(kind, context)
    if name not in HELPERS:
        raise Unsupported(f"'{inner.name}' as {kind.name}")
    if not isinstance(inner, exp.Literal):
        return set_kind(call(f"pg_{name}", node, *more), kind)
    try:
        value = HELPERS[name](inner.name, *more)
    except (ValueError, TypeError, OverflowError) as error:
        if kind.name in ("date", "datetime") and re.search("is out of range for month|month must be in", str(error)):
            raise DataError(f"date/time field value out of range: '{inner.name}'") from None
        if kind.name in _PARTLY_READ or inner.name.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise Unsupported(f"'{inner.name}' as {kind.name} ({error})") from None
        raise DataError(str(error)) from None
    result = exp.HexString(this=value.hex()) if isinstance(value, bytes) else literal(value)
    result.meta[READ_BY] = name, more
    return set_kind(result, kind)


def converted(node: exp.Expression, kind: Kind, context: Context) -> exp.Expression:
    """A value beside others of a type, as PostgreSQL converts it by itself."""
    own = kind_of(node)
    if kind.name in ("unknown", "null", "mixed") or own.name == "null":
        return node
    if kind.name == "array" and own.name in ("literal", "unknown", "text"):
        return _array_of(node, own, kind)
    if own.name == "literal":
        return node if kind.name == "literal" else _literal_as(node, kind, context)
    if own.name == "unknown":
        if is_column(node) or context.in_definition:
            return node
        name, more = _reader(kind, context)
        return set_kind(call("pg_as_day" if name == "as_date" else f"pg_{name}", node, *more), kind)
    if context.in_definition:
        return _converted_in_schema(node, own, kind)
    if own.name == "date" and kind.name == "datetime":
        return set_kind(call("pg_as_datetime", node), kind)
    if own.name == "char" and kind.name == "text":
        return set_kind(call("rtrim", node, " "), TEXT)
    if own.name == "char" and kind.name == "char" and own.size != kind.size:
        return set_kind(call("pg_as_char", node, kind.size), kind)
    if own == REAL and kind.name == "double" and kind != REAL:
        return set_kind(call("pg_single", node), kind)
    return node


def _array_of(node: exp.Expression, own: Kind, kind: Kind) -> exp.Expression:
    """A text as an array."""
    inner = node
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if own.name == "literal" and isinstance(inner, exp.Literal):
        if inner.name.lstrip().startswith("["):
            raise Unsupported("an array with other lower bounds than 1")
        return set_kind(literal(read_array(inner.name, kind.members)), kind)
    if own.name == "unknown" and is_column(node):
        return node
    return set_kind(call("pg_array_read", node, kind.members), kind)


def _converted_in_schema(node: exp.Expression, own: Kind, kind: Kind) -> exp.Expression:
    """The same where others write the table: with SQLite's own words.  Raises Unsupported."""
    if own.name == "date" and kind.name == "datetime":
        return set_kind(exp.paren(exp.DPipe(this=node.copy(), expression=literal(" 00:00:00"))), kind)
    if own.name == "char" and kind.name == "text":
        return set_kind(call("rtrim", node, " "), TEXT)
    if (own.name == "char" and own.size != kind.size) or (own == REAL and kind != REAL):
        raise Unsupported(f"a {own.name} value beside {kind.name} in the definition of a table")
    return node


# --- texts and JSON ---------------------------------------------------------------------------------------------------
def as_text(node: exp.Expression, context: Context, *, short: bool = False) -> exp.Expression:
    """A value as PostgreSQL writes it.  Raises Unsupported if only the server knows how many digits it has."""
    kind = kind_of(node)
    inner = node.this if isinstance(node, exp.Paren) else node
    if kind.name == "enum":
        return set_kind(node.copy(), TEXT)
    if kind.name in ("text", "literal", "null", "uuid", "date", "interval", "json", "array"):
        return node
    if kind.name == "decimal":
        if isinstance(inner, exp.Literal):
            return set_kind(literal(number_text(inner.name)), TEXT)
        if kind.scale is None:
            raise Unsupported("the text of a number whose digits are not known")
        return set_kind(call("pg_decimal_text", node, kind.scale), TEXT)
    makers: dict[str, tuple[str, list[int | str]]] = {
        "integer": ("integer_text", []),
        "double": ("double_text", [kind.size or 64]),
        "boolean": ("boolean_text", [int(short)]),
        "datetime": ("moment_text", ["+00"] if kind.collation else []),
        "time": ("moment_text", []),
        "jsonb": ("jsonb", []),
        "bytes": ("bytes_text", []),
        "unknown": ("as_text", []),
    }
    if kind == WHOLE_OR_DOUBLE:
        return set_kind(call("pg_number_text", node), TEXT)
    if kind.name == "char":
        return node if short else converted(node, TEXT, context)
    if kind.name == "unknown" and is_column(node):
        return node
    if kind.name not in makers:
        raise Unsupported(f"a {kind.name} value as text")
    name, more = makers[kind.name]
    return set_kind(call(f"pg_{name}", node, *more), TEXT)


def as_output(node: exp.Expression, context: Context) -> exp.Expression:
    """A value as the functions that take anything write it: booleans by a letter, CHAR with its spaces."""
    return as_text(node, context, short=True)


def as_json(node: exp.Expression, context: Context) -> exp.Expression:
    """A value as JSON."""
    kind = kind_of(node)
    if kind.name == "unknown" and not is_column(node):
        raise Unsupported("a parameter as JSON, without its type,")
    if kind.name in ("bytes", "mixed", "unknown", "literal", "number"):
        text = kind.name == "literal"
        if not text:
            raise Unsupported(f"a {kind.name} value as JSON")
    if kind.name == "decimal" and not isinstance(node, exp.Literal) and kind.scale is not None:
        return set_kind(call("pg_decimal_text", node, kind.scale), Kind("json"))
    if kind.name == "array":
        return set_kind(call("pg_array_to_json", node, kind.members), Kind("json"))
    names = {"jsonb": "json", "json": "json", "boolean": "boolean", "datetime": "datetime", "time": "time"}
    names |= dict.fromkeys(NUMBERS, "number")
    value = as_text(node, context) if kind.name in ("double", "char") else node
    return set_kind(call("pg_json_of", value, names.get(kind.name, "text")), Kind("json"))


# --- casts ------------------------------------------------------------------------------------------------------------
def cast(node: exp.Cast, context: Context) -> exp.Expression:
    """``CAST`` and ``::``.  Raises Unsupported."""
    to, value = cast_kind(node.to), node.this
    own = kind_of(value)
    if to.name == "unknown":
        raise Unsupported(f"a cast to {node.to.sql(dialect='postgres')}")
    sizes = [int(expression.name) for expression in node.to.expressions if expression.name.isdigit()]
    result = _cast(node, value, own, to, context)
    if to.name == "decimal" and not sizes:
        return _with_digits(result, cast_to(node.to, value, own))
    if to.name == "decimal" and sizes and own.name != "null":
        result = call("pg_within", result, *sizes)
    if to.name == "text" and sizes:
        result = call("pg_left", result, sizes[0])
    if to.name == "char":
        result = call("pg_as_char", call("pg_left", result, to.size), to.size)
    return set_kind(result, to)


def _with_digits(number: exp.Expression, kind: Kind) -> exp.Expression:
    """A number with as many digits behind the point as its text had."""
    if kind.scale is not None and isinstance(number, exp.Literal):
        number = exp.Literal.number(f"{Decimal(number.name):.{kind.scale}f}")
    return set_kind(number, kind)


def _cast(node: exp.Expression, value: exp.Expression, own: Kind, to: Kind, context: Context) -> exp.Expression:
    if own.name == "null":
        return value
    if to.name in _TEXTUAL:
        return as_text(value, context)
    if own.name in ("literal", "unknown", "text", "char"):
        return _read(value, own, to, context)
    if to.name == "integer":
        return _to_integer(value, own, to)
    if to.name == "decimal":
        return _to_decimal(value, own, to)
    if to.name == "double":
        return _to_double(value, own, to, context)
    pair = (own.name, to.name)
    if pair == ("integer", "boolean"):
        return exp.paren(exp.NEQ(this=value.copy(), expression=literal(0)))
    if pair == ("jsonb", "boolean"):
        return call("pg_as_boolean", value)
    if pair == ("datetime", "date"):
        return call("pg_as_date", value)
    if to.name == "datetime" and own.name in ("date", "datetime"):
        return value if own.name == "datetime" and to.scale is None else call("pg_as_datetime", value, 0, _places(to))
    if pair == ("datetime", "time"):
        return call("pg_substr", value, 12)
    if pair == ("time", "time") and to.scale is not None:
        raise Unsupported("a time with such a number of digits")
    if own.name in ("json", "jsonb") and to.name in ("json", "jsonb"):
        return call("pg_jsonb", value) if to.name == "jsonb" else value
    if own.name == to.name:
        return value
    raise Unsupported(f"a {own.name} value as {to.name}")


def _places(kind: Kind) -> int:
    return 6 if kind.scale is None else kind.scale


def _read(value: exp.Expression, own: Kind, to: Kind, context: Context) -> exp.Expression:
    """A text, or a parameter, as a value of a type."""
    if own.name == "literal":
        result = converted(value, to, context)
        return call("pg_into_decimal", result, to.scale) if to.name == "decimal" and to.scale is not None else result
    if own.name == "unknown" and own != GIVEN and is_column(value):
        raise Unsupported(f"a cast to {to.name} of what has no known type")
    if to.name == "integer" and own.name == "unknown":
        return call("pg_into_integer", value)
    if to.name == "decimal" and to.scale is not None:
        return call("pg_into_decimal", value, to.scale)
    name, more = _reader(to, context)
    if own.name != "unknown" and to.name in NUMBERS:
        value = converted(value, TEXT, context)
    if name not in HELPERS:
        raise Unsupported(f"a {own.name} value as {to.name}")
    return call(f"pg_{name}", value, *more)


def _to_integer(value: exp.Expression, own: Kind, to: Kind) -> exp.Expression:
    makers = {"integer": "", "boolean": "", "decimal": "pg_nearest", "double": "pg_nearest_even"}
    makers["jsonb"] = "pg_jsonb_integer"
    makers |= {"number": "pg_nearest_even"} if own == WHOLE_OR_DOUBLE else {}
    if own.name not in makers:
        raise refuse("a whole number", value)
    result = call(makers[own.name], value) if makers[own.name] else value
    if 0 < to.size < 64 and (own.name != "integer" or own.size > to.size or not own.size) and own.name != "boolean":
        return call("pg_fitting", result, to.size)
    return result


def _to_decimal(value: exp.Expression, own: Kind, to: Kind) -> exp.Expression:
    if own.name == "jsonb":
        value = call("pg_jsonb_number", value)
    elif own.name == "double":
        value = call("pg_double_exact", value, own.size or 64)
    elif own.name not in NUMBERS:
        raise refuse("a number", value)
    return value if to.scale is None else call("pg_into_decimal", value, to.scale)


def _to_double(value: exp.Expression, own: Kind, to: Kind, context: Context) -> exp.Expression:
    if own.name == "jsonb":
        value = call("pg_jsonb_number", value)
    elif own.name not in NUMERIC:
        raise refuse("a number", value)
    if to == REAL:
        return value if own == REAL else call("pg_as_real", value)
    return converted(value, to, context) if own == REAL else call("pg_as_double", value)
