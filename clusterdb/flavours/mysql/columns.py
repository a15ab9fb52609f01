"""MySQL's columns in SQLite: types as they are declared, checks that affinities do not make, defaults.

A declaration is MySQL's, with its words before the sizes, since SQLite wants those last: ``int unsigned(10)``.  Words
of ours tell what SQLite has no word for: ``updating`` (ON UPDATE CURRENT_TIMESTAMP) and ``invisible``.  The members of
an ENUM or a SET are in a comment behind the type.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from clusterdb.flavours.collations import CI
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import NotSaid, Wrong
from clusterdb.flavours.mysql.assign import assigned
from clusterdb.flavours.mysql.compare import collation_of
from clusterdb.flavours.mysql.members import enum_of, is_member, set_of
from clusterdb.flavours.schema import Column
from clusterdb.flavours.tables import decimal_check, quoted, text
from clusterdb.flavours.types import Columns, Kind, kind_of_literal, of_column, set_kind

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.flavour import MySQLFlavour

__all__ = ["NUMBERED", "column", "is_numbered", "kind_of_column", "shown_default", "shown_type", "user_checks"]

NUMBERED = "INTEGER PRIMARY KEY AUTOINCREMENT"

_INTEGERS = {"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "BOOLEAN", "YEAR"}
_INTEGERS |= {"UTINYINT", "USMALLINT", "UMEDIUMINT", "UINT", "UBIGINT"}
_TEXTS = {"CHAR", "VARCHAR", "TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "NCHAR", "NVARCHAR", "ENUM", "SET"}
_NUMBERS = {"DECIMAL", "UDECIMAL", "FLOAT", "UFLOAT", "DOUBLE", "UDOUBLE"}
_BLOBS = {"BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BINARY", "VARBINARY"}
_MOMENTS = {"DATE", "DATETIME", "TIMESTAMP", "TIME", "TIMESTAMPTZ"}
_BOUNDS = {"BOOLEAN": 7, "YEAR": 15, "TINYINT": 7, "SMALLINT": 15, "MEDIUMINT": 23, "INT": 31}
_BYTES = {"TINYTEXT": 255, "TEXT": 65535}
_NOTHING_HERE = (
    exp.CommentColumnConstraint,
    exp.PrimaryKeyColumnConstraint,
    exp.UniqueColumnConstraint,
    exp.AutoIncrementColumnConstraint,
    exp.OnUpdateColumnConstraint,
    exp.InvisibleColumnConstraint,
    exp.ZeroFillColumnConstraint,
    exp.CheckColumnConstraint,
)
"""Constraints that are said elsewhere: in the declaration, by an index, or at the end of the table."""


def is_numbered(tree: exp.ColumnDef) -> bool:
    """Whether a column has AUTO_INCREMENT."""
    return _has(tree, exp.AutoIncrementColumnConstraint) or _type_of(tree) == "SERIAL"


def _has(tree: exp.ColumnDef, kind: type[exp.Expression]) -> bool:
    return any(isinstance(constraint.kind, kind) for constraint in tree.constraints)


def _is_required(tree: exp.ColumnDef) -> bool:
    return any(
        isinstance(each.kind, exp.NotNullColumnConstraint) and not each.kind.args.get("allow_null")
        for each in tree.constraints
    )


def user_checks(tree: exp.ColumnDef) -> list[Any]:
    """The CHECK constraints of a column, which MySQL has as constraints of the table."""
    return [each.kind for each in tree.constraints if isinstance(each.kind, exp.CheckColumnConstraint)]


def _type_of(tree: exp.ColumnDef) -> str:
    kind = tree.args.get("kind")
    if kind is None:
        raise NotSaid(f"a column without a type: {tree.name}")
    name = kind.this.value if isinstance(kind.this, exp.DataType.Type) else str(kind.this)
    return {"BIGDECIMAL": "UFLOAT", "TIMESTAMPTZ": "TIMESTAMP"}.get(name, name)


def kind_of_column(tree: exp.ColumnDef) -> Kind:
    """The kind of a column that is being defined."""
    if is_numbered(tree):
        return of_column(Column("integer"))
    return of_column(Column(_declared(tree, _type_of(tree)), _collation(tree, CI), members=_members(tree)))


def column(
    flavour: MySQLFlavour,
    tree: exp.ColumnDef,
    context: Context,
    *,
    own: Columns,
    collate: str = CI,
    required: bool = False,
) -> str:
    """A column; ``required``: it is one of the primary key's.  Raises NotSaid."""
    name, type_name = quoted(tree.name), _type_of(tree)
    if is_numbered(tree):
        return f"{name} {NUMBERED}"
    parts = [name, _declared(tree, type_name)]
    if type_name in ("ENUM", "SET"):
        parts.append(f"/* {_members(tree)} */")
    if required and not _is_required(tree):
        parts.append("NOT NULL")
    if type_name == "ENUM" and _is_required(tree) and not _has(tree, exp.DefaultColumnConstraint):
        parts.append(f"DEFAULT {text(str(enum_of(1, _members(tree))))}")
    for constraint in tree.constraints:
        kind = constraint.kind
        if isinstance(
            kind, exp.CollateColumnConstraint | exp.CharacterSetColumnConstraint | exp.BinaryColumnConstraint
        ):
            collate = _collation(tree, collate)
        elif isinstance(kind, exp.DefaultColumnConstraint):
            parts.append(f"DEFAULT {default(flavour, kind.this, kind_of_column(tree), context)}")
        elif not isinstance(kind, _NOTHING_HERE):
            parts.append(flavour.text(flavour.schema_expression(constraint, context, own)))
    if type_name in _TEXTS:
        parts.append(f"COLLATE {collate}")
    check = _check(name, type_name, _sizes(tree), tree)
    if check:
        parts.append(f"CHECK ({name} IS NULL OR {check})")
    return " ".join(parts)


