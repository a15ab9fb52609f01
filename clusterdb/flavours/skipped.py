"""The statements of a dump that loading skips because clusters have no such objects, by kind."""

from __future__ import annotations

import re

__all__ = ["kind_of"]

_DEFINER = r"(?:OR\s+REPLACE\s+)?(?:DEFINER\s*=\s*\S+\s+)?(?:AGGREGATE\s+)?"
_SETTING = (
    r"(?:@\w++\s*=\s*@@\w++|\w++\s*=\s*@\w++|NAMES\s+\w++|(?:character_set_\w++|collation_connection|unique_checks|"
    r"foreign_key_checks|sql_notes|note_verbosity)\s*=\s*\w++)"
)
"""Settings that a dump saves, changes and restores: loading does not depend on them."""
_MYSQL = (
    (rf"CREATE\s+{_DEFINER}TRIGGER", "trigger"),
    (rf"CREATE\s+{_DEFINER}FUNCTION", "function"),
    (rf"CREATE\s+{_DEFINER}PROCEDURE", "procedure"),
    (rf"CREATE\s+{_DEFINER}EVENT", "event"),
    (r"(?:GRANT|REVOKE)", "grant"),
    (r"(?:CREATE|ALTER)\s+(?:USER|ROLE)", "user"),
    (r"SET\s+(?:PASSWORD|DEFAULT\s+ROLE)", "user"),
    (r"(?:CREATE|ALTER)\s+(?:DATABASE|SCHEMA)", "database"),
    (r"(?:CREATE|ALTER)\s+(?:UNDO\s+)?(?:TABLESPACE|LOGFILE\s+GROUP|SERVER)", "tablespace"),
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?SEQUENCE", "sequence"),
    (
        r"(?:CHANGE\s+(?:MASTER|REPLICATION)|SET\s+@@(?:GLOBAL|SESSION)\.(?:GTID_PURGED|SQL_LOG_BIN))",
        "replication setting",
    ),
    (r"USE", ""),
    (r"DROP\s+(?:TRIGGER|FUNCTION|PROCEDURE|EVENT|USER|ROLE|DATABASE|SCHEMA|SERVER)", ""),
    (r"(?:LOCK|UNLOCK)\s+TABLES?", ""),
    (r"FLUSH", ""),
    (r"ALTER\s+TABLE\s+\S+\s+(?:DISABLE|ENABLE)\s+KEYS", ""),
    (rf"SET\s+{_SETTING}(?:\s*,\s*{_SETTING})*+\s*+\Z", ""),
)
_NAME = r'(?:"(?:[^"]|"")+"|\w+)(?:\.(?:"(?:[^"]|"")+"|\w+))?'
_POSTGRESQL = (
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?TRIGGER", "trigger"),
    (r"CREATE\s+EVENT\s+TRIGGER", "event trigger"),
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?FUNCTION", "function"),
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?PROCEDURE", "procedure"),
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?AGGREGATE", "aggregate"),
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?RULE", "rule"),
    (r"CREATE\s+POLICY", "policy"),
    (r"CREATE\s+EXTENSION", "extension"),
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:TRUSTED\s+|PROCEDURAL\s+)*LANGUAGE", "language"),
    (r"CREATE\s+SCHEMA", "schema"),
    (r"CREATE\s+DATABASE", "database"),
    (rf"CREATE\s+TYPE(?!\s+{_NAME}\s+AS\s+ENUM\b)", "type"),
    (r"CREATE\s+DOMAIN", "domain"),
    (r"CREATE\s+COLLATION", "collation"),
    (r"CREATE\s+(?:DEFAULT\s+)?CONVERSION", "conversion"),
    (r"CREATE\s+CAST", "cast"),
    (r"CREATE\s+OPERATOR", "operator"),
    (r"CREATE\s+TEXT\s+SEARCH", "text search object"),
    (r"CREATE\s+STATISTICS", "statistic"),
    (r"CREATE\s+(?:PUBLICATION|SUBSCRIPTION)", "publication"),
    (r"CREATE\s+(?:SERVER|FOREIGN\s+(?:TABLE|DATA)|USER\s+MAPPING)", "foreign object"),
    (r"CREATE\s+ACCESS\s+METHOD", "access method"),
    (r"CREATE\s+TRANSFORM", "transform"),
    (r"CREATE\s+TABLESPACE", "tablespace"),
    (r"CREATE\s+(?:ROLE|USER|GROUP)", "role"),
    (r"CREATE\s+MATERIALIZED\s+VIEW", "materialized view"),
    (r"REFRESH\s+MATERIALIZED\s+VIEW", ""),
    (r"ALTER\s+DEFAULT\s+PRIVILEGES", "grant"),
    (r"(?:GRANT|REVOKE)", "grant"),
    (r"COMMENT\s+ON", "comment"),
    (r"SECURITY\s+LABEL", "security label"),
    (r"ALTER\s++.*\bOWNER\s++TO\s++\S++\s*+\Z", "owner"),
    (
        rf"ALTER\s+TABLE\s+(?:ONLY\s+)?{_NAME}\s+(?:NO\s+)?(?:ENABLE|DISABLE|FORCE)\s+ROW\s+LEVEL",
        "row security setting",
    ),
    (rf"ALTER\s+TABLE\s+(?:ONLY\s+)?{_NAME}\s+(?:ENABLE|DISABLE)\s+(?:ALWAYS\s+|REPLICA\s+)?(?:TRIGGER|RULE)", ""),
    (rf"ALTER\s+TABLE\s+(?:ONLY\s+)?{_NAME}\s+(?:CLUSTER\s+ON|REPLICA\s+IDENTITY|SET(?=\s*\())", "storage setting"),
    (
        rf"ALTER\s+(?:TABLE|INDEX)\s+(?:ONLY\s+)?{_NAME}\s+ALTER\s+COLUMN\s+\S+\s+SET\s+(?:STATISTICS|STORAGE|COMPRESSION|(?=\())",
        "storage setting",
    ),
    (r"ALTER\s+(?:DATABASE|ROLE|USER)", "role"),
    (r"ALTER\s+(?:EXTENSION|FUNCTION|PROCEDURE|SCHEMA|TYPE|DOMAIN|PUBLICATION|EVENT\s+TRIGGER|TRIGGER)", ""),
    (r"SELECT\s+pg_catalog\.(?:lo_\w+|lowrite)", "large object"),
    (r"SELECT\s+pg_catalog\.set_config\('search_path'", ""),
    (
        r"SET\s+(?:statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout|row_security|"
        r"check_function_bodies|xmloption|client_min_messages|default_tablespace|default_table_access_method|"
        r"default_with_oids|client_encoding|standard_conforming_strings|search_path)\b",
        "",
    ),
    (r"DROP\s+(?!(?:TABLE|VIEW|INDEX|SEQUENCE)\b)\w+", ""),
    (r"\\(?:connect|encoding|set)\b", ""),
)


_KINDS = {
    engine: [(re.compile(rf"\s*{pattern}(?!\w)", re.IGNORECASE | re.DOTALL), kind) for pattern, kind in kinds]
    for engine, kinds in (("aurora-mysql", _MYSQL), ("aurora-postgresql", _POSTGRESQL))
}


def kind_of(statement: str, engine: str) -> str | None:
    """The kind of object in a statement to skip; empty for a statement without effect; None for others."""
    if statement[:6].upper() == "INSERT" or statement[:4].upper() == "COPY":
        return None
    return next((kind for pattern, kind in _KINDS[engine] if pattern.match(statement)), None)
