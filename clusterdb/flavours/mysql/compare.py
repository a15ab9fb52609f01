"""Where MySQL compares: what both sides become, by their kinds, so that SQLite compares them as MySQL does.

Numbers and texts are compared as numbers, dates with texts as dates, texts by their collation.  Of a parameter only the
value tells what it is: a function looks at it, and refuses a number where a text is meant, since then MySQL would
compare the column as numbers.
"""

from __future__ import annotations

import re

from sqlglot import exp

from clusterdb.flavours.collations import BIN, CI
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Unsupported, call, literal
from clusterdb.flavours.functions import as_moment, number_of
from clusterdb.flavours.rules import quantified
from clusterdb.flavours.types import INTEGER, UNKNOWN, Kind, decimal, kind_of, set_kind

__all__ = [
    "among",
    "as_branch",
    "as_ordinal",
    "as_shown",
    "as_string",
    "as_text",
    "between",
    "branches",
    "cases",
    "collated",
    "collation_of",
    "comparable",
    "comparison",
    "extreme",
    "null_safe",
    "nullif",
    "ordered",
    "paired",
    "require_no_extreme",
    "require_one_kind",
    "truth",
]

_NUMERIC = frozenset({"integer", "decimal", "double", "boolean", "number"})
_TEXTUAL = frozenset({"text", "enum"})
_MOMENTS = frozenset({"date", "datetime"})
_ZEROS = re.compile(r"\d{4}-(?:00-\d\d|\d\d-00)(?: \d\d:\d\d:\d\d)?")
_MIDNIGHT = "00:00:00"


# --- texts ------------------------------------------------------------------------------------------------------------
def as_text(node: exp.Expression) -> exp.Expression:
    """An expression as MySQL writes its value.  Raises Unsupported if only the server knows how many digits it has."""
    kind = kind_of(node)
    if kind.name == "decimal":
        inner = node.this if isinstance(node, exp.Paren) else node
        if isinstance(inner, exp.Literal):
            return set_kind(literal(inner.name), Kind("text"))
        if kind.scale is None:
            raise Unsupported("the text of a number whose digits are not known")
        return set_kind(call("my_decimal_text", node, kind.scale), Kind("text"))
    if kind.name == "number":
        raise Unsupported("the text of what a parameter is calculated with")
    if kind.name == "double" and kind.scale is not None:
        return set_kind(call("my_decimal_text", node, kind.scale), Kind("text"))
    if kind.name == "double":
        return set_kind(call("my_to_text", node), Kind("text"))
    if kind.name == "integer" and kind.collation == "zerofill":
        return set_kind(call("my_lpad", node, kind.scale, "0"), Kind("text"))
    if kind.name == "datetime" and kind.scale not in (None, 0, 6):
        raise Unsupported("the text of a time with fractions of a second")
    return node


def as_ordinal(node: exp.Expression) -> exp.Expression:
    """A value of an ENUM or a SET as its number; others as they are.

    Raises Unsupported if its members are not known.
    """
    kind = kind_of(node)
    if kind.name != "enum":
        return node
    if not kind.members:
        raise Unsupported("an ENUM or SET as a number")
    return set_kind(call("my_ordinal", node, kind.members, kind.size), INTEGER)


def as_string(node: exp.Expression) -> exp.Expression:
    """An expression that is a text among texts."""
    if kind_of(node).name in ("integer", "boolean", "double"):
        return set_kind(call("my_to_text", node), Kind("text"))
    return as_text(node)


def collation_of(kind: Kind) -> str:
    """The collation of SQLite's that stands for a text's."""
    name = kind.collation.lower()
    if not name or name.endswith("_ci"):
        return CI
    return BIN if name.endswith(("_bin", "_cs")) else "BINARY"


def collated(node: exp.Expression, context: Context, name: str = "") -> exp.Expression:
    """A text under the collation that it has, if SQLite would not know that."""
    kind = kind_of(node)
    if kind.name not in _TEXTUAL or isinstance(node, exp.Collate) or context.in_definition:
        return node
    wanted = name or collation_of(kind)
    if isinstance(node, exp.Column) and collation_of(kind) == wanted:
        return node
    return set_kind(exp.Collate(this=exp.paren(node.copy()), expression=exp.var(wanted)), kind)


def _is_column(node: exp.Expression) -> bool:
    return isinstance(node, exp.Column | exp.Subquery | exp.Select | exp.Star)


