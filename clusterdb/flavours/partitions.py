"""Partitioned tables of a dump: their rows go to the whole table, which is made without partitions.

mysqldump has partitions in CREATE TABLE only.  pg_dump makes each partition as a table, attaches it, and then fills it:
what is attached is dropped, and its rows go to the table that it was attached to.
"""

from __future__ import annotations

import re

from clusterdb.flavours.tables import quoted

__all__ = ["Partitions"]

_NAME = r'(?:(?:"(?:[^"]|"")+"|\w+)\.)?(?P<table>"(?:[^"]|"")+"|\w+)'
_CREATE = re.compile(r"\s*CREATE\s+(?:TEMPORARY\s+)?TABLE\b", re.IGNORECASE)
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.|'')*+'|"[^"]*+"|`[^`]*+`""", re.DOTALL)
_PARTITION = re.compile(r"\bPARTITION\s+BY\b", re.IGNORECASE)
_ATTACH = re.compile(
    r'\s*ALTER\s+TABLE\s+(?:ONLY\s+)?(?P<whole>(?:(?:"(?:[^"]|"")+"|\w+)\.)?(?:"(?:[^"]|"")+"|\w+))\s+'
    rf"ATTACH\s+PARTITION\s+{_NAME}",
    re.IGNORECASE,
)
_OF_INDEX = re.compile(r"\s*ALTER\s+INDEX\s+\S+\s+ATTACH\s+PARTITION\b", re.IGNORECASE)
_FILLS = re.compile(rf"\s*(?:COPY|INSERT\s+INTO)\s+(?P<name>{_NAME})", re.IGNORECASE)
_CHANGES = re.compile(
    rf"\s*(?:ALTER\s+TABLE\s+(?:ONLY\s+)?|CREATE\s+(?:UNIQUE\s+)?INDEX\s+\S+\s+ON\s+(?:ONLY\s+)?){_NAME}", re.IGNORECASE
)


class Partitions:
    """The partitions of a dump, as its statements tell of them."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._whole: dict[str, str] = {}
        """By a partition the table that it is part of."""

    def routed(self, statement: str) -> tuple[str, str | None]:
        """What to run for a statement, nothing if that is empty, and the kind of what is skipped of it, if anything."""
        if _CREATE.match(statement):
            cut = self._without_partitions(statement)
            return (statement, None) if cut is None else (cut, "partitioned table")
        if self._engine != "aurora-postgresql":
            return statement, None
        attach = _ATTACH.match(statement)
        if attach is not None:
            name = attach["table"].strip('"')
            self._whole[name] = self._whole.get(_last(attach["whole"]), attach["whole"])
            return f"DROP TABLE {quoted(name)}", "partition"
        if not self._whole:
            return statement, None
        if _OF_INDEX.match(statement):
            return "", ""
        fills = _FILLS.match(statement)
        if fills is not None and fills["table"].strip('"') in self._whole:
            whole = self._whole[fills["table"].strip('"')]
            return f"{statement[: fills.start('name')]}{whole}{statement[fills.end('name') :]}", None
        changes = _CHANGES.match(statement)
        if changes is not None and changes["table"].strip('"') in self._whole:
            return "", ""
        return statement, None

    def _without_partitions(self, statement: str) -> str | None:
        """CREATE TABLE without PARTITION BY; None if it has none."""
        masked = _QUOTED.sub(lambda match: "_" * len(match[0]), statement)
        partition = _PARTITION.search(masked)
        return None if partition is None else statement[: partition.start()]


def _last(name: str) -> str:
    return name.rpartition(".")[2].strip('"')
