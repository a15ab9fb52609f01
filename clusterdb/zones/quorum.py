"""The writer's side of six copies: epochs, batches that four nodes have, and nodes that come back.

The rule is Aurora's (Verbitski et al., SIGMOD 2017, section 2.1): six nodes, two in each of three zones; a write needs
four of them, and a read three, which always include one that has the newest write.

Invariants
    Q3  A writer begins an epoch before it appends: it reads how the logs end, and four nodes get its claim, each at the
        position that follows what was read; three of them count.  So a batch of an older epoch that four nodes have is
        on two of them, before the claim; and the older writer finds the next position of four nodes taken, and never
        has four again.  Two writers that begin the same epoch are ordered by their nonces.
    Q4  A node gets the batches of a log in the order of their numbers.
    Q5  A batch is committed when four nodes have it; then every later epoch contains it.
    Q6  A log that ends in epochs which another writer has voided is cut by the claim, and completed from the others.
    Q14  A node that has lost everything has lost claims, too.  Each life of a node is a folder (Q8), which begins
         before the claims of the epochs that use it: a node is in an epoch only with the life that it had when the
         epoch began, or a former one of this writer, and if nobody else has appended to it since.  So of three nodes
         that count when an epoch begins, one has the claim that four had, if at most two of these have begun another
         life.  A node that comes back otherwise waits for the next epoch.  And a single claim of a later epoch ends an
         epoch, whatever other nodes have.
"""

from __future__ import annotations

import secrets
import threading
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from clusterdb.errors import Error, QuorumError, WriterFencedError
from clusterdb.zones.directory import Staged
from clusterdb.zones.entry import Batch, Claim, Packed, Start, belongs, pack, packed, valid_until
from clusterdb.zones.node import Log, Tail
from clusterdb.zones.together import sync_together
from clusterdb.zones.worker import Thread, Worker

__all__ = ["OUTCOME", "READ_QUORUM", "UNCHANGED", "WRITE_QUORUM", "EpochOverError", "Member", "Quorum"]

WRITE_QUORUM = 4
READ_QUORUM = 3
_CLAIMED = "claimed by another writer"
_FILLS = "it was empty, and has not got everything yet"
_WAITS = "it was away, or has lost everything, and waits for the next epoch"
UNCHANGED = "nothing was changed: bring nodes back, or wait longer"
OUTCOME = "the commit is in the store, and reaches them with the next one"
_AGAIN_S = 0.2
_ANSWER_S = 2.0
"""How long nodes have to answer when an epoch begins: if four have answered at most, else at least."""
_LOOK_S = 5.0
"""How often a writer looks whether a node still has what it was given."""
_PAUSE_S, _PAUSE_S_MAX = 1.0, 30.0
"""After how long an epoch ends for nodes that wait for the next one, if the others are too few, or hang: at least, and
if that was of no use again and again."""
_PROGRESS_S = 10.0
"""A node without progress for as many seconds hangs."""
_EPOCH_BYTES = 16 << 10
"""What an epoch leaves in a log for ever: its claim, in a file of its own."""
_KEPT_BYTES = 64 << 20
"""How many bytes of batches are kept for nodes that are behind."""


class EpochOverError(WriterFencedError):
    """The writer has to begin another epoch, if it is still the writer."""


class Life(NamedTuple):
    """A node as it was when an epoch began.

    :ivar epoch: the epoch
    :ivar folder: of its log
    :ivar position: of the last entry
    :ivar valid: up to which batch it has what the log of the epoch has
    """

    epoch: int
    folder: str
    position: int
    valid: int