def _require_no_query_of_parameters(node: exp.Expression) -> None:
    """Raises Unsupported for a query that may answer a number or a text."""
    inner = node
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Subquery | exp.Select) and kind_of(node) == UNKNOWN and _has_parameters(inner):
        raise Unsupported("a query that answers a parameter, in a comparison")


# --- pairs ------------------------------------------------------------------------------------------------------------
def require_no_extreme(node: exp.Expression) -> None:
    """Raises Unsupported for GREATEST and LEAST of texts where a number is meant, since then they compare numbers."""
    while isinstance(node, exp.Paren | exp.Collate):
        node = node.this
    if isinstance(node, exp.Anonymous) and node.name in ("my_greatest_text", "my_least_text"):
        raise Unsupported("GREATEST or LEAST of texts as a number")


def _as_number(node: exp.Expression) -> exp.Expression:
    """A text as the number that it begins with."""
    require_no_extreme(node)
    if isinstance(node, exp.Literal):
        return set_kind(literal(number_of(node.name)), decimal(None))
    return set_kind(call("my_number", node), Kind("double"))


def _as_moment(node: exp.Expression, kind: Kind) -> exp.Expression:
    """A text, a number or a date as what it is compared with."""
    if isinstance(node, exp.Literal):
        if _ZEROS.fullmatch(node.name):
            text = node.name[:10] if kind.name == "date" else f"{node.name[:10]} {node.name[11:] or _MIDNIGHT}"
            return set_kind(literal(text), kind)
        try:
            return set_kind(literal(as_moment(node.name, kind.name)), kind)
        except (ValueError, TypeError):
            raise Unsupported(f"a comparison of a {kind.name} with '{node.name}'") from None
    return set_kind(call(f"my_as_{kind.name}", node), kind)


def _texts(left: exp.Expression, right: exp.Expression, context: Context) -> tuple[exp.Expression, exp.Expression]:
    names = {collation_of(kind_of(node)) for node in (left, right) if kind_of(node).name in _TEXTUAL}
    wanted = "BINARY" if "BINARY" in names else BIN if BIN in names else CI
    if isinstance(left, exp.Column) and collation_of(kind_of(left)) == wanted and kind_of(left).name in _TEXTUAL:
        return left, right
    if (
        isinstance(right, exp.Column)
        and not isinstance(left, exp.Collate | exp.Column)
        and wanted == collation_of(kind_of(right))
    ):
        return left, right
    return collated(left, context, wanted) if kind_of(left).name in _TEXTUAL else _collate(left, wanted), right


def _collate(node: exp.Expression, name: str) -> exp.Expression:
    return exp.Collate(this=exp.paren(node.copy()), expression=exp.var(name))


def paired(left: exp.Expression, right: exp.Expression, context: Context) -> tuple[exp.Expression, exp.Expression]:
    """Both sides of a comparison, as SQLite compares them.  Raises Unsupported."""
    if context.in_definition:
        return _paired_in_schema(left, right, context)
    first, second = kind_of(left), kind_of(right)
    names = {first.name, second.name}
    for node in (left, right):
        _require_no_query_of_parameters(node)
    if "null" in names or names <= _NUMERIC:
        return left, right
    if names <= _TEXTUAL:
        return _texts(left, right, context)
    for one, other, swap in ((left, right, False), (right, left, True)):
        result = _one_sided(one, kind_of(one), other, kind_of(other), context)
        if result is not None:
            return (result[1], result[0]) if swap else result
    if names == {"unknown"} and not (_is_column(left) or _is_column(right)):
        return set_kind(call("my_compare", left, right), Kind("integer")), set_kind(literal(0), Kind("integer"))
    if names & {"json", "mixed"} and "unknown" not in names:
        raise Unsupported(f"a comparison of {first.name} and {second.name}")
    return left, right


def _paired_in_schema(
    left: exp.Expression, right: exp.Expression, context: Context
) -> tuple[exp.Expression, exp.Expression]:
    """The same where others write the table.  Raises Unsupported for what needs a function of ours."""
    result = paired(left, right, context.for_query())
    if {kind_of(left).name, kind_of(right).name} <= _TEXTUAL | {"unknown", "null"}:
        return left, right
    if any(isinstance(node, exp.Anonymous) and node not in (left, right) for node in result):
        raise Unsupported(f"a {kind_of(left).name} beside a {kind_of(right).name} in the definition of a table")
    return result


