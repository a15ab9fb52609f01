"""The query editor: running, parameters, caps, errors, risks, exports, plans, cancelling."""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import closing
from urllib.parse import urlencode

import pytest

import clusterdb
from clusterdb.server.console.sql.running import Runs, run_script
from clusterdb.server.console.sql.sessions import Place
from tests.server.console.client import Client, Page

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


def run(console: Client, sql: str, **fields: str) -> Page:
    return console.post("/query/run", {"cluster": "dev", "sql": sql, **fields}, part=True)


def test_rows_and_their_number(console: Client) -> None:
    """NULL, blobs and texts differ; the code is shown too."""
    page = run(console, "SELECT 1 AS a, NULL AS b, x'0102' AS c, 'text' AS d, 2.5 AS e")
    assert "a b c d e 1 NULL x'0102' (2 bytes) text 2.5" in page.words
    assert "1 row," in page.words
    assert "execute_statement" in page.words and "cluster:dev" in page.words


def test_cap(console: Client) -> None:
    """The first rows only, and a hint."""
    page = run(console, "SELECT id FROM orders", cap="100")
    assert "the first 100 rows: there are more" in page.words
    assert page.text.count("<tr") == 101
    assert "290 rows" in run(console, "SELECT id FROM orders", cap="1000").words


def test_several_statements(console: Client, shop: clusterdb.Store) -> None:
    """A result for each, up to the one that fails."""
    sql = "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2); SELECT * FROM t; SELECT * FROM nowhere; SELECT 5"
    page = run(console, sql)
    assert "2 rows changed" in page.words and "2 rows," in page.words
    assert page.error == "no such table: nowhere"
    assert "SELECT * FROM nowhere" in page.words and "SELECT 5" not in page.words.partition("no such table")[2][:60]


def test_transaction_that_is_not_committed(console: Client, shop: clusterdb.Store) -> None:
    """It is rolled back with its connection, and the page tells."""
    page = run(console, "BEGIN; DELETE FROM orders WHERE id = 1")
    assert "was not committed, so it was rolled back" in page.words
    assert "290" in run(console, "SELECT count(*) FROM orders").words


def test_parameters(console: Client) -> None:
    """Numbers, texts and NULL; a missing one is an error."""
    sql = "SELECT :n + 1, :t || '!', :x IS NULL, ':not' -- :nor"
    form = console.post("/query/parameters", {"cluster": "dev", "sql": sql}, part=True)
    assert re.findall(r'name="p:(\w+)"', form.text) == ["n", "t", "x"]
    page = run(console, sql, **{"p:n": "41", "p:t": "1", "k:t": "text", "p:x": "", "k:x": "null"})
    assert "42 1! 1 :not" in page.words
    assert "parameter :n has no value" in run(console, sql).error
    assert "'x' is not a number" in run(console, "SELECT :n", **{"p:n": "x", "k:n": "number"}).error


def test_past_and_two_places(console: Client) -> None:
    """The same query at a point in the past, and beside another database: rows that only one has are marked."""
    assert "0" in run(console, "SELECT count(*) FROM orders", cluster="prod", at="3").words
    page = run(console, "SELECT name, country FROM customers", **{"with": "prod", "with_at": "5"})
    assert "Result in prod@5" in page.text
    assert page.words.count("1 only here") == 2
    assert page.text.count('class="row-insert"') == 2
    failing = run(console, "SELECT count(*) FROM customers", **{"with": "prod", "with_at": "2"})
    assert failing.error == "no such table: customers" and "5" in failing.words
    write = run(console, "DELETE FROM orders", at="base")
    assert "read" in write.error


def test_readers_do_not_write(console: Client) -> None:
    """Through an endpoint of readers."""
    page = run(console, "INSERT INTO customers VALUES ('x', 'y')", cluster="prod", endpoint="prod-2")
    assert page.error
    time.sleep(0.2)  # the reader lags by 100 ms
    assert "300" in run(console, "SELECT count(*) FROM orders", cluster="prod", endpoint="reader").words