class Member:
    """A node as a writer knows it; its requests are made in a thread of its own.

    :ivar zone: its availability zone
    :ivar number: from 1 to 6
    :ivar sequence: the last batch that it has of this epoch's log
    :ivar is_in: whether it has this epoch's claim, and everything up to ``sequence``
    :ivar is_ready: whether it counts for others (Q8)
    :ivar filled_from: the last batch when it joined, if it is not ready
    :ivar folder: of its log, when it was read last for an epoch
    :ivar problem: why it is not in
    :ivar fenced_by: the newer epoch that has claimed it; 0: none
    """

    def __init__(self, zone: str, number: int, log: Log, thread: Thread | None = None) -> None:
        self.zone, self.number, self.log = zone, number, log
        self.sequence = self.position = self.wanted = self.fenced_by = 0
        self.folder = ""
        self.is_in = self.is_busy = self.is_ready = False
        self.filled_from = 0
        self.problem = "not reached yet"
        self.tried_s = self.looked_s = 0.0
        self.thread = thread or Worker(f"clusterdb-node-{number}")

    def drop(self, problem: str, fenced_by: int = 0) -> None:
        """It does not count until it has joined again."""
        self.is_in, self.problem, self.fenced_by = False, problem, fenced_by

    def close(self, wait_s: float) -> None:
        """End its thread, when it has done what it was asked for; one that hangs is left."""
        with suppress(TimeoutError, CancelledError):
            self.thread.submit(int).result(wait_s)
        self.thread.shutdown(wait=False)