def _one_sided(
    one: exp.Expression, kind: Kind, other: exp.Expression, second: Kind, context: Context
) -> tuple[exp.Expression, exp.Expression] | None:
    """The sides if the first decides what becomes of the second; None if it does not."""
    if kind.name in _NUMERIC:
        if second.name == "enum":
            raise Unsupported("an ENUM as a number")
        if second.name == "text" or (second.name == "unknown" and not _is_column(other)):
            return one, _as_number(other)
        if second.name == "json":
            return one, set_kind(call("my_json_number", other), Kind("double"))
        if second.name in _MOMENTS:
            if not isinstance(one, exp.Literal):
                raise Unsupported(f"a {second.name} compared with a number")
            return _as_moment(one, second), other
    if kind.name in _MOMENTS:
        if second.name in _TEXTUAL or (second.name == "unknown" and not _is_column(other)):
            return one, _as_moment(other, kind)
        if kind.name == "datetime" and second.name == "date":
            return one, set_kind(call("my_as_datetime", other), kind)
    if kind.name == "time" and (second.name in _TEXTUAL or (second.name == "unknown" and not _is_column(other))):
        return one, set_kind(call("my_as_time", other), kind)
    if kind.name == "time" and second.name in _MOMENTS | _NUMERIC:
        raise Unsupported(f"a time compared with a {second.name}")
    if kind.name in _TEXTUAL and second.name == "unknown":
        if _is_column(other):
            return None
        return _texts(one, set_kind(call("my_word", other), Kind("text", collation=kind.collation)), context)
    if kind.name == "json" and second.name in _TEXTUAL:
        return _collate(call("my_json_word", one), "BINARY"), other
    if kind.name == "json" and second.name == "unknown" and not _is_column(other):
        return _collate(call("my_json_beside", one, other), "BINARY"), other
    if kind.name == "bytes" and second.name in _TEXTUAL:
        return call("my_to_text", one), other
    return None


# --- rules ------------------------------------------------------------------------------------------------------------
def _tested(
    kind: type[exp.Expression], left: exp.Expression, right: exp.Expression, context: Context
) -> exp.Expression:
    """One comparison; of rows each with each."""
    if {type(left), type(right)} == {exp.Tuple, exp.Subquery}:
        raise Unsupported("a row compared with a query for one")
    if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple) and len(left.expressions) == len(right.expressions):
        pairs = [paired(a, b, context) for a, b in zip(left.expressions, right.expressions, strict=True)]
        left, right = exp.Tuple(expressions=[a for a, _ in pairs]), exp.Tuple(expressions=[b for _, b in pairs])
        return kind(this=left.copy(), expression=right.copy())
    first, second = paired(left, right, context)
    return kind(this=first.copy(), expression=second.copy())


def comparison(node: exp.Expression, context: Context) -> exp.Expression:
    """A comparison; also with ANY and ALL."""
    left, right = node.this, node.expression
    if isinstance(node.parent, exp.Update | exp.OnConflict) and node.arg_key == "expressions":
        return node
    if isinstance(right, exp.All | exp.Any):
        return quantified(node, right)
    return _tested(type(node), left, right, context)


def null_safe(node: exp.NullSafeEQ, context: Context) -> exp.Expression:
    """``<=>``."""
    left, right = paired(node.this, node.expression, context)
    if isinstance(left, exp.Anonymous) and left.name == "my_compare":
        return (
            exp.paren(
                exp.or_(
                    exp.EQ(this=left.copy(), expression=right.copy()),
                    exp.and_(
                        exp.Is(this=node.this.copy(), expression=exp.null()),
                        exp.Is(this=node.expression.copy(), expression=exp.null()),
                    ),
                )
            )
            if not _has_parameters(node)
            else _refuse_pair()
        )
    return exp.Is(this=left.copy(), expression=right.copy())


def _has_parameters(node: exp.Expression) -> bool:
    return node.find(exp.Placeholder) is not None


def _refuse_pair() -> exp.Expression:
    raise Unsupported("<=> of two parameters")


def among(node: exp.In, context: Context) -> exp.Expression:
    """IN: each with each; with a query as its column."""
    query = node.args.get("query")
    if query is not None:
        return _among_rows(node, query, context)
    left, others = node.this, node.expressions
    if context.in_definition or not others:
        return node
    pairs = [(exp.EQ, expression) for expression in others]
    result = [_tested(kind, left, expression, context) for kind, expression in pairs]
    heads = {expression.this.sql() for expression in result}
    if kind_of(left).name == "json" and any(kind_of(expression).name == "text" for expression in others):
        raise Unsupported("JSON IN texts")
    if len(heads) == 1:
        head = result[0].this
        if kind_of(left).name in _TEXTUAL | {"unknown"} and not isinstance(head, exp.Column | exp.Collate):
            texts = [kind_of(expression) for expression in (left, *others) if kind_of(expression).name in _TEXTUAL]
            head = _collate(head, collation_of(texts[-1])) if texts else head
        return exp.In(this=head, expressions=[expression.expression for expression in result])
    if _has_parameters(left):
        raise Unsupported("a parameter IN values of several kinds")
    return exp.paren(exp.or_(*result))


