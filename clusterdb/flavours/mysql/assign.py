"""What MySQL makes of a value when a column takes it, and of the columns that a query answers."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import NotSaid, call, is_default, literal
from clusterdb.flavours.mysql.compare import as_shown, as_string, as_text, collated
from clusterdb.flavours.mysql.modes import LAX, ZERO_DATE, ZERO_IN_DATE, Modes
from clusterdb.flavours.mysql.types import of_several
from clusterdb.flavours.rows import READ_BY
from clusterdb.flavours.types import Kind, kind_of, of_column, set_kind

__all__ = ["answered", "assigned", "inserted", "refresh", "require_divisors"]


_EXACT = frozenset({"integer", "boolean"})


def assigned(value: Any, column: Kind, modes: Modes) -> Any:
    """A value as a column keeps it.  Raises NotSaid where servers do not agree or SQLite cannot keep it."""
    kind = kind_of(value)
    if (
        kind.name == "null"
        or is_default(value)
        or isinstance(value, exp.Subquery)
        or (isinstance(value, exp.Anonymous) and value.name.lower() == "values")
    ):
        return value
    if column.name in ("text", "enum"):
        return _text(value, kind, column)
    if column.name == "integer":
        if column.collation == "year":
            return call("my_into_year", value)
        if kind.name in _EXACT:
            return value
        if kind.name == "number":
            return call("my_into_some_int", value)
        exact = kind.name == "decimal"
        return call("my_into_exact_int" if exact else "my_into_int", value)
    if column.name == "decimal":
        return value if kind.name in _EXACT else call("my_into_decimal", value, column.scale or 0)
    if column.name == "double":
        if column.scale is not None:
            return call("my_into_decimal", value, column.scale)
        return call("my_into_single", value) if column.size == 32 else value
    if column.name in ("date", "datetime", "time"):
        return _moment(value, kind, column, modes)
    if column.name == "bytes" and isinstance(value, exp.Literal) and value.is_string:
        content = value.name.encode("utf-8", "surrogateescape").ljust(column.size, bytes(1))
        literal_bytes = exp.HexString(this=content.hex())
        literal_bytes.meta[READ_BY] = "into_bytes", [column.size]
        return set_kind(literal_bytes, column)
    if column.name == "bytes" and kind.name != "bytes":
        return call("my_into_bytes", value, column.size)
    if column.name == "bytes" and column.size:
        return call("my_into_bytes", value, column.size)
    return value


def _text(value: Any, kind: Kind, column: Kind) -> Any:
    if kind.name == "decimal" and kind.size:
        raise NotSaid("a quotient in a column of texts")
    if column.name == "enum" and kind.name in ("decimal", "double"):
        raise NotSaid("a number with a fraction in an ENUM column")
    if column.name == "enum" and column.members:
        return call("my_into_set" if column.size else "my_into_enum", value, column.members)
    made = as_text(value) if kind.name != "unknown" else call("my_into_text", value)
    if column.name == "text" and column.size:
        return call("my_char_end", made)
    return made


def _moment(value: Any, kind: Kind, column: Kind, modes: Modes) -> Any:
    zeros = [int(each in modes) for each in (ZERO_DATE, ZERO_IN_DATE)]
    if column.name == "time":
        return value if kind.name == "time" else call("my_as_time", value)
    if column.name == "date":
        if kind.name == "date":
            return value
        return call("my_into_zero_date", value, *zeros) if any(zeros) else call("my_into_date", value)
    if kind.name == "datetime" and (kind.scale or 0) <= (column.scale or 0):
        return value
    if any(zeros):
        return call("my_into_zero_datetime", value, column.scale or 0, *zeros)
    return call("my_into_datetime", value, column.scale or 0)


# --- INSERT -----------------------------------------------------------------------------------------------------------
def inserted(tree: exp.Insert, modes: Modes, context: Context) -> None:
    """Every value of an INSERT as its column takes it; what is to be numbered, is."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    table = context.schema.tables.get(target.name.lower())
    if table is None:
        _give_defaults(tree, target, "")
        return
    kinds = {name: of_column(column) for name, column in table.items()}
    key = ""
    if target.name.lower() in context.schema.numbered:
        key = next((name for name, column in table.items() if column.declared == "integer"), "")
    _give_defaults(tree, target, key)
    generated = {name for name, column in table.items() if column.is_generated}
    if generated:
        _leave_out(tree, generated, list(table), is_lax=LAX in modes)
    names = [each.name.lower() for each in tree.this.expressions] if isinstance(tree.this, exp.Schema) else list(kinds)
    rows = _rows(tree.expression)
    for row in rows:
        for name, value in zip(names, row, strict=False):
            if name == key:
                value = _without_default(value)
                value.replace(call("my_numbered", target.name.lower(), value, *_first(tree, row is rows[0])))
            elif name in kinds:
                made = assigned(value, kinds[name], modes)
                if made is not value:
                    value.replace(set_kind(made, kinds[name]))
    if rows and (context.is_replacing or tree.args.get("conflict") is not None):
        value = _rows(tree.expression)[0][0]
        value.replace(call("my_doubtful", value, call("total_changes")))
    if key and key not in names and rows:
        tree.this.append("expressions", exp.to_identifier(key, quoted=True))
        _number(tree, target.name.lower())