def test_files_are_out_of_reach(console: Client) -> None:
    """SQL in a browser reads and writes no file."""
    for sql in ("ATTACH '/tmp/x.db' AS x", "VACUUM INTO '/tmp/x.db'", "SELECT load_extension('x')"):
        assert "not allowed" in run(console, sql).error


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("", "there is no statement to run"),
        ("-- nothing", "there is no statement to run"),
        ("SELECT ?", "parameter"),
    ],
)
def test_errors(console: Client, sql: str, error: str) -> None:
    """One line, and the query is not lost: it is in the page without scripts too."""
    page = run(console, sql)
    assert error in page.error or error in page.words or error == "parameter"
    assert "Traceback" not in page.text and "apsw" not in page.words


def test_page_without_scripts_keeps_the_query(console: Client) -> None:
    """The form, the query and its result are one page."""
    page = console.post("/query/run", {"cluster": "dev", "sql": "SELECT 6 * 7 AS answer"})
    assert page.status == 200
    assert "<h1>" in page.text and "SELECT 6 * 7 AS answer</textarea>" in page.text
    assert "answer 42" in page.words


def test_risks_are_tried_on_a_clone_and_applied(console: Client, shop: clusterdb.Store) -> None:
    """DELETE without WHERE is not run; on a clone it shows what it would change; then it is applied."""
    page = run(console, "DELETE FROM customers")
    assert "Not run yet" in page.words and "DELETE without WHERE" in page.words
    assert "5" in run(console, "SELECT count(*) FROM customers").words
    tried = console.post("/query/try", {"cluster": "dev", "sql": "DELETE FROM customers"}, part=True)
    assert "customers 0 0 5" in tried.words
    clone = re.search(r'name="clone" value="([^"]+)"', tried.text)
    assert clone is not None
    assert shop.cluster(clone[1]).settings.ttl_s == 3600
    form = {"cluster": "dev", "clone": clone[1], "sql": "DELETE FROM customers"}
    assert "clusters/dev" in console.post("/query/apply", form).headers["location"]
    assert clone[1] not in [cluster.name for cluster in shop.clusters()]
    with closing(shop.cluster("dev").connect()) as connection:
        assert connection.execute("SELECT count(*) FROM customers").fetchall() == [(0,)]


def test_changes_of_the_schema_are_applied_by_the_statement(console: Client, shop: clusterdb.Store) -> None:
    """A changeset has no schema, so the statement runs again."""
    sql = "DROP TABLE customers"
    assert "DROP TABLE removes it" in run(console, sql).words
    tried = console.post("/query/try", {"cluster": "dev", "sql": sql})
    assert "dropped table customers" in tried.words
    clone = re.search(r'name="clone" value="([^"]+)"', tried.text)
    assert clone is not None
    console.post("/query/apply", {"cluster": "dev", "clone": clone[1], "sql": sql})
    assert "no such table" in run(console, "SELECT * FROM customers").error


def test_apply_conflicts_if_the_rows_changed_meanwhile(console: Client, shop: clusterdb.Store) -> None:
    """Nothing is changed then."""
    tried = console.post("/query/try", {"cluster": "dev", "sql": "UPDATE customers SET country = 'DK'"}, part=True)
    clone = re.search(r'name="clone" value="([^"]+)"', tried.text)
    assert clone is not None
    run(console, "UPDATE customers SET country = 'FI' WHERE name = 'customer 2'")
    page = console.post("/query/apply", {"cluster": "dev", "clone": clone[1], "sql": "x"})
    assert page.status == 400 and page.error
    discarded = console.post("/query/discard", {"clone": clone[1]}, part=True)
    assert "dev was not changed" in discarded.words
    assert "not a throwaway clone" in console.post("/query/discard", {"clone": "orphan"}, part=True).error
    page = console.post("/query/apply", {"cluster": "prod", "clone": "dev", "sql": "x"})
    assert "not a throwaway clone" in page.error


def test_failed_attempt_leaves_no_clone(console: Client, shop: clusterdb.Store) -> None:
    """The clone is deleted, and the error is that of the statement."""
    before = [cluster.name for cluster in shop.clusters()]
    page = console.post("/query/try", {"cluster": "dev", "sql": "DELETE FROM nowhere"}, part=True)
    assert "no such table: nowhere" in page.error
    assert [cluster.name for cluster in shop.clusters()] == before


def test_confirmed_risk_runs(console: Client) -> None:
    """On the database itself."""
    assert "5 rows changed" in run(console, "DELETE FROM customers", confirmed="1").words