def _among_rows(node: exp.In, query: exp.Expression, context: Context) -> exp.Expression:
    inner = query.this if isinstance(query, exp.Subquery) else query
    if isinstance(node.this, exp.Tuple):
        return node
    kind = kind_of(query)
    _require_no_query_of_parameters(query)
    if kind == UNKNOWN or (kind_of(node.this) == UNKNOWN and (_is_column(node.this) or kind.name in _TEXTUAL)):
        return node
    stand_in = set_kind(exp.column("clusterdb_value"), kind)
    left, right = paired(node.this, stand_in, context)
    if right is stand_in:
        node.set("this", left)
        return node
    if not isinstance(inner, exp.Select) or len(inner.expressions) != 1 or inner.is_star:
        raise Unsupported(f"a {kind_of(node.this).name} IN a query that answers a {kind.name}")
    value = inner.expressions[0]
    value = value.this if isinstance(value, exp.Alias) else value
    changed = right.transform(lambda node: value.copy() if node == stand_in else node)
    inner.set("expressions", [changed])
    node.set("this", left)
    return node


def between(node: exp.Between, context: Context) -> exp.Expression:
    """BETWEEN: as two comparisons, if the sides are of several kinds."""
    low, high = paired(node.this, node.args["low"], context), paired(node.this, node.args["high"], context)
    if low[0] == high[0]:
        return exp.Between(this=low[0].copy(), low=low[1].copy(), high=high[1].copy())
    if _has_parameters(node.this):
        raise Unsupported("a parameter BETWEEN values of several kinds")
    names = {kind_of(expression).name for expression in (node.this, node.args["low"], node.args["high"])}
    if names & _TEXTUAL and names & _NUMERIC:
        raise Unsupported("BETWEEN of texts and numbers")
    first = exp.GTE(this=low[0].copy(), expression=low[1].copy())
    return exp.paren(exp.and_(first, exp.LTE(this=high[0].copy(), expression=high[1].copy())))


def require_one_kind(what: str, node: exp.Expression) -> None:
    """Raises Unsupported if the value is one of several kinds, which MySQL would make texts."""
    if kind_of(node).name == "mixed":
        raise Unsupported(f"{what} of values of several kinds")


def as_branch(value: exp.Expression, node: exp.Expression) -> exp.Expression:
    """One of several values, of which one is taken: as the others are, as far as MySQL makes them alike."""
    if kind_of(node).name == "datetime" and kind_of(value).name == "date":
        return set_kind(call("my_as_datetime", value), kind_of(node))
    kind = kind_of(value)
    if kind == UNKNOWN and not _is_column(value):
        names = {kind_of(expression).name for expression in _branches_of(node)}
        if names & (_TEXTUAL | _MOMENTS | {"time"}):
            return call("my_word", value)
        if names & _NUMERIC:
            return call("my_figure", value)
    return as_shown(value)


def _branches_of(node: exp.Expression) -> list[exp.Expression | None]:
    """The values of which one is taken."""
    if isinstance(node, exp.Case):
        return [*(expression.args["true"] for expression in node.args["ifs"]), node.args.get("default")]
    if isinstance(node, exp.If):
        return [node.args.get("true"), node.args.get("false")]
    return list(node.expressions)[1 if node.name.lower() == "if" else 0 :]


def as_shown(value: exp.Expression) -> exp.Expression:
    """A quotient with the digits that it shows, where it is no longer calculated with."""
    kind = kind_of(value)
    if kind.name == "decimal" and kind.size and kind.scale is not None:
        return set_kind(call("my_decimal_round", value, kind.scale), decimal(kind.scale))
    return value


