"""PostgreSQL's settings: those that may be set, and the values that change nothing.

Source: "Client Connection Defaults" in the documentation of PostgreSQL 15.
"""

from __future__ import annotations

import re

from clusterdb.flavours.flavour import Unsupported

__all__ = ["SETTINGS", "require_supported"]

_ANY = re.compile(r".*", re.DOTALL)
_ON = re.compile(r"on|true|yes|1", re.IGNORECASE)
_UTC = re.compile(r"utc|gmt|etc/utc|universal|zulu|[+-]?0+(?:\.0+)?|local", re.IGNORECASE)
_PATH = re.compile(r'\s*+(?:(?:"?\$user"?|"?public"?|"?pg_catalog"?|"")?\s*+(?:,\s*+|\Z))*+', re.IGNORECASE)
_UTF8 = re.compile(r"utf-?8|unicode", re.IGNORECASE)
_ISO = re.compile(r"iso\b.*", re.IGNORECASE)
SETTINGS = {
    "client_encoding": _UTF8,
    "names": _UTF8,
    "standard_conforming_strings": _ON,
    "timezone": _UTC,
    "datestyle": _ISO,
    "intervalstyle": re.compile("postgres", re.IGNORECASE),
    "bytea_output": re.compile("hex", re.IGNORECASE),
    "search_path": _PATH,
    **dict.fromkeys(
        [
            *("application_name", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"),
            *("idle_session_timeout", "transaction_timeout", "client_min_messages", "extra_float_digits"),
            *("check_function_bodies", "row_security", "default_tablespace", "default_table_access_method"),
            *("default_with_oids", "xmloption", "escape_string_warning", "synchronize_seqscans", "synchronous_commit"),
            *("work_mem", "maintenance_work_mem", "jit", "log_statement", "log_min_duration_statement"),
        ],
        _ANY,
    ),
}
"""The settings that may be set, each with the values that mean what is done here."""


def require_supported(name: str, value: str) -> None:
    """Check a setting.

    Raises Unsupported for a setting that is not supported, and
    for a value that would change what statements mean.
    """
    allowed = SETTINGS.get(name.lower())
    if allowed is None:
        raise Unsupported(f"SET {name}")
    text = value.strip()
    if text[:1] == "'" and text[-1:] == "'" and "','" not in text.replace(" ", ""):
        text = text[1:-1]
    if text.upper() != "DEFAULT" and not allowed.fullmatch(text.replace("'", "")):
        raise Unsupported(f"SET {name} TO {value}")
