"""Every action of the console in a real browser: the form is found on its page, filled in and sent."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

import clusterdb
from tests.server.console.browser import Tab
from tests.server.console.performed import CASES, Check, Fields, prepare

pytestmark = pytest.mark.slow

PAGES = {
    "create": "/new",
    "clone": "/clone?source={source}",
    "modify": "/clusters/{cluster}/settings",
    "rename": "/clusters/{cluster}/settings",
    "stop": "/clusters/{cluster}",
    "start": "/clusters/{cluster}",
    "snapshot": "/clusters/{cluster}/past",
    "copy-snapshot": "/snapshots",
    "delete-snapshot": "/snapshots",
    "back": "/clusters/{cluster}/back",
    "apply": "/diff?before={before}",
    **dict.fromkeys(("lose-node", "return-node", "repair-nodes"), "/clusters/{cluster}"),
}
INSTANCES = "/clusters/{cluster}/instances"
"""The page of all other actions."""


def page_of(action: str, fields: Fields) -> str:
    """Where the form of an action is."""
    if action == "delete":
        return "/delete?" + urlencode([pair for pair in fields if pair[0] == "cluster"])
    path = PAGES.get(action, INSTANCES).format(**dict(fields))
    return f"{path}?{urlencode([pair for pair in fields if pair[0] in ('kind', 'to')])}" if action == "back" else path


def form_of(page: Any, action: str, fields: Fields) -> Any:
    """The form of an action whose hidden fields, where it has them, have the values wanted, most of all."""
    fitting: list[tuple[int, Any]] = []
    for form in page.locator(f'form[action="/do/{action}"]').all():
        hidden = [
            (control.get_attribute("name"), control.get_attribute("value"))
            for control in form.locator('input[type="hidden"]').all()
        ]
        names = {name for name, _ in hidden} - {"flags"}
        if all((name, value) in hidden for name, value in fields if name in names):
            fitting.append((sum(name in names for name, _ in fields), form))
    if fitting:
        return max(fitting, key=lambda pair: pair[0])[1]
    raise AssertionError(f"no form of {action} for {fields}")


def fill_in(form: Any, fields: Fields) -> None:
    """Set the visible controls as a person would; boxes that are not named are not checked."""
    for summary in form.locator("xpath=ancestor::details[not(@open)]/summary").all():
        summary.click()
    for summary in form.locator("details:not(.code) > summary").all():
        summary.click()
    wanted = set(fields)
    for box in form.locator('input[type="checkbox"]').all():
        box.set_checked((box.get_attribute("name"), box.get_attribute("value")) in wanted)
    for name, value in fields:
        control = form.locator(f'[name="{name}"]:not([type="hidden"]):not([type="checkbox"])')
        if not control.count():
            continue
        if control.first.get_attribute("type") == "radio":
            form.locator(f'[name="{name}"][value="{value}"]').check()
        elif control.evaluate("control => control.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)


@pytest.mark.parametrize(("action", "fields", "message", "check"), CASES)
def test_action_is_done_in_a_browser(
    chromium: Any, site: tuple[clusterdb.Store, str], action: str, fields: Fields, message: str, check: Check
) -> None:
    """The next page describes the change, and the change is in the store."""
    store, url = site
    prepare(store, action)
    tab = Tab(chromium, url)
    page = tab.open(page_of(action, fields))
    form = form_of(page, action, fields)
    fill_in(form, fields)
    form.locator("button:not(.copy)").first.click()
    page.wait_for_function("text => (document.body?.innerText ?? '').replace(/\\s+/g, ' ').includes(text)", arg=message)
    assert check(store)
    tab.close()
