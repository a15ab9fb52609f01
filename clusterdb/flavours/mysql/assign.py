"""Values as MySQL converts them when a column stores them, and the result columns of queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Refused, Unsupported, call, is_default, literal
from clusterdb.flavours.mysql.compare import as_shown, as_string, as_text, collated
from clusterdb.flavours.mysql.modes import LAX, ZERO_DATE, ZERO_IN_DATE, Modes
from clusterdb.flavours.mysql.types import of_several
from clusterdb.flavours.rows import READ_BY
from clusterdb.flavours.schema import Column
from clusterdb.flavours.trees import column_names, insert_defaults, name_columns, quoted_column, target_of
from clusterdb.flavours.types import Kind, kind_of, of_column, set_kind

__all__ = ["answered", "assigned", "inserted", "refresh", "require_divisors", "set_defaults"]

_EXACT = frozenset({"integer", "boolean"})


# --- values -----------------------------------------------------------------------------------------------------------
def assigned(value: exp.Expression, column: Kind, modes: Modes) -> exp.Expression:
    """A value as a column of a kind stores it.

    Raises Unsupported where servers do not agree or SQLite cannot store the value.
    """
    kind = kind_of(value)
    is_values = isinstance(value, exp.Anonymous) and value.name.lower() == "values"
    if kind.name == "null" or is_default(value) or is_values or isinstance(value, exp.Subquery):
        return value
    convert = _CONVERSIONS.get(column.name)
    return value if convert is None else convert(value, kind, column, modes)


def _into_text(value: exp.Expression, kind: Kind, column: Kind, _: Modes) -> exp.Expression:
    if kind.name == "decimal" and kind.size:
        raise Unsupported("a quotient in a text column")
    if column.name == "enum" and kind.name in ("decimal", "double"):
        raise Unsupported("a number with a fraction in an ENUM column")
    if column.name == "enum" and column.members:
        return call("my_into_set" if column.size else "my_into_enum", value, column.members)
    text: exp.Expression = as_text(value) if kind.name != "unknown" else call("my_into_text", value)
    return call("my_char_end", text) if column.name == "text" and column.size else text


def _into_integer(value: exp.Expression, kind: Kind, column: Kind, _: Modes) -> exp.Expression:
    if column.collation == "year":
        return call("my_into_year", value)
    if kind.name in _EXACT:
        return value
    function = {"number": "my_into_some_int", "decimal": "my_into_exact_int"}.get(kind.name, "my_into_int")
    return call(function, value)


def _into_decimal(value: exp.Expression, kind: Kind, column: Kind, _: Modes) -> exp.Expression:
    return value if kind.name in _EXACT else call("my_into_decimal", value, column.scale or 0)


def _into_double(value: exp.Expression, _kind: Kind, column: Kind, _: Modes) -> exp.Expression:
    if column.scale is not None:
        return call("my_into_decimal", value, column.scale)
    return call("my_into_single", value) if column.size == 32 else value


def _into_time(value: exp.Expression, kind: Kind, _column: Kind, _: Modes) -> exp.Expression:
    return value if kind.name == "time" else call("my_as_time", value)


def _into_date(value: exp.Expression, kind: Kind, _: Kind, modes: Modes) -> exp.Expression:
    if kind.name == "date":
        return value
    zeros = _zeros(modes)
    return call("my_into_zero_date", value, *zeros) if any(zeros) else call("my_into_date", value)


def _into_datetime(value: exp.Expression, kind: Kind, column: Kind, modes: Modes) -> exp.Expression:
    digits = column.scale or 0
    if kind.name == "datetime" and (kind.scale or 0) <= digits:
        return value
    zeros = _zeros(modes)
    if any(zeros):
        return call("my_into_zero_datetime", value, digits, *zeros)
    return call("my_into_datetime", value, digits)


def _zeros(modes: Modes) -> list[int]:
    """1 or 0 for each of the two SQL modes about zeros in dates."""
    return [int(mode in modes) for mode in (ZERO_DATE, ZERO_IN_DATE)]


def _into_bytes(value: exp.Expression, kind: Kind, column: Kind, _: Modes) -> exp.Expression:
    if isinstance(value, exp.Literal) and value.is_string:
        content = value.name.encode("utf-8", "surrogateescape").ljust(column.size, bytes(1))
        written = exp.HexString(this=content.hex())
        written.meta[READ_BY] = "into_bytes", [column.size]
        return set_kind(written, column)
    is_converted = kind.name != "bytes" or column.size
    return call("my_into_bytes", value, column.size) if is_converted else value


_CONVERSIONS: dict[str, Callable[[exp.Expression, Kind, Kind, Modes], exp.Expression]] = {
    "text": _into_text,
    "enum": _into_text,
    "integer": _into_integer,
    "decimal": _into_decimal,
    "double": _into_double,
    "time": _into_time,
    "date": _into_date,
    "datetime": _into_datetime,
    "bytes": _into_bytes,
}
"""The conversion of a value, its kind and the column's kind given, by the name of the column's kind."""


# --- INSERT -----------------------------------------------------------------------------------------------------------
def inserted(tree: exp.Insert, modes: Modes, context: Context) -> None:
    """Convert every value of an INSERT to its column's type, and have AUTO_INCREMENT columns numbered.

    Raises Unsupported, and Refused for DEFAULT of a column that has none.
    """
    target = target_of(tree)
    table = context.schema.tables.get(target.name.lower())
    if table is None:
        _replace_empty_rows(tree, target, "")
        return
    kinds = {name: of_column(column) for name, column in table.items()}
    key = ""
    if target.name.lower() in context.schema.numbered:
        key = next((name for name, column in table.items() if column.declared == "integer"), "")
    _replace_empty_rows(tree, target, key)
    generated = {name for name, column in table.items() if column.is_generated}
    if generated:
        _omit_generated(tree, generated, list(table), is_lax=LAX in modes)
    listed = column_names(tree)
    names = list(kinds) if listed is None else listed
    rows = _rows(tree.expression)
    for row in rows:
        for name, value in zip(names, row, strict=False):
            if name == key:
                value = _without_default(value)
                value.replace(call("my_numbered", target.name.lower(), value, *_first(tree, row is rows[0])))
            elif name in kinds:
                converted = assigned(value, kinds[name], modes)
                if converted is not value:
                    value.replace(set_kind(converted, kinds[name]))
    if isinstance(tree.expression, exp.Values):
        for values in tree.expression.expressions:
            for name, value in zip(names, values.expressions, strict=False):
                if name != key and name in table and is_default(value):
                    value.replace(_default_of(name, table[name]))
    if rows and (context.is_replacing or tree.args.get("conflict") is not None):
        value = _rows(tree.expression)[0][0]
        value.replace(call("my_doubtful", value, call("total_changes")))
    if key and key not in names and rows:
        tree.this.append("expressions", exp.to_identifier(key, quoted=True))
        _number(tree, target.name.lower())


def _default_of(name: str, column: Column) -> exp.Expression:
    """What DEFAULT means for a column.  Raises Refused if it has none."""
    if not column.default and column.is_required:
        raise Refused(f"Field '{name}' doesn't have a default value")
    return set_kind(exp.var(f"({column.default or 'NULL'})"), of_column(column))


def _omit_generated(tree: exp.Insert, generated: set[str], columns: list[str], *, is_lax: bool) -> None:
    """Remove generated columns that are given DEFAULT or NULL, or any value in a mode that is not strict."""
    names = [column.name for column in tree.this.expressions] if isinstance(tree.this, exp.Schema) else columns
    places = [at for at, name in enumerate(names) if name.lower() in generated]
    if not places or not isinstance(tree.expression, exp.Values):
        return
    rows = [row.expressions for row in tree.expression.expressions]
    if any(len(row) != len(names) for row in rows):
        return
    if not is_lax and not all(is_default(row[at]) or isinstance(row[at], exp.Null) for row in rows for at in places):
        return
    name_columns(tree, target_of(tree), [name for name in names if name.lower() not in generated])
    for row in tree.expression.expressions:
        row.set("expressions", [value for at, value in enumerate(row.expressions) if at not in places])


def _replace_empty_rows(tree: exp.Insert, target: exp.Table, key: str) -> None:
    """Translate ``VALUES ()`` to NULL for the AUTO_INCREMENT column ``key``, or to DEFAULT VALUES.

    Raises Unsupported.
    """
    rows = tree.expression.expressions if isinstance(tree.expression, exp.Values) else []
    if not rows or any(row.expressions for row in rows):
        return
    if key:
        name_columns(tree, target, [key])
        nulls = [exp.Tuple(expressions=[set_kind(exp.null(), Kind("null"))]) for _ in rows]
        tree.set("expression", exp.Values(expressions=nulls))
    elif len(rows) > 1:
        raise Unsupported("INSERT of several empty rows")
    else:
        insert_defaults(tree, target)


def _without_default(value: exp.Expression) -> exp.Expression:
    """The value, or in place of the word DEFAULT a NULL, which also requests the next number."""
    if not is_default(value):
        return value
    null: exp.Expression = set_kind(exp.null(), Kind("null"))
    value.replace(null)
    return null


def _first(tree: exp.Insert, is_first: bool) -> list[int | exp.Expression]:
    """The argument that tells :meth:`Inserts.numbered` whether a row is the statement's first; none for 1."""
    if isinstance(tree.expression, exp.Values):
        return [] if is_first else [0]
    return [exp.Window(this=exp.Anonymous(this="row_number"))]


