"""An action as a command line, as a call of boto3, and in Python."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from clusterdb.access.command import command
from clusterdb.rules.points import Point

__all__ = ["NO_CALL", "Code", "Shown", "aws_time", "boto_call", "cli_settings", "cluster_text", "python_call", "shown"]

NO_CALL = "# The RDS API has no counterpart."


@dataclass(frozen=True, slots=True)
class Code:
    """The same action three times.

    ``cli``: the arguments of the command line; ``boto3``: statements on a client ``rds`` (or ``data``), or a comment;
    ``python``: statements on an open ``store``.
    """

    cli: tuple[str, ...]
    boto3: str
    python: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The texts to copy."""

    cli: str
    boto3: str
    python: str


def shown(code: Code, *, store: str, url: str, account: str, region: str) -> Shown:
    """The texts for a store (its directory), and for the address, the account and the region of the server."""
    where = ("--store", store) if store != ":memory:" else ()
    lines = code.boto3.replace(":REGION:ACCOUNT:", f":{region}:{account}:")
    clients = [
        f'{name} = boto3.client("{service}", endpoint_url="{url}", region_name="{region}")\n'
        for name, service in (("rds", "rds"), ("data", "rds-data"))
        if f"{name}." in lines
    ]
    used = [name for name, call in _TIMES if call in code.python]
    imports = f"from datetime import {', '.join(used)}\n\n" if used else ""
    return Shown(
        cli=f"{command()} {shlex.join([*code.cli, *where])}" if code.cli else "# The command line has no counterpart.",
        boto3=("import boto3\n\n" + "".join(clients) if clients else "") + lines,
        python=f"{imports}import clusterdb\n\nwith clusterdb.open({store!r}) as store:\n"
        + "\n".join(f"    {line}" if line else line for line in code.python.splitlines()),
    )


_TIMES = (("datetime", "datetime.fromisoformat("), ("timedelta", "timedelta(seconds="))


def aws_time(point: Point) -> str | None:
    """A time as boto3 takes it; None for a version or a snapshot."""
    if isinstance(point, timedelta):
        point = datetime.now(timezone.utc).replace(microsecond=0) - point
    return point.astimezone(timezone.utc).isoformat() if isinstance(point, datetime) else None


def boto_call(operation: str, client: str = "rds", **parameters: Any) -> str:
    """A call of a client; parameters that are None are left out."""
    return _call(f"{client}.{operation}", parameters)


def python_call(target: str, *arguments: Any, **named: Any) -> str:
    """A call of a method; ``target`` is the text before the parenthesis."""
    texts = [*map(_literal, arguments), *(f"{name}={_literal(value)}" for name, value in named.items())]
    return f"{target}({', '.join(texts)})"


def cluster_text(name: str) -> str:
    """The handle on a cluster in Python."""
    return f"store.cluster({_literal(name)})"


def _call(target: str, parameters: Mapping[str, Any]) -> str:
    texts = [f"{name}={_literal(value)}" for name, value in parameters.items() if value is not None]
    line = f"{target}({', '.join(texts)})"
    return line if len(line) <= 88 or not texts else f"{target}(\n    " + ",\n    ".join(texts) + ",\n)"


def _literal(value: object) -> str:
    if isinstance(value, datetime):
        return f"datetime.fromisoformat({value.isoformat()!r})"
    if isinstance(value, timedelta):
        return f"timedelta(seconds={value.total_seconds():g})"
    return repr(value).replace("'", '"') if isinstance(value, str) and '"' not in value else repr(value)


_OPTIONS = {
    "engine": "--engine",
    "backup_retention_days": "--backup-retention-days",
    "backup_retention_bytes": "--backup-retention-bytes",
    "backtrack_window_s": "--backtrack-window",
    "ttl_s": "--ttl",
    "idle_s": "--idle",
    "clone_limit": "--clone-limit",
}
_WORDS = {"ttl_s": "never", "idle_s": "never", "backup_retention_bytes": "none"}
"""The words for no value."""


def cli_settings(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings as options of the command line; expiry that is None is ``never``, no limit of bytes ``none``, other
    options are left out then.
    """
    arguments: list[str] = []
    for name, value in settings.items():
        if name == "deletion_protection":
            arguments.append("--deletion-protection" if value else "--no-deletion-protection")
        elif name == "tags":
            for key, text in value.items():
                arguments += ["--tag", f"{key}={text}"]
        elif name in _OPTIONS and (value is not None or name in _WORDS):
            word = _WORDS[name] if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            arguments += [_OPTIONS[name], word]
    return tuple(arguments)