# --- types ------------------------------------------------------------------------------------------------------------
def _sizes(tree: exp.ColumnDef) -> list[int]:
    return [int(each.name) for each in tree.args["kind"].expressions if each.name.isdigit()]


def _members(tree: exp.ColumnDef) -> str:
    """The members of an ENUM or a SET, as texts of SQLite's."""
    if _type_of(tree) not in ("ENUM", "SET"):
        return ""
    names = [str(each.name).rstrip(" ") for each in tree.args["kind"].expressions]
    if any("*/" in name or "\0" in name for name in names):
        raise NotSaid("a member of an ENUM or SET with */ or a NUL in it")
    return ",".join(map(text, names))


def _collation(tree: exp.ColumnDef, usual: str) -> str:
    """The collation of a column: its own, the binary one of BINARY, or the usual one."""
    for constraint in tree.constraints:
        kind = constraint.kind
        if isinstance(kind, exp.CollateColumnConstraint):
            return collation_of(Kind("text", collation=kind.this.name))
    if _has(tree, exp.BinaryColumnConstraint):
        return collation_of(Kind("text", collation="utf8mb4_bin"))
    return usual


def _declared(tree: exp.ColumnDef, type_name: str) -> str:
    """The type as MySQL shows it but for the order, with the affinity that its values need."""
    kind = tree.args["kind"]
    for constraint in tree.constraints:
        if isinstance(constraint.kind, exp.CharacterSetColumnConstraint) and constraint.kind.name.lower() == "binary":
            raise NotSaid("a text column of the character set binary")
    words = []
    plain = type_name[1:] if type_name.startswith("U") and type_name in _INTEGERS | _NUMBERS else type_name
    zerofill = _has(tree, exp.ZeroFillColumnConstraint)
    if zerofill and plain not in _INTEGERS:
        raise NotSaid(f"ZEROFILL of a {plain} column")
    if plain != type_name or zerofill:
        words.append("unsigned")
    if zerofill:
        words.append("zerofill")
    if _has(tree, exp.OnUpdateColumnConstraint):
        words.append("updating")
    if _has(tree, exp.InvisibleColumnConstraint):
        words.append("invisible")
    base, sizes = _base(kind, plain)
    return " ".join([base, *words]) + sizes


