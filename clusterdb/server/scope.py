"""The credential scope of AWS's signature version 4: who calls which service in which region.

``Authorization: AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX``
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clusterdb.server.faults import Fault

__all__ = ["ALGORITHM", "Scope", "scope_of"]

ALGORITHM = "AWS4-HMAC-SHA256"
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2}\Z")
_ACCOUNT = re.compile(r"\d{12}\Z")
_DATE = re.compile(r"\d{8}\Z")


@dataclass(frozen=True, slots=True)
class Scope:
    """A credential scope, with the signature that it is part of; ``signed_headers`` are in lower case."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str

    @property
    def account(self) -> str | None:
        """The account that an access key of twelve digits names; None for another key."""
        return self.access_key if _ACCOUNT.match(self.access_key) else None


def scope_of(authorization: str | None) -> Scope:
    """The scope in the header ``Authorization``.  Raises Fault with AWS's code."""
    if not authorization:
        raise Fault("MissingAuthenticationToken", "Missing Authentication Token", 403)
    algorithm, _, rest = authorization.strip().partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if algorithm != ALGORITHM or not {"Credential", "SignedHeaders", "Signature"} <= parts.keys():
        raise Fault(
            "IncompleteSignature",
            f"The Authorization header must be {ALGORITHM} with Credential, SignedHeaders and Signature",
            400,
        )
    credential = parts["Credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request" or not credential[0] or not _DATE.match(credential[1]):
        raise Fault("IncompleteSignature", "Credential must be KEY/DATE/REGION/SERVICE/aws4_request", 400)
    key, date, region, service, _ = credential
    if not _REGION.match(region):
        raise Fault("SignatureDoesNotMatch", f"Credential should be scoped to a valid region, not '{region:.40}'.", 403)
    headers = tuple(parts["SignedHeaders"].lower().split(";"))
    return Scope(key, date, region, service, headers, parts["Signature"])
