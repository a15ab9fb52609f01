"""MySQL's system variables: their defaults, and what setting one does."""

from __future__ import annotations

from clusterdb.flavours.functions import SqlValue
from clusterdb.flavours.mysql.modes import DEFAULT, text_of

__all__ = ["BOOLEANS", "CHOICES", "CONSTANT", "DEFAULTS", "NO_EFFECT", "READ_ONLY", "SETTABLE", "UTC"]

_OBEYED: dict[str, SqlValue] = {
    "autocommit": 1,
    "foreign_key_checks": 1,
    "sql_mode": text_of(DEFAULT),
    "time_zone": "+00:00",
}
"""What a session sees to."""

NO_EFFECT: dict[str, SqlValue] = {
    "big_tables": 0,
    "bulk_insert_buffer_size": 8388608,
    "character_set_client": "utf8mb4",
    "character_set_connection": "utf8mb4",
    "character_set_database": "utf8mb4",
    "character_set_results": "utf8mb4",
    "character_set_server": "utf8mb4",
    "collation_connection": "utf8mb4_unicode_ci",
    "collation_database": "utf8mb4_unicode_ci",
    "collation_server": "utf8mb4_unicode_ci",
    "default_storage_engine": "InnoDB",
    "gtid_purged": "",
    "information_schema_stats_expiry": 86400,
    "innodb_lock_wait_timeout": 50,
    "innodb_strict_mode": 1,
    "interactive_timeout": 28800,
    "join_buffer_size": 262144,
    "lc_messages": "en_US",
    "lc_time_names": "en_US",
    "lock_wait_timeout": 31536000,
    "max_execution_time": 0,
    "net_buffer_length": 16384,
    "net_read_timeout": 30,
    "net_write_timeout": 60,
    "optimizer_switch": "",
    "profiling": 0,
    "sort_buffer_size": 262144,
    "sql_log_bin": 1,
    "sql_notes": 1,
    "sql_quote_show_create": 1,
    "sql_warnings": 0,
    "tmp_table_size": 16777216,
    "unique_checks": 1,
    "wait_timeout": 28800,
}
"""What is about a server, its caches and its network; and checks that are made anyway."""

CONSTANT: dict[str, SqlValue] = {
    "div_precision_increment": 4,
    "sql_auto_is_null": 0,
    "sql_big_selects": 1,
    "sql_safe_updates": 0,
    "transaction_read_only": 0,
}
"""What would change the meaning of statements: no value but this is taken."""

_LEVELS = ("READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE")
CHOICES: dict[str, tuple[str, ...]] = {"transaction_isolation": _LEVELS, "tx_isolation": _LEVELS}
"""Levels of isolation: transactions are always serializable, which is what each of them promises and more."""

READ_ONLY: dict[str, SqlValue] = {
    "hostname": "localhost",
    "license": "Apache-2.0",
    "lower_case_table_names": 1,
    "max_allowed_packet": 67108864,
    "port": 3306,
    "system_time_zone": "UTC",
    "version": "8.0.0-clusterdb",
    "version_comment": "clusterdb",
}

SETTABLE = frozenset({*_OBEYED, *NO_EFFECT, *CONSTANT, *CHOICES})
DEFAULTS: dict[str, SqlValue] = {
    **_OBEYED,
    **NO_EFFECT,
    **CONSTANT,
    **dict.fromkeys(CHOICES, "SERIALIZABLE"),
    **READ_ONLY,
}
BOOLEANS = frozenset(
    [
        *("autocommit", "foreign_key_checks", "big_tables", "innodb_strict_mode", "profiling", "sql_log_bin"),
        *("sql_notes", "sql_quote_show_create", "sql_warnings", "unique_checks", "sql_auto_is_null"),
        *("sql_big_selects", "sql_safe_updates", "transaction_read_only"),
    ]
)
UTC = ("+00:00", "UTC", "SYSTEM")
