"""The rule for names, the stricter one of the RDS API, and names with underscores wherever a name can be written."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clusterdb
from clusterdb.rules.names import check_name, check_rds_identifier
from clusterdb.rules.points import split
from tests.support.commands import run
from tests.support.stores import rows

LETTERS = "abcXYZ"
RDS = ["a", "A", "prod", "Prod-2026", "a-b-c", "a1", "x" * 63, f"{'ab-' * 20}ab1"]
NOT_RDS = ["", "-", "1a", "-a", "a-", "a--b", "my_app", "_a", "a_", "a.b", "a b", "ä", "aé", "x" * 64, "a\n", "٣"]
ONLY_OURS = ["my_app", "a_", "a__b", "a_-_b", "test_site_gw0", "a-", "a--b", "a" + "_" * 62]


# --- the rules --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", RDS)
def test_rds_identifiers_are_names(name: str) -> None:
    """Both rules accept them, and return them as they are."""
    assert check_rds_identifier(name) == check_name(name) == name


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(LETTERS + "09_-", max_size=70))
def test_rules_differ_by_underscores_and_the_places_of_hyphens(text: str) -> None:
    """A name without underscores, doubled or last hyphens is an identifier of RDS; every such identifier is a name."""

    def accepts(rule: str) -> bool:
        try:
            return bool((check_name if rule == "ours" else check_rds_identifier)(text))
        except clusterdb.InvalidNameError:
            return False

    assert accepts("ours") == (0 < len(text) < 64 and text[0] in LETTERS)
    assert accepts("rds") == (accepts("ours") and "_" not in text and "--" not in text and not text.endswith("-"))


@pytest.mark.parametrize("name", NOT_RDS)
def test_error_about_an_identifier_is_that_of_rds(name: str) -> None:
    """The text of the RDS API, with the parameter's name."""
    with pytest.raises(clusterdb.InvalidNameError) as caught:
        check_rds_identifier(name, "DBInstanceIdentifier")
    assert caught.value.aws_code == "InvalidParameterValue"
    assert str(caught.value) == (
        "The parameter DBInstanceIdentifier is not a valid identifier. Identifiers must begin with a letter; must "
        "contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two "
        "consecutive hyphens."
    )


def test_error_about_a_name_names_the_rule() -> None:
    """The kind of the object, the name, and what it may consist of."""
    with pytest.raises(clusterdb.InvalidNameError) as caught:
        check_name("_app", "snapshot")
    assert str(caught.value) == (
        "invalid snapshot name '_app': use a letter followed by up to 62 letters, digits, hyphens or underscores"
    )


# --- where names are written ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ONLY_OURS)
def test_names_work_in_points_uris_and_sql(disk_store: clusterdb.Store, name: str) -> None:
    """``name@point``, URIs and ATTACH; a name without hyphens needs no quotes as an identifier."""
    store = disk_store
    cluster = store.create_cluster(name, backtrack_window_s=60)
    connection = cluster.connect()
    connection.execute("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    version = cluster.stats().version
    connection.execute("UPDATE t SET n = 2")
    connection.close()
    assert split(f"{name}@{version}") == (name, version)
    assert split(f"{name}@be_fore") == (name, "be_fore")
    uri = f"clusterdb:{quote(name)}?store={quote(store.path)}"
    assert clusterdb.connect(uri).execute("SELECT n FROM t").fetchall() == [(2,)]
    connection = store.create_cluster("other").connect()
    alias = name if "-" not in name else f'"{name}"'
    connection.execute(f"ATTACH '{name}' AS {alias}")
    assert rows(connection, f"SELECT n FROM {alias}.t") == [(2,)]
    connection.close()
    old = cluster.clone("old_", at=version)
    assert [(change.name, change.count("update")) for change in store.diff(old, cluster).tables] == [("t", 1)]


def test_instances_endpoints_and_snapshots_have_underscores(store: clusterdb.Store) -> None:
    """And a connection finds an instance or an endpoint by such a name."""
    cluster = store.create_cluster("my_app")
    cluster.add_instance("w_1")
    cluster.add_instance("r_1")
    cluster.add_endpoint("for_reports", members=["r_1"])
    for endpoint in ("r_1", "for_reports"):
        connection = cluster.connect(endpoint)
        assert rows(connection, "SELECT 1") == [(1,)]
        connection.close()
    assert cluster.snapshot("before_it").name == store.snapshot("before_it").name
    store.delete_snapshot("before_it")


def test_clusters_are_listed_in_the_order_of_ascii(store: clusterdb.Store) -> None:
    """Hyphens before digits, capitals, underscores and small letters."""
    names = ["app", "app-1", "app0", "appB", "app_1", "appb"]
    for name in reversed(names):
        store.create_cluster(name)
    assert [cluster.name for cluster in store.clusters()] == names == sorted(names)


def test_commands_accept_underscores(tmp_path: Path, sample: Path) -> None:
    """A file's name becomes a cluster's; points, the shell's commands and errors with such names."""
    sample.rename(tmp_path / "my_app.sqlite3")
    assert run(tmp_path, "import", "my_app.sqlite3").returncode == 0
    assert run(tmp_path, "clone", "my_app@2", "my_app_2").returncode == 0
    assert run(tmp_path, "sql", "my_app_2", "DELETE FROM t WHERE id = 7").returncode == 0
    script = ".diff my_app\nATTACH 'my_app' AS my_app;\nSELECT count(*) FROM my_app.t;\n"
    answer = run(tmp_path, "shell", "my_app_2", stdin=script)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("my_app -> my_app_2\nt: 1 deleted\n") and "3000" in answer.stdout
    assert run(tmp_path, "ls", "--json").stdout.count('"my_app') == 3
    assert run(tmp_path, "export", "my_app_2", "my_app_2.db").returncode == 0
    assert run(tmp_path, "show", "my_ap").stderr == (
        "clusterdb: store '.clusterdb' has no cluster 'my_ap'; did you mean 'my_app'?\n"
    )
