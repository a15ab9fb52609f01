"""Takes the pictures of the page "The console" in the documentation.

python -m tests.server.console.pictures docs/screenshots
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import clusterdb
from clusterdb.server.background import running
from tests.server.console.shop import fill


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, clusterdb.open(Path(home) / "shop", disposable=True) as store:
        fill(store)
        with closing(store.cluster("orphan").clone("orphan-2", ttl_s=7200).connect()) as connection:
            connection.execute("UPDATE orders SET amount = 0")
        with running(store) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1000, "height": 700})

            def shot(name: str) -> None:
                page.wait_for_timeout(300)
                page.locator("main").screenshot(path=str(folder / f"{name}.png"))

            page.goto(f"{server.url}/")
            shot("databases")
            page.goto(f"{server.url}/clusters/prod/past")
            shot("past")
            page.goto(f"{server.url}/query?cluster=dev&with=prod")
            run(page, "SELECT name, country FROM customers")
            page.get_by_role("heading", name="prod").wait_for()
            shot("beside")
            page.goto(f"{server.url}/query?cluster=dev&sql=DELETE+FROM+customers")
            run(page, "DELETE FROM customers")
            page.get_by_role("button", name="Try on a throwaway clone").click()
            page.get_by_role("heading", name="What it would change in dev").wait_for()
            shot("tried")
            browser.close()


def run(page: Any, sql: str) -> None:
    """Run a query in the editor."""
    page.get_by_role("textbox", name="SQL").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(sql)
    page.keyboard.press("Control+Enter")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