def _base(kind: exp.DataType, type_name: str) -> tuple[str, str]:
    sizes = ", ".join(each.name for each in kind.expressions if each.name.isdigit())
    brackets = f"({sizes.replace(' ', '')})" if sizes else ""
    if type_name == "BOOLEAN":
        return "tinyint", "(1)"
    if type_name in ("ENUM", "SET", "JSON"):
        return f"{'set_of' if type_name == 'SET' else type_name.lower()} text", ""
    if type_name in ("BINARY", "VARBINARY"):
        return f"blob {type_name.lower()}", brackets or "(1)"
    if type_name in _BLOBS:
        return "blob", ""
    if type_name == "FLOAT" and len(kind.expressions) > 1:
        raise NotSaid("a FLOAT column with so many digits")
    if type_name == "DOUBLE" and len(kind.expressions) > 1:
        return "double", brackets
    if type_name in ("CHAR", "NCHAR"):
        return "char", brackets
    if type_name == "NVARCHAR":
        return "varchar", brackets
    if type_name == "YEAR":
        return "year", ""
    if type_name not in _INTEGERS | _TEXTS | _NUMBERS | _MOMENTS:
        raise NotSaid(f"a column of type {type_name}")
    return type_name.lower(), "" if type_name in ("DATE", "FLOAT", "DOUBLE", *_BYTES) else brackets


_DECLARATION = re.compile(
    r"((?:(?! (?:unsigned|zerofill|updating|invisible)\b)[a-z_ ])++)"
    r"((?: (?:unsigned|zerofill|updating|invisible))*+)(\([\d,]++\))?"
)


def shown_type(declared: str, members: str = "") -> str:
    """A declaration as SHOW COLUMNS has it."""
    found = _DECLARATION.fullmatch(declared.lower())
    if found is None:
        return declared.lower()
    base = {"integer": "int", "json text": "json"}.get(found[1], found[1])
    if base in ("enum text", "set_of text"):
        return f"{base.removesuffix(' text').removesuffix('_of')}({members})"
    base = base.removeprefix("blob ")
    words = "".join(f" {word}" for word in found[2].split() if word in ("unsigned", "zerofill"))
    return f"{base}{found[3] or ''}{words}"


_NOW = re.compile(r"\(+(?:substr\()?strftime\('[^']*', 'now'\).*", re.DOTALL)


def shown_default(declared: str | None) -> str | None:
    """A default as SHOW COLUMNS has it."""
    if declared is None or declared.upper() == "NULL":
        return None
    if _NOW.fullmatch(f"({declared}"):
        return "CURRENT_TIMESTAMP"
    if declared[:1] == declared[-1:] == "'":
        return declared[1:-1].replace("''", "'")
    return declared[1:-1] if re.fullmatch(r"\(-?[\d.]+\)", declared) else declared


# --- checks -----------------------------------------------------------------------------------------------------------
def _check(name: str, type_name: str, sizes: list[int], tree: exp.ColumnDef) -> str:
    """What a value that is not NULL has to be; empty if it can be anything."""
    zerofill = _has(tree, exp.ZeroFillColumnConstraint)
    unsigned = zerofill or (type_name.startswith("U") and type_name in _INTEGERS | _NUMBERS)
    plain = type_name.removeprefix("U") if unsigned else type_name
    if plain in _INTEGERS:
        bits = _BOUNDS.get(plain)
        if bits is None:
            return f"typeof({name}) = 'integer'" + (f" AND {name} >= 0" if unsigned else "")
        low, high = (0, 2 ** (bits + 1) - 1) if unsigned else (-(2**bits), 2**bits - 1)
        return f"typeof({name}) = 'integer' AND {name} BETWEEN {low} AND {high}"
    sign = f" AND {name} >= 0" if unsigned else ""
    if plain == "DECIMAL":
        return decimal_check(name, sizes or [10]) + sign
    if plain in _NUMBERS and len(sizes) > 1:
        return f"typeof({name}) IN ('integer', 'real') AND abs({name}) < 1e{sizes[0] - sizes[1]}{sign}"
    if plain in _NUMBERS:
        return f"typeof({name}) IN ('integer', 'real'){sign}"
    if type_name == "ENUM":
        return f"{name} COLLATE BINARY IN ({_members(tree)})"
    if type_name == "SET":
        rest = f"',' || {name} || ','"
        for each in tree.args["kind"].expressions:
            rest = f"replace({rest}, {text(f',{each.name.rstrip()},')}, ',')"
        return f"({name} = '' OR {rest} COLLATE BINARY = ',')"
    if type_name in ("BINARY", "VARBINARY"):
        return f"(typeof({name}) = 'blob' AND length({name}) <= {sizes[0] if sizes else 1})"
    if type_name in _BLOBS:
        return f"typeof({name}) = 'blob'"
    if type_name in _BYTES:
        return f"length(CAST({name} AS BLOB)) <= {_BYTES[type_name]}"
    if type_name in ("CHAR", "VARCHAR", "NCHAR", "NVARCHAR") and (sizes or "CHAR" not in type_name[:5]):
        return f"length({name}) <= {sizes[0]}"
    if type_name == "DATE":
        return f"(typeof({name}) = 'text' AND {_is_date(name)})"
    if type_name in ("DATETIME", "TIMESTAMP"):
        return _is_moment(name)
    if type_name == "TIME":
        return f"(typeof({name}) = 'text' AND {name} IS time({name}))"
    return f"json_valid({name})" if type_name == "JSON" else ""


