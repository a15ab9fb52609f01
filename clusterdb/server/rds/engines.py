"""The engines: their versions, families of parameters, ports and logs.

Versions are names here: the SQL that a cluster accepts is that of its flavour.  A version that is not listed is
accepted if it has the form of the engine's versions.  ``aurora`` is the former name of Aurora MySQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clusterdb.server.rds.faults import combination, invalid

__all__ = ["ENGINES", "Engine", "default_version", "engine_named", "family_of", "resolved_version"]


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine of Amazon RDS: ``flavour`` is the engine of a cluster; ``versions``, the oldest first."""

    name: str
    flavour: str
    description: str
    port: int
    versions: tuple[str, ...]
    pattern: re.Pattern[str]
    logs: tuple[str, ...]
    charset: str
    can_backtrack: bool


_MYSQL_VERSION = re.compile(r"(\d+\.\d+)\.mysql_aurora\.\d+(\.\d+){1,3}\Z")
_MYSQL_LOGS = ("audit", "error", "general", "slowquery")

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "aurora-mysql",
            "aurora-mysql",
            "Aurora MySQL",
            3306,
            (
                "5.7.mysql_aurora.2.11.6",
                "5.7.mysql_aurora.2.12.5",
                "8.0.mysql_aurora.3.04.4",
                "8.0.mysql_aurora.3.08.2",
                "8.0.mysql_aurora.3.10.0",
            ),
            _MYSQL_VERSION,
            _MYSQL_LOGS,
            "utf8mb4",
            True,
        ),
        Engine(
            "aurora-postgresql",
            "aurora-postgresql",
            "Aurora (PostgreSQL)",
            5432,
            ("13.18", "14.15", "15.10", "16.6", "17.4"),
            re.compile(r"\d+\.\d+(\.\d+)?(-limitless)?\Z"),
            ("postgresql", "instance"),
            "UTF8",
            False,
        ),
        Engine(
            "aurora",
            "aurora-mysql",
            "Aurora (MySQL 5.6)",
            3306,
            ("5.6.10a", "5.6.mysql_aurora.1.23.4"),
            re.compile(r"5\.6\.(10a|mysql_aurora\.\d+(\.\d+){1,3})\Z"),
            _MYSQL_LOGS,
            "latin1",
            True,
        ),
        Engine("sqlite", "sqlite", "SQLite", 0, ("3",), re.compile(r"3(\.\d+)*\Z"), (), "UTF8", True),
    )
}


def engine_named(name: str) -> Engine:
    """An engine.  Raises Fault."""
    engine = ENGINES.get(name.lower())
    if engine is None:
        raise invalid(f"Invalid DB engine: {name}")
    return engine


def default_version(engine: Engine) -> str:
    """The version of a cluster that names none."""
    defaults = {"aurora-postgresql": "16.6", "aurora": "5.6.10a"}
    return defaults.get(engine.name, engine.versions[-1])


def resolved_version(engine: Engine, text: str | None) -> str:
    """The version that a text means: itself, or the newest that it begins.  Raises Fault."""
    if not text:
        return default_version(engine)
    if text in engine.versions:
        return text
    newer = [version for version in engine.versions if version.startswith(f"{text}.")]
    if newer:
        return newer[-1]
    if not engine.pattern.match(text):
        raise combination(f"Cannot find version {text} for {engine.name}")
    return text


def family_of(engine: Engine, version: str) -> str:
    """The family of parameter groups of a version, e.g. ``aurora-mysql8.0``."""
    if engine.flavour == "aurora-mysql":
        return f"{engine.name}{'.'.join(version.split('.')[:2])}"
    return f"{engine.name}{version.partition('.')[0]}"