def _number(tree: exp.Insert, table: str) -> None:
    """Add a number to every new row of a statement that does not name the AUTO_INCREMENT column.

    Raises Unsupported.
    """
    if isinstance(tree.expression, exp.Values):
        for at, row in enumerate(tree.expression.expressions):
            row.append("expressions", call("my_numbered", table, exp.null(), *_first(tree, at == 0)))
    elif isinstance(tree.expression, exp.Select) and not tree.expression.args.get("distinct"):
        tree.expression.append("expressions", call("my_numbered", table, exp.null(), *_first(tree, False)))
    else:
        raise Unsupported("INSERT with DISTINCT or UNION into a table with AUTO_INCREMENT")


def _rows(source: exp.Expression | None) -> list[list[exp.Expression]]:
    """The values of an INSERT by row, or the columns of its query; empty where the query does not list them."""
    if isinstance(source, exp.Values):
        return [list(row.expressions) for row in source.expressions]
    if isinstance(source, exp.Subquery):
        return _rows(source.this)
    if isinstance(source, exp.SetOperation):
        return [*_rows(source.this), *_rows(source.expression)]
    if isinstance(source, exp.Select) and not source.is_star:
        return [[column.this if isinstance(column, exp.Alias) else column for column in source.expressions]]
    return []


def require_divisors(tree: exp.Expression) -> None:
    """Have divisions by zero fail, in a statement that stores their results."""
    for node in list(tree.find_all(exp.Div, exp.IntDiv, exp.Mod)):
        divisor = node.expression
        if not (isinstance(divisor, exp.Literal) and float(divisor.name or 0) != 0):
            node.set("expression", set_kind(call("my_divisor", divisor), kind_of(divisor)))


