"""Assignment: values as PostgreSQL converts them when a column stores them, DEFAULT, and identity columns."""

from __future__ import annotations

from sqlglot import exp

from clusterdb.errors import IntegrityError
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Refused, Unsupported, call, is_default
from clusterdb.flavours.functions import SqlValue
from clusterdb.flavours.postgresql.casts import as_text, converted, is_column, refuse
from clusterdb.flavours.postgresql.sequences import reference
from clusterdb.flavours.postgresql.types import NUMERIC, REAL, WHOLE_OR_DOUBLE, element
from clusterdb.flavours.trees import column_names, insert_defaults, name_columns, target_of
from clusterdb.flavours.types import INTEGER, NUMBERS, Kind, Typing, answers, kind_of, set_kind

__all__ = ["assigned", "given", "inserted", "require_other", "set_defaults", "updated"]

_Rows = list[list[exp.Expression]]


def assigned(value: exp.Expression, column: Kind, context: Context) -> exp.Expression:
    """A value as a column of a kind stores it.  Raises Unsupported if there is no assignment conversion."""
    kind = kind_of(value)
    if column.name == "unknown" or kind.name == "null" or is_default(value):
        return value
    if kind.name in ("literal", "unknown"):
        return _read(value, kind, column, context)
    if column.name == "char" and kind == column:
        return value
    if column.name in ("text", "char"):
        written: exp.Expression = as_text(value, context)
        return call("pg_as_char", written, column.size) if column.name == "char" else written
    if column.name in NUMBERS and kind.name in NUMERIC:
        return _number(value, kind, column, context)
    if column.name == "datetime" and kind.name in ("date", "datetime"):
        if kind.name == "datetime" and column.scale is None:
            return value
        return call("pg_as_datetime", value, 0, 6 if column.scale is None else column.scale)
    if (kind.name, column.name) == ("datetime", "date"):
        return call("pg_as_date", value)
    if {kind.name, column.name} == {"json", "jsonb"}:
        return call("pg_jsonb", value) if column.name == "jsonb" else value
    if column.name == "array" == kind.name:
        return value if element(kind) == element(column) else call("pg_array_read", value, column.members)
    if kind.name == column.name and (kind.name != "enum" or kind.size == column.size):
        return value
    raise Unsupported(f"assignment of a {kind.name} value to a {column.name} column")


def _read(value: exp.Expression, kind: Kind, column: Kind, context: Context) -> exp.Expression:
    """A literal or a parameter as a column stores it."""
    if is_column(value) and kind.name == "unknown":
        return value
    if column.name == "integer" and kind.name == "unknown":
        return call("pg_into_integer", value)
    if column.name == "decimal" and column.scale is not None:
        if kind.name == "literal":
            return call("pg_into_decimal", converted(value, column, context), column.scale)
        return call("pg_into_decimal", value, column.scale)
    if column.name == "date":
        return converted(value, column, context) if kind.name == "literal" else call("pg_as_date", value)
    return converted(value, column, context)


def _number(value: exp.Expression, kind: Kind, column: Kind, context: Context) -> exp.Expression:
    """A number as a numeric column stores it.  Raises Unsupported."""
    if column.name == "integer" and kind.name == "number":
        if kind != WHOLE_OR_DOUBLE:
            raise Unsupported("assignment of an expression with a parameter and a numeric value to an integer column")
        return call("pg_into_integer", value)
    if column.name == "integer":
        rounding = {"decimal": "pg_nearest", "double": "pg_nearest_even"}.get(kind.name)
        return value if rounding is None else call(rounding, value)
    if column.name == "decimal":
        if kind.name == "double":
            value = call("pg_double_exact", value, kind.size or 64)
        if column.scale is None or (kind.name in ("integer", "decimal") and (kind.scale or 0) <= column.scale):
            exact = kind.name != "decimal" or kind.scale is not None
            if column.scale is None or exact:
                return value
        return call("pg_into_decimal", value, column.scale)
    if column == REAL:
        return value if kind == REAL else call("pg_as_real", value)
    return converted(value, column, context)


