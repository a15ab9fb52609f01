"""What the pages show, on every route."""

from __future__ import annotations

import re
from contextlib import closing
from urllib.parse import quote

import pytest

import clusterdb
from tests.server.console.client import Client


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("/", ["prod", "the shop", "gone deleted", "its clones remain", "orphan", "in use"]),
        ("/?q=dev", ["1 of 3 databases"]),
        ("/?q=note=the*", ["1 of 3 databases"]),
        ("/?q=shop", ["1 of 3 databases"]),
        ("/?q=nothing", ["No database matches nothing : change the filter."]),
        ("/new", ["New database", "aurora-postgresql", "cldb import FILE NAME"]),
        ("/clone?source=prod", ["now (version 5)", "monday (prod,", "Settings, filled in from the source"]),
        ("/clone?snapshot=monday", ["Clone prod"]),
        ("/delete?cluster=prod&cluster=dev", ["frees at least", "Type prod to delete these 2 databases"]),
        ("/delete?cluster=prod", ["its clones remain: dev"]),
        ("/snapshots", ["monday", "prod"]),
        ("/activity", ["cluster 'dev' cloned", "1 to "]),
        ("/activity?source=dev&q=cloned", ["1 to 1 of 1"]),
        ("/activity?q=xyz", ["No event matches."]),
        ("/diff", ["A side is a database"]),
        ("/diff?before=dev", ["dev@base → dev", "added index by_customer", "customers 0 1 0", "orders 0 0 10"]),
        ("/diff?before=prod&after=prod", ["Nothing differs."]),
        ("/diff?before=prod@3&after=prod@5", ["prod@3 → prod@5", "orders 300 0 0"]),
        ("/diff/customers?before=dev", ["Diff of customers", "NO", "SE", "1 updated"]),
        ("/diff/orders?before=prod@3&after=prod@5", ["1 to 100 of 300", "Next"]),
        ("/diff/orders?before=prod@3&after=prod@5&from=200", ["201 to 300 of 300", "Previous"]),
        ("/diff/customers?before=prod&after=prod", ["Its rows do not differ."]),
        ("/query?cluster=dev&sql=SELECT+:a", ["SELECT :a", "Parameters"]),
        ("/clusters/dev", ["Cloned from prod at version 5", "DB-API", "sqlite+clusterdb:///dev", "Reset to prod…"]),
        ("/clusters/prod", ["the shop", "prod-1", "Clones dev"]),
        ("/clusters/prod/past", ["Version 5 now", "snapshot 'monday'", "clone 'dev'", "Go back…"]),
        ("/clusters/prod/past?count=1", ["More versions"]),
        ("/clusters/prod/back?kind=version&to=3", ["Backtrack prod to version 3", "orders 0 0 300"]),
        ("/clusters/prod/back?kind=snapshot&to=monday", ["Reset prod to snapshot monday", "customers 0 0 5"]),
        ("/clusters/dev/back?kind=source", ["Reset dev to the present state of prod", "orders 10 0 0"]),
        ("/clusters/prod/instances", ["prod-1 writer", "prod-2 reader", "100 ms", "Simulate a fault", "Endpoints"]),
        ("/clusters/dev/instances", ["dev has no instances"]),
        ("/clusters/dev/pages", ["Changed lately", "Pages of 4 KiB"]),
        ("/clusters/dev/settings", ["Protected from deletion", "Rename", "Delete dev…"]),
    ],
)
def test_page_shows(console: Client, path: str, texts: list[str]) -> None:
    """Each page has its content, one heading of the first level, landmarks, and a title."""
    page = console.get(path)
    assert page.status == 200, page.error
    for text in texts:
        assert text in page.words
    assert page.text.count("<h1") == 1
    assert "<main" in page.text and "<title>" in page.text and 'lang="en"' in page.text


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/clusters/nope", 404, "no cluster 'nope'"),
        ("/clusters/nope/past", 404, "no cluster 'nope'"),
        ("/clusters/1x", 400, "invalid cluster name"),
        ("/clone?source=nope", 404, "no cluster 'nope'"),
        ("/delete", 400, "no database is selected"),
        ("/diff?before=prod@99", 400, "no version 99"),
        ("/diff?before=orphan@base&after=nope", 404, "nope"),
        ("/diff/nope?before=dev", 400, "has a table 'nope'"),
        ("/diff.sql", 400, "the first side is missing"),
        ("/clusters/prod/pages?lately=x", 400, "is not a whole number"),
        ("/clusters/prod/back", 400, "choose one"),
        ("/clusters/prod/back?kind=source", 400, "has no source to reset to"),
        ("/query?cluster=nope", 404, "no cluster 'nope'"),
    ],
)
def test_bad_url_is_one_line(console: Client, path: str, status: int, error: str) -> None:
    """What is wrong, on a page of its own."""
    page = console.get(path)
    assert (page.status, error in page.error) == (status, True), page.error


