"""MySQL's expressions in SQLite's words: a rule for each kind of node."""

from __future__ import annotations

from sqlglot import exp

from clusterdb.flavours import rules
from clusterdb.flavours.collations import CI
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Rule, Unsupported, arithmetic, call, literal
from clusterdb.flavours.mysql.compare import as_ordinal, as_shown, as_text, collated, collation_of, require_no_extreme
from clusterdb.flavours.mysql.variables import DEFAULTS, READ_ONLY
from clusterdb.flavours.types import BYTES, INTEGER, JSON, TEXT, UNKNOWN, Kind, kind_of, set_kind

__all__: list[str] = []


def now(form: str, digits: exp.Expression | None = None) -> exp.Expression:
    """The time, with no fractions of a second or with six digits."""
    if digits is not None and digits.name in ("1", "2", "3", "4", "5", "6"):
        count = int(digits.name)
        whole = exp.Anonymous(this="strftime", expressions=[literal(form.replace("%S", "%f")), literal("now")])
        if count > 3:
            return exp.paren(exp.DPipe(this=whole, expression=literal("0" * (count - 3))))
        length = (20 if "%Y" in form else 9) + count
        return whole if count == 3 else call("substr", whole, 1, length)
    if digits is not None and digits.name != "0":
        raise Unsupported("the time with such a number of digits")
    return exp.Anonymous(this="strftime", expressions=[literal(form), literal("now")])


def shifted(node: exp.Expression, sign: int, context: Context) -> exp.Expression | None:
    """What an interval is added to, or taken from."""
    if isinstance(node.expression, exp.Interval):
        return plus(node.this, node.expression, sign)
    if isinstance(node.this, exp.Interval) and sign > 0:
        return plus(node.expression, node.this, sign)
    return calculated("plus" if sign > 0 else "minus")(node, context)


def calculated(name: str) -> Rule:
    """Plus, minus, times: exactly with decimals."""

    def rule(node: exp.Expression, context: Context) -> exp.Expression | None:
        kind = kind_of(node)
        _as_ordinals(node)
        parts = (node.this, node.expression)
        if kind.name == "number" and any(kind_of(part).name == "decimal" and kind_of(part).size for part in parts):
            raise Unsupported("a quotient calculated with a parameter of which no type is known")
        if kind.name == "decimal":
            digits = max(kind.size, kind.scale or 0)
            if context.in_definition:
                return exp.Anonymous(this="round", expressions=[node.copy(), literal(digits)])
            return call(f"my_decimal_{name}", node.this, node.expression, digits)
        small = all(
            isinstance(expression, exp.Literal) and len(expression.name) < 9
            for expression in (node.this, node.expression)
        )
        if small and kind.name == "integer":
            return node
        return arithmetic(f"my_{name}")(node, context)

    return rule


def _as_ordinals(node: exp.Expression) -> None:
    """Give an operator of numbers the numbers of ENUM and SET values.  Raises Unsupported for DOUBLE(m,d)."""
    for part in (node.this, node.args.get("expression")):
        if part is None:
            continue
        if kind_of(part).name == "double" and kind_of(part).scale is not None:
            raise Unsupported("calculating with a DOUBLE(m,d) column")
        result = as_ordinal(part)
        if result is not part:
            part.replace(result)


def negative(node: exp.Neg, context: Context) -> exp.Expression | None:
    """Minus a number."""
    if isinstance(node.this, exp.Literal) and not node.this.is_string:
        return node
    return arithmetic("my_negative")(node, context)


def quotient(node: exp.Div, context: Context) -> exp.Expression:
    """``/``: exact, if its operands are."""
    kind = kind_of(node)
    if kind.name == "decimal":
        return call("my_quotient", node.this, node.expression, kind.size)
    if kind.name == "number" and not context.in_definition:
        raise Unsupported("a quotient with a parameter of which no type is known")
    return call("my_div", node.this, node.expression)


