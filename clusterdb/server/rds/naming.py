"""ARNs, host names and resource ids: what AWS derives from a name, an account and a region.

Resource ids are derived from the store's identity and numbers of its catalog, which are never reused.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from clusterdb.server.call import Call
from clusterdb.server.models import fault

__all__ = ["Place", "place_of"]


@dataclass(frozen=True, slots=True)
class Place:
    """An account in a region, and the identity of its store."""

    account: str
    region: str
    seed: bytes

    def arn(self, kind: str, name: str) -> str:
        """``arn:aws:rds:REGION:ACCOUNT:KIND:NAME``; the kind is cluster, db, cluster-snapshot, cluster-pg, ..."""
        return f"arn:aws:rds:{self.region}:{self.account}:{kind}:{name}"

    def name_in(self, text: str, *kinds: str) -> str:
        """The name in an ARN of one of the kinds, here; the text itself if it is not an ARN.  Raises Fault."""
        if not text.startswith("arn:"):
            return text
        kind, name = self.split(text)
        if kind not in kinds:
            raise fault("rds", "InvalidParameterValue", f"The ARN {text} does not name a resource of type {kinds[0]}")
        return name

    def split(self, arn: str) -> tuple[str, str]:
        """The kind and the name in an ARN of this place.  Raises Fault."""
        parts = arn.split(":", 6)
        if len(parts) != 7 or parts[:3] != ["arn", "aws", "rds"] or not parts[6]:
            raise fault("rds", "InvalidParameterValue", f"Invalid resource name: {arn}")
        if parts[5] == "global-cluster" and parts[3] == "" and parts[4] == self.account:
            return parts[5], parts[6]
        if parts[3] != self.region or parts[4] != self.account:
            raise fault(
                "rds",
                "InvalidParameterValue",
                f"The specified resource name does not match an RDS resource in this region: {arn}",
            )
        return parts[5], parts[6]

    def resource_id(self, kind: str, *numbers: object) -> str:
        """``KIND-`` and 26 letters and digits, the same for the same numbers."""
        return f"{kind}-{self._digest(kind, *numbers)[:26]}"

    def host(self, name: str, infix: str = "") -> str:
        """``NAME.[INFIX-]HASH.REGION.rds.amazonaws.com``; the hash is that of the account in the region."""
        return f"{name}.{infix}{self._digest('host')[:12].lower()}.{self.region}.rds.amazonaws.com"

    def zones(self) -> list[str]:
        """The names of three availability zones."""
        return [f"{self.region}{letter}" for letter in "abc"]

    def secret_arn(self, cluster: int) -> str:
        """The ARN of the secret with the master password of a cluster."""
        digest = self._digest("secret", cluster).lower()
        identifier = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
        return f"arn:aws:secretsmanager:{self.region}:{self.account}:secret:rds!cluster-{identifier}-{digest[32:38]}"

    def _digest(self, *parts: object) -> str:
        text = "|".join(map(str, (self.account, self.region, *parts)))
        return base64.b32encode(hashlib.sha256(self.seed + text.encode()).digest()).decode().rstrip("=")


def place_of(call: Call) -> Place:
    """The place of a call."""
    return Place(call.account, call.region, call.store.context.catalog.store_id)