# --- statements -------------------------------------------------------------------------------------------------------
def inserted(tree: exp.Insert, context: Context, typing: Typing) -> None:
    """Convert every value of an INSERT to its column's type.  Raises Unsupported or Refused."""
    target = target_of(tree)
    columns = context.columns_of(target.name)
    if not columns or tree.expression is None:
        return
    if isinstance(tree.expression, exp.Values) and not isinstance(tree.this, exp.Schema):
        _name_first_columns(tree, target, list(columns))
    listed = column_names(tree)
    names = list(columns) if listed is None else listed
    kinds = [columns.get(name, Kind("unknown")) for name in names]
    rows = _rows(tree.expression)
    _numbered(target.name.lower(), names, rows, context)
    if isinstance(tree.expression, exp.Values) and rows is not None:
        names, rows = _defaults(tree, target, names, rows, context)
        kinds = [columns.get(name, Kind("unknown")) for name in names]
    if rows is None:
        _require_same(tree.expression, kinds, context, typing)
        return
    for row in rows:
        for value, kind in zip(row, kinds, strict=False):
            _replace(value, assigned(value, kind, context), kind)


def _numbered(table: str, names: list[str], rows: _Rows | None, context: Context) -> None:
    """Replace DEFAULT of numbered columns by nextval().

    Raises Refused for other values of GENERATED ALWAYS columns.
    """
    for column, numbering in context.schema.numbers.get(table, {}).items():
        if column not in names:
            continue
        at, only_defaults = names.index(column), rows is not None
        for row in rows or []:
            for value in row[at : at + 1]:
                if is_default(value):
                    row[at] = set_kind(call("pg_nextval", reference(numbering.sequence)), INTEGER)
                    value.replace(row[at])
                    continue
                only_defaults = False
                if not isinstance(value, exp.Literal) and numbering.kind != "nextval":
                    row[at] = set_kind(call("pg_given", value), kind_of(value))
                    value.replace(row[at])
        if numbering.kind == "always" and not context.is_overriding and not only_defaults:
            raise Refused(f'cannot insert a non-DEFAULT value into column "{column}"')


def _defaults(
    tree: exp.Insert, target: exp.Table, names: list[str], rows: _Rows, context: Context
) -> tuple[list[str], _Rows]:
    """Translate DEFAULT in VALUES and return the remaining columns and their values.  Raises Unsupported.

    A column that has DEFAULT in every row is removed, as a generated column has to be; elsewhere DEFAULT is replaced by
    the expression of the column's definition.
    """
    if not any(is_default(value) for row in rows for value in row):
        return names, rows
    width = min(map(len, rows))
    dropped = [at for at in range(width) if all(is_default(row[at]) for row in rows)]
    columns = context.schema.tables.get(target.name.lower(), {})
    if len(dropped) == width and len(rows) == 1:
        insert_defaults(tree, target)
        return [], []
    if len(dropped) == width:
        plain = next((at for at in dropped if names[at] in columns and not columns[names[at]].is_generated), None)
        if plain is None:
            raise Unsupported("INSERT of several rows with only DEFAULT")
        dropped.remove(plain)
    kept = [at for at in range(width) if at not in dropped]
    for row in rows:
        for at in kept:
            if is_default(row[at]):
                default = exp.var(f"({columns[names[at]].default or 'NULL'})")
                row[at].replace(default)
                row[at] = default
    if dropped:
        for values, row in zip(tree.expression.expressions, rows, strict=True):
            values.set("expressions", [row[at] for at in kept])
        name_columns(tree, target, [names[at] for at in kept])
    return [names[at] for at in kept], [[row[at] for at in kept] for row in rows]


def require_other(tree: exp.Expression) -> None:
    """Raise Unsupported for RETURNING with a query of the changed table: in SQLite the query sees the new rows."""
    for clause in tree.find_all(exp.Returning):
        assert isinstance(clause.parent, exp.Expression)
        changed = target_of(clause.parent).name.lower()
        if any(table.name.lower() == changed for table in clause.find_all(exp.Table)):
            raise Unsupported("RETURNING with a query of the same table")


