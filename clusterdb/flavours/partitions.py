"""Partitioned tables in a dump are loaded as tables without partitions.

mysqldump writes partitions in CREATE TABLE only.  pg_dump creates each partition as a table, attaches it, then fills
it: an attached table is dropped, and its rows are inserted into the table that it was attached to.
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
    """The partitions that a dump's statements have attached so far."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._whole: dict[str, str] = {}
        """The partitioned table, by the name of the partition."""

    def routed(self, statement: str) -> tuple[str, str | None]:
        """The statement to run instead, empty for none; and the kind of object that is skipped, None for none."""
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
        """CREATE TABLE without its PARTITION BY; None if it has no such clause."""
        masked = _QUOTED.sub(lambda match: "_" * len(match[0]), statement)
        partition = _PARTITION.search(masked)
        return None if partition is None else statement[: partition.start()]


def _last(name: str) -> str:
    return name.rpartition(".")[2].strip('"')