# --- UPDATE -----------------------------------------------------------------------------------------------------------
def set_defaults(tree: exp.Update, context: Context) -> None:
    """Replace DEFAULT in SET by the expression of the column's definition.

    Raises Unsupported where the table is not known, and Refused for a column that has no default.
    """
    columns = context.schema.tables.get(tree.this.name.lower(), {})
    for change in tree.expressions:
        if is_default(change.expression):
            name = change.this.name
            if name.lower() not in columns:
                raise Unsupported("SET ... = DEFAULT")
            change.set("expression", _default_of(name, columns[name.lower()]))


def refresh(change: exp.Update | exp.OnConflict, context: Context) -> None:
    """Set the columns with ON UPDATE CURRENT_TIMESTAMP to the time if another column changes and they are not named."""
    insert = change.find_ancestor(exp.Insert) if isinstance(change, exp.OnConflict) else None
    target = target_of(change if insert is None else insert)
    changes = [assignment for assignment in change.expressions if isinstance(assignment, exp.EQ)]
    named = {assignment.this.name.lower() for assignment in changes}
    for name, column in context.schema.tables.get(target.name.lower(), {}).items():
        if "updating" not in column.declared.split("(")[0].split() or name in named or not changes:
            continue
        own = quoted_column(name)
        differs = [call("my_differs", _bare(assignment.this), assignment.expression) for assignment in changes]
        test = differs[0] if len(differs) == 1 else exp.or_(*differs)
        value = exp.Case(ifs=[exp.If(this=test, true=_now(of_column(column).scale or 0))], default=own.copy())
        change.append("expressions", exp.EQ(this=own, expression=value))