def set_defaults(tree: exp.Update, context: Context) -> None:
    """Replace DEFAULT in UPDATE ... SET by the expression of the column's definition.

    Raises Unsupported for nextval().
    """
    table = tree.this.name.lower()
    columns = context.schema.tables.get(table, {})
    for change in tree.expressions:
        if not isinstance(change, exp.EQ) or not is_default(change.expression):
            continue
        name = change.this.name.lower()
        if name not in columns or name in context.schema.numbers.get(table, {}):
            raise Unsupported(f"UPDATE ... SET {change.this.name} = DEFAULT, which is not a constant,")
        change.set("expression", exp.var(f"({columns[name].default or 'NULL'})"))


def given(value: SqlValue) -> SqlValue:
    """The value for a numbered column.  Raises IntegrityError for NULL, which would be SQLite's next number."""
    if value is None:
        raise IntegrityError("null value in a serial or identity column violates not-null constraint")
    return value


def _name_first_columns(tree: exp.Insert, target: exp.Table, names: list[str]) -> None:
    """List the first columns in an INSERT that has fewer values than the table has columns."""
    count = len(tree.expression.expressions[0].expressions)
    if count < len(names):
        name_columns(tree, target, names[:count])


def _replace(value: exp.Expression, converted: exp.Expression, kind: Kind) -> None:
    if converted is not value:
        value.replace(set_kind(converted.copy(), kind))


def _rows(source: exp.Expression | None) -> _Rows | None:
    """The values of an INSERT by row, or the columns of its query; None where they cannot be changed."""
    if isinstance(source, exp.Values):
        return [list(row.expressions) for row in source.expressions]
    if isinstance(source, exp.Subquery):
        return _rows(source.this)
    is_plain = isinstance(source, exp.Select) and not source.is_star and not source.args.get("distinct")
    return [[column.unalias() for column in source.expressions]] if source is not None and is_plain else None


def _require_same(query: exp.Expression, kinds: list[Kind], context: Context, typing: Typing) -> None:
    """Raise Unsupported if a query's values would have to be converted for their columns."""
    for (name, own), column in zip(answers(query, context.schema, typing).items(), kinds, strict=False):
        value = set_kind(exp.column(name), own)
        if own.name not in ("unknown", "null") and assigned(value, column, context) is not value:
            raise Unsupported(
                f"INSERT of {own.name} values into a {column.name} column from DISTINCT, * or a set operation"
            )


def updated(tree: exp.Expression, context: Context) -> None:
    """Convert every value of UPDATE and ON CONFLICT DO UPDATE to its column's type.  Raises Unsupported or Refused."""
    for statement in tree.find_all(exp.Update, exp.OnConflict):
        assert isinstance(statement, exp.Update | exp.OnConflict)
        for change in statement.expressions:
            if not isinstance(change, exp.EQ):
                continue
            _require_not_always(statement, change.this, context)
            if isinstance(change.this, exp.Tuple):
                _assign_row(change, context)
            else:
                kind = kind_of(change.this)
                _replace(change.expression, assigned(change.expression, kind, context), kind)


def _assign_row(change: exp.EQ, context: Context) -> None:
    """Convert the values of SET (...) = (...) or (SELECT ...).  Raises Unsupported."""
    names, values = change.this.expressions, change.expression
    if isinstance(values, exp.Subquery):
        values = values.this
    parts = [part.unalias() for part in values.expressions]
    if len(parts) != len(names) or not isinstance(values, exp.Tuple | exp.Select) or values.is_star:
        raise refuse("SET (...) = (SELECT ...)")
    for name, value in zip(names, parts, strict=True):
        _replace(value, assigned(value, kind_of(name), context), kind_of(name))


def _require_not_always(statement: exp.Update | exp.OnConflict, target: exp.Expression, context: Context) -> None:
    """Raise Refused for a column that is GENERATED ALWAYS."""
    changed = statement.parent if isinstance(statement, exp.OnConflict) else statement
    assert isinstance(changed, exp.Expression)
    numbers = context.schema.numbers.get(target_of(changed).name.lower(), {})
    for column in target.expressions if isinstance(target, exp.Tuple) else [target]:
        if column.name.lower() in numbers and numbers[column.name.lower()].kind == "always":
            raise Refused(f'column "{column.name}" can only be updated to DEFAULT')
