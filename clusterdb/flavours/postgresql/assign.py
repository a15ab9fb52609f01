"""What PostgreSQL makes of a value when a column takes it."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from clusterdb.errors import IntegrityError
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import NotSaid, Wrong, call, is_default
from clusterdb.flavours.postgresql.casts import as_text, converted, is_column, refuse
from clusterdb.flavours.postgresql.sequences import reference
from clusterdb.flavours.postgresql.types import NUMERIC, REAL, WHOLE_OR_DOUBLE
from clusterdb.flavours.types import INTEGER, NUMBERS, Kind, Typing, answers, kind_of, of_column, set_kind

__all__ = ["assigned", "given", "inserted", "require_other", "set_defaults", "updated"]


def assigned(value: Any, column: Kind, context: Context) -> Any:
    """A value as a column keeps it.  Raises NotSaid where PostgreSQL does not convert by itself."""
    kind = kind_of(value)
    if column.name == "unknown" or kind.name == "null" or is_default(value):
        return value
    if kind.name in ("literal", "unknown"):
        return _read(value, kind, column, context)
    if column.name == "char" and kind == column:
        return value
    if column.name in ("text", "char"):
        made = as_text(value, context)
        return call("pg_as_char", made, column.size) if column.name == "char" else made
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
    if kind.name == column.name and (kind.name != "enum" or kind.size == column.size):
        return value
    raise NotSaid(f"a {kind.name} value in a {column.name} column")


def _read(value: Any, kind: Kind, column: Kind, context: Context) -> Any:
    """A literal or a parameter as a column takes it."""
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


def _number(value: Any, kind: Kind, column: Kind, context: Context) -> Any:
    if column.name == "integer" and kind.name == "number":
        if kind != WHOLE_OR_DOUBLE:
            raise NotSaid("what a parameter and an exact number make, in a column of whole numbers,")
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
def _columns(table: Any, context: Context) -> dict[str, Kind]:
    found = context.schema.tables.get(table.name.lower())
    return {} if found is None else {name: of_column(column) for name, column in found.items()}


def inserted(tree: exp.Insert, context: Context, typing: Typing) -> None:
    """Every value of an INSERT as its column takes it."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    columns = _columns(target, context)
    if not columns or tree.expression is None:
        return
    if isinstance(tree.expression, exp.Values) and not isinstance(tree.this, exp.Schema):
        _name_columns(tree, target, list(columns))
    names = (
        [each.name.lower() for each in tree.this.expressions] if isinstance(tree.this, exp.Schema) else list(columns)
    )
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


def _numbered(table: str, names: list[str], rows: list[list[Any]] | None, context: Context) -> None:
    """DEFAULT is the next number of a column that is numbered; GENERATED ALWAYS takes nothing else.  Raises Wrong."""
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
            raise Wrong(f'cannot insert a non-DEFAULT value into column "{column}"')


def _defaults(
    tree: exp.Insert, target: Any, names: list[str], rows: list[list[Any]], context: Context
) -> tuple[list[str], list[list[Any]]]:
    """DEFAULT in VALUES: a column of which every row has it is not named, which generated ones must not be; else it is
    what the column's definition says."""
    if not any(is_default(value) for row in rows for value in row):
        return names, rows
    width = min(map(len, rows))
    dropped = [at for at in range(width) if all(is_default(row[at]) for row in rows)]
    if len(dropped) == width:
        if len(rows) > 1:
            raise NotSaid("several rows of nothing but DEFAULT")
        tree.set("this", target.copy())
        tree.set("expression", None)
        tree.set("default", True)
        return [], []
    kept = [at for at in range(width) if at not in dropped]
    columns = context.schema.tables.get(target.name.lower(), {})
    for row in rows:
        for at in kept:
            if is_default(row[at]):
                made = exp.var(f"({columns[names[at]].default or 'NULL'})")
                row[at].replace(made)
                row[at] = made
    if dropped:
        for values, row in zip(tree.expression.expressions, rows, strict=True):
            values.set("expressions", [row[at] for at in kept])
        named = [exp.to_identifier(names[at], quoted=True) for at in kept]
        tree.set("this", exp.Schema(this=target.copy(), expressions=named))
    return [names[at] for at in kept], [[row[at] for at in kept] for row in rows]


