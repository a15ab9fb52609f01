"""Pages of a browser that collect what goes wrong in them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Tab"]


def axe_path() -> Path | None:
    """Where axe-core is."""
    path = Path(os.environ.get("CLUSTERDB_AXE", Path(__file__).parent / "node_modules/axe-core/axe.min.js"))
    return path if path.is_file() else None


class Tab:
    """A page of the browser that collects what goes wrong in it."""

    def __init__(self, chromium: Any, url: str, width: int = 1280, scheme: str = "light") -> None:
        self.context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.url = url
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._note)
        self.requested: list[str] = []
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.failed: list[str] = []
        self.page.on("requestfailed", lambda request: self.failed.append(request.url))

    def _note(self, message: Any) -> None:
        # Chromium itself sets a style in an editable element; the policy blocks that, and CodeMirror repairs it.
        is_known = (
            "style-src" in message.text or "404 (Not Found)" in message.text or "400 (Bad Request)" in message.text
        )
        if message.type in ("error", "warning") and not is_known:
            self.problems.append(message.text)

    def open(self, path: str) -> Any:
        """Load a page."""
        self.page.goto(self.url + path)
        return self.page

    def wait_for(self, urls: list[str], part: str, count: int) -> None:
        """Wait until so many of the requested (or failed) URLs have this part."""
        deadline = time.monotonic() + 60
        while sum(part in url for url in urls) < count:
            assert time.monotonic() < deadline, f"{self.requested}, failed: {self.failed}, problems: {self.problems}"
            self.page.wait_for_timeout(50)

    def shot(self, name: str) -> None:
        """Keep a screenshot of the page."""
        folder = os.environ.get("CLUSTERDB_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

    def findings(self) -> list[str]:
        """What axe-core finds, in a world of its own, which the page's policy does not concern."""
        path = axe_path()
        if path is None:
            pytest.skip("axe-core is not installed: run tests/server/console/install")
        session = self.context.new_cdp_session(self.page)
        frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        world = session.send("Page.createIsolatedWorld", {"frameId": frame})["executionContextId"]
        session.send("Runtime.evaluate", {"expression": path.read_text(), "contextId": world})
        expression = """axe.run().then((found) => found.violations.map((item) =>
            `${item.impact} ${item.id}: ${item.nodes.map((node) => node.target.join(' ')).join(', ')}`))"""
        answer = session.send(
            "Runtime.evaluate",
            {"expression": expression, "contextId": world, "awaitPromise": True, "returnByValue": True},
        )
        return list(answer["result"]["value"])

    def close(self) -> None:
        """Close the page; nothing may have gone wrong, or have been loaded from elsewhere."""
        self.context.close()
        assert self.problems == []
        assert [url for url in self.requested if not url.startswith(self.url)] == []
