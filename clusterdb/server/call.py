"""One call of an operation: who calls, where, and on which store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from clusterdb.store import Store

__all__ = ["Call", "Closable", "Operation", "Serving"]


class Closable(Protocol):
    """What a service keeps while the server runs."""

    def close(self) -> None: ...


_T = TypeVar("_T", bound=Closable)


@dataclass
class Serving:
    """The settings of a running server, and what services keep while it runs.

    :ivar read_only: operations that write are refused; the Data API reads only
    :ivar delay_s: seconds for which transitional statuses such as ``creating`` last; 0: until the next call
    :ivar clone_limit: the number of copy-on-write clones of a group, after which clones are full copies; None: no limit
    :ivar strict_secrets: the Data API accepts only secrets that were issued
    :ivar metrics_interval_s: seconds between samples of the metrics for CloudWatch
    """

    read_only: bool = False
    delay_s: float = 0
    clone_limit: int | None = None
    strict_secrets: bool = False
    metrics_interval_s: float = 60
    _kept: dict[str, Closable] = field(default_factory=dict)
    _guard: threading.RLock = field(default_factory=threading.RLock)
    _ending: threading.Lock = field(default_factory=threading.Lock)

    def kept(self, key: str, create: Callable[[], _T]) -> _T:
        """What a service keeps under a key, created on first use; it is closed before the stores are."""
        with self._guard:
            if key not in self._kept:
                self._kept[key] = create()
            return cast(_T, self._kept[key])

    def close(self) -> None:
        """Close what is kept, the newest first; calls that still run find it closed.  Closing twice is allowed."""
        with self._ending:
            for one in reversed(list(self._kept.values())):
                one.close()


@dataclass(frozen=True)
class Call:
    """A request that has passed the guards.

    :ivar store: the store of the account and the region
    :ivar account: twelve digits
    :ivar region: e.g. ``us-east-1``
    :ivar service: the service of the credential scope, e.g. ``rds``
    :ivar action: the name of the operation in botocore's model
    :ivar request_id: a UUID, returned to the client
    :ivar serving: the server's settings, and what services keep while it runs
    """

    store: Store
    account: str
    region: str
    service: str
    action: str
    request_id: str
    serving: Serving = field(default_factory=Serving)


Operation: TypeAlias = Callable[[Call, dict[str, Any]], dict[str, Any]]
"""Takes the input and gives the output of an operation, as boto3 has them; raises :class:`~.faults.Fault`."""
