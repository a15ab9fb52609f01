"""Error messages with flags in place of parameters.

The Python API names its parameters in messages, as ``page_size=1000`` or ``set backtrack_window_s first``.  The command
line and its shell show the same messages with the flags: ``--page-size 1000``, ``set --backtrack-window first``.  An
option whose parameter has the API's name is translated by that; ``_OTHERS`` has the flags that are no parameter.
"""

from __future__ import annotations

import re
from functools import cache

import click

from clusterdb.cli.app import cli
from clusterdb.errors import (
    ChangesetConflictError,
    CloneLimitError,
    ClusterStateError,
    DatabaseDamagedError,
    ExportTargetError,
    ImportSourceError,
    InvalidArgumentError,
    InvalidRestoreTimeError,
)

__all__ = ["message_of"]

_TRANSLATED = (
    ChangesetConflictError,
    CloneLimitError,
    ClusterStateError,
    DatabaseDamagedError,
    ExportTargetError,
    ImportSourceError,
    InvalidArgumentError,
    InvalidRestoreTimeError,
)
"""The errors that name parameters.  Others may quote SQL, which must stay as it is."""

_OTHERS = {
    "check=False": "--no-check",
    "copy_type='full-copy'": "--full-copy",
    "trusted=False": "--untrusted",
    "or None": "or never",
}


def message_of(error: Exception) -> str:
    """The message of an error, with the flags of the command line if it names parameters of the Python API.

    That of a system error has its file.
    """
    if isinstance(error, OSError):
        file = f": {error.filename}" if error.filename is not None else ""
        return f"{error.strerror or error}{file}"
    message = str(error)
    if not isinstance(error, _TRANSLATED):
        return message
    for text, flag in _OTHERS.items():
        message = message.replace(text, flag)
    return _parameters().sub(_flag, message)


@cache
def _options() -> dict[str, click.Option]:
    """The options of all commands, by the names of their parameters."""
    return {
        option.name: option
        for command in cli.commands.values()
        for option in command.params
        if isinstance(option, click.Option) and option.name is not None
    }


@cache
def _parameters() -> re.Pattern[str]:
    """A parameter with an equals sign; without one only if it has an underscore, as no word of English has."""
    names = "|".join(map(re.escape, _options()))
    compound = "|".join(re.escape(name) for name in _options() if "_" in name)
    value = r"(True|False|'[\w-]*'|[\w.-]+)?"
    return re.compile(rf"(?<![\w'])(?:({names})={value}|({compound})\b)")


def _flag(match: re.Match[str]) -> str:
    option, value = _options()[match[1] or match[3]], match[2]
    if value == "False" and option.secondary_opts:
        return option.secondary_opts[0]
    flag = max(option.opts, key=len)
    return f"{flag} {value.strip(chr(39))}" if value and not option.is_flag else flag