def test_export(console: Client) -> None:
    """All rows, as CSV and JSON; an export changes nothing."""
    form = {"cluster": "dev", "sql": "SELECT id, customer, NULL AS n, x'ff' AS b FROM orders ORDER BY id"}
    text = console.post("/query/export", {**form, "format": "csv"}).text
    assert text.splitlines()[:2] == ["id,customer,n,b", "1,customer 1,,ff"] and len(text.splitlines()) == 291
    rows = json.loads(console.post("/query/export", {**form, "format": "json"}).text)
    assert rows[0] == {"id": 1, "customer": "customer 1", "n": None, "b": {"blob": "ff"}} and len(rows) == 290
    empty = console.post("/query/export", {"cluster": "dev", "sql": "SELECT 1 AS a WHERE 0", "format": "json"})
    assert json.loads(empty.text) == []
    for sql, error in (
        ("DELETE FROM orders WHERE id = 1", ""),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("CREATE TABLE x (a)", ""),
    ):
        page = console.post("/query/export", {"cluster": "dev", "sql": sql})
        assert page.status == 400 and error in page.error
    assert "290" in run(console, "SELECT count(*) FROM orders").words


def test_explain(console: Client) -> None:
    """The plan as steps; parameters need no values."""
    page = console.post("/query/explain", {"cluster": "dev", "sql": "SELECT * FROM orders WHERE id = :id"}, part=True)
    assert "SEARCH orders USING INTEGER PRIMARY KEY" in page.words
    refused = console.post("/query/explain", {"cluster": "dev", "sql": "SELECT * FROM nowhere"}, part=True)
    assert "no such table" in refused.error


def test_names_for_completion(console: Client) -> None:
    """Tables with their columns, the engine, and the endpoints."""
    names = json.loads(console.get("/query/names/prod").text)
    assert names["tables"] == {"customers": ["name", "country"], "orders": ["id", "customer", "amount"]}
    assert names["engine"] == "sqlite" and "prod-2" in names["endpoints"]
    assert json.loads(console.get("/query/names/prod?at=2").text)["tables"] == {"orders": ["id", "customer", "amount"]}


def test_cancel(console: Client, shop: clusterdb.Store) -> None:
    """A running statement is interrupted by its id."""
    runs = Runs()
    results = []
    thread = threading.Thread(
        target=lambda: results.append(run_script(shop, Place("dev"), ENDLESS, {}, cap=1, runs=runs, run="r1"))
    )
    thread.start()
    while thread.is_alive():
        runs.cancel("r1")
        thread.join(0.01)
    assert results[0].error == "cancelled"
    assert not runs.cancel("r1")
    assert "nothing is running" in console.post("/query/cancel", {"run": "none"}, part=True).words


def test_query_ends_when_its_page_is_closed(console: Client) -> None:
    """Otherwise it would run for an hour."""
    body = urlencode({"cluster": "dev", "sql": ENDLESS, "token": console.token, "run": "r2"}).encode()
    page = console.request("POST", "/query/run", body, {"hx-request": "true"}, leaves=True)
    assert page.error == "cancelled"


@pytest.mark.parametrize("engine", ["aurora-mysql", "aurora-postgresql"])
def test_other_engines(shop: clusterdb.Store, console: Client, engine: str) -> None:
    """Their SQL, parameters, plans, exports and names."""
    shop.create_cluster("other", engine=engine)
    create = "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(20))"
    page = run(console, f"{create}; INSERT INTO t VALUES (1, 'a'), (2, 'b'); SELECT * FROM t", cluster="other")
    assert not page.error and "id name 1 a 2 b" in page.words
    assert "2 b" in run(console, "SELECT * FROM t WHERE id = :id", cluster="other", **{"p:id": "2"}).words
    assert json.loads(console.get("/query/names/other").text) == {
        "engine": engine,
        "tables": {"t": ["id", "name"]},
        "endpoints": ["writer", "reader"],
    }
    explained = console.post("/query/explain", {"cluster": "other", "sql": "SELECT * FROM t WHERE id = 1"}, part=True)
    assert "SEARCH t" in explained.words
    exported = console.post("/query/export", {"cluster": "other", "sql": "SELECT * FROM t", "format": "csv"})
    assert exported.text.splitlines() == ["id,name", "1,a", "2,b"]
    assert "Not run yet" in run(console, "TRUNCATE TABLE t", cluster="other").words
    assert run(console, "SELECT * FROM nowhere", cluster="other").error
