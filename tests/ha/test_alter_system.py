"""ALTER SYSTEM: Aurora's statements that simulate faults."""

from __future__ import annotations

import apsw
import pytest

import clusterdb
from clusterdb.ha.faults import alter_system
from tests.ha.fleet import FOR, add, roles, seen
from tests.support.stores import rows


@pytest.mark.parametrize(
    ("sql", "call"),
    [
        ("ALTER SYSTEM CRASH", "aurora_inject_crash('instance')"),
        ("alter system crash instance;", "aurora_inject_crash('instance')"),
        (" ALTER\nSYSTEM  CRASH DISPATCHER ; ", "aurora_inject_crash('instance')"),
        ("ALTER SYSTEM CRASH NODE", "aurora_inject_crash('instance')"),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE {FOR}", "aurora_inject_replica_failure(5, 120, '')"),
        (
            f"ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO ALL {FOR}",
            "aurora_inject_replica_failure(5, 120, '')",
        ),
        (
            f"ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO 'b' {FOR};",
            "aurora_inject_replica_failure(5, 120, 'b')",
        ),
        (
            f'ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO "b" {FOR}',
            "aurora_inject_replica_failure(5, 120, 'b')",
        ),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE {FOR}", "aurora_inject_disk_failure(5, 0, 0, 120)"),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE IN DISK 3 {FOR}", "aurora_inject_disk_failure(5, 3, 1, 120)"),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE IN NODE 3 {FOR}", "aurora_inject_disk_failure(5, 3, 0, 120)"),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE NODE 3 {FOR}", "aurora_inject_disk_failure(5, 3, 0, 120)"),
        (
            f"ALTER SYSTEM SIMULATE 5 PERCENT DISK CONGESTION BETWEEN 1 AND 2 MILLISECONDS IN NODE 4 {FOR}",
            "aurora_inject_disk_congestion(5, 4, 0, 120, 1, 2)",
        ),
        *(
            (
                f"ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE FOR INTERVAL 1 {unit}",
                f"aurora_inject_disk_failure(0, 0, 0, {seconds})",
            )
            for unit, seconds in (
                ("YEAR", 31_536_000),
                ("QUARTER", 7_884_000),
                ("MONTH", 2_592_000),
                ("WEEK", 604_800),
                ("DAY", 86_400),
                ("HOUR", 3600),
                ("second", 1),
            )
        ),
    ],
)
def test_every_form_of_alter_system_is_executed(prod: clusterdb.Cluster, sql: str, call: str) -> None:
    """Every form of Aurora's statements is understood, and can be executed."""
    add(prod, "a", "b")
    assert alter_system(sql) == f"SELECT {call}"
    connection = prod.connect()
    connection.execute(sql).fetchall()
    assert (roles(prod)[0][0] == "b") == ("CRASH" in sql.upper())


def test_statements_after_alter_system_are_executed(prod: clusterdb.Cluster) -> None:
    """They run, be they Aurora's or SQL."""
    add(prod, "a")
    failure = f"ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE {FOR}"
    assert prod.connect().execute(f"{failure};\n{failure}; SELECT 5").fetchall() == [("",), ("",), (5,)]
    with pytest.raises(clusterdb.InvalidArgumentError, match="'ALTER SYSTEM HALT' is not a statement of Aurora:"):
        prod.connect().execute(f"{failure}; ALTER SYSTEM HALT; SELECT 5")
    with pytest.raises(clusterdb.InvalidArgumentError, match="ends the connection: no statement can follow it"):
        prod.connect().execute("ALTER SYSTEM CRASH INSTANCE; SELECT 1")
    assert roles(prod) == [("a", "writer")]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER SYSTEM",
        "ALTER SYSTEM CRASH DISK",
        "ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE",
        "ALTER SYSTEM SIMULATE -5 PERCENT DISK FAILURE FOR INTERVAL 1 SECOND",
        "ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE FOR INTERVAL 1 FORTNIGHT",
        "ALTER SYSTEM SIMULATE 5 PERCENT DISK CONGESTION FOR INTERVAL 1 SECOND",
        "ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO 'b'' OR 1' FOR INTERVAL 1 SECOND",
        "ALTER SYSTEM SET work_mem = 5",
    ],
)
def test_unknown_alter_system_is_refused_with_the_known_forms(prod: clusterdb.Cluster, sql: str) -> None:
    """Everything else is refused, with what there is; nothing happens."""
    add(prod, "a", "b")
    connection = prod.connect()
    with pytest.raises(clusterdb.InvalidArgumentError, match="use ALTER SYSTEM CRASH"):
        connection.execute(sql)
    assert seen(connection) == []


def test_replica_failure_needs_a_known_instance(prod: clusterdb.Cluster) -> None:
    """A replica failure names an instance of the cluster."""
    add(prod, "a", "b")
    with pytest.raises(clusterdb.InstanceNotFoundError, match="no instance 'x'"):
        prod.connect().execute(
            "ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO 'x' FOR INTERVAL 1 SECOND"
        ).fetchall()


def test_alter_table_named_system_is_sqlites(prod: clusterdb.Cluster) -> None:
    """ALTER TABLE is SQLite's, even of a table called system."""
    add(prod, "a")
    connection = prod.connect()
    connection.execute("CREATE TABLE system (x)")
    connection.execute("ALTER TABLE system ADD COLUMN y")
    connection.execute("  alter table t RENAME TO u")
    assert rows(connection, "SELECT name FROM sqlite_schema ORDER BY name") == [("system",), ("u",)]
    with pytest.raises(apsw.SQLError):
        connection.execute("ALTER SYSTEMS CRASH")


def test_alter_system_works_through_a_cursor(prod: clusterdb.Cluster) -> None:
    """Aurora's statements work through a cursor, and one of several, as any other."""
    add(prod, "a", "b")
    prod.connect().cursor().execute("ALTER SYSTEM CRASH")
    assert roles(prod)[0] == ("b", "writer")
