"""Transactions: by opaque ids, bound to a cluster, with limits, and with a fate when their cluster changes below them.

A transaction ends by CommitTransaction and RollbackTransaction, and is rolled back

- 3 minutes after its last call, and 24 hours after it began (:class:`DataSettings` has both);
- when the cluster fails over, is stopped, reset, backtracked or deleted, also by another process;
- when SQLite has rolled it back, as after an interrupted write;
- when the server ends.

Each is a connection with a thread of its own.  The next call with its id raises TransactionNotFoundException, which has
the cause.  A transaction of another cluster is not found either.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from clusterdb.errors import Error
from clusterdb.server.data.problems import transaction_not_found
from clusterdb.server.data.sessions import Session
from clusterdb.store import Cluster

__all__ = ["ABORTED", "ENDED", "EXPIRED", "Transaction", "Transactions"]

EXPIRED = "Transaction may be expired."
ENDED = "One previous call resulted in a termination of your transaction."
ABORTED = "Transaction has been aborted due to an error from a previous call."
_CHANGED = "Transaction has been aborted: the cluster was reset, backtracked or deleted."
_REMEMBERED_MAX = 1000


@dataclass(eq=False)
class Transaction:
    """An open transaction.

    ``volume``: the cluster's volume when it began, which a reset and a backtrack replace.  ``is_open``: whether the
    last statement that failed has left it open.  ``is_failed``: a statement
    has failed, after which PostgreSQL accepts only a rollback.  ``is_replaceable``: nothing but queries has run, so
    that it may begin anew in order to write.
    """

    id: str
    session: Session
    volume: int
    began_at: float
    used_at: float
    is_open: bool = True
    is_failed: bool = False
    is_replaceable: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by the call that uses it."""

    @property
    def cluster(self) -> Cluster:
        """The handle that it began with."""
        return self.session.cluster


class Transactions:
    """The open transactions of a server.

    :param clock: seconds that only grow
    """

    def __init__(self, clock: Callable[[], float], *, idle_s: float, age_max_s: float) -> None:
        self._clock = clock
        self._idle_s, self._age_max_s = idle_s, age_max_s
        self._open: dict[str, Transaction] = {}
        self._causes: OrderedDict[str, str] = OrderedDict()
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, session: Session) -> Transaction:
        """A transaction that has begun in a session.  Raises ClusterNotFoundError."""
        now = self._clock()
        id = f"A{secrets.token_urlsafe(63)}"
        transaction = Transaction(id, session, volume_of(session.cluster), now, now)
        with self._guard:
            self._open[id] = transaction
        return transaction

    def find(self, cluster: Cluster, id: str) -> Transaction:
        """The open transaction of a cluster.  Raises Fault, TransactionNotFoundException."""
        self.sweep()
        with self._guard:
            transaction = self._open.get(id)
            cause = self._causes.get(id, EXPIRED)
        if transaction is None:
            raise transaction_not_found(id, cause)
        if (transaction.cluster.context, transaction.cluster.id) != (cluster.context, cluster.id):
            raise transaction_not_found(id, EXPIRED)  # as if it were not there
        if volume_of(cluster) != transaction.volume:
            self.end(transaction, _CHANGED)
            raise transaction_not_found(id, _CHANGED)
        return transaction

    def touch(self, transaction: Transaction) -> None:
        """A call with it has ended: the time of idleness begins."""
        transaction.used_at = self._clock()

    def end(self, transaction: Transaction, cause: str) -> None:
        """Forget a transaction; what is open in its session is rolled back.  Ending it twice is allowed."""
        with self._guard:
            if self._open.pop(transaction.id, None) is not None:
                self._causes[transaction.id] = cause
                while len(self._causes) > _REMEMBERED_MAX:
                    self._causes.popitem(last=False)
        transaction.session.close()

    def sweep(self) -> float | None:
        """Roll back what has exceeded its limits; returns when the next one will, None if none is open.

        A transaction that is used now is not idle.
        """
        now = self._clock()
        with self._guard:
            transactions = list(self._open.values())
        next_at: float | None = None
        for transaction in transactions:
            if volume_of(transaction.cluster) != transaction.volume:
                self.end(transaction, _CHANGED)
                continue
            at = transaction.began_at + self._age_max_s
            if not transaction.lock.locked() and not transaction.session.is_running:
                at = min(at, transaction.used_at + self._idle_s)
            if at <= now:
                self.end(transaction, EXPIRED)
                transaction.session.cancel()
                transaction.session.join(5)
            else:
                next_at = at if next_at is None else min(at, next_at)
        return next_at

    def close(self) -> None:
        """Forget all; their sessions roll them back."""
        with self._guard:
            transactions = list(self._open.values())
        for transaction in transactions:
            self.end(transaction, ABORTED)


def volume_of(cluster: Cluster) -> int:
    """The volume that is the cluster now; 0 if the cluster is gone, or the store is closed."""
    try:
        return cluster.context.row_of(cluster).volume
    except Error:
        return 0