def _bare(column: exp.Column) -> exp.Column:
    """A copy of a column without its kind."""
    return exp.column(column.this.copy(), table=column.args.get("table"))


def _now(digits: int) -> exp.Expression:
    arguments = [literal(digits)] if digits else []
    return set_kind(exp.Anonymous(this="now", expressions=arguments), Kind("datetime", scale=digits))


# --- queries ----------------------------------------------------------------------------------------------------------
def answered(tree: exp.Expression, context: Context) -> None:
    """Give the result columns of every query the form MySQL shows: the digits of quotients, the collation of texts."""
    if context.in_definition:
        return
    for select in list(tree.find_all(exp.Select)):
        is_stored = isinstance(select.parent, exp.Insert)
        for column in select.expressions:
            _show(column.this if isinstance(column, exp.Alias) else column, context, is_stored=is_stored)
        group = select.args.get("group")
        for key in group.expressions if group is not None else []:
            _show(key, context)
    for union in list(tree.find_all(exp.SetOperation)):
        _unite_columns(union, context)


def _show(value: exp.Expression, context: Context, *, is_stored: bool = False) -> None:
    """Replace a result column, or a key of GROUP BY; ``is_stored``: an INSERT stores it, with all its digits."""
    shown = value if is_stored else as_shown(value)
    if shown is value and kind_of(value).name == "text" and not isinstance(value, exp.Column | exp.Literal):
        shown = collated(value, context)
    if shown is not value:
        value.replace(shown)


def _unite_columns(union: exp.SetOperation, context: Context) -> None:
    """Convert the columns of a UNION to common types: if one part has a text, all have."""
    parts = [part for part in (union.left, union.right) if isinstance(part, exp.Select) and not part.is_star]
    if len(parts) != 2:
        return
    for columns in zip(*(part.expressions for part in parts), strict=False):
        _unite([column.unalias() for column in columns], context)


_UNITED_ONLY_ALONE = {"date", "datetime", "time", "json", "bytes", "mixed", "unknown"}
"""Kinds of which SQLite has no common type with others."""


def _unite(values: Sequence[exp.Expression], context: Context) -> None:
    """Convert one column's values of a UNION to a common type.  Raises Unsupported."""
    kinds = [kind_of(value) for value in values]
    names = {kind.name for kind in kinds} - {"null"}
    if len(names) > 1 or "unknown" in names:
        _require_united(values, names)
    if names == {"date", "datetime"}:
        for value, kind in zip(values, kinds, strict=True):
            if kind.name == "date":
                value.replace(call("my_as_datetime", value))
    if of_several(kinds).name == "text":
        for value in values:
            string = as_string(value)
            value.replace(collated(string if string is not value else value.copy(), context))


def _require_united(values: Sequence[exp.Expression], names: set[str]) -> None:
    """Raise Unsupported for values of several kinds that have no common type in SQLite."""
    is_quotient = (isinstance(value, exp.Anonymous) and value.name == "my_decimal_round" for value in values)
    if "double" in names and any(is_quotient):
        raise Unsupported("UNION of a quotient and a floating point number")
    is_text_with_number = names & {"text", "enum"} and names & {"double", "decimal", "number"}
    if names != {"date", "datetime"} and (names & _UNITED_ONLY_ALONE or is_text_with_number):
        raise Unsupported(f"UNION of {' and '.join(sorted(names))} values")