def _is_date(value: str) -> str:
    """A date, or one with zeros in it, as some SQL modes allow."""
    digits = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
    return f"({value} IS date({value}) OR {value} GLOB '{digits}' AND instr({value}, '-00'))"


def _is_moment(name: str) -> str:
    day, clock = f"substr({name}, 1, 10)", f"substr({name}, 12, 8)"
    fraction = f"(length({name}) = 19 OR ({name} GLOB '*.[0-9]*' AND length({name}) BETWEEN 21 AND 26))"
    return (
        f"(typeof({name}) = 'text' AND {_is_date(day)} AND substr({name}, 11, 1) = ' ' AND {clock} IS time({clock}) "
        f"AND {fraction})"
    )


# --- defaults ---------------------------------------------------------------------------------------------------------
def default(flavour: MySQLFlavour, value: Any, kind: Kind, context: Context) -> str:
    """A default as SQLite's.  Raises NotSaid, Wrong."""
    inner = value.unnest()
    if isinstance(inner, exp.National | exp.Introducer):
        inner = flavour.expression(inner, context)
    if isinstance(inner, exp.Null):
        return "NULL"
    if isinstance(inner, exp.Literal) and kind.name == "bytes" and inner.is_string:
        return f"x'{inner.name.encode().ljust(kind.size, bytes(1)).hex()}'"
    if isinstance(inner, exp.HexString) and kind.name == "bytes":
        return f"x'{bytes.fromhex(inner.name).ljust(kind.size, bytes(1)).hex()}'"
    if isinstance(inner, exp.Literal) and inner.is_string and kind.name in ("date", "datetime", "time"):
        return text(_moment(flavour, inner, kind))
    if isinstance(inner, exp.Literal) and kind.name == "enum" and kind.members:
        return text(_member(inner, kind))
    made = flavour.text(flavour.schema_expression(value, context))
    return made if isinstance(inner, exp.Literal | exp.Boolean) and value is inner else f"({made})"


def _moment(flavour: MySQLFlavour, value: Any, kind: Kind) -> str:
    """A date or a time as it is stored."""
    made = assigned(set_kind(value.copy(), kind_of_literal(value)), kind, flavour.modes)
    (call,) = made.find_all(exp.Anonymous)
    function = flavour.functions.implementations[call.name.removeprefix("my_")]
    try:
        return str(function(*(int(each.name) if not each.is_string else each.name for each in call.expressions)))
    except Exception:  # whatever a function says of a value is that it is none of the column's
        raise Wrong(f"Invalid default value '{value.name}'") from None


def _member(value: Any, kind: Kind) -> str:
    made = (set_of if kind.size else enum_of)(value.name, kind.members)
    if not is_member(made, kind.members, is_set=bool(kind.size)):
        raise Wrong(f"Invalid default value '{value.name}'")
    return str(made)