def bits(name: str) -> Rule:
    """An operation on 64 bits without a sign."""

    def rule(node: exp.Expression, context: Context) -> exp.Expression | None:
        _as_ordinals(node)
        parts = [node.this, *([node.expression] if node.args.get("expression") is not None else [])]
        return node if context.in_definition else call(f"my_{name}", *parts)

    return rule


def total(node: exp.Expression, context: Context) -> exp.Expression:
    """SUM and AVG of decimals, without what floating point numbers add; of a window behind it."""
    for argument in [node.this] if isinstance(node.this, exp.Expression) else node.expressions:
        number_argument("sum", argument)
    name = node.name.lower() if isinstance(node, exp.Anonymous) else node.key
    summed = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
    if kind_of(summed).name == "enum" or (kind_of(summed).name == "double" and kind_of(summed).scale is not None):
        raise Unsupported(f"{name.upper()}() of such a column")
    if name == "avg" and kind_of(node).name == "number":
        raise Unsupported("AVG() of what a parameter is calculated with")
    if isinstance(node.parent, exp.Window | exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        return node
    return without_noise(node)


def without_noise(node: exp.Expression) -> exp.Expression:
    """A decimal with the digits that it has."""
    kind = kind_of(node)
    if kind.name != "decimal" or kind.scale is None:
        return node
    return set_kind(call("my_decimal_round", node, max(kind.size, kind.scale)), kind)


def window(node: exp.Window, context: Context) -> exp.Expression:
    """A window: its SUM and AVG exact, of quotients with the digits that they show."""
    for expression in node.this.expressions:
        shown = as_shown(expression)
        if shown is not expression:
            expression.replace(shown)
    for expression in node.args.get("partition_by") or []:
        expression.replace(collated(expression, context))
    name = node.this.name.lower() if isinstance(node.this, exp.Anonymous) else node.this.key
    return without_noise(node) if name in ("sum", "avg") else node


def plus(value: exp.Expression, interval: exp.Interval, sign: int) -> exp.Expression:
    unit = interval.args["unit"].name.lower() if interval.args.get("unit") is not None else ""
    if not unit:
        raise Unsupported("an INTERVAL without a unit")
    own = kind_of(value).name
    if own in ("integer", "decimal", "double", "boolean", "number", "mixed", "null") or (
        own == "text" and not isinstance(value, exp.Literal | exp.Column)
    ):
        raise Unsupported(f"an INTERVAL added to a {own}")
    count = interval.this
    if sign < 0:
        count = exp.Neg(this=exp.paren(count.copy())) if "_" not in unit else call("my_concat", "-", count)
    return call("my_add", value, count, unit)


def like(node: exp.Like, context: Context) -> exp.Expression:
    """LIKE: character by character, as the collation has them equal."""
    if isinstance(node.parent, exp.Escape):
        return node
    return _like(node, None)


def escape(node: exp.Escape, context: Context) -> exp.Expression:
    """LIKE ... ESCAPE."""
    inner = node.this
    while isinstance(inner, exp.Not | exp.Paren):
        inner = inner.this
    if not isinstance(inner, exp.Like):
        return node
    result = _like(inner, node.expression)
    return exp.Not(this=result) if isinstance(node.this, exp.Not) or inner.args.get("negate") else result


def _like(node: exp.Expression, character: exp.Expression | None) -> exp.Expression:
    sides = [node.this, node.expression]
    names = {collation_of(kind_of(side)) for side in sides if kind_of(side).name in ("text", "enum")}
    function = "my_like" if names <= {CI} else "my_like_bin"
    plain = [side.this if isinstance(side, exp.Collate) else side for side in sides]
    return call(
        function, *(as_text(expression) for expression in plain), *([character] if character is not None else [])
    )


_CASTS = {
    "BIGINT": ("my_to_int", ()),
    "INT": ("my_to_int", ()),
    "SIGNED": ("my_to_int", ()),
    "UBIGINT": ("my_to_unsigned", ()),
    "UINT": ("my_to_unsigned", ()),
    "DATE": ("my_date", ()),
    "DATETIME": ("my_timestamp", ()),
    "TIMESTAMP": ("my_timestamp", ()),
    "DOUBLE": ("my_number", ()),
    "FLOAT": ("my_number", ()),
}


MOMENTS = frozenset({"date", "datetime", "time"})
_OF_MOMENTS = frozenset({"DATE", "DATETIME", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "CHAR", "VARCHAR", "TEXT", "NCHAR"})
_NUMBERS = frozenset({"integer", "decimal", "double", "boolean", "number"})


def number_argument(name: str, argument: exp.Expression) -> exp.Expression:
    """An argument that is a number.  Raises Unsupported for a date, of which MySQL would take the digits."""
    inner = argument.expressions[0] if isinstance(argument, exp.Distinct) else argument
    require_no_extreme(inner)
    shifted = isinstance(inner, exp.Anonymous) and inner.name == "my_add"
    if kind_of(inner).name in MOMENTS or shifted:
        raise Unsupported(f"{name.upper()}() of a {kind_of(inner).name}")
    return argument


def date_argument(name: str, argument: exp.Expression) -> exp.Expression:
    """An argument that is a date.  Raises Unsupported for a number, of which MySQL would read the digits as a date."""
    if kind_of(argument).name in _NUMBERS:
        raise Unsupported(f"{name.upper()}() of a number")
    return argument


def unsupported_argument(name: str, argument: exp.Expression) -> exp.Expression:
    """An argument that MySQL's function has, and this one has not.  Raises Unsupported."""
    raise Unsupported(f"{name.upper()}() with an argument {argument.sql(dialect='mysql')}")


def require_no_texts(arguments: list[exp.Expression]) -> None:
    """Raises Unsupported for texts, of whose remainder servers do not agree how many digits it has."""
    if any(kind_of(argument).name == "text" for argument in arguments):
        raise Unsupported("MOD() of a text")


def remainder(node: exp.Mod, context: Context) -> exp.Expression:
    """``%``."""
    require_no_texts([node.this, node.expression])
    return call("my_mod", node.this, node.expression)


def of_numbers(rule: Rule) -> Rule:
    """An operator of numbers, to which MySQL gives a date as its digits."""

    def checked(node: exp.Expression, context: Context) -> exp.Expression | None:
        number_argument("mod", node.this)
        number_argument("mod", node.expression)
        require_no_extreme(node.this)
        require_no_extreme(node.expression)
        _as_ordinals(node)
        return rule(node, context)

    return checked


def extract(node: exp.Extract, context: Context) -> exp.Expression:
    """EXTRACT."""
    date_argument("extract", node.expression)
    return call("my_extract", node.name.lower(), node.expression)


def cast(node: exp.Cast, context: Context) -> exp.Expression:
    kind = node.to.this.value if isinstance(node.to.this, exp.DataType.Type) else str(node.to.this)
    sizes = [int(expression.name) for expression in node.to.expressions]
    own = kind_of(node.this)
    if kind not in _OF_MOMENTS:
        require_no_extreme(node.this)
    if own.name in MOMENTS and kind not in _OF_MOMENTS:
        raise Unsupported(f"a {own.name} as a number")
    if kind in ("DATE", "DATETIME", "TIME") and own.name in ("integer", "decimal", "double", "boolean"):
        raise Unsupported("a number as a date")
    if kind == "TIMESTAMPTZ" and isinstance(node.this, exp.Literal) and "." not in node.this.name:
        kind = "DATETIME"
    if kind in _CASTS and _CASTS[kind][0] == "my_to_int" and own.name in ("double", "unknown"):
        return call("my_double_to_int", node.this)
    if kind in _CASTS and _CASTS[kind][0] == "my_to_int" and own.name == "number":
        raise Unsupported("what a parameter is calculated with, as a whole number,")
    if kind in _CASTS:
        return call(_CASTS[kind][0], node.this)
    if kind in ("CHAR", "VARCHAR", "TEXT", "NCHAR"):
        return call("my_to_text", as_text(node.this), *sizes[:1])
    if kind in ("DECIMAL", "UDECIMAL"):
        return call("my_to_decimal", node.this, sizes[1] if len(sizes) > 1 else 0, sizes[0] if sizes else 10)
    if kind in ("BINARY", "VARBINARY"):
        return exp.Collate(this=exp.paren(node.this), expression=exp.var("BINARY"))
    if kind in ("CHARACTER_SET", "CHARACTER SET"):
        return node.this
    if kind == "JSON":
        return call("json", node.this)
    raise Unsupported(f"CAST ... AS {kind}")


def trim(node: exp.Trim, context: Context) -> exp.Expression:
    where = str(node.args.get("position") or "both").lower()
    return call("my_trim_word", as_text(node.this), node.expression or " ", where)


def substring(node: exp.Substring, context: Context) -> exp.Expression:
    arguments = [as_text(node.this), node.args.get("start") or literal(1)]
    if node.args.get("length") is not None:
        arguments.append(node.args["length"])
    return call("my_substring", *arguments)


def position(node: exp.StrPosition, context: Context) -> exp.Expression:
    return call("my_locate", as_text(node.args["substr"]), as_text(node.this))


def group_concat(node: exp.GroupConcat, context: Context) -> exp.Expression:
    what, separator = node.this, node.args.get("separator")
    order = None
    if isinstance(what, exp.Order):
        order, what = what, what.this
    distinct = isinstance(what, exp.Distinct)
    if distinct:
        values = what.expressions
        if separator is not None and separator.name != ",":
            raise Unsupported("GROUP_CONCAT(DISTINCT ... SEPARATOR other than a comma)")
    else:
        values = [what]
    if distinct and order is not None and len(values) == 1 and _is_own_order(values[0], order):
        return call("my_distinct_concat", values[0], int(bool(order.expressions[0].args.get("desc"))))
    if len(values) != 1:
        values = [call("my_concat", *(as_text(value) for value in values))]
    values = [
        call("my_to_text", value) if kind_of(value) == UNKNOWN else collated(as_text(value), context)
        for value in values
    ]
    inner: exp.Expression = exp.Distinct(expressions=values) if distinct else values[0]
    arguments = [inner] if distinct else [inner, separator or literal(",")]
    if order is not None:
        arguments[-1] = exp.Order(this=arguments[-1], expressions=order.expressions)
    return exp.Anonymous(this="group_concat", expressions=arguments)


def _is_own_order(value: exp.Expression, order: exp.Expression) -> bool:
    """Whether texts that are equal though they differ are ordered by themselves."""
    kind = kind_of(value)
    return kind.name == "text" and collation_of(kind) == CI and [node.this for node in order.expressions] == [value]


def count(node: exp.Expression, context: Context) -> exp.Expression:
    what = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
    if isinstance(what, exp.Distinct) and len(what.expressions) > 1:
        nothing = exp.or_(*(exp.Is(this=expression.copy(), expression=exp.null()) for expression in what.expressions))
        together = exp.Anonymous(this="json_array", expressions=[expression.copy() for expression in what.expressions])
        case = exp.Case(ifs=[exp.If(this=nothing, true=exp.null())], default=together)
        return exp.Count(this=exp.Distinct(expressions=[case]))
    if isinstance(what, exp.Distinct):
        what.set("expressions", [collated(expression, context) for expression in what.expressions])
    return node


def variable(node: exp.Parameter, context: Context) -> exp.Expression:
    return call("my_get", node.name.lower())


def system_variable(node: exp.SessionParameter, context: Context) -> exp.Expression:
    """A system variable, as the session has it; the global one is the default."""
    name = node.name.lower()
    if name not in DEFAULTS:
        raise Unsupported(f"@@{name}")
    if str(node.args.get("kind") or "").upper() == "GLOBAL" or name in READ_ONLY:
        return literal(DEFAULTS[name])
    return set_kind(call("my_variable", name), INTEGER if isinstance(DEFAULTS[name], int) else TEXT)


def table(node: exp.Table, context: Context) -> exp.Expression:
    for part in ("hints", "joins"):
        if part == "hints" and node.args.get(part):
            node.set(part, None)
    if node.args.get("partition"):
        raise Unsupported("PARTITION")
    return node


def select(node: exp.Select, context: Context) -> exp.Expression:
    source = node.args.get("from_")
    if source is not None and isinstance(source.this, exp.Table) and source.this.name.lower() == "dual":
        node.set("from_", None)
    node.set("locks", None)
    node.set("hint", None)
    node.set("operation_modifiers", None)
    if node.args.get("into") is not None:
        raise Unsupported("SELECT ... INTO")
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        raise Unsupported("DISTINCT ON, which MySQL has not,")
    return node


def hex(node: exp.HexString, context: Context) -> exp.Expression:
    """0x41: bytes, beside an operator a number."""
    if isinstance(node.parent, exp.Binary) and not isinstance(node.parent, exp.Predicate):
        return set_kind(literal(int(node.name, 16)), INTEGER)
    if isinstance(node.parent, exp.EQ | exp.NEQ):
        return exp.Anonymous(this="my_to_text", expressions=[node.copy()])
    return node


def introduced(node: exp.Introducer, context: Context) -> exp.Expression:
    """A text behind the name of its character set: one behind ``_binary`` is bytes."""
    name, value = str(node.this).lower(), node.expression
    if not isinstance(value, exp.Literal):
        if name == "_binary":
            return value
        raise Unsupported(f"{node.this} before something else than a text")
    if name == "_binary":
        return set_kind(exp.HexString(this=value.name.encode("utf-8", "surrogateescape").hex()), BYTES)
    return value


def text_literal(node: exp.Literal, context: Context) -> exp.Expression:
    """SQLite's texts in SQL end at a NUL; integers have 63 bits, the least one more."""
    if not node.is_string:
        most = 2**63 if isinstance(node.parent, exp.Neg) else 2**63 - 1
        if node.name.isdigit() and int(node.name) > most and not isinstance(node.parent, exp.Limit):
            raise Unsupported(f"the integer {node.name}")
        return node
    if "\0" not in node.name:
        return node
    text = exp.Cast(this=exp.HexString(this=node.name.encode().hex()), to=exp.DataType.build("text"))
    text.meta.update(node.meta)
    return text


def collate(node: exp.Collate, context: Context) -> exp.Expression:
    """COLLATE: the collation of SQLite's that stands for it."""
    name = node.expression.name.lower()
    if not name.startswith("utf8") and name != "binary":
        return node
    return exp.Collate(this=node.this, expression=exp.var(collation_of(Kind("text", collation=name))))


def as_json(node: exp.Expression) -> exp.Expression:
    """A value of SQL's as JSON."""
    kind, value = kind_of(node), node.this if isinstance(node, exp.Paren) else node
    if kind.name == "json":
        return exp.Coalesce(this=node.copy(), expressions=[literal("null")])
    if isinstance(value, exp.Boolean):
        return literal("true" if value.this else "false")
    if kind.name == "boolean":
        raise Unsupported("a condition in JSON")
    if kind.name == "decimal":
        return exp.Coalesce(this=as_text(node).copy(), expressions=[literal("null")])
    return call("my_json_quoted", node)


def json_extract(arguments: list[exp.Expression]) -> exp.Expression:
    """The value as JSON text: a string with its quotes."""
    if len(arguments) != 2:
        raise Unsupported("JSON_EXTRACT() with several paths")
    path = arguments[1]
    if isinstance(path, exp.Literal) and ("*" in path.name or "last" in path.name or " to " in path.name):
        raise Unsupported(f"the path '{path.name}'")
    return set_kind(call("my_json_at", *arguments), JSON)


def json_arrow(node: exp.Expression, *, unquoted: bool) -> exp.Expression:
    """``->`` and ``->>``."""
    steps = ["$"]
    for expression in node.expression.expressions if isinstance(node.expression, exp.JSONPath) else []:
        if isinstance(expression, exp.JSONPathKey):
            steps.append('."' + str(expression.this) + '"')
        elif isinstance(expression, exp.JSONPathSubscript) and isinstance(expression.this, int):
            steps.append(f"[{expression.this}]")
        elif not isinstance(expression, exp.JSONPathRoot):
            raise Unsupported("such a path")
    result = call(
        "my_json_at", node.this, "".join(steps) if isinstance(node.expression, exp.JSONPath) else node.expression
    )
    return call("my_json_unquote", result) if unquoted else result


def json_object(node: exp.JSONObject, context: Context) -> exp.Expression:
    """JSON_OBJECT()."""
    arguments: list[exp.Expression] = []
    for expression in node.expressions:
        arguments += [expression.this, as_json(expression.expression)]
    return call("my_json_object", *arguments)


def json_changed(name: str, arguments: list[exp.Expression]) -> exp.Expression:
    """JSON_SET() and the like: pairs of paths and values."""
    return call(
        f"my_{name}",
        arguments[0],
        *(as_json(argument) if at % 2 else argument for at, argument in enumerate(arguments[1:])),
    )


def json_object_agg(node: exp.Expression, context: Context) -> exp.Expression:
    """JSON_OBJECTAGG()."""
    pair = node.this if isinstance(node.this, exp.JSONKeyValue) else node.expressions[0]
    return call("my_json_objectagg", pair.this, as_json(pair.expression))


def char(node: exp.Chr, context: Context) -> exp.Expression:
    """CHAR(): bytes, or a text if a character set is named."""
    result = call("my_char", *node.expressions)
    return call("my_to_text", result) if node.args.get("charset") else result


def limit(node: exp.Limit, context: Context) -> exp.Expression:
    """LIMIT: a number that is too large to be kept means no limit."""
    what = node.expression
    if isinstance(what, exp.Literal) and not what.is_string and int(what.name) >= 2**63:
        node.set("expression", exp.Neg(this=literal(1)))
    return node


def whole(node: exp.Expression, context: Context) -> exp.Expression:
    """CEIL and FLOOR, of texts too."""
    number_argument("ceil", node.this)
    if kind_of(node.this).name in ("text", "unknown"):
        node.set("this", call("my_number", node.this))
    return call("my_decimal_round", node, 0) if kind_of(node.this).name == "decimal" else node


def union(node: exp.Union, context: Context) -> exp.Expression:
    """UNION of texts that are equal though they differ: the first of them stays, where SQLite keeps the last."""
    result = rules.set_operation(node, context)
    first: exp.Expression = node
    while isinstance(first, exp.SetOperation | exp.Subquery):
        first = first.this
    texts = any(kind_of(expression).name == "text" for expression in first.expressions) or first.is_star
    clause = node.find_ancestor(exp.With)
    recursive = clause is not None and clause.args.get("recursive")
    if node.args.get("distinct") is False or not texts or recursive or context.in_definition:
        return result
    rest = {part: node.args.get(part) for part in ("order", "limit", "offset", "with_")}
    inner = exp.Union(this=node.this.copy(), expression=node.expression.copy(), distinct=False)
    select = exp.select("*").distinct().from_(exp.Subquery(this=inner, alias=exp.TableAlias(this="clusterdb_union")))
    for part, value in rest.items():
        select.set(part, value)
    return select
