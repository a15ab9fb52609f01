"""Calls of MySQL's functions that become more than a call of the function with that name."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Unsupported, call, literal
from clusterdb.flavours.mysql import compare as c
from clusterdb.flavours.mysql import rules as r
from clusterdb.flavours.mysql.variables import DEFAULTS
from clusterdb.flavours.registry import Call, Rewrite
from clusterdb.flavours.types import kind_of

__all__: list[str] = []

DATE = "%Y-%m-%d"
TIME = "%H:%M:%S"
DATETIME = f"{DATE} {TIME}"


def by_node(rule: Callable[[exp.Expression, Context], exp.Expression]) -> Rewrite:
    """A rewrite by a rule for nodes, which looks at the arguments itself."""
    return lambda called, context: rule(called.node, context)


def constant(value: str) -> Rewrite:
    """The same value for everybody."""
    return lambda called, context: literal(value)


def native(name: str) -> Rewrite:
    """A call of SQLite's function of that name."""
    return lambda called, context: exp.Anonymous(this=name, expressions=called.arguments)


def time_now(form: str, *, has_digits: bool = False) -> Rewrite:
    """The time in a form; ``has_digits``: an argument is the number of digits of the fraction of a second."""
    return lambda called, context: r.now(form, *(called.arguments if has_digits else ()))


# --- values -----------------------------------------------------------------------------------------------------------
def least_or_greatest_of_group(called: Call, context: Context) -> exp.Expression:
    """MIN() and MAX(): texts under their collation."""
    called.node.set("expressions", [c.comparable(argument, context) for argument in called.arguments])
    return called.node


def first_not_null(called: Call, context: Context) -> exp.Expression:
    """COALESCE() and IFNULL(): of several kinds the values are texts."""
    c.require_one_kind(called.name.upper(), called.node)
    arguments = [c.as_branch(argument, called.node) for argument in called.arguments]
    if kind_of(called.node).name == "text":
        arguments = [c.as_string(argument) for argument in arguments]
    return exp.Anonymous(this=called.name, expressions=arguments)


def choice(called: Call, context: Context) -> exp.Expression:
    """IF()."""
    c.require_one_kind("IF", called.node)
    condition, *branches = called.arguments
    return exp.Anonymous(this="if", expressions=[condition, *(c.as_branch(node, called.node) for node in branches)])


def is_null(called: Call, context: Context) -> exp.Expression:
    """ISNULL()."""
    return exp.paren(exp.Is(this=called.arguments[0], expression=exp.null()))


def value_to_insert(called: Call, context: Context) -> exp.Expression:
    """VALUES(column), of INSERT ... ON DUPLICATE KEY UPDATE."""
    return exp.column(called.arguments[0].name, table="excluded")


# --- numbers ----------------------------------------------------------------------------------------------------------
def remainder(called: Call, context: Context) -> exp.Expression:
    """MOD()."""
    r.require_no_texts(called.arguments)
    return call("my_mod", *called.arguments)


def rounded(called: Call, context: Context) -> exp.Expression:
    """ROUND() and TRUNCATE(): exactly with decimals."""
    arguments, kind = called.arguments, kind_of(called.node)
    if kind_of(arguments[0]).name == "number":
        raise Unsupported(f"{called.name.upper()}() of what a parameter is calculated with")
    if kind.name != "decimal" or kind.scale is None:
        return call(f"my_{called.name}", *arguments)
    if len(arguments) == 1:
        return call("my_decimal_round", arguments[0], 0)
    return call("my_decimal_round" if called.name == "round" else "my_truncate", *arguments)


def logarithm(called: Call, context: Context) -> exp.Expression:
    """LOG(), of one argument or to a base."""
    return call("ln" if len(called.arguments) == 1 else "my_log", *called.arguments)


# --- dates ------------------------------------------------------------------------------------------------------------
def shifted(sign: int) -> Rewrite:
    """DATE_ADD() and the like: an interval, or a number of days."""

    def rewrite(called: Call, context: Context) -> exp.Expression:
        value, interval = called.arguments
        if isinstance(interval, exp.Interval):
            return r.plus(value, interval, sign)
        return call("my_add", value, exp.Mul(this=literal(sign), expression=exp.paren(interval)), "day")

    return rewrite


def difference(called: Call, context: Context) -> exp.Expression:
    """TIMESTAMPDIFF(), whose first argument is the name of a unit."""
    unit, earlier, later = called.arguments
    return call("my_timestampdiff", unit.name.lower(), earlier, later)


def sum_of_units(called: Call, context: Context) -> exp.Expression:
    """TIMESTAMPADD(), whose first argument is the name of a unit."""
    unit, count, value = called.arguments
    return call("my_add", value, count, unit.name.lower())


def seconds_since_1970(called: Call, context: Context) -> exp.Expression:
    """UNIX_TIMESTAMP(), of a date or of the time that it is."""
    return call("my_unix_timestamp", *called.arguments) if called.arguments else call("unixepoch")


def timestamp(called: Call, context: Context) -> exp.Expression:
    """TIMESTAMP(), of one argument or of a date and a time."""
    name = "my_timestamp" if len(called.arguments) == 1 else "my_joined_timestamp"
    return call(name, *called.arguments)


# --- JSON -------------------------------------------------------------------------------------------------------------
def json_extract(called: Call, context: Context) -> exp.Expression:
    """JSON_EXTRACT()."""
    return r.json_extract(called.arguments)


def json_changed(called: Call, context: Context) -> exp.Expression:
    """JSON_SET(), JSON_INSERT(), JSON_REPLACE()."""
    return r.json_changed(called.name, called.arguments)


def json_values(called: Call, context: Context) -> exp.Expression:
    """JSON_ARRAY() and JSON_ARRAYAGG(): each argument as JSON."""
    return call(f"my_{called.name}", *map(r.as_json, called.arguments))


def json_pairs(called: Call, context: Context) -> exp.Expression:
    """JSON_OBJECT(): every second argument as JSON."""
    pairs = enumerate(called.arguments)
    return call("my_json_object", *(r.as_json(node) if place % 2 else node for place, node in pairs))


def json_contains(called: Call, context: Context) -> exp.Expression:
    """JSON_CONTAINS(), perhaps of what lies at a path."""
    document, candidate, *path = called.arguments
    return call("my_json_contains", r.json_extract([document, *path]) if path else document, candidate)


# --- the session ------------------------------------------------------------------------------------------------------
def row_count(called: Call, context: Context) -> exp.Expression:
    """ROW_COUNT(), by the numbers that SQLite counts."""
    return call("my_row_count", call("changes"), call("total_changes"))


def connection_id(called: Call, context: Context) -> exp.Expression:
    """CONNECTION_ID(): the number of the thread."""
    return literal(threading.get_native_id())


VERSION = str(DEFAULTS["version"])
