"""MySQL's columns in SQLite: declared types, CHECK conditions that enforce them, defaults.

A declaration is MySQL's with its words before the sizes, the order that SQLite requires: ``int unsigned(10)``.  Two
words are additions: ``updating`` (ON UPDATE CURRENT_TIMESTAMP) and ``invisible``.  The members of an ENUM or a SET
are in a comment after the type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sqlglot import exp

from clusterdb.flavours.collations import CI
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import Refused, Unsupported
from clusterdb.flavours.mysql.assign import assigned
from clusterdb.flavours.mysql.compare import collation_of
from clusterdb.flavours.mysql.members import enum_of, is_member, set_of
from clusterdb.flavours.schema import Column
from clusterdb.flavours.tables import (
    bytes_check,
    decimal_check,
    fraction_check,
    integer_check,
    length_check,
    number_check,
    quoted,
    text,
)
from clusterdb.flavours.trees import data_type, has_constraint, sizes_of, type_name
from clusterdb.flavours.types import Columns, Kind, kind_of_literal, of_column, set_kind

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.base import MySQLBase

__all__ = [
    "NUMBERED",
    "column",
    "default",
    "is_numbered",
    "kind_of_column",
    "shown_default",
    "shown_type",
    "user_checks",
]

NUMBERED = "INTEGER PRIMARY KEY AUTOINCREMENT"

_INTEGERS = {"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "BOOLEAN", "YEAR"}
_INTEGERS |= {"UTINYINT", "USMALLINT", "UMEDIUMINT", "UINT", "UBIGINT"}
_TEXTS = {"CHAR", "VARCHAR", "TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "NCHAR", "NVARCHAR", "ENUM", "SET"}
_NUMBERS = {"DECIMAL", "UDECIMAL", "FLOAT", "UFLOAT", "DOUBLE", "UDOUBLE"}
_BLOBS = {"BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BINARY", "VARBINARY"}
_MOMENTS = {"DATE", "DATETIME", "TIMESTAMP", "TIME", "TIMESTAMPTZ"}
_BITS = {"BOOLEAN": 7, "YEAR": 15, "TINYINT": 7, "SMALLINT": 15, "MEDIUMINT": 23, "INT": 31}
_BYTES = {"TINYTEXT": 255, "TEXT": 65535}
_ALIASES = {"BIGDECIMAL": "UFLOAT", "TIMESTAMPTZ": "TIMESTAMP"}
"""Types under the names that sqlglot gives them, with MySQL's."""
_WRITTEN_ELSEWHERE = (
    exp.CommentColumnConstraint,
    exp.PrimaryKeyColumnConstraint,
    exp.UniqueColumnConstraint,
    exp.AutoIncrementColumnConstraint,
    exp.OnUpdateColumnConstraint,
    exp.InvisibleColumnConstraint,
    exp.ZeroFillColumnConstraint,
    exp.CheckColumnConstraint,
)
"""Constraints that become words of the declaration, an index, or a constraint of the table."""
_OF_COLLATION = (exp.CollateColumnConstraint, exp.CharacterSetColumnConstraint, exp.BinaryColumnConstraint)


def is_numbered(tree: exp.ColumnDef) -> bool:
    """Whether a column has AUTO_INCREMENT."""
    return has_constraint(tree, exp.AutoIncrementColumnConstraint) or _type_of(tree) == "SERIAL"


