"""A selection of the parameters of each family, as DescribeEngineDefaultClusterParameters lists them."""

from __future__ import annotations

from typing import Any

__all__ = ["defaults_of"]

_MYSQL = (
    ("aurora_lab_mode", "0", "Enables new features in the Aurora engine.", "static", "boolean", "0,1"),
    ("aurora_load_from_s3_role", None, "IAM role ARN used to load data from AWS S3", "dynamic", "string", None),
    ("binlog_format", "OFF", "Binary logging format for replication", "static", "string", "ROW,STATEMENT,MIXED,OFF"),
    ("character_set_server", "utf8mb4", "The server's default character set.", "dynamic", "string", None),
    ("collation_server", None, "The server's default collation.", "dynamic", "string", None),
    ("innodb_file_per_table", "1", "Use tablespaces or files for Innodb.", "dynamic", "boolean", "0,1"),
    (
        "lower_case_table_names",
        "0",
        "Affects how the server handles identifier case sensitivity",
        "static",
        "integer",
        "0,1",
    ),
    ("require_secure_transport", "OFF", "Whether client connections must be secure.", "dynamic", "boolean", "ON,OFF"),
    ("server_audit_logging", "0", "Enables audit_log.", "dynamic", "boolean", "0,1"),
    ("server_audit_logs_upload", "0", "Enables audit_log upload to CloudWatch.", "dynamic", "boolean", "0,1"),
    ("time_zone", "UTC", "The server time zone", "dynamic", "string", None),
)
_POSTGRESQL = (
    ("apg_plan_mgmt.use_plan_baselines", "0", "Use only approved or fixed plans.", "dynamic", "boolean", "0,1"),
    ("client_encoding", "UTF8", "Sets the clients character set encoding.", "dynamic", "string", None),
    ("log_statement", "none", "Sets the type of statements logged.", "dynamic", "string", "none,ddl,mod,all"),
    ("rds.force_ssl", "1", "Force SSL connections.", "dynamic", "boolean", "0,1"),
    ("rds.logical_replication", "0", "Enables logical decoding.", "static", "boolean", "0,1"),
    ("shared_preload_libraries", "pg_stat_statements", "Lists shared libraries to preload.", "static", "list", None),
    ("timezone", "UTC", "Sets the time zone for displaying and interpreting time stamps.", "dynamic", "string", None),
)


def defaults_of(family: str) -> list[dict[str, Any]]:
    """The parameters of a family, by name."""
    rows = _POSTGRESQL if "postgresql" in family else _MYSQL if family.startswith("aurora") else ()
    return [
        {
            "ParameterName": name,
            **({"ParameterValue": value} if value is not None else {}),
            "Description": description,
            "Source": "system" if name == "time_zone" else "engine-default",
            "ApplyType": apply_type,
            "DataType": data_type,
            **({"AllowedValues": allowed} if allowed is not None else {}),
            "IsModifiable": True,
            "ApplyMethod": "pending-reboot" if apply_type == "static" else "immediate",
            "SupportedEngineModes": ["provisioned"],
        }
        for name, value, description, apply_type, data_type, allowed in rows
    ]
