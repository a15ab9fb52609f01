"""Calls of PostgreSQL's functions that become more than a call of the function with that name."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Unsupported, call, literal
from clusterdb.flavours.postgresql import arithmetic, casts, compare, rules, sequences
from clusterdb.flavours.postgresql.variables import require_supported
from clusterdb.flavours.registry import Call, Rewrite
from clusterdb.flavours.types import Kind, kind_of

__all__: list[str] = []


def by_node(rule: Callable[[exp.Expression, Context], exp.Expression]) -> Rewrite:
    """A rewrite by a rule for nodes, which looks at the arguments itself."""
    return lambda called, context: rule(called.node, context)


def by_arguments(rule: Callable[[list[exp.Expression], Context], exp.Expression]) -> Rewrite:
    """A rewrite by a rule for the arguments."""
    return lambda called, context: rule(called.arguments, context)


def by_name(rule: Callable[[str, list[exp.Expression], Context], exp.Expression]) -> Rewrite:
    """A rewrite by a rule for several functions, which looks at the name."""
    return lambda called, context: rule(called.name, called.arguments, context)


def constant(value: str | int) -> Rewrite:
    """The same value for everybody."""
    return lambda called, context: literal(value)


def time_now(kind: Kind) -> Rewrite:
    """The time of the transaction; an argument is the number of digits of the fraction of a second."""
    return lambda called, context: rules.now(kind, context, *called.arguments)


def as_written(called: Call, context: Context) -> exp.Expression:
    """A call that another rule replaces, as that for generate_series() in FROM."""
    return called.node


# --- numbers ----------------------------------------------------------------------------------------------------------
def rounded(called: Call, context: Context) -> exp.Expression:
    """round() and trunc()."""
    return rules.rounded(called.name, called.arguments)


def total(called: Call, context: Context) -> exp.Expression:
    """sum() and avg()."""
    return rules.total(called.name, called.node, called.arguments)


def remainder(called: Call, context: Context) -> exp.Expression:
    """mod()."""
    return arithmetic.remainder(called.node, called.arguments, context)


def hexadecimal(called: Call, context: Context) -> exp.Expression:
    """to_hex(), within the size of the integer."""
    return call("pg_to_hex", *called.arguments, kind_of(called.node.expressions[0]).size or 64)


# --- dates ------------------------------------------------------------------------------------------------------------
def part(called: Call, context: Context) -> exp.Expression:
    """date_part()."""
    unit, value = called.arguments
    return rules.extracted(unit, value)


def age(called: Call, context: Context) -> exp.Expression:
    """age() between two times.  Raises Unsupported for the age today."""
    if len(called.arguments) == 1:
        raise Unsupported("age() with one argument")
    return call("pg_age", *called.arguments)


def date(called: Call, context: Context) -> exp.Expression:
    """date(): a cast."""
    return casts.cast(exp.Cast(this=called.arguments[0], to=exp.DataType.build("date")), context)


def formatted(called: Call, context: Context) -> exp.Expression:
    """to_char()."""
    return rules.to_char(called.arguments)


def interval(called: Call, context: Context) -> exp.Expression:
    """make_interval()."""
    return rules.made_interval(called.arguments)


# --- choices ----------------------------------------------------------------------------------------------------------
def chosen(called: Call, context: Context) -> exp.Expression:
    """coalesce(), greatest() and least(): values of one type."""
    return compare.chosen(called.node, called.name, context)


# --- others -----------------------------------------------------------------------------------------------------------
def count(called: Call, context: Context) -> exp.Expression:
    """count()."""
    return rules.counted(called.arguments)


def as_json(called: Call, context: Context) -> exp.Expression:
    """to_json() and to_jsonb()."""
    return casts.as_json(called.arguments[0], context)


def serial_sequence(called: Call, context: Context) -> exp.Expression:
    """pg_get_serial_sequence(): the name of the sequence that a column is numbered by.  Raises Unsupported."""
    table, column = called.arguments
    if not isinstance(table, exp.Literal) or not isinstance(column, exp.Literal):
        raise Unsupported("pg_get_serial_sequence() of something else than names")
    name = sequences.name_of(table.name, column.name, context)
    return exp.null() if name is None else literal(name)


def configured(called: Call, context: Context) -> exp.Expression:
    """set_config(): the value, if it makes no difference.  Raises Unsupported."""
    name, value, _ = called.arguments
    if not isinstance(name, exp.Literal) or not isinstance(value, exp.Literal):
        raise Unsupported("set_config() of something else than texts")
    require_supported(name.name, value.name)
    return literal(value.name)