def _leave_out(tree: exp.Insert, generated: set[str], columns: list[str], *, is_lax: bool) -> None:
    """Give generated columns nothing, where DEFAULT or NULL is given to them; in no strict mode whatever is."""
    named = isinstance(tree.this, exp.Schema)
    names = [each.name for each in tree.this.expressions] if named else columns
    places = [at for at, name in enumerate(names) if name.lower() in generated]
    if not places or not isinstance(tree.expression, exp.Values):
        return
    rows = [row.expressions for row in tree.expression.expressions]
    if any(len(row) != len(names) for row in rows):
        return
    if not is_lax and not all(is_default(row[at]) or isinstance(row[at], exp.Null) for row in rows for at in places):
        return
    kept = [exp.to_identifier(name, quoted=True) for name in names if name.lower() not in generated]
    tree.set("this", exp.Schema(this=tree.this.this if named else tree.this.copy(), expressions=kept))
    for row in tree.expression.expressions:
        row.set("expressions", [value for at, value in enumerate(row.expressions) if at not in places])


def _give_defaults(tree: exp.Insert, target: Any, key: str) -> None:
    """VALUES () gives nothing but the next number, where rows are numbered.  Raises NotSaid."""
    rows = tree.expression.expressions if isinstance(tree.expression, exp.Values) else []
    if not rows or any(row.expressions for row in rows):
        return
    if key:
        tree.set("this", exp.Schema(this=target.copy(), expressions=[exp.to_identifier(key, quoted=True)]))
        nulls = [exp.Tuple(expressions=[set_kind(exp.null(), Kind("null"))]) for _ in rows]
        tree.set("expression", exp.Values(expressions=nulls))
    elif len(rows) > 1:
        raise NotSaid("several empty rows")
    else:
        tree.set("this", target.copy())
        tree.set("expression", None)
        tree.set("default", True)


def _without_default(value: Any) -> Any:
    """NULL, which asks for the next number too, in the place of the word DEFAULT."""
    if not is_default(value):
        return value
    null = set_kind(exp.null(), Kind("null"))
    value.replace(null)
    return null


def _first(tree: exp.Insert, is_first: bool) -> list[Any]:
    """How :meth:`Inserts.numbered` learns which row is the first."""
    if isinstance(tree.expression, exp.Values):
        return [] if is_first else [0]
    return [exp.Window(this=exp.Anonymous(this="row_number"))]


def _number(tree: exp.Insert, table: str) -> None:
    """Give every new row a number, though the statement does not name the column."""
    if isinstance(tree.expression, exp.Values):
        for at, row in enumerate(tree.expression.expressions):
            row.append("expressions", call("my_numbered", table, exp.null(), *_first(tree, at == 0)))
    elif isinstance(tree.expression, exp.Select) and not tree.expression.args.get("distinct"):
        tree.expression.append("expressions", call("my_numbered", table, exp.null(), *_first(tree, False)))
    else:
        raise NotSaid("INSERT of such a query into a table that numbers its rows")


def _rows(source: Any) -> list[list[Any]]:
    """The values of an INSERT, or the columns of its query; none where they cannot be told."""
    if isinstance(source, exp.Values):
        return [list(row.expressions) for row in source.expressions]
    if isinstance(source, exp.Subquery):
        return _rows(source.this)
    if isinstance(source, exp.SetOperation):
        return [*_rows(source.this), *_rows(source.expression)]
    if isinstance(source, exp.Select) and not source.is_star:
        return [[each.this if isinstance(each, exp.Alias) else each for each in source.expressions]]
    return []


