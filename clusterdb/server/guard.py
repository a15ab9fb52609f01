"""Who may call: the rules for hosts, origins and signatures, as pure functions.

A web page of another site must not reach the server, whatever route: a browser sends its ``Origin`` or
``Sec-Fetch-Site``, and a name that was rebound to this address is an unknown ``Host``.  Requests for AWS's services
carry a credential scope, which no form of a web page can send.  Beyond loopback every request is authenticated.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qsl, quote

from clusterdb.errors import InvalidArgumentError
from clusterdb.server.faults import Fault
from clusterdb.server.protocol.messages import Request
from clusterdb.server.scope import ALGORITHM, Scope

__all__ = [
    "Credential",
    "is_loopback",
    "read_credentials",
    "require_basic",
    "require_guarded",
    "require_known_host",
    "require_own_origin",
    "require_signed",
    "signature_of",
]

_SKEW_MAX = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Credential:
    """The secret of an access key; ``account`` None is the server's account."""

    secret: str
    account: str | None = None


def read_credentials(path: Path) -> dict[str, Credential]:
    """The access keys in a file of the form of ``~/.aws/credentials``; ``aws_account_id`` is optional.

    Raises InvalidArgumentError.
    """
    parser = ConfigParser(interpolation=None)
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, ValueError, ConfigError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise InvalidArgumentError(f"credentials file '{path}' cannot be read: {text}") from None
    credentials = {
        section["aws_access_key_id"]: Credential(section["aws_secret_access_key"], section.get("aws_account_id"))
        for section in parser.values()
        if "aws_access_key_id" in section and "aws_secret_access_key" in section
    }
    if not credentials:
        raise InvalidArgumentError(
            f"credentials file '{path}' has no access key: add a profile with aws_access_key_id and "
            "aws_secret_access_key"
        )
    return credentials


# --- hosts and origins ------------------------------------------------------------------------------------------------
def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach a host (a name or an address)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def require_guarded(host: str, credentials: Mapping[str, Credential] | None) -> None:
    """Refuse to serve other machines without verified signatures.  Raises InvalidArgumentError."""
    if not is_loopback(host) and not credentials:
        raise InvalidArgumentError(
            f"host '{host}' can be reached by other machines: name the access keys that may call by --credentials FILE"
        )


def require_known_host(header: str | None, bound: str, names: Iterable[str] = ()) -> None:
    """Refuse a ``Host`` that is neither loopback, nor the bound host, nor one of the ``names``.  Raises Fault.

    A server that is bound beyond loopback is also known by any address: only names can be rebound.
    """
    name = _host_of(header or "")
    if is_loopback(name) or name == bound.lower() or name in {other.lower() for other in names}:
        return
    if not is_loopback(bound) and _is_address(name):
        return
    raise Fault("AccessDenied", "This server is not known by the host name of the request", 403)


def require_own_origin(headers: Mapping[str, str]) -> None:
    """Refuse what a page of another site sends.  Raises Fault."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    is_own = origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower() != ""
    if not is_own or site not in (None, "same-origin", "none"):
        raise Fault("AccessDenied", "This server does not answer requests of other sites", 403)


def _host_of(header: str) -> str:
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


# --- signatures -------------------------------------------------------------------------------------------------------
def signature_of(request: Request, scope: Scope, secret: str) -> str:
    """The signature (version 4, hexadecimal) that a request must have."""
    canonical_query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(parse_qsl(request.query, keep_blank_values=True))
    )
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in scope.signed_headers)
    canonical = "\n".join(
        (
            request.method,
            quote(request.path, safe="/-_.~") or "/",
            canonical_query,
            headers,
            ";".join(scope.signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    terms = (scope.date, scope.region, scope.service, "aws4_request")
    to_sign = "\n".join(
        (
            ALGORITHM,
            request.headers.get("x-amz-date", ""),
            "/".join(terms),
            hashlib.sha256(canonical.encode()).hexdigest(),
        )
    )
    key = f"AWS4{secret}".encode()
    for term in terms:
        key = hmac.digest(key, term.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


def require_signed(
    request: Request, scope: Scope, credentials: Mapping[str, Credential], now: datetime | None = None
) -> Credential:
    """The credential that has signed a request.  Raises Fault with AWS's code."""
    credential = credentials.get(scope.access_key)
    if credential is None:
        raise Fault("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    _require_fresh(request.headers.get("x-amz-date", ""), scope, now or datetime.now(timezone.utc))
    is_complete = {"host", "x-amz-date"} <= set(scope.signed_headers)
    if not is_complete or not hmac.compare_digest(
        signature_of(request, scope, credential.secret).encode(), scope.signature.encode()
    ):
        raise Fault(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
            403,
        )
    return credential


def _require_fresh(date: str, scope: Scope, now: datetime) -> None:
    try:
        time = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise Fault("IncompleteSignature", "The header X-Amz-Date must be like 20260131T120000Z", 400) from None
    if abs(now - time) > _SKEW_MAX or not date.startswith(scope.date):
        raise Fault("SignatureDoesNotMatch", f"Signature expired: {date} is not within 15 minutes of now", 403)


def require_basic(authorization: str | None, credentials: Mapping[str, Credential]) -> None:
    """Check a person's name and password (access key and secret) for pages.  Raises Fault with status 401."""
    kind, _, text = (authorization or "").partition(" ")
    try:
        key, _, secret = base64.b64decode(text, validate=True).decode().partition(":") if kind == "Basic" else ("",) * 3
    except (binascii.Error, ValueError):
        key = secret = ""
    credential = credentials.get(key)
    if credential is None or not hmac.compare_digest(credential.secret.encode(), secret.encode()):
        raise Fault("MissingAuthenticationToken", "Sign in with an access key and its secret", 401)
