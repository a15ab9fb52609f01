"""The console in a real browser: every screen at two widths, by keyboard, without findings of axe-core.

Needs Playwright for Python, Chromium (``$CLUSTERDB_CHROMIUM``, or ``chromium`` on PATH) and axe-core
(``$CLUSTERDB_AXE``: the path of axe.min.js); ``tests/server/console/install`` installs them.  Skipped without them.
Screenshots are written to ``$CLUSTERDB_SCREENSHOTS``, if that is set.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import clusterdb
from tests.server.console.browser import Tab

pytestmark = pytest.mark.slow

WIDTHS = (1280, 400)
SCREENS = {
    "databases": "/",
    "new": "/new",
    "clone": "/clone?source=prod&at=3",
    "delete": "/delete?cluster=dev&cluster=orphan",
    "overview": "/clusters/dev",
    "past": "/clusters/prod/past",
    "back": "/clusters/dev/back?kind=source",
    "instances": "/clusters/prod/instances",
    "pages": "/clusters/dev/pages?lately=1",
    "settings": "/clusters/dev/settings",
    "snapshots": "/snapshots",
    "activity": "/activity",
    "diff": "/diff?before=dev",
    "diff-table": "/diff/customers?before=dev",
    "query": "/query?cluster=dev&sql=SELECT+*+FROM+orders+WHERE+id+%3C+:top",
    "error": "/clusters/nope",
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen(chromium: Any, site: tuple[clusterdb.Store, str], width: int, scheme: str) -> None:
    """Nothing is wider than the window, nothing fails, and axe-core finds nothing."""
    tab = Tab(chromium, site[1], width, scheme)
    for name, path in SCREENS.items():
        page = tab.open(path)
        page.wait_for_load_state("load")
        if name == "query":
            page.get_by_role("textbox", name="SQL").wait_for()
        if name == "instances":
            page.locator("#lag svg").wait_for()
        excess = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert excess <= 0, (name, excess)
        assert tab.findings() == [], name
        tab.shot(f"{name}-{width}-{scheme}")
    tab.close()


def type_sql(page: Any, sql: str) -> None:
    """Replace the text of the editor."""
    page.locator("#editor:not([hidden])").get_by_role("textbox", name="SQL").click()  # not the field that it replaces
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(sql)


def test_query_by_keyboard_alone(chromium: Any, site: tuple[clusterdb.Store, str]) -> None:
    """Completion, parameters, running, tabs that survive a reload and an error; the completion list has no findings."""
    tab = Tab(chromium, site[1])
    with tab.page.expect_response(lambda response: "/query/names/" in response.url):
        page = tab.open("/query?cluster=dev")
    editor = page.get_by_role("textbox", name="SQL")
    editor.focus()
    page.keyboard.type("SELECT * FROM cust")
    page.get_by_role("option", name="customers").wait_for()
    assert tab.findings() == []
    tab.shot("completion")
    page.keyboard.press("Tab")
    page.keyboard.type(" WHERE name = :who")
    page.get_by_label(":who").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "p:who"
    page.keyboard.type("customer 1")
    editor.focus()
    page.keyboard.press("Control+Enter")
    page.get_by_role("cell", name="SE").wait_for()
    tab.shot("result")
    page.reload()
    page.get_by_label(":who").wait_for()
    assert editor.inner_text() == "SELECT * FROM customers WHERE name = :who"
    page.wait_for_function("document.querySelector('[name=\"p:who\"]').value === 'customer 1'")
    page.get_by_role("button", name="New tab").press("Enter")
    type_sql(page, "SELECT * FROM nowhere")
    page.keyboard.press("Control+Enter")
    page.get_by_role("alert").filter(has_text="no such table: nowhere").wait_for()
    assert editor.inner_text() == "SELECT * FROM nowhere"
    page.get_by_role("tab", selected=True).press("ArrowLeft")
    page.wait_for_function(
        "document.querySelector('[role=tab][aria-selected=true]').textContent.startsWith('SELECT * FROM cust')"
    )
    assert editor.inner_text() == "SELECT * FROM customers WHERE name = :who"
    assert "WHERE+name" in page.url
    tab.close()


def test_text_typed_while_the_editor_loads_is_kept(chromium: Any, site: tuple[clusterdb.Store, str]) -> None:
    """The plain text field is there at once; the editor takes its text and the focus."""
    tab = Tab(chromium, site[1])
    held: list[Any] = []
    tab.page.route("**/vendor/editor.js*", lambda route: held.append(route))
    page = tab.open("/query?cluster=dev")
    page.locator("textarea#sql").fill("SELECT 6 * 7 AS answer")
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    page.locator("#editor").wait_for()
    assert page.get_by_role("textbox", name="SQL").inner_text() == "SELECT 6 * 7 AS answer"
    page.keyboard.press("Control+Enter")
    page.get_by_role("cell", name="42").wait_for()
    tab.close()


def test_risky_statement_is_tried_and_applied(chromium: Any, site: tuple[clusterdb.Store, str]) -> None:
    """DELETE without WHERE: a clone, what it would change, the database itself."""
    store, url = site
    tab = Tab(chromium, url)
    page = tab.open("/query?cluster=dev")
    type_sql(page, "DELETE FROM customers")
    page.keyboard.press("Control+Enter")
    tab_name = page.get_by_role("button", name="Try on a throwaway clone")
    tab_name.wait_for()
    tab.shot("risk")
    assert tab.findings() == []
    tab_name.click()
    page.get_by_role("heading", name="What it would change in dev").wait_for()
    tab.shot("tried")
    assert tab.findings() == []
    page.get_by_role("button", name="Apply to dev").click()
    page.get_by_text("applied 5 changed rows to dev").wait_for()
    assert [cluster.name for cluster in store.clusters()] == ["dev", "orphan", "prod"]
    tab.close()


def test_cancel_export_history_and_saved_queries(chromium: Any, site: tuple[clusterdb.Store, str]) -> None:
    """What the editor offers beside running."""
    tab = Tab(chromium, site[1])
    page = tab.open("/query?cluster=dev")
    type_sql(page, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n")
    page.keyboard.press("Control+Enter")
    page.locator("#state", has_text="running").wait_for()
    while not page.locator("#result", has_text="cancelled").count():
        if page.locator("#cancel").is_enabled():
            page.locator("#cancel").click()
        page.wait_for_timeout(50)
    type_sql(page, "SELECT id FROM orders")
    with page.expect_download() as download:
        page.get_by_role("button", name="All rows as CSV").click()
    assert Path(download.value.path()).read_text().count("\n") == 291
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("SCAN orders").wait_for()
    tab.shot("plan")
    page.get_by_label("beside").select_option("prod")
    page.get_by_role("button", name="Run", exact=False).first.click()
    page.get_by_role("heading", name="prod").wait_for()
    assert tab.findings() == []
    tab.shot("beside")
    page.get_by_role("button", name="Save the query").click()
    page.get_by_label("Name", exact=True).fill("all orders")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="all orders (dev)", exact=True).wait_for()
    page.get_by_text("History", exact=True).click()
    assert page.locator("#history li").count() == 2
    page.locator("#history li button").last.click()
    page.wait_for_function("document.querySelector('[role=tab][aria-selected=true]').textContent.startsWith('WITH')")
    tab.close()


def test_clone_dialog_shows_its_code_and_ends_at_the_addresses(
    chromium: Any, site: tuple[clusterdb.Store, str]
) -> None:
    """The code follows the form; then connection strings and the editor."""
    store, url = site
    tab = Tab(chromium, url, 400)
    page = tab.open("/")
    page.get_by_role("link", name="Clone prod").click()
    page.get_by_label("Name of the clone").fill("mine")
    page.get_by_text("As code").click()
    page.get_by_text("clone prod mine").wait_for()
    page.get_by_label("Version", exact=True).select_option("3")
    page.get_by_text("clone prod@3 mine").wait_for()
    assert page.get_by_label("a version").is_checked()
    assert tab.findings() == []
    tab.shot("clone-code")
    page.get_by_role("button", name="Clone", exact=True).click()
    page.get_by_text("sqlite+clusterdb:///mine").wait_for()
    assert store.cluster("mine").stats().version == 3
    page.get_by_role("link", name="Open in the query editor").click()
    page.get_by_role("textbox", name="SQL").wait_for()
    assert page.get_by_label("Database").input_value() == "mine"
    tab.close()


def test_list_follows_changes_and_pauses_while_hidden(chromium: Any, site: tuple[clusterdb.Store, str]) -> None:
    """A clone by another program appears; a checked box stays checked; a hidden page closes its stream."""
    store, url = site
    tab = Tab(chromium, url)
    page = tab.open("/")
    tab.wait_for(tab.requested, "/events", 1)
    page.get_by_label("Select dev").check()
    page.wait_for_timeout(1500)
    store.cluster("prod").clone("other")
    page.get_by_role("link", name="other", exact=True).wait_for()
    assert page.get_by_label("Select dev").is_checked()
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    tab.wait_for(tab.failed, "/events", 1)
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    tab.wait_for(tab.requested, "/events", 2)
    tab.problems.clear()
    tab.close()


def test_list_follows_changes_though_a_script_came_late(chromium: Any, site: tuple[clusterdb.Store, str]) -> None:
    """htmx waits for its extension: it would not know the attribute that names the stream."""

    def come_late(route: Any) -> None:
        time.sleep(0.5)
        route.continue_()

    store, url = site
    tab = Tab(chromium, url)
    tab.page.route("**/hx-sse.js*", come_late)
    page = tab.open("/")
    tab.wait_for(tab.requested, "/events", 1)
    page.wait_for_timeout(1000)
    store.cluster("prod").clone("other")
    page.get_by_role("link", name="other", exact=True).wait_for()
    tab.close()


def test_console_without_scripts(chromium: Any, site: tuple[clusterdb.Store, str]) -> None:
    """Every form is a form: create, query, delete with the name typed."""
    store, url = site
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{url}/new")
    page.get_by_label("Name", exact=True).fill("plain")
    page.get_by_role("button", name="Create").click()
    page.get_by_text("created plain").wait_for()
    page.goto(f"{url}/query?cluster=plain")
    page.get_by_label("SQL").fill("SELECT 6 * 7 AS answer")
    page.get_by_role("button", name="Run", exact=False).first.click()
    page.get_by_role("cell", name="42").wait_for()
    page.goto(f"{url}/")
    page.get_by_label("Select plain").check()
    page.get_by_role("button", name="Delete the selected").click()
    page.get_by_label("Type plain").fill("plain")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("deleted plain").wait_for()
    assert "plain" not in [cluster.name for cluster in store.clusters()]
    context.close()
