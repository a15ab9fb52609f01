"""SET, and what the statements around a dump switch on and off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from clusterdb.flavours.context import Context
from clusterdb.flavours.flavour import IDLE, Translation, Unsupported, call
from clusterdb.flavours.mysql.modes import REFUSED, modes_of
from clusterdb.flavours.mysql.variables import CONSTANT, NO_EFFECT, SETTABLE, UTC

if TYPE_CHECKING:
    from clusterdb.flavours.mysql.base import MySQLBase

__all__ = ["settings"]

_LEVEL = "ISOLATION LEVEL "


def settings(flavour: MySQLBase, tree: exp.Set, context: Context) -> Translation:
    """SET: each variable by a query that calls the session.  Raises Unsupported, DatabaseError."""
    queries = [query for item in tree.expressions for query in _item(flavour, item, context)]
    commits = any(_name(item) == "autocommit" and _is_on(item) for item in tree.expressions)
    texts = [flavour.text(exp.select(query)) for query in queries]
    if tree.find(exp.Placeholder) is not None:
        return Translation(texts[-1], tuple(texts[:-1]), commits=commits)
    return Translation(IDLE, tuple(texts), commits=commits)


def _name(item: exp.Expression) -> str:
    assignment = item.this
    target = assignment.this if isinstance(assignment, exp.EQ | exp.PropertyEQ) else None
    return target.name.lower() if isinstance(target, exp.Column | exp.SessionParameter) else ""


def _is_on(item: exp.Expression) -> bool:
    return item.this.expression.name.upper() in ("1", "ON", "TRUE", "DEFAULT")


def _item(flavour: MySQLBase, item: exp.Expression, context: Context) -> list[exp.Expression]:
    kind = str(item.args.get("kind") or "").upper()
    if kind in ("NAMES", "CHARACTER SET", "CHARSET"):
        names = ("character_set_client", "character_set_results", "character_set_connection")
        if item.name.upper() == "DEFAULT":
            return [call("my_assign", name) for name in names]
        return [call("my_assign", name, item.name) for name in names]
    if kind == "TRANSACTION":
        return _transaction(item)
    assignment = item.this
    if not isinstance(assignment, exp.EQ | exp.PropertyEQ):
        raise Unsupported(f"SET {item.sql(dialect='mysql')}")
    target, value = assignment.this, assignment.expression
    if isinstance(target, exp.Parameter):
        return [call("my_set", target.name.lower(), flavour.expression(value, context))]
    scope = kind or str(target.args.get("kind") or "").upper()
    return _system(flavour, scope, target.name.lower(), value, context)


def _system(flavour: MySQLBase, scope: str, name: str, value: exp.Expression, context: Context) -> list[exp.Expression]:
    """A system variable: of all sessions only if that changes nothing."""
    if name not in SETTABLE or (scope in ("GLOBAL", "PERSIST", "PERSIST_ONLY") and name not in NO_EFFECT):
        raise Unsupported(f"SET {scope} {name}".replace("  ", " "))
    if isinstance(value, exp.Var | exp.Column) and not value.args.get("table"):
        if value.name.upper() == "DEFAULT":
            return [call("my_assign", name)]
        value = exp.Literal.string(value.name)
    elif isinstance(value, exp.Binary) and isinstance(value.this, exp.Var):
        raise Unsupported(f"SET {name}")
    if isinstance(value, exp.Boolean):
        value = exp.Literal.number(int(value.this))
    if isinstance(value, exp.Literal):
        _require(name, value.name)
    return [call("my_assign", name, flavour.expression(value, context))]


def _require(name: str, value: str) -> None:
    """Raises Unsupported, DatabaseError for a value that is known to be refused, before anything is done."""
    if name == "sql_mode":
        for mode in REFUSED & {part.strip().upper() for part in value.split(",")}:
            raise Unsupported(f"the SQL mode {mode}")
        modes_of(value)
    elif name == "time_zone" and value.upper() not in UTC:
        raise Unsupported(f"the time zone '{value}'")
    elif name in CONSTANT and value.upper() not in (
        str(CONSTANT[name]),
        *(("OFF", "FALSE") if not CONSTANT[name] else ("ON", "TRUE")),
    ):
        raise Unsupported(f"SET {name} = {value}")


def _transaction(item: exp.Expression) -> list[exp.Expression]:
    """SET TRANSACTION: any level of isolation is kept; of the next transaction only it is not shown."""
    queries: list[exp.Expression] = []
    for characteristic in item.expressions:
        text = characteristic.name.upper()
        if text.startswith(_LEVEL):
            level = text.removeprefix(_LEVEL).replace(" ", "-")
            if "SESSION" in item.sql(dialect="mysql").upper().split("TRANSACTION")[0]:
                queries.append(call("my_assign", "transaction_isolation", level))
        elif text != "READ WRITE":
            raise Unsupported(f"SET TRANSACTION {text}")
    return queries
