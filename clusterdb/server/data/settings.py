"""The limits of the Data API, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DataSettings"]


@dataclass(frozen=True)
class DataSettings:
    """The limits of the Data API; the defaults are AWS's.

    ``waiting_max``: calls that wait for another writer at a time; more are refused, so that the writer's own calls find
    a thread of the server, which has 64.
    ``strict_secrets``: accept only the secret that was issued as the cluster's MasterUserSecret.  ``read_only``: refuse
    statements that write.
    """

    statement_timeout_s: float = 45
    transaction_idle_s: float = 180
    transaction_age_max_s: float = 24 * 3600
    response_bytes_max: int = 2**20
    json_bytes_max: int = 10 * 2**20
    row_bytes_max: int = 64 * 2**10
    batch_max: int = 1000
    waiting_max: int = 48
    strict_secrets: bool = False
    read_only: bool = False
