"""The verbs of the control plane on the command line, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clusterdb
from clusterdb.rules.settings import DURABLE_DEFAULTS
from tests.support.command_line import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "store")


def words(text: str) -> list[list[str]]:
    """The words of a table's rows."""
    return [line.split() for line in text.splitlines()[2:]]


def test_create_clone_restore_and_modify_take_the_same_settings(shell: Shell) -> None:
    """create, clone, restore and modify take the same options; ``never`` removes a time."""
    shell(
        "create",
        "shop",
        "--engine",
        "aurora-mysql",
        "--tag",
        "team=web",
        "--tag",
        "a=b",
        "--ttl",
        "1000",
        "--clone-limit",
        "3",
    )
    assert shell.settings("shop") == DURABLE_DEFAULTS.changed(
        {"engine": "aurora-mysql", "tags": {"team": "web", "a": "b"}, "ttl_s": 1000, "clone_limit": 3}
    )
    shell("clone", "shop", "dev", "--idle", "60", "--backup-retention-days", "2", "--backup-retention-bytes", "2g")
    dev = shell.settings("dev")
    assert (dev.engine, dev.idle_s, dev.backup_retention_days, dict(dev.tags)) == ("aurora-mysql", 60, 2, {})
    assert dev.backup_retention_bytes == 2 << 30
    shell("modify", "dev", "--backup-retention-bytes", "none")
    assert (shell.settings("dev").backup_retention_days, shell.settings("dev").backup_retention_bytes) == (2, None)
    shell("snapshot", "shop", "s")
    shell("restore", "s", "again", "--deletion-protection")
    assert shell.settings("again").deletion_protection
    shell("modify", "shop", "--ttl", "never", "--tag", "only=this")
    assert (shell.settings("shop").ttl_s, dict(shell.settings("shop").tags)) == (None, {"only": "this"})
    shown = shell("show", "shop")
    assert ["time to live", "unlimited"] in [[line[:19].strip(), line[19:].strip()] for line in shown.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("modify", "shop", "--tag", "ab"), "use KEY=VALUE"),
        (("modify", "shop", "--ttl", "soon"), "use a number of seconds, or 90s, 30m, 12h, 2d, or never"),
        (("modify", "shop", "--backup-retention-bytes", "big"), "use a number of bytes, or 64k, 500MB, 2g, or none"),
        (("clone", "shop@", "x"), "point in time missing after the @"),
        (("snapshot", "shop@ ", "x"), "point in time missing after the @"),
    ],
)
def test_wrong_usage_exits_with_2_and_creates_nothing(shell: Shell, arguments: tuple[str, ...], text: str) -> None:
    """The exit code is 2, the message says what to write, and nothing is created."""
    shell("create", "shop")
    result = shell.tried(*arguments)
    assert (result.exit_code, text in result.output) == (2, True), result.output
    assert [line[0] for line in words(shell("ls"))] == ["shop"]


def test_full_copy_shares_no_page(shell: Shell) -> None:
    """A full copy shares nothing with its source."""
    shell("create", "shop")
    shell("sql", "shop", "CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(100000))")
    shell("clone", "shop", "copy", "--full-copy")
    assert "shared 0 bytes" in " ".join(shell("show", "copy").split())


def test_instances_and_endpoints_are_added_changed_crashed_and_removed(shell: Shell) -> None:
    """Change, crash, look at them; custom endpoints come and go."""
    shell("create", "shop")
    shell("add-instance", "shop", "w")
    shell("add-instance", "shop", "r", "--lag", "5")
    shell("modify-instance", "shop", "r", "--lag", "9", "--tier", "0")
    shell("add-endpoint", "shop", "reports", "--type", "READER", "--member", "r")
    shell("add-endpoint", "shop", "rest", "--exclude", "w")
    assert ["reports", "CUSTOM", "READER", "r"] in words(shell("endpoints", "shop"))
    assert [line[0] for line in words(shell("replica-status", "shop"))] == ["w", "r"]
    shell("crash", "shop")
    assert [line[:2] for line in words(shell("instances", "shop"))] == [["r", "writer"], ["w", "reader"]]
    shell("rm-endpoint", "shop", "reports")
    assert "reports" not in shell("endpoints", "shop")


def test_expire_prints_the_clusters_it_deletes(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """expire prints the clusters that it deletes."""
    shell("create", "shop")
    shell("create", "short", "--ttl", "0.001")
    monkeypatch.setattr(
        "clusterdb.clusters.tidying.tidy", lambda context: None
    )  # opening the store would do it already
    assert shell("expire") == "short\n"
    assert shell("reclaim") == "0 slots freed\n"


def test_sql_command_speaks_the_engine_of_the_cluster(shell: Shell) -> None:
    """The SQL of a MySQL cluster is MySQL's on the command line, too."""
    shell("create", "shop", "--engine", "aurora-mysql")
    text = shell(
        "sql",
        "shop",
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n VARCHAR(5)); INSERT INTO t (n) VALUES ('a'), ('b');"
        "SELECT CONCAT(n, '-', id) AS both_of_them FROM t ORDER BY id DESC",
    )
    assert words(text) == [["b-2"], ["a-1"]]


@pytest.mark.parametrize(
    ("engine", "names"),
    [
        ("aurora-mysql", ["CONCAT('a', 'b')", "COUNT(*)", "u", "n"]),
        ("aurora-postgresql", ["concat", "count", "u", "n"]),
    ],
)
def test_result_columns_have_the_names_of_the_engine(store: clusterdb.Store, engine: str, names: list[str]) -> None:
    """Columns are named as the engine names them, not as the translated statement does."""
    connection: Any = clusterdb.connect(store.create_cluster("c", engine=engine), autocommit=True)
    shown = "CONCAT('a', 'b'), COUNT(*), UPPER('x') AS u, n"
    cursor = connection.execute(f"SELECT {shown} FROM (SELECT 1 AS n) AS t GROUP BY n")
    assert [column[0] for column in cursor.description] == names
    connection.close()