def test_list_of_many_databases_has_pages(shop: clusterdb.Store, console: Client) -> None:
    """Two hundred rows each."""
    for number in range(250):
        shop.cluster("orphan").clone(f"c{number:03}")
    first, second = console.get("/"), console.get("/?from=200")
    assert "Rows 1 to 200 of 254 · Next" in first.words and "253 databases" in first.words
    assert "Rows 201 to 254 of 254 · Previous" in second.words


def test_empty_store(tmp_path: object) -> None:
    """The list explains how to begin; the other pages exist too."""
    with clusterdb.open(f"{tmp_path}/empty") as store:
        client = Client(store)
        assert "The store is empty" in client.get("/").words
        for path in ("/query", "/diff", "/snapshots", "/activity", "/new"):
            assert client.get(path).status == 200
        assert "create one first" in client.get("/clone").error


def test_store_in_memory_has_no_addresses() -> None:
    """Other processes cannot open it."""
    with clusterdb.open(":memory:") as store:
        store.create_cluster("x")
        assert "A store in memory belongs to the process" in Client(store).get("/clusters/x").words


def test_overview_shows_what_the_rds_api_keeps(shop: clusterdb.Store, console: Client) -> None:
    """Attributes that only AWS has, as they are in the catalog."""
    catalog = shop.context.catalog
    with catalog.transaction():
        document = {"DBClusterParameterGroup": "mine", "Port": 3307, "AssociatedRoles": [{"RoleArn": "<arn>"}]}
        catalog.documents.put(shop.cluster("dev").id, "DBCluster", "", document)
    page = console.get("/clusters/dev")
    assert "DBClusterParameterGroup mine" in page.words and "Port 3307" in page.words and "<arn>" not in page.text


def test_downloads(console: Client, shop: clusterdb.Store, tmp_path: object) -> None:
    """SQL, a changeset that can be applied, and the database as a file."""
    script = console.get("/diff.sql?before=dev")
    assert "DELETE FROM" in script.text and 'filename="diff-dev.sql"' in script.headers["content-disposition"]
    one = console.get("/diff.sql?before=dev&table=customers")
    assert "orders" not in one.text
    changeset = console.get("/diff.changeset?before=dev")
    assert shop.cluster("prod").apply(changeset.body).applied_count == 11
    file = console.get("/clusters/prod/download")
    assert file.body.startswith(b"SQLite format 3\0")
    assert 'filename="prod.db"' in file.headers["content-disposition"]


def test_names_and_values_are_escaped(console: Client, shop: clusterdb.Store) -> None:
    """Nothing that a database or a form holds becomes markup."""
    evil = "<img src=x onerror=alert(1)>"
    with closing(shop.cluster("dev").connect()) as connection:
        connection.execute(f'CREATE TABLE "{evil}" (a); INSERT INTO "{evil}" VALUES (?)', (evil,))
    shop.cluster("dev").modify(tags={"note": evil})
    pages = [
        console.get("/"),
        console.get("/clusters/dev"),
        console.get("/clusters/dev/settings"),
        console.get("/diff?before=dev"),
        console.get(f"/diff/{quote(evil)}?before=dev"),
        console.get(f"/query?sql={quote(evil)}&cluster=dev"),
        console.get(f"/clusters/{quote(evil)}"),
        console.get(f"/?q={quote(evil)}"),
        console.post("/query/run", {"cluster": "dev", "sql": f'SELECT * FROM "{evil}"'}),
        console.post("/do/create", {"name": evil}),
        console.post("/code/create", {"name": evil}, part=True),
    ]
    for page in pages:
        assert "<img src=x" not in page.text
    assert evil in pages[8].words


def test_pages_have_no_inline_scripts_or_styles(console: Client) -> None:
    """So the content security policy holds."""
    for path in (
        "/",
        "/query?cluster=prod",
        "/clusters/prod/instances",
        "/clusters/dev/pages",
        "/clone",
        "/diff?before=dev",
    ):
        text = console.get(path).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*src=)", text), path


def test_page_map_counts_own_and_changed_pages(console: Client, shop: clusterdb.Store) -> None:
    """Own pages are those that were written after the clone began."""
    words = console.get("/clusters/dev/pages?lately=1000").words
    match = re.search(r"Own (\d+) Shared (\d+) Changed lately (\d+) Never written (\d+) Pages of 4 KiB (\d+)", words)
    assert match is not None
    own, shared, changed, empty, total = map(int, match.groups())
    assert own > 0 and shared > 0 and own + shared + empty == total and changed == own + shared


def test_overview_shows_storage_nodes(console: Client, shop: clusterdb.Store) -> None:
    """Of a cluster with zones, with buttons that lose and return them."""
    assert "Storage nodes" not in console.get("/clusters/prod").words
    shop.create_cluster("kept", zones=3).lose_zone("b")
    words = console.get("/clusters/kept").words
    assert "4 of 6 nodes: commits need 4, recovery 3." in words
    assert "3 b lost lost on request" in words and "store-zones/b1" in words
    assert "Lose zone a Return zone b Lose zone c Repair" in words
