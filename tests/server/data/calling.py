"""Calls of the Data API without HTTP."""

from __future__ import annotations

from typing import Any

from clusterdb.server import Running
from clusterdb.server.call import Call
from clusterdb.server.data import DataApi
from clusterdb.store import Store

ACCOUNT, REGION = "123456789012", "eu-west-1"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:any"
ENGINES = ("sqlite", "aurora-mysql", "aurora-postgresql")
KEYS = {
    "sqlite": "INTEGER PRIMARY KEY",
    "aurora-mysql": "INT AUTO_INCREMENT PRIMARY KEY",
    "aurora-postgresql": "serial PRIMARY KEY",
}
PREFIX = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:"


class Caller:
    """A client of one cluster, in one transaction or none."""

    def __init__(self, api: DataApi, store: Store, cluster: str, transaction: str | None = None) -> None:
        self.api, self.store, self.cluster, self.transaction = api, store, cluster, transaction

    def call(self, action: str, **input: Any) -> dict[str, Any]:
        """The output of an operation."""
        call = Call(self.store, ACCOUNT, REGION, "rds-data", action, "0f0f")
        if self.transaction is not None:
            input.setdefault("transactionId", self.transaction)
        input = {"resourceArn": PREFIX + self.cluster, "secretArn": SECRET, **input}
        return self.api.operations[action](call, {name: value for name, value in input.items() if value is not None})

    def execute(self, sql: str, values: dict[str, Any] | None = None, **input: Any) -> dict[str, Any]:
        """The output of a statement, with ``values`` as parameters."""
        parameters = [parameter(name, value) for name, value in (values or {}).items()]
        return self.call("ExecuteStatement", sql=sql, **({"parameters": parameters} if parameters else {}), **input)

    def rows(self, sql: str, values: dict[str, Any] | None = None, **input: Any) -> list[list[Any]]:
        """The values of a query; a Field that is not the obvious one of its type shows itself."""
        return [[plain(field) for field in record] for record in self.execute(sql, values, **input)["records"]]

    def batch(self, sql: str, *sets: dict[str, Any]) -> dict[str, Any]:
        """The output of a batch."""
        parameters = [[parameter(name, value) for name, value in values.items()] for values in sets]
        return self.call("BatchExecuteStatement", sql=sql, parameterSets=parameters)

    def begin(self) -> Caller:
        """The same client in a new transaction."""
        return Caller(self.api, self.store, self.cluster, self.call("BeginTransaction")["transactionId"])

    def commit(self) -> str:
        """The status of CommitTransaction."""
        return str(self.call("CommitTransaction")["transactionStatus"])

    def rollback(self) -> str:
        """The status of RollbackTransaction."""
        return str(self.call("RollbackTransaction")["transactionStatus"])


def parameter(name: str, value: Any) -> dict[str, Any]:
    """A SqlParameter for a value of Python."""
    if value is None:
        return {"name": name, "value": {"isNull": True}}
    kinds = {bool: "booleanValue", int: "longValue", float: "doubleValue", str: "stringValue", bytes: "blobValue"}
    return {"name": name, "value": {kinds[type(value)]: value}}


def plain(field: dict[str, Any]) -> Any:
    """The value of a Field."""
    ((kind, value),) = field.items()
    return None if kind == "isNull" else value


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def arn(server: Running, name: str) -> str:
    """The ARN of a cluster of a server."""
    return f"arn:aws:rds:{server.region}:{server.account}:cluster:{name}"
