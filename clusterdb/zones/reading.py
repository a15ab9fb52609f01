"""Reading the log of a cluster from three of six nodes or more."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from clusterdb.errors import Error, QuorumError, RemoteDamagedError
from clusterdb.zones.entry import Batch, belongs, newest_beginning, valid_until
from clusterdb.zones.node import Log, Tail
from clusterdb.zones.quorum import READ_QUORUM

__all__ = ["Reading"]


class Reading:
    """The log as three nodes or more have it: every batch that was committed, and perhaps the one after them.

    Raises QuorumError if fewer than three can be read.

    :ivar last: the number of its last batch
    """

    def __init__(self, logs: Sequence[Log]) -> None:
        tails: dict[Log, Tail] = {}
        problems = []
        for log in logs:
            try:
                tail = log.tail()
            except Exception as error:  # whatever is wrong with it: it does not count
                problems.append(f"{log.objects.url}: {error}")
            else:
                if tail.is_ready:
                    tails[log] = tail
                else:
                    problems.append(
                        f"{log.objects.url} {'is empty' if tail.is_blank else 'has not got everything yet'}"
                    )
        if len(tails) < READ_QUORUM:
            raise QuorumError(
                f"only {len(tails)} of {len(logs)} storage nodes can be read, and {READ_QUORUM} are needed: "
                + "; ".join(problems)
            )
        chain = max((tail.starts for tail in tails.values()), key=lambda starts: starts[-1:])
        self._chain = chain
        self._valid = {log: valid_until(tail.starts, tail.sequence, chain) or 0 for log, tail in tails.items()}
        self.last = max(self._valid.values())
        while self.last and not self.batch(self.last).is_last:
            self.last -= 1

    def start(self, last: int) -> int:
        """The number of the batch from which on everything is needed that the log has up to one that is complete."""
        numbers: set[int] = set()
        for log, valid in self._valid.items():
            with suppress(Error):
                numbers |= {at for at, place in log.index().items() if place.begins and at <= min(valid, last)}
        return newest_beginning(numbers, last, self.batch) or 1

    def batch(self, sequence: int) -> Batch:
        """A batch.  Raises RemoteDamagedError if no node has it whole."""
        problem = "is missing"
        for log, last in self._valid.items():
            if last >= sequence:
                with suppress(Error):
                    batch = log.batch(sequence)
                    if batch is not None and belongs(batch, self._chain):
                        return batch
                    continue
                problem = "is damaged, or cannot be read"
        urls = ", ".join(log.objects.url for log in self._valid)
        raise RemoteDamagedError(f"batch {sequence} {problem} on the storage nodes {urls}")
