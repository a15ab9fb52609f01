r"""COPY ... FROM stdin: the lines that follow it, up to ``\.``, are rows and never run as statements.

Each field is inserted as the string literal with its content; values for GENERATED ALWAYS columns are accepted.

Source: "COPY" in the documentation of PostgreSQL 15, its text format and CSV.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterdb.errors import DataError
from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, Refused, Translation, Unsupported
from clusterdb.flavours.postgresql.clauses import unquoted
from clusterdb.flavours.postgresql.scripts import COPY
from clusterdb.flavours.rows import Literal
from clusterdb.flavours.tables import quoted, text

if TYPE_CHECKING:
    from clusterdb.flavours.flavour import Flavour

__all__ = ["copied"]

_NULL = Literal("NULL", "NULL", "NULL")
_OPTION = re.compile(
    r"\s*+(?:WITH\b|AS\b|[(),]|(?P<name>[a-z_]++)\s*+(?:AS\s++)?"
    r"(?P<value>E?'(?:[^']|'')*+'|(?:csv|text|binary|true|false|on|off|match|1|0)\b)?)\s*+",
    re.IGNORECASE,
)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True)
class _Format:
    """The format of COPY's data."""

    is_csv: bool = False
    delimiter: str = "\t"
    null: str = "\\N"
    has_header: bool = False

    def rows(self, data: str) -> Iterator[list[Literal]]:
        """Parse the rows; an unquoted field that equals ``null`` is NULL.  Raises DataError."""
        if data and not data.endswith("\n"):
            data += "\n"
        delimiter, row = re.escape(self.delimiter), []
        pattern = re.compile(
            rf'((?:[^"{delimiter}\n]++|"(?:[^"]|"")*+")*+)({delimiter}|\n)'
            if self.is_csv
            else rf"((?:[^\\{delimiter}\n]++|\\.)*+)({delimiter}|\n)",
            re.DOTALL,
        )
        skips, at = self.has_header, 0
        for field in pattern.finditer(data):
            if field.start() != at:
                break
            at, raw = field.end(), field[1]
            if field[2] == "\n" and raw.endswith("\r"):
                raw = raw[:-1]
            row.append(_NULL if raw == self.null else self._literal(raw))
            if field[2] == "\n":
                if not skips:
                    yield row
                row, skips = [], False
        if at != len(data):
            raise DataError("unterminated CSV quoted field" if self.is_csv else "COPY data ends in a backslash")

    def _literal(self, raw: str) -> Literal:
        value = _without_quotes(raw) if self.is_csv else _unescaped(raw)
        return Literal("text", value, text(value))


def _unescaped(raw: str) -> str:
    if "\\" not in raw:
        return raw
    return _ESCAPE.sub(_escaped, raw)


def _escaped(match: re.Match[str]) -> str:
    octal, hexadecimal, other = match.groups()
    if other is not None:
        return _ESCAPES.get(other, other)
    code = int(octal, 8) if octal else int(hexadecimal, 16)
    if not 0 < code < 0x80:
        raise Unsupported(f"COPY data with the byte {match[0]}")
    return chr(code)


def _without_quotes(raw: str) -> str:
    if '"' not in raw:
        return raw
    return re.sub(r'"((?:[^"]|"")*+)"', lambda match: match[1].replace('""', '"'), raw)


def _format(options: str) -> _Format:
    """Parse COPY's options, in parentheses or in the syntax of PostgreSQL 8.  Raises Unsupported."""
    settings: dict[str, str] = {}
    at = 0
    while at < len(options):
        option = _OPTION.match(options, at)
        if option is None or option.end() == at:
            raise Unsupported(f"COPY with {options.strip()}")
        at = option.end()
        if option["name"]:
            settings[option["name"].lower()] = option["value"] or ""
    if "csv" in settings:
        del settings["csv"]
        settings["format"] = "csv"
    name = _text_of(settings.pop("format", "text")).lower()
    delimiter = _text_of(settings.pop("delimiter", "','" if name == "csv" else "'\t'"))
    null = _text_of(settings.pop("null", "''" if name == "csv" else "'\\N'"))
    header = settings.pop("header", "false").lower()
    if _text_of(settings.pop("encoding", "utf8")).lower() not in ("utf8", "utf-8", "unicode"):
        raise Unsupported("COPY with an ENCODING other than UTF8")
    settings.pop("freeze", None)
    if settings or name not in ("text", "csv") or len(delimiter) != 1:
        raise Unsupported(f"COPY with {options.strip()}")
    return _Format(name == "csv", delimiter, null, header not in ("false", "off", "0"))


def _text_of(value: str) -> str:
    if value[:1] in ("e", "E") and value[1:2] == "'":
        return _unescaped(value[2:-1].replace("''", "'"))
    return value[1:-1].replace("''", "'") if value.startswith("'") else value


def copied(flavour: Flavour, sql: str, context: Context) -> Translation | None:
    """Translate COPY and its data to an INSERT; None for other statements.

    Raises Unsupported, Refused or DataError.
    """
    head = COPY.match(sql)
    if head is None:
        return None
    data = re.compile(r"\s*+;[^\n]*+\n(.*?)(?:^\\\.\r?\n?)?\Z", re.DOTALL | re.MULTILINE).match(sql, head.end())
    if data is None:
        raise Unsupported(f"COPY {head['table']} FROM STDIN without data after it")
    table, columns, schema = head["table"], head["columns"] or "", context.schema
    name = table.rpartition(".")[2].strip('"').lower()
    if name not in schema.tables:
        raise Refused(f'relation "{name}" does not exist')
    names = re.findall(r'"(?:[^"]|"")++"|\w++', columns) if columns else list(schema.tables[name])
    rows = list(_format(head["options"]).rows(data[1]))
    for row in rows:
        _require_width(table, names, row)
    if not rows or columns == "()":
        return Translation(IDLE)
    insert = flavour.rows.inserted(table, columns, rows, schema, is_overriding=True)
    if insert is not None:
        return Translation(insert)
    for row in rows:  # translating the refused row alone raises the reason
        if flavour.rows.inserted(table, columns, [row], schema, is_overriding=True) is None:
            _inserted(flavour, table, columns, [row], context)
    return _inserted(flavour, table, columns, rows, context)


def _inserted(flavour: Flavour, table: str, columns: str, rows: list[list[Literal]], context: Context) -> Translation:
    """An INSERT of these rows, by the grammar.  Raises the engine's errors about them."""
    values = ", ".join(f"({', '.join(value.source for value in row)})" for row in rows)
    return flavour.translated_in(f"INSERT INTO {table} {columns} OVERRIDING SYSTEM VALUE VALUES {values}", context)


def _require_width(table: str, names: list[str], row: list[Literal]) -> None:
    """Raise DataError for a row with too few or too many fields."""
    if len(row) < len(names):
        raise DataError(f"missing data for column {quoted(unquoted(names[len(row)]))}: COPY {table}: {_shown(row)}")
    if len(row) > len(names) > 0:
        raise DataError(f"extra data after last expected column: COPY {table}: {_shown(row)}")


def _shown(row: list[Literal]) -> str:
    line = ", ".join(value.source for value in row)
    return line if len(line) < 200 else f"{line[:200]}..."