def _is_required(tree: exp.ColumnDef) -> bool:
    kinds = (constraint.kind for constraint in tree.constraints)
    return any(isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null") for kind in kinds)


def user_checks(tree: exp.ColumnDef) -> list[exp.CheckColumnConstraint]:
    """The CHECK constraints of a column, which MySQL treats as constraints of the table."""
    kinds = (constraint.kind for constraint in tree.constraints)
    return [kind for kind in kinds if isinstance(kind, exp.CheckColumnConstraint)]


def _type_of(tree: exp.ColumnDef) -> str:
    name = type_name(data_type(tree))
    return _ALIASES.get(name, name)


def kind_of_column(tree: exp.ColumnDef) -> Kind:
    """The kind of a column that is being defined.  Raises Unsupported."""
    if is_numbered(tree):
        return of_column(Column("integer"))
    return of_column(Column(_declared(tree, _type_of(tree)), _collation(tree, CI), members=_members(tree)))


def column(
    flavour: MySQLBase,
    tree: exp.ColumnDef,
    context: Context,
    *,
    own: Columns,
    collate: str = CI,
    required: bool = False,
) -> str:
    """A column's definition in SQLite's SQL.

    ``own``: the kinds of the table's columns.  ``collate``: the table's collation.  ``required``: the column is part of
    the primary key.  Raises Unsupported or Refused.
    """
    name, declared_type = quoted(tree.name), _type_of(tree)
    if is_numbered(tree):
        return f"{name} {NUMBERED}"
    parts = [name, _declared(tree, declared_type)]
    if declared_type in ("ENUM", "SET"):
        parts.append(f"/* {_members(tree)} */")
    if required and not _is_required(tree):
        parts.append("NOT NULL")
    if declared_type == "ENUM" and _is_required(tree) and not has_constraint(tree, exp.DefaultColumnConstraint):
        parts.append(f"DEFAULT {text(str(enum_of(1, _members(tree))))}")
    for constraint in tree.constraints:
        kind = constraint.kind
        if isinstance(kind, _OF_COLLATION):
            collate = _collation(tree, collate)
        elif isinstance(kind, exp.DefaultColumnConstraint):
            parts.append(f"DEFAULT {default(flavour, tree.name, kind.this, kind_of_column(tree), context)}")
        elif not isinstance(kind, _WRITTEN_ELSEWHERE):
            parts.append(flavour.text(flavour.schema_expression(constraint, context, own)))
    if declared_type in _TEXTS:
        parts.append(f"COLLATE {collate}")
    check = _check(tree, declared_type)
    if check:
        parts.append(f"CHECK ({name} IS NULL OR {check})")
    return " ".join(parts)


# --- types ------------------------------------------------------------------------------------------------------------
def _members(tree: exp.ColumnDef) -> str:
    """The members of an ENUM or a SET, as SQLite's string literals; empty for other types."""
    if _type_of(tree) not in ("ENUM", "SET"):
        return ""
    names = [str(member.name).rstrip(" ") for member in data_type(tree).expressions]
    if any("*/" in name or "\0" in name for name in names):
        raise Unsupported("an ENUM or SET member that contains */ or a NUL character")
    return ",".join(map(text, names))


def _collation(tree: exp.ColumnDef, usual: str) -> str:
    """The collation of a column: its own, utf8mb4_bin for BINARY, or the usual one."""
    for constraint in tree.constraints:
        kind = constraint.kind
        if isinstance(kind, exp.CollateColumnConstraint):
            return collation_of(Kind("text", collation=kind.this.name))
    if has_constraint(tree, exp.BinaryColumnConstraint):
        return collation_of(Kind("text", collation="utf8mb4_bin"))
    return usual


def _declared(tree: exp.ColumnDef, declared_type: str) -> str:
    """The type as MySQL shows it, its words before its sizes, in words that have the affinity its values need."""
    for constraint in tree.constraints:
        if isinstance(constraint.kind, exp.CharacterSetColumnConstraint) and constraint.kind.name.lower() == "binary":
            raise Unsupported("a text column with the character set binary")
    is_unsigned = declared_type.startswith("U") and declared_type in _INTEGERS | _NUMBERS
    plain = declared_type[1:] if is_unsigned else declared_type
    is_zerofill = has_constraint(tree, exp.ZeroFillColumnConstraint)
    if is_zerofill and plain not in _INTEGERS:
        raise Unsupported(f"ZEROFILL of a {plain} column")
    words = {
        "unsigned": is_unsigned or is_zerofill,
        "zerofill": is_zerofill,
        "updating": has_constraint(tree, exp.OnUpdateColumnConstraint),
        "invisible": has_constraint(tree, exp.InvisibleColumnConstraint),
    }
    base, sizes = _base(data_type(tree), plain)
    return " ".join([base, *(word for word, is_present in words.items() if is_present)]) + sizes


_DECLARATIONS = {
    "BOOLEAN": ("tinyint", "(1)"),
    "ENUM": ("enum text", ""),
    "SET": ("set_of text", ""),
    "JSON": ("json text", ""),
    "YEAR": ("year", ""),
    "DATE": ("date", ""),
    "FLOAT": ("float", ""),
    "TINYTEXT": ("tinytext", ""),
    "TEXT": ("text", ""),
    **dict.fromkeys(("BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB"), ("blob", "")),
}
"""Declarations and sizes of the types that keep no sizes of their own."""
_BASES = {"BINARY": "blob binary", "VARBINARY": "blob varbinary", "NCHAR": "char", "NVARCHAR": "varchar"}
"""Declarations of types that keep their sizes, where they differ from the name."""


def _base(kind: exp.DataType, declared_type: str) -> tuple[str, str]:
    """The declaration of a type without words such as UNSIGNED, and its sizes.  Raises Unsupported or Refused."""
    sizes = f"({','.join(map(str, sizes_of(kind)))})" if sizes_of(kind) else ""
    if declared_type == "FLOAT" and len(kind.expressions) > 1:
        raise Unsupported("a column of type FLOAT(m,d)")
    if declared_type in ("VARCHAR", "NVARCHAR") and not sizes:
        raise Refused("You have an error in your SQL syntax; VARCHAR requires a length")
    if declared_type in _DECLARATIONS:
        return _DECLARATIONS[declared_type]
    if declared_type not in _INTEGERS | _TEXTS | _NUMBERS | _MOMENTS | _BLOBS:
        raise Unsupported(f"a column of type {declared_type}")
    if declared_type == "DOUBLE" and len(kind.expressions) < 2:
        sizes = ""
    if declared_type in ("BINARY", "VARBINARY"):
        sizes = sizes or "(1)"
    return _BASES.get(declared_type, declared_type.lower()), sizes


_DECLARATION = re.compile(
    r"((?:(?! (?:unsigned|zerofill|updating|invisible)\b)[a-z_ ])++)"
    r"((?: (?:unsigned|zerofill|updating|invisible))*+)(\([\d,]++\))?"
)


def shown_type(declared: str, members: str = "") -> str:
    """A declaration as SHOW COLUMNS has it."""
    match = _DECLARATION.fullmatch(declared.lower())
    if match is None:
        return declared.lower()
    base = {"integer": "int", "json text": "json"}.get(match[1], match[1])
    if base in ("enum text", "set_of text"):
        return f"{base.removesuffix(' text').removesuffix('_of')}({members})"
    base = base.removeprefix("blob ")
    words = "".join(f" {word}" for word in match[2].split() if word in ("unsigned", "zerofill"))
    return f"{base}{match[3] or ''}{words}"


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
class _Typed(NamedTuple):
    """A column as its check needs it: its quoted name, its type without UNSIGNED, the sizes and members of the type."""

    name: str
    type: str
    sizes: list[int]
    members: list[str]
    is_unsigned: bool

    @property
    def sign(self) -> str:
        """The condition that UNSIGNED adds to a number's."""
        return f" AND {self.name} >= 0" if self.is_unsigned else ""


def _check(tree: exp.ColumnDef, declared_type: str) -> str:
    """The condition on a value that is not NULL; empty if the type has none."""
    is_unsigned = has_constraint(tree, exp.ZeroFillColumnConstraint) or (
        declared_type.startswith("U") and declared_type in _INTEGERS | _NUMBERS
    )
    plain = declared_type.removeprefix("U") if is_unsigned else declared_type
    kind = data_type(tree)
    members = [str(member.name) for member in kind.expressions] if plain in ("ENUM", "SET") else []
    write = _CHECKS.get(plain)
    return "" if write is None else write(_Typed(quoted(tree.name), plain, sizes_of(kind), members, is_unsigned))


def _integer(typed: _Typed) -> str:
    return integer_check(typed.name, _BITS.get(typed.type, 63), is_unsigned=typed.is_unsigned)


def _real(typed: _Typed) -> str:
    if len(typed.sizes) > 1:
        return f"{number_check(typed.name)} AND abs({typed.name}) < 1e{typed.sizes[0] - typed.sizes[1]}{typed.sign}"
    return number_check(typed.name) + typed.sign


def _set(typed: _Typed) -> str:
    """What remains of the value without its members is empty."""
    rest = f"',' || {typed.name} || ','"
    for member in typed.members:
        rest = f"replace({rest}, {text(f',{member.rstrip()},')}, ',')"
    return f"({typed.name} = '' OR {rest} COLLATE BINARY = ',')"


def _enum(typed: _Typed) -> str:
    return f"{typed.name} COLLATE BINARY IN ({','.join(text(member.rstrip(' ')) for member in typed.members)})"


def _binary(typed: _Typed) -> str:
    return f"(typeof({typed.name}) = 'blob' AND length({typed.name}) <= {typed.sizes[0] if typed.sizes else 1})"


def _date(typed: _Typed) -> str:
    return f"(typeof({typed.name}) = 'text' AND {_is_date(typed.name)})"


def _time(typed: _Typed) -> str:
    return f"(typeof({typed.name}) = 'text' AND {typed.name} IS time({typed.name}))"


def _moment(typed: _Typed) -> str:
    name = typed.name
    day, clock = f"substr({name}, 1, 10)", f"substr({name}, 12, 8)"
    return (
        f"(typeof({name}) = 'text' AND {_is_date(day)} AND substr({name}, 11, 1) = ' ' AND {clock} IS time({clock}) "
        f"AND {fraction_check(name)})"
    )


def _is_date(value: str) -> str:
    """A date, or one with a zero day or month, as some SQL modes allow."""
    digits = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
    return f"({value} IS date({value}) OR {value} GLOB '{digits}' AND instr({value}, '-00'))"


_CHECKS: dict[str, Callable[[_Typed], str]] = {
    **dict.fromkeys(_INTEGERS, _integer),
    "DECIMAL": lambda typed: decimal_check(typed.name, typed.sizes or [10]) + typed.sign,
    **dict.fromkeys(("FLOAT", "DOUBLE"), _real),
    "ENUM": _enum,
    "SET": _set,
    **dict.fromkeys(("BINARY", "VARBINARY"), _binary),
    **dict.fromkeys(("BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB"), lambda typed: f"typeof({typed.name}) = 'blob'"),
    **dict.fromkeys(_BYTES, lambda typed: bytes_check(typed.name, _BYTES[typed.type])),
    **dict.fromkeys(("CHAR", "NCHAR"), lambda typed: length_check(typed.name, typed.sizes[0]) if typed.sizes else ""),
    **dict.fromkeys(("VARCHAR", "NVARCHAR"), lambda typed: length_check(typed.name, typed.sizes[0])),
    "DATE": _date,
    **dict.fromkeys(("DATETIME", "TIMESTAMP"), _moment),
    "TIME": _time,
    "JSON": lambda typed: f"json_valid({typed.name})",
}
"""The condition on the values of a type, by its name without UNSIGNED."""


# --- defaults ---------------------------------------------------------------------------------------------------------
def default(flavour: MySQLBase, name: str, value: exp.Expression, kind: Kind, context: Context) -> str:
    """The default of the column ``name``, in SQLite's SQL.  Raises Unsupported or Refused."""
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
        stored = _stored_moment(flavour, inner, kind)
    elif isinstance(inner, exp.Literal) and kind.name == "enum" and kind.members:
        stored = _member(inner, kind)
    else:
        written = flavour.text(flavour.schema_expression(value, context))
        return written if isinstance(inner, exp.Literal | exp.Boolean) and value is inner else f"({written})"
    if stored is None:
        raise Refused(f"Invalid default value for '{name}'")
    return text(stored)


def _stored_moment(flavour: MySQLBase, value: exp.Literal, kind: Kind) -> str | None:
    """A literal date or time as a column of a kind stores it; None if it is not one."""
    conversion = assigned(set_kind(value.copy(), kind_of_literal(value)), kind, flavour.modes)
    (call,) = conversion.find_all(exp.Anonymous)
    function = flavour.functions.implementations[call.name.removeprefix("my_")]
    arguments = [argument.name if argument.is_string else int(argument.name) for argument in call.expressions]
    try:
        return str(function(*arguments))
    except Exception:  # whatever error the function raises, the column cannot hold the value
        return None


def _member(value: exp.Literal, kind: Kind) -> str | None:
    """A literal as an ENUM or SET column stores it; None if it is not a member."""
    member = (set_of if kind.size else enum_of)(value.name, kind.members)
    return str(member) if is_member(member, kind.members, is_set=bool(kind.size)) else None