def cases(node: exp.Case, context: Context) -> exp.Expression:
    """CASE: with a value as comparisons of it; branches of several kinds are texts."""
    base = node.this
    require_one_kind("CASE", node)
    for expression in node.args["ifs"]:
        expression.set("true", as_branch(expression.args["true"], node))
    if node.args.get("default") is not None:
        node.set("default", as_branch(node.args["default"], node))
    if kind_of(node).name == "text":
        for expression in node.args["ifs"]:
            expression.set("true", as_string(expression.args["true"]))
        if node.args.get("default") is not None:
            node.set("default", as_string(node.args["default"]))
    if base is None:
        for expression in node.args["ifs"]:
            require_no_extreme(expression.this)
        return node
    tests = [_tested(exp.EQ, base, expression.this, context) for expression in node.args["ifs"]]
    if all(test.this == base for test in tests):
        for expression, test in zip(node.args["ifs"], tests, strict=True):
            expression.set("this", test.expression)
        return node
    if _has_parameters(base):
        raise Unsupported("CASE of a parameter and values of several kinds")
    for expression, test in zip(node.args["ifs"], tests, strict=True):
        expression.set("this", test)
    node.set("this", None)
    return node


def nullif(node: exp.Expression, context: Context) -> exp.Expression:
    """NULLIF."""
    left, right = node.expressions
    test = _tested(exp.EQ, left, right, context)
    if test.this == left and test.expression == right:
        return exp.Anonymous(this="nullif", expressions=[left, right])
    if _has_parameters(left):
        raise Unsupported("NULLIF of a parameter and another kind of value")
    return exp.Case(ifs=[exp.If(this=test, true=exp.null())], default=left.copy())


def ordered(node: exp.Ordered, context: Context) -> exp.Expression:
    """ORDER BY: texts by their collation, also those that a function makes."""
    kind = kind_of(node.this)
    inner = node.this.unnest()
    if isinstance(inner, exp.Boolean | exp.Not | exp.Placeholder) and inner.find(exp.Column, exp.Func) is None:
        raise Unsupported("ORDER BY TRUE, FALSE or a parameter, which servers take for a number of a column,")
    if kind.name == "enum" and kind.members:
        node.set("this", as_ordinal(node.this))
        return node
    if kind.name in ("enum", "json", "mixed"):
        raise Unsupported(f"the order of {kind.name} values")
    if kind.name == "text" and not isinstance(node.this, exp.Column | exp.Literal):
        node.set("this", collated(node.this, context))
    result = as_shown(node.this)
    if result is not node.this:
        node.set("this", result)
    return node


def comparable(node: exp.Expression, context: Context) -> exp.Expression:
    """What MIN and MAX choose from."""
    if kind_of(node).name in ("enum", "json", "mixed"):
        raise Unsupported(f"the order of {kind_of(node).name} values")
    return collated(node, context)


def _is_moment(node: exp.Expression) -> bool:
    """Whether a literal is a date."""
    try:
        return isinstance(node, exp.Literal) and bool(as_moment(node.name, "date"))
    except (ValueError, TypeError):
        return False


def extreme(node: exp.Expression) -> exp.Expression:
    """GREATEST and LEAST."""
    arguments, name = node.expressions, node.name.lower()
    names = {kind_of(argument).name for argument in arguments} - {"null"}
    if names and names <= _TEXTUAL:
        return call(f"my_{name}_text", *arguments)
    if names <= _NUMERIC | {"unknown"}:
        return call(f"my_{name}", *arguments)
    if names & _MOMENTS and names <= _MOMENTS | {"text"}:
        texts = [argument for argument in arguments if kind_of(argument).name == "text"]
        if "datetime" in names or not all(map(_is_moment, texts)):
            raise Unsupported(f"{name.upper()} of times and others")
        return call(f"my_{name}", *arguments)
    if names == {"time"}:
        return call(f"my_{name}", *arguments)
    raise Unsupported(f"{name.upper()} of {' and '.join(sorted(names))} values")


def branches(node: exp.If, context: Context) -> exp.Expression:
    """IF(): branches of several kinds are texts."""
    if not isinstance(node.parent, exp.Case):
        require_one_kind("IF", node)
        for part in ("true", "false"):
            if node.args.get(part) is not None:
                node.set(part, as_branch(node.args[part], node))
    if kind_of(node.this).name == "json":
        truth(node, context)
    if kind_of(node).name == "text" and not isinstance(node.parent, exp.Case):
        for part in ("true", "false"):
            if node.args.get(part) is not None:
                node.set(part, as_string(node.args[part]))
    return node


def truth(node: exp.Expression, context: Context) -> exp.Expression:
    """What is a condition: JSON by its value."""
    for part in ("this", "expression"):
        inner = node.args.get(part)
        if inner is not None:
            require_no_extreme(inner)
        if isinstance(inner, exp.Expression) and kind_of(inner).name == "json":
            node.set(part, exp.NEQ(this=call("my_json_number", inner), expression=literal(0)))
    return node
