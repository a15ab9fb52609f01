"""Who may call: hosts, origins, credential scopes and signatures."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

pytest.importorskip("botocore", reason="needs the extra [server]")
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clusterdb.errors import InvalidArgumentError
from clusterdb.server import guard
from clusterdb.server.faults import Fault
from clusterdb.server.protocol.messages import Request
from clusterdb.server.scope import scope_of

HEADER = (
    "AWS4-HMAC-SHA256 Credential=AKID/20260131/eu-west-1/rds/aws4_request, SignedHeaders=host;x-amz-date, Signature=ab"
)


def test_scope_names_key_region_and_service() -> None:
    scope = scope_of(HEADER)
    assert (scope.access_key, scope.region, scope.service, scope.account) == ("AKID", "eu-west-1", "rds", None)
    assert scope_of(HEADER.replace("AKID", "111122223333")).account == "111122223333"


@pytest.mark.parametrize(
    ("header", "code", "status"),
    [
        (None, "MissingAuthenticationToken", 403),
        ("", "MissingAuthenticationToken", 403),
        ("Basic abc", "IncompleteSignature", 400),
        ("AWS4-HMAC-SHA256 Credential=a", "IncompleteSignature", 400),
        (HEADER.replace("AKID/", ""), "IncompleteSignature", 400),
        (HEADER.replace("aws4_request", "aws5"), "IncompleteSignature", 400),
        (HEADER.replace("eu-west-1", "nowhere"), "SignatureDoesNotMatch", 403),
        (HEADER.replace("eu-west-1", ".."), "SignatureDoesNotMatch", 403),
    ],
)
def test_scopes_that_are_not_scopes_have_awss_errors(header: str | None, code: str, status: int) -> None:
    with pytest.raises(Fault) as caught:
        scope_of(header)
    assert (caught.value.code, caught.value.status) == (code, status)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:80", "[::1]:80", "127.1.2.3", "LOCALHOST:1", "a.localhost"])
def test_loopback_hosts_are_known(host: str) -> None:
    guard.require_known_host(host, "127.0.0.1")


@pytest.mark.parametrize(
    "host", [None, "", "example.com", "10.0.0.1", "127.0.0.1.example.com", "[::2]", "localhost.evil"]
)
def test_other_hosts_are_refused_on_loopback(host: str | None) -> None:
    with pytest.raises(Fault, match="host name"):
        guard.require_known_host(host, "127.0.0.1", ["db.test"])


def test_names_and_addresses_are_known_beyond_loopback() -> None:
    guard.require_known_host("db.test:1", "127.0.0.1", ["db.test"])
    guard.require_known_host("10.0.0.1:1", "0.0.0.0")
    with pytest.raises(Fault):
        guard.require_known_host("rebound.example.com", "0.0.0.0")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:1"},
        {"host": "localhost:1", "origin": "http://localhost:1", "sec-fetch-site": "same-origin"},
        {"host": "localhost:1", "sec-fetch-site": "none"},
    ],
)
def test_own_origins_are_accepted(headers: dict[str, str]) -> None:
    guard.require_own_origin(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost:1", "origin": "http://evil.example"},
        {"host": "localhost:1", "origin": "null"},
        {"host": "localhost:1", "origin": "http://localhost:2"},
        {"origin": ""},
        {"host": "localhost:1", "sec-fetch-site": "cross-site"},
        {"host": "localhost:1", "sec-fetch-site": "same-site"},
    ],
)
def test_foreign_origins_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Fault, match="other sites"):
        guard.require_own_origin(headers)


def test_hosts_beyond_loopback_need_credentials() -> None:
    guard.require_guarded("127.0.0.1", None)
    guard.require_guarded("0.0.0.0", {"k": guard.Credential("s")})
    with pytest.raises(InvalidArgumentError, match="--credentials FILE"):
        guard.require_guarded("0.0.0.0", None)


def signed(body: bytes, *, url: str = "http://127.0.0.1:1/", secret: str = "secret") -> Request:
    """A request as botocore signs it."""
    request = AWSRequest("POST", url, data=body, headers={"content-type": "application/x-www-form-urlencoded"})
    SigV4Auth(Credentials("AKID", secret), "rds", "us-east-1").add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    path, _, query = url.removeprefix("http://127.0.0.1:1").partition("?")
    return Request("POST", path, {**headers, "host": "127.0.0.1:1"}, body, query)


KEYS = {"AKID": guard.Credential("secret", "111122223333")}


@pytest.mark.parametrize("url", ["/", "/Execute", "/?a=1&b=%20x&a=0", "/service/X/operation/Y"])
def test_botocores_signatures_are_accepted(url: str) -> None:
    request = signed(b"Action=X&a=%20b", url=f"http://127.0.0.1:1{url}")
    scope = scope_of(request.headers["authorization"])
    assert guard.require_signed(request, scope, KEYS).account == "111122223333"


def test_what_was_changed_or_is_stale_is_refused() -> None:
    request = signed(b"Action=X")
    scope = scope_of(request.headers["authorization"])
    changed = Request("POST", "/", request.headers, b"Action=Y")
    for other, code in (
        (changed, "SignatureDoesNotMatch"),
        (signed(b"Action=X", secret="no"), "SignatureDoesNotMatch"),
    ):
        with pytest.raises(Fault) as caught:
            guard.require_signed(other, scope_of(other.headers["authorization"]), KEYS)
        assert (caught.value.code, caught.value.status) == (code, 403)
    with pytest.raises(Fault, match="expired"):
        guard.require_signed(request, scope, KEYS, datetime(2020, 1, 1, tzinfo=timezone.utc))
    with pytest.raises(Fault) as caught:
        guard.require_signed(request, scope, {"OTHER": guard.Credential("secret")})
    assert caught.value.code == "InvalidClientTokenId"


def test_credentials_are_read_from_a_file_as_awss(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text(
        "[default]\naws_access_key_id = A\naws_secret_access_key = a%b\n"
        "[other]\naws_access_key_id=B\naws_secret_access_key=b\naws_account_id=111122223333\n"
    )
    assert guard.read_credentials(path) == {
        "A": guard.Credential("a%b"),
        "B": guard.Credential("b", "111122223333"),
    }
    for content in ("", "[a]\n", "x", "[a]\nb\n"):
        path.write_text(content)
        with pytest.raises(InvalidArgumentError, match="credentials file"):
            guard.read_credentials(path)
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        guard.read_credentials(tmp_path / "none")


def test_pages_take_an_access_key_as_name_and_password() -> None:
    guard.require_basic("Basic QUtJRDpzZWNyZXQ=", KEYS)
    for header in (None, "Basic", "Basic !", "Basic QUtJRDp4", "Bearer x"):
        with pytest.raises(Fault) as caught:
            guard.require_basic(header, KEYS)
        assert caught.value.status == 401