def require_divisors(tree: exp.Expression) -> None:
    """Let divisions by zero fail, in a statement that stores what they answer."""
    for node in list(tree.find_all(exp.Div, exp.IntDiv, exp.Mod)):
        divisor = node.expression
        if not (isinstance(divisor, exp.Literal) and float(divisor.name or 0) != 0):
            node.set("expression", set_kind(call("my_divisor", divisor), kind_of(divisor)))


# --- UPDATE -----------------------------------------------------------------------------------------------------------
def refresh(change: Any, context: Context) -> None:
    """Give the columns with ON UPDATE CURRENT_TIMESTAMP the time, if another one changes and they are not named."""
    insert = change.find_ancestor(exp.Insert) if isinstance(change, exp.OnConflict) else None
    target = insert.this if insert is not None else change.this
    target = target.this if isinstance(target, exp.Schema) else target
    changes = [each for each in change.expressions if isinstance(each, exp.EQ)]
    named = {each.this.name.lower() for each in changes}
    for name, column in context.schema.tables.get(target.name.lower(), {}).items():
        if "updating" not in column.declared.split("(")[0].split() or name in named or not changes:
            continue
        own = exp.column(exp.to_identifier(name, quoted=True))
        differs = [call("my_differs", _bare(each.this), each.expression) for each in changes]
        test = differs[0] if len(differs) == 1 else exp.or_(*differs)
        value = exp.Case(ifs=[exp.If(this=test, true=_now(of_column(column).scale or 0))], default=own.copy())
        change.append("expressions", exp.EQ(this=own, expression=value))


def _bare(column: Any) -> Any:
    return exp.column(column.this.copy(), table=column.args.get("table"))


def _now(digits: int) -> exp.Expression:
    inner = [literal(digits)] if digits else []
    return set_kind(exp.Anonymous(this="now", expressions=inner), Kind("datetime", scale=digits))


# --- queries ----------------------------------------------------------------------------------------------------------
def answered(tree: exp.Expression, context: Context) -> None:
    """The columns of every query: quotients with the digits that are shown, texts under their collation."""
    if context.in_definition:
        return
    for select in list(tree.find_all(exp.Select)):
        for each in select.expressions:
            value = each.this if isinstance(each, exp.Alias) else each
            kind = kind_of(value)
            shown = value if isinstance(select.parent, exp.Insert) else as_shown(value)
            if shown is not value:
                value.replace(shown)
            elif kind.name == "text" and not isinstance(value, exp.Column | exp.Literal):
                made = collated(value, context)
                if made is not value:
                    value.replace(made)
        group = select.args.get("group")
        for each in group.expressions if group is not None else []:
            shown = as_shown(each)
            if shown is not each:
                each.replace(shown)
            elif kind_of(each).name == "text" and not isinstance(each, exp.Column | exp.Literal):
                made = collated(each, context)
                if made is not each:
                    each.replace(made)
    for union in list(tree.find_all(exp.SetOperation)):
        _united(union, context)


def _united(union: exp.SetOperation, context: Context) -> None:
    """The columns of a UNION: what is a text in one part is one in all."""
    parts = [each for each in (union.left, union.right) if isinstance(each, exp.Select) and not each.is_star]
    if len(parts) != 2:
        return
    for columns in zip(*(each.expressions for each in parts), strict=False):
        _unite([each.unalias() for each in columns], context)


def _unite(values: list[Any], context: Context) -> None:
    kinds = [kind_of(each) for each in values]
    names = {kind.name for kind in kinds} - {"null"}
    if len(names) < 2 and "unknown" not in names:
        whole = None
    elif "double" in names and any(
        isinstance(each, exp.Anonymous) and each.name == "my_decimal_round" for each in values
    ):
        raise NotSaid("UNION of a quotient and a floating point number")
    elif names == {"date", "datetime"}:
        whole = "my_as_datetime"
    elif names & {"date", "datetime", "time", "json", "bytes", "mixed", "unknown"} or (
        names & {"text", "enum"} and names & {"double", "decimal", "number"}
    ):
        raise NotSaid(f"UNION of {' and '.join(sorted(names))} values")
    else:
        whole = None
    if whole is not None:
        for value, kind in zip(values, kinds, strict=True):
            if kind.name == "date":
                value.replace(call(whole, value))
    if of_several(kinds).name == "text":
        for value in values:
            made = as_string(value)
            value.replace(collated(made if made is not value else value.copy(), context))
