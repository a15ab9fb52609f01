"""Headers, the token of forms, servers that are read-only, and the vendored files."""

from __future__ import annotations

import hashlib
import http.client
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

import clusterdb
from clusterdb.server import console as package
from clusterdb.server.background import running
from clusterdb.server.console.actions import ACTIONS
from tests.server.console.client import Client

VENDOR = Path(package.__file__).parent / "static" / "vendor"
FORMS = [
    *("/query/run", "/query/explain", "/query/export", "/query/cancel", "/query/parameters", "/query/try"),
    *("/query/apply", "/query/discard", "/do/stop", "/code/stop"),
]


@pytest.mark.parametrize(
    "path", ["/", "/query", "/static/console.css", "/static/none", "/clusters/nope", "/diff.sql?before=dev"]
)
def test_headers(console: Client, path: str) -> None:
    """Every response forbids inline scripts and styles, foreign resources, frames, and guessing of types."""
    headers = console.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", ["", "x", "é"])
def test_forms_without_the_token_are_refused(console: Client, shop: clusterdb.Store, path: str, token: str) -> None:
    """Whatever a form would do; the error tells what to do after a restart."""
    page = console.post(path, {"cluster": "dev", "sql": "DELETE FROM orders", "confirmed": "1"}, token=token)
    assert page.status == 403
    assert "reload the page" in page.error
    assert shop.cluster("dev").status == "available"


def test_forms_need_post(console: Client) -> None:
    """A link cannot change anything."""
    for path in FORMS:
        assert console.get(path).status == 405


def test_too_large_forms_are_refused(console: Client) -> None:
    """More than 4 MiB."""
    assert console.post("/query/run", {"sql": "x" * (4 << 20)}).status == 413


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_read_only_server_refuses_actions(shop: clusterdb.Store, action: str) -> None:
    """Every one, in one line."""
    page = Client(shop, read_only=True).post(f"/do/{action}", {"cluster": "dev", "typed": "dev"})
    assert page.status == 403
    assert "read-only" in page.error


def test_read_only_server_reads(shop: clusterdb.Store) -> None:
    """Pages have no forms that change something; queries run, writes do not."""
    client = Client(shop, read_only=True)
    for path in (
        "/",
        "/clusters/prod",
        "/clusters/prod/past",
        "/clusters/prod/instances",
        "/snapshots",
        "/diff?before=dev",
    ):
        page = client.get(path)
        assert page.status == 200
        assert "/do/" not in page.text
        assert "read-only" in page.words
    run = client.post("/query/run", {"cluster": "dev", "sql": "SELECT 6 * 7"}, part=True)
    assert "42" in run.words
    write = client.post("/query/run", {"cluster": "dev", "sql": "DELETE FROM orders WHERE id = 1"}, part=True)
    assert write.error
    assert "read-only" in client.post("/query/try", {"cluster": "dev", "sql": "DELETE FROM orders"}, part=True).error


def test_static_files_are_cached_by_their_content(console: Client) -> None:
    """A page names a file with a tag of its content, which never changes; without it, the browser asks again."""
    text = console.get("/").text
    path = text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    page = console.get(path)
    assert "immutable" in page.headers["cache-control"]
    assert console.get("/static/console.css", **{"if-none-match": page.headers["etag"]}).status == 304
    assert console.get("/static/vendor/source/editor.mjs").status == 404
    assert console.get("/static/../site.py").status == 404
    assert console.get("/static/vendor/LICENCES.txt").status == 200


def test_vendored_files_are_what_the_list_states() -> None:
    """Versions, licences and hashes; ``static/vendor/source/rebuild`` writes both."""
    versions = json.loads((VENDOR / "VERSIONS.json").read_text())
    for name, digest in versions["sha256"].items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    wanted = json.loads((VENDOR / "source" / "package.json").read_text())["dependencies"]
    listed = {package["name"]: package["version"] for package in versions["packages"]}
    assert wanted.items() <= listed.items()
    licences = (VENDOR / "LICENCES.txt").read_text()
    for entry in versions["packages"]:
        assert entry["licence"] in ("MIT", "BSD-0-Clause", "0BSD", "ISC")
        assert f"{entry['name']} {entry['version']}" in licences


def test_vendored_files_name_no_other_host() -> None:
    """Pages work offline: no file loads anything from elsewhere."""
    for name in ("htmx.js", "hx-sse.js", "editor.js"):
        assert "sourceMappingURL" not in (VENDOR / name).read_text()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_server_refuses_other_sites(shop: clusterdb.Store, headers: dict[str, str], status: int) -> None:
    """Even with the token: in the application that serves the console, with the guards before it."""
    with running(shop) as server:
        connection = http.client.HTTPConnection(server.host, server.port)
        connection.request("GET", "/new")
        text = connection.getresponse().read().decode()
        token = text.partition('name="token" value="')[2].partition('"')[0]
        body = urlencode({"token": token, "cluster": "dev"})
        named = {name: value.replace("PORT", str(server.port)) for name, value in headers.items()}
        connection.request("POST", "/do/stop", body, named)
        response = connection.getresponse()
        response.read()
        connection.close()
        assert response.status == status
        assert shop.cluster("dev").status == ("stopped" if status == 303 else "available")