def require_other(tree: Any) -> None:
    """Raises NotSaid for RETURNING with a query of the table that is changed: SQLite's sees the new rows already."""
    for clause in tree.find_all(exp.Returning):
        target = clause.parent.this
        table = (target.this if isinstance(target, exp.Schema) else target).name.lower()
        if any(each.name.lower() == table for each in clause.find_all(exp.Table)):
            raise NotSaid("RETURNING with a query of the same table")


def set_defaults(tree: exp.Update, context: Context) -> None:
    """UPDATE ... SET ... = DEFAULT: what the column's definition says.  Raises NotSaid for the next number."""
    table = tree.this.name.lower()
    columns = context.schema.tables.get(table, {})
    for each in tree.expressions:
        if not isinstance(each, exp.EQ) or not is_default(each.expression):
            continue
        name = each.this.name.lower()
        if name not in columns or name in context.schema.numbers.get(table, {}):
            raise NotSaid("SET ... = DEFAULT of such a column")
        each.set("expression", exp.var(f"({columns[name].default or 'NULL'})"))


def given(value: Any) -> Any:
    """A number that a statement chooses.  Raises IntegrityError for NULL, which would be the next number in SQLite."""
    if value is None:
        raise IntegrityError("null value in a serial column violates its not-null constraint")
    return value


def _name_columns(tree: exp.Insert, target: Any, names: list[str]) -> None:
    """Say which columns are meant, if there are fewer values than columns."""
    count = len(tree.expression.expressions[0].expressions)
    if count < len(names):
        columns = [exp.to_identifier(name, quoted=True) for name in names[:count]]
        tree.set("this", exp.Schema(this=target.copy(), expressions=columns))


def _replace(value: Any, made: Any, kind: Kind) -> None:
    if made is not value:
        value.replace(set_kind(made.copy(), kind))


def _rows(source: Any) -> list[list[Any]] | None:
    """The values of an INSERT, or the columns of its query; None where they cannot be changed."""
    if isinstance(source, exp.Values):
        return [list(row.expressions) for row in source.expressions]
    if isinstance(source, exp.Subquery):
        return _rows(source.this)
    plain = isinstance(source, exp.Select) and not source.is_star and not source.args.get("distinct")
    return [[each.unalias() for each in source.expressions]] if plain else None


def _require_same(query: Any, kinds: list[Kind], context: Context, typing: Typing) -> None:
    """Raises NotSaid if a query's values would have to be changed for their columns."""
    for (name, own), column in zip(answers(query, context.schema, typing).items(), kinds, strict=False):
        value = set_kind(exp.column(name), own)
        if own.name not in ("unknown", "null") and assigned(value, column, context) is not value:
            raise NotSaid(f"INSERT of such a query with {own.name} values in a {column.name} column")


def updated(tree: exp.Expression, context: Context) -> None:
    """Every value of UPDATE and ON CONFLICT DO UPDATE as its column takes it."""
    for change in tree.find_all(exp.Update, exp.OnConflict):
        for each in change.expressions:
            if not isinstance(each, exp.EQ):
                continue
            _require_own(change, each.this, context)
            if not isinstance(each.this, exp.Tuple):
                _replace(each.expression, assigned(each.expression, kind_of(each.this), context), kind_of(each.this))
                continue
            names, values = each.this.expressions, each.expression
            if isinstance(values, exp.Subquery):
                values = values.this
            parts = [part.unalias() for part in values.expressions]
            if len(parts) != len(names) or not isinstance(values, exp.Tuple | exp.Select) or values.is_star:
                raise refuse("SET (...) = (SELECT ...)")
            for name, value in zip(names, parts, strict=True):
                _replace(value, assigned(value, kind_of(name), context), kind_of(name))


def _require_own(change: Any, target: Any, context: Context) -> None:
    """Raises Wrong for another number in a column that is GENERATED ALWAYS."""
    statement: Any = change.parent if isinstance(change, exp.OnConflict) else change
    table = statement.this
    table = (table.this if isinstance(table, exp.Schema) else table).name.lower()
    columns = target.expressions if isinstance(target, exp.Tuple) else [target]
    numbers = context.schema.numbers.get(table, {})
    for each in columns:
        if each.name.lower() in numbers and numbers[each.name.lower()].kind == "always":
            raise Wrong(f'column "{each.name}" can only be updated to DEFAULT')