class Quorum:
    """The log of a cluster on six nodes, for one writer at a time of this process.

    ``about``: what nodes tell of the cluster.
    """

    def __init__(self, members: Sequence[Member], about: dict[str, Any]) -> None:
        self.members = tuple(members)
        self.writer = secrets.token_hex(8)
        self.epoch = 0
        self.sequence = 0
        self.starts: tuple[Start, ...] = ()
        self.newest: Batch | None = None
        """The last batch of the log when the epoch began."""
        self.acknowledged = self.inherited = 0
        """The last batch that four nodes have; the last that was there when the epoch began."""
        self.is_established = False
        self.outcome = UNCHANGED
        """What became of what is being committed, for errors."""
        self.wants_epoch = False
        """Whether a node waits for the next epoch (Q14)."""
        self.is_new = False
        """Whether the log may be new: then blank nodes count (Q8)."""
        self._about = about
        self._tried = 0
        """The last epoch that it has begun, or tried to: nodes that have its claim may be out of reach now."""
        self._kept: OrderedDict[int, Packed] = OrderedDict()
        self._kept_bytes = 0
        self.log_bytes = 0
        """About the bytes that a node has of the log."""
        self._lives: dict[Member, Life] = {}
        """The nodes of this epoch, and of former ones."""
        self._begun_s = self._progress_s = 0.0
        self._pause_s = _PAUSE_S
        self._changed = threading.Condition()

    # --- epochs -----------------------------------------------------------------------------------------------------
    def establish(self, patience_s: float) -> None:
        """Begin an epoch (Q3).  Raises QuorumError if four nodes cannot be had in time, of which three count."""
        self.is_established = False
        until = time.monotonic() + patience_s
        while not self._attempt(max(0.0, until - time.monotonic())):
            if time.monotonic() > until:
                raise self.lacking()
            time.sleep(_AGAIN_S * (0.5 + secrets.randbelow(100) / 100))
        self.is_established = True

    def _attempt(self, patience_s: float) -> bool:
        self._kept.clear()
        self._kept_bytes = 0
        self.acknowledged = 0
        tails: dict[Member, Tail] = self._on_all(self.members, self._tail, patience_s, _are_enough)
        if not _are_enough(tails):
            return False
        counting = {member for member, tail in tails.items() if tail.is_ready}
        self._tried = epoch = 1 + max(self._tried, *(tail.epoch for tail in tails.values()))
        newest = max(counting, key=lambda member: tails[member].starts[-1:])
        chain = tails[newest].starts

        folders, lives = {member: member.folder for member in tails}, dict[Member, Life]()

        def claim(member: Member) -> Life | None:
            tail, folder = tails[member], folders[member]
            valid = valid_until(tail.starts, tail.sequence, chain)
            if valid is None and member in counting:
                valid = _last_common(member.log, tail, newest.log, tails[newest])
            life = lives[member] = Life(epoch, folder, tail.position, valid or 0)
            if member.log.folder == folder and self._claim(member, tail.position, epoch, life.valid, chain):
                return life
            member.problem = _CLAIMED
            return None

        def are_enough(claimed: Mapping[Member, Life | None]) -> bool:
            own = {member for member, life in claimed.items() if life is not None}
            return len(own) >= WRITE_QUORUM and len(own & counting) >= READ_QUORUM

        claimed: dict[Member, Life | None] = self._on_all(list(tails), claim, patience_s, are_enough)
        mine = {member: life for member, life in claimed.items() if life is not None}
        if not are_enough(mine):
            return False
        last = max(life.valid for life in mine.values())
        with self._changed:
            self.epoch, self.sequence, self.inherited = epoch, last, last
            self._lives.update(lives)
            self.wants_epoch, self._begun_s = False, time.monotonic()
            if len(mine) == len(self.members):
                self._pause_s = _PAUSE_S
            self.starts = (*chain[: _before(chain, last)], Start(epoch, self.writer, last))
            for member in self.members:
                member.drop(member.problem)
                member.wanted = last
                if member in mine:
                    member.position, member.sequence, member.is_in = mine[member].position + 1, mine[member].valid, True
                    member.filled_from = last
        self.log_bytes = max(tail.size_bytes for tail in tails.values()) - _EPOCH_BYTES * epoch
        self.newest = self._last_complete(last)
        return True

    def _tail(self, member: Member) -> Tail:
        """How the log of a node ends; the log of an empty one is begun."""
        tail = member.log.tail()
        member.problem = "" if tail.is_ready or self.is_new else _FILLS
        if tail.is_blank:
            member.log.begin(self._about)
            if self.is_new:
                member.log.note_ready()  # there is nothing that it could lack
            tail = member.log.tail()
        member.is_ready, member.folder = tail.is_ready, member.log.folder or ""
        return tail

    @property
    def _owner(self) -> tuple[int, str]:
        return self.epoch, self.writer

    def _claim(self, member: Member, position: int, epoch: int, after: int, chain: tuple[Start, ...]) -> bool:
        """Claim the position that follows one, on a node that has everything up to a batch."""
        entry = Claim(epoch, self.writer, after, chain[: _before(chain, after)])
        return member.log.append(position + 1, pack(entry))

    def _last_complete(self, last: int) -> Batch | None:
        """The last batch of the log that is complete; None if there is none.  Raises QuorumError."""
        for sequence in range(last, 0, -1):
            batch = self._batch(sequence)
            if batch is None:
                raise QuorumError(f"batch {sequence} is on no storage node that can be reached")
            if batch.is_last:
                return batch
        return None

    # --- appending --------------------------------------------------------------------------------------------------
    def append(self, parts: Iterable[Batch], patience_s: float) -> None:
        """Append the parts of a batch, and wait until four nodes have all of them (Q5).

        Their ``epoch``, ``writer``, ``sequence`` and ``starts`` are set here.  Raises QuorumError, EpochOverError; then
        the outcome is unknown, and the next batch needs a new epoch.
        """
        for part in parts:
            self.sequence += 1
            entry = replace(part, epoch=self.epoch, writer=self.writer, sequence=self.sequence, starts=self.starts)
            batch = packed(entry)
            self._keep(batch)
            self._send_at_once(batch)
            self._await(self.sequence, patience_s)

    def _send_at_once(self, batch: Packed) -> None:
        """Give the nodes a batch: those on the pool's device with one sync, from here; the others in their threads."""
        before, staged = batch.sequence - 1, dict[Member, Staged]()
        for member in self.members:
            if member.is_in and member.sequence == before and not self._has_to_do(member, before):
                try:
                    entry = member.log.stage(member.position + 1, batch)
                except Error as problem:
                    member.drop(_problem(problem))
                else:
                    if entry is not None:
                        staged[member] = entry
        self._start(batch.sequence, but=staged)
        staged = dict(sorted(staged.items(), key=lambda item: item[1].writer.is_growing))
        errors = sync_together([(entry.writer.fd, entry.record) for entry in staged.values()])
        for (member, entry), error in zip(staged.items(), errors, strict=True):
            try:
                if error is not None:
                    entry.give_up()
                    raise error
                if member.log.finish(member.position + 1, batch, entry):
                    member.position, member.sequence = member.position + 1, batch.sequence
            except OSError as problem:
                member.drop(_problem(problem))
        self._start(batch.sequence)

    def _has_to_do(self, member: Member, target: int) -> bool:
        """Whether the thread of a node that has everything up to a batch has to do something, or does."""
        is_due = not member.is_ready or time.monotonic() - member.looked_s > _LOOK_S
        return is_due or member.sequence < target or not member.thread.is_idle

    def require(self, patience_s: float) -> None:
        """Have four nodes with everything.  Raises QuorumError, EpochOverError, before anything is changed."""
        if self.count(self.sequence) < WRITE_QUORUM:
            self._start(self.sequence)
            self._await(self.sequence, patience_s)

    def _await(self, target: int, patience_s: float) -> None:
        """Wait until four nodes have everything up to a batch."""
        begun_s = time.monotonic()
        until = begun_s + patience_s
        with self._changed:
            while True:
                fence = max(member.fenced_by for member in self.members)
                if fence:  # Q14
                    self.end_epoch()
                    raise EpochOverError(f"another writer has begun epoch {fence}")
                if self.count(target) >= WRITE_QUORUM:
                    break
                now = time.monotonic()
                if self.wants_epoch and self._is_stuck(begun_s):
                    self.end_epoch()
                    self._pause_s = min(2 * self._pause_s, _PAUSE_S_MAX)
                    raise EpochOverError("storage nodes wait for the next epoch")
                if now >= until:
                    self.end_epoch()
                    raise self.lacking()
                if not self._changed.wait(min(until - now, _AGAIN_S)):
                    self._start(target)
            self.acknowledged = max(self.acknowledged, target)

    def _is_stuck(self, begun_s: float) -> bool:
        """Whether what has been waited for since a time needs other nodes than those of this epoch."""
        if sum(member.is_in for member in self.members) < WRITE_QUORUM:
            return time.monotonic() - self._begun_s >= self._pause_s
        return time.monotonic() - max(begun_s, self._progress_s) >= _PROGRESS_S

    def end_epoch(self) -> None:
        """Have the next use begin another epoch."""
        self.is_established = False

    def count(self, sequence: int) -> int:
        """How many nodes have everything up to a batch."""
        return sum(member.is_in and member.sequence >= sequence for member in self.members)

    def settle(self) -> None:
        """Wait until every node that can be reached has everything, but for those that hang."""
        for member in self.members:
            member.looked_s = 0.0
        self._start(self.sequence, at_once=True)
        for member in self.members:
            done, before = member.thread.submit(int), None
            while not done.done() and before != (member.position, member.sequence):
                before = member.position, member.sequence
                with suppress(TimeoutError, CancelledError):
                    done.result(_PROGRESS_S)

    @property
    def is_fenced(self) -> bool:
        """Whether a node has the claim of a later epoch."""
        return any(member.fenced_by for member in self.members)

    @property
    def is_whole(self) -> bool:
        """Whether no node is out."""
        return all(member.is_in for member in self.members)

    def retry(self) -> None:
        """Try again to bring the nodes up to date that are out, in their threads."""
        self._start(self.sequence)

    def _keep(self, batch: Packed) -> None:
        self._kept[batch.sequence] = batch
        self.log_bytes += len(batch.data)
        self._kept_bytes += len(batch.data)
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1].data)

    def _start(self, target: int, *, at_once: bool = False, but: Container[Member] = ()) -> None:
        """Bring the nodes up to a batch, in their threads; one that is out is tried now and then."""
        now = time.monotonic()
        for member in self.members:
            if member in but:
                continue
            member.wanted = target
            if member.is_in and not at_once and not self._has_to_do(member, target):
                continue
            if member.is_in or at_once or now - member.tried_s >= _AGAIN_S:
                member.tried_s = now
                if not member.is_busy:
                    member.is_busy = True
                    member.thread.submit(self._bring, member)

    def _bring(self, member: Member) -> None:
        member.is_busy = False  # from here on, what it has to do is looked at again
        if not self.is_established:
            return  # an epoch begins now, or with the next use
        try:
            if member.is_in and time.monotonic() - member.looked_s > _LOOK_S:
                self._look(member)
            if not member.is_in:
                self._join(member)
            while member.is_in and member.sequence < member.wanted:
                self._send(member, member.sequence + 1)
            if member.is_in and not member.is_ready and self.acknowledged > member.filled_from:
                member.log.note_ready()  # no other writer can have committed what it lacks (Q8)
                member.is_ready = True
        except Exception as error:  # whatever is wrong with it: it counts no more
            member.drop(_problem(error))
        with self._changed:
            self._changed.notify_all()

    def _look(self, member: Member) -> None:
        """See whether a node has lost everything meanwhile (Q8)."""
        folder = member.log.folder
        if member.log.about() is None or member.log.folder != folder:
            member.drop("it is empty")
        member.looked_s = time.monotonic()

    def _send(self, member: Member, sequence: int) -> None:
        """Give a node the next batch (Q4)."""
        ready = self._kept.get(sequence)
        if ready is None:
            batch = self._batch(sequence, member)
            if batch is None:
                return self._skip(member, sequence)
            ready = packed(replace(batch, epoch=self.epoch, writer=self.writer))  # so that it does not pass for older
        if member.log.append_batch(member.position + 1, ready):
            member.position, member.sequence = member.position + 1, sequence
            self._progress_s = time.monotonic()
            return None
        entry = member.log.read(member.position + 1)  # another writer's claim
        is_fence = entry is not None and (entry.epoch, entry.writer) > self._owner
        return member.drop(_CLAIMED, entry.epoch if entry is not None and is_fence else 0)

    def _skip(self, member: Member, sequence: int) -> None:
        """Let a node continue with the batch that follows those which are not kept any more.

        Only a batch that four nodes have lets others be deleted (Q2), so what follows them is committed.
        """
        following = []
        for other in self.members:
            if other is not member and other.is_in and other.sequence >= sequence:
                number = self._first_kept(other.log, sequence)
                if number == sequence:
                    return member.drop(f"batch {sequence}, which it lacks, cannot be read from another node now")
                following.append(number)
        committed = max(self.acknowledged, self.inherited)  # a node that lost everything has later ones only
        for begins in sorted({number for number in following if 0 < number <= committed}, reverse=True):
            batch = self._batch(begins, member)
            if batch is not None and batch.begins:
                break
        else:
            return member.drop(f"batch {sequence}, which it lacks, is on no other node that can be reached")
        if self._claim(member, member.position, self.epoch, begins - 1, self.starts):
            member.position, member.sequence = member.position + 1, begins - 1
            return None
        return member.drop(_CLAIMED)

    def _first_kept(self, log: Log, sequence: int) -> int:
        """The number, if a node has this batch, or of the first one after it that begins anew; 0: none.  Raises Error.

        Others between them may be there: deleted ones come back when the power fails, or go with those beside them.
        """
        for number, place in sorted(log.index().items()):
            if number == sequence or (number > sequence and place.begins):
                batch = log.batch(number)
                if batch is not None and belongs(batch, self.starts):
                    return number
        return 0

    def trim(self, before: int, kept: int) -> None:
        """Delete the batches between two numbers from the nodes that have a complete one after them (Q2)."""
        for member in self.members:
            member.thread.submit(self._trim, member, self.sequence, before, kept)
        self.log_bytes = self._kept_bytes

    def _trim(self, member: Member, complete: int, before: int, kept: int) -> None:
        with suppress(Error):  # what stays is deleted the next time
            if member.is_in and member.sequence >= complete:
                member.log.trim(before, kept)

    def _join(self, member: Member) -> None:
        """Claim a node again, or late, that was there when the epoch began (Q14); cut what is not of this log (Q6)."""
        epoch = self.epoch
        tail = member.log.tail()
        member.is_ready = tail.is_ready
        if tail.owner > self._owner:
            return member.drop(_CLAIMED, tail.epoch)
        valid = self._known(member, tail)
        if valid is None:
            if tail.is_blank:
                member.log.begin(self._about)
            self.wants_epoch = True
            return member.drop(_WAITS)
        member.filled_from = self.sequence
        if self._claim(member, tail.position, epoch, valid, self.starts):
            with self._changed:
                if self.epoch == epoch:  # else it has hung meanwhile
                    member.position, member.sequence, member.is_in, member.fenced_by = tail.position + 1, valid, True, 0
        return None

    def _known(self, member: Member, tail: Tail) -> int | None:
        """Up to which batch a node has the log, if it is as it was when this writer used it last; else None (Q14)."""
        life = self._lives.get(member)
        if life is None or tail.is_blank or life.folder != member.log.folder:
            return None
        if tail.writer == self.writer:
            return valid_until(tail.starts, tail.sequence, self.starts)
        is_same = tail.position == life.position and life.epoch == self.epoch
        return min(life.valid, self.inherited) if is_same else None

    def _batch(self, sequence: int, lacking: Member | None = None) -> Batch | None:
        """A batch of this log, from a node that has it; None if none can be reached."""
        for member in self.members:
            if member is not lacking and member.is_in and member.sequence >= sequence:
                with suppress(Error):
                    batch = member.log.batch(sequence)
                    if batch is not None and belongs(batch, self.starts):
                        return batch
        return None

    # --- all nodes --------------------------------------------------------------------------------------------------
    def _on_all(
        self,
        members: Sequence[Member],
        call: Callable[[Member], Any],
        patience_s: float,
        are_enough: Callable[[dict[Member, Any]], bool],
    ) -> dict[Member, Any]:
        """The results of a call for those nodes that answer in time; a node's own trouble is its problem.

        When enough have answered, those that were busy before, which may hang, are not waited for.
        """
        begun_s, idle = time.monotonic(), {member for member in members if member.thread.is_idle}
        futures: dict[Member, Future[Any]] = {member: member.thread.submit(call, member) for member in members}
        waiting = set(futures.values())
        while waiting:
            limit_s = max(patience_s, _ANSWER_S)
            if are_enough({member: future.result() for member, future in futures.items() if _has_result(future)}):
                waiting &= {futures[member] for member in idle}
                limit_s = _ANSWER_S
            left_s = begun_s + limit_s - time.monotonic()
            if left_s <= 0:
                break
            _, waiting = wait(waiting, left_s, FIRST_COMPLETED)
        results = {}
        for member, future in futures.items():
            if _has_result(future):
                results[member] = future.result()
            else:
                is_failed = future.done() and not future.cancelled()
                error = (future.exception() if is_failed else None) or TimeoutError("it does not answer")
                member.drop(_problem(error))
        return results

    def lacking(self) -> QuorumError:
        """The error of a use that cannot have four nodes."""
        out = "; ".join(
            f"node {member.number} in zone {member.zone}: {member.problem}"
            for member in self.members
            if not member.is_in and member.problem
        )
        return QuorumError(
            f"fewer than {WRITE_QUORUM} of {len(self.members)} storage nodes can be had: {self.outcome} ({out})"
        )


def _problem(error: BaseException) -> str:
    return str(error) if isinstance(error, Error | TimeoutError) else f"{type(error).__name__}: {error}"


def _are_enough(tails: Mapping[Member, Tail]) -> bool:
    """Whether an epoch can begin with these nodes (Q3)."""
    return len(tails) >= WRITE_QUORUM and sum(tail.is_ready for tail in tails.values()) >= READ_QUORUM


def _has_result(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _last_common(log: Log, tail: Tail, newest: Log, end: Tail) -> int:
    """The last batch that a log has in common with another one, from which it has been away for many epochs.

    Entries name the last epochs of their log only.  Logs agree up to where they part.
    """
    mine, theirs = log.index(), newest.index()
    numbers = sorted(number for number in mine.keys() & theirs.keys() if number <= min(tail.sequence, end.sequence))
    if not numbers:
        return 0  # what it has is needed no more
    first = bisect_left(numbers, True, key=lambda number: log.start_of(number) != newest.start_of(number))
    return numbers[first - 1] if first else numbers[0] - 1


def _before(starts: Sequence[Start], last: int) -> int:
    """How many of the epochs have entries up to a number."""
    return sum(start.after < last for start in starts)
