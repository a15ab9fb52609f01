"""Epochs when nodes lose everything: what a newer writer has claimed is not forgotten (Q3, Q14)."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from random import Random
from threading import Event
from typing import Any
from unittest import mock

import pytest

from clusterdb.errors import QuorumError, RemoteUnavailableError
from clusterdb.zones import copies, quorum
from clusterdb.zones.entry import Batch
from clusterdb.zones.node import Log
from clusterdb.zones.quorum import EpochOverError
from clusterdb.zones.reading import Reading
from clusterdb.zones.worker import Worker
from tests.zones.histories import History, Writer
from tests.zones.simulated import Node

NOW = -1.0
"""A patience: what cannot be had at once is not waited for."""


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "_AGAIN_S", 0)


@pytest.fixture
def nodes() -> list[Node]:
    return [Node(Random(1), 0) for _ in range(6)]


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def older(nodes: list[Node], history: History) -> Writer:
    """A writer that has committed to all nodes."""
    writer = Writer(nodes, "older", history)
    assert writer.step(1, NOW)
    writer.quorum.is_new = False
    return writer


@pytest.fixture
def newer(nodes: list[Node], history: History) -> Writer:
    return Writer(nodes, "newer", history)


def take_down(nodes: list[Node], numbers: Iterable[int]) -> None:
    """Have these nodes, and no others, out of reach."""
    for number, node in enumerate(nodes, 1):
        node.is_down = number in numbers


def newest(nodes: list[Node]) -> str:
    """The text of the newest batch, as all nodes that count have it."""
    reading = Reading([Log(node.reached(), "c") for node in nodes])
    return reading.batch(reading.last).store


def test_epochs_have_four_claims_before_their_first_batch(nodes: list[Node], older: Writer, newer: Writer) -> None:
    take_down(nodes, (1, 2, 5))
    assert not newer.step(1, NOW)
    take_down(nodes, ())
    assert newest(nodes) == "older1"


def test_nodes_that_lost_everything_are_not_filled_in_an_older_epoch(
    nodes: list[Node], older: Writer, newer: Writer
) -> None:
    """Two of the four nodes that have the newer claim lose it; the older writer reaches neither of the others."""
    take_down(nodes, (1, 2))
    assert newer.step(1, NOW)
    for node in nodes[4:]:
        node.wipe()
    take_down(nodes, (3, 4))
    older.quorum.members[4].drop("it was out of reach")
    older.quorum.members[5].drop("it was out of reach")
    assert not older.step(1, NOW)
    assert not older.step(1, NOW)
    take_down(nodes, ())
    assert newest(nodes) == "newer1"


def test_nodes_that_lost_everything_are_filled_in_the_next_epoch(nodes: list[Node], older: Writer) -> None:
    """Each time: a node that is lost again needs another one."""
    for _ in range(2):
        epoch = older.quorum.epoch
        nodes[4].wipe()
        older.quorum.members[4].drop("it was out of reach")
        older.quorum.settle()
        assert older.quorum.wants_epoch
        older.quorum.end_epoch()
        assert older.step(1, NOW)
        older.quorum.settle()
        assert not older.quorum.wants_epoch
        assert older.quorum.epoch > epoch
        assert older.quorum.count(older.quorum.sequence) == 6


def test_one_claim_ends_an_epoch(nodes: list[Node], older: Writer, newer: Writer) -> None:
    """The older writer could have five other nodes: it cannot know how many had the claim."""
    take_down(nodes, (1, 2, 4, 5, 6))
    with pytest.raises(QuorumError):
        newer.quorum.establish(NOW)
    member = newer.quorum.members[2]
    tail = member.log.tail()
    take_down(nodes, ())
    assert newer.quorum._claim(member, tail.position, tail.epoch + 1, tail.sequence, tail.starts)
    sequence = older.quorum.sequence
    with pytest.raises(EpochOverError, match="another writer has begun epoch"):
        older.quorum.append([_following(older)], NOW)
    assert not older.quorum.is_established
    older.quorum.establish(NOW)
    assert older.quorum.sequence == sequence + 1


def test_nodes_that_an_older_writer_has_filled_again_wait_for_the_next_epoch(
    nodes: list[Node], history: History, newer: Writer
) -> None:
    """The writer that uses them has not noticed that they were lost, and with them the claims of the newest one."""
    older, middle = Writer(nodes, "older", history), Writer(nodes, "middle", history)
    take_down(nodes, (3, 4))
    assert older.step(1, NOW)
    take_down(nodes, ())
    with _refused(nodes[2:4]):
        older.quorum.establish(NOW)  # and knows that they are empty
    for _ in range(2):
        assert middle.step(1, NOW)
        middle.quorum.settle()
    take_down(nodes, (2, 6))
    newer.quorum.establish(NOW)
    with _refused(nodes[2:4]):
        assert not newer.step(1, NOW)
    for node in nodes[2:4]:
        node.wipe()
    take_down(nodes, (1, 2, 5, 6))
    older.quorum.settle()
    take_down(nodes, (1, 5))
    middle.quorum.settle()
    assert not middle.step(1, NOW)
    take_down(nodes, ())
    assert newest(nodes) == "newer1"


@contextmanager
def _refused(nodes: list[Node]) -> Iterator[None]:
    """Nothing is created on these nodes in the body."""

    def refuses(path: str, data: bytes) -> bool:
        raise RemoteUnavailableError("full")

    with ExitStack() as stack:
        for node in nodes:
            stack.enter_context(mock.patch.object(node, "create", refuses))
        yield


def test_claims_that_hang_count_for_their_own_epoch(nodes: list[Node], older: Writer) -> None:
    """A claim is made while its writer, which waits for it no more, has begun another epoch."""
    assert older.step(1, NOW)
    member = older.quorum.members[5]
    member.thread, hung, answer = Worker("node"), Event(), Event()
    create = nodes[5].create

    def hangs(path: str, data: bytes) -> bool:
        hung.set()
        assert answer.wait(10)
        return create(path, data)

    nodes[5].create = hangs  # type: ignore[method-assign]
    member.drop("it was out of reach")
    older.quorum.retry()
    assert hung.wait(10)
    nodes[5].is_down = True
    older.quorum.establish(NOW)
    answer.set()
    member.thread.submit(int).result()
    assert not member.is_in


def test_nodes_that_are_slow_when_an_epoch_begins_come_back(nodes: list[Node], older: Writer) -> None:
    """They were in a former epoch of the same writer, and nobody else has used them since."""
    nodes[5].is_down = True
    older.quorum.establish(NOW)
    nodes[5].is_down = False
    assert older.step(1, NOW)
    older.quorum.settle()
    assert older.quorum.count(older.quorum.sequence) == 6
    assert not older.quorum.wants_epoch


@contextmanager
def _hanging(node: Node) -> Iterator[Event]:
    """A node whose requests do not return before the end of the body; the event is set if one was made."""
    hung, answer = Event(), Event()

    def waits() -> None:
        hung.set()
        assert answer.wait(30), "somebody waits for a node that hangs"

    with mock.patch.object(node, "_pass", waits):
        try:
            yield hung
        finally:
            answer.set()


def test_nodes_that_hang_are_not_waited_for(nodes: list[Node], older: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when an epoch begins, nor by a commit, nor when all nodes are to have everything."""
    monkeypatch.setattr(quorum, "_PROGRESS_S", 0.05)
    member = older.quorum.members[5]
    member.thread = Worker("node")
    with _hanging(nodes[5]) as hung:
        older.quorum.establish(20)
        assert hung.is_set()
        assert older.step(1, 20)
        older.quorum.settle()
        assert older.quorum.count(older.quorum.sequence) == 5
        assert not member.thread.is_idle
    older.quorum.settle()
    assert older.quorum.count(older.quorum.sequence) == 6


def test_epochs_are_not_counted_as_log(older: Writer) -> None:
    """Their claims are never deleted: a base in the log would not make it shorter."""
    before = older.quorum.log_bytes
    for _ in range(30):
        older.quorum.establish(NOW)
    assert older.quorum.log_bytes <= before


def test_writers_that_began_when_the_log_was_new_do_not_take_lost_nodes_for_ready(
    nodes: list[Node], history: History, newer: Writer
) -> None:
    idle = Writer(nodes, "idle", history)
    idle.quorum.is_new = True
    idle.quorum.establish(NOW)
    take_down(nodes, (5, 6))
    assert newer.step(1, NOW)
    nodes[0].wipe()
    take_down(nodes, ())
    idle.quorum.settle()
    tail = Log(nodes[0].reached(), "c").tail()
    assert not tail.is_ready


def test_nodes_that_were_out_for_many_epochs_help_to_begin_one(
    nodes: list[Node], history: History, older: Writer, newer: Writer
) -> None:
    """Entries name the last epochs of a log only: more have begun since these nodes were reached."""
    take_down(nodes, (5, 6))
    for _ in range(40):
        assert older.step(1, NOW) or older.step(1, NOW)
        assert newer.step(1, NOW) or newer.step(1, NOW)
    take_down(nodes, (1, 2))
    last = Writer(nodes, "last", history)
    assert last.step(1, NOW)
    take_down(nodes, ())
    assert newest(nodes) == "last1"
    reading = Reading([Log(node.reached(), "c") for node in nodes[3:]])
    batches = [reading.batch(number) for number in range(reading.start(reading.last), reading.last + 1)]
    history.require_kept(batches)


def test_nodes_are_tended_quietly_until_the_store_is_closed() -> None:
    """What a closed store has closed is no news; what fails before is."""

    class Store:
        def __init__(self, closes: bool) -> None:
            self.closes, self.is_closed = closes, Event()

        def retry(self) -> bool:
            if self.closes:
                self.is_closed.set()
            raise ValueError("it is closed")

    with mock.patch.object(copies, "_TEND_S", 0):
        for closes in (True, False):
            store: Any = Store(closes)
            with nullcontext() if closes else pytest.raises(ValueError, match="closed"):
                copies._tend(weakref.ref(store), store.is_closed)


def _following(writer: Writer) -> Batch:
    assert writer.quorum.newest is not None
    return writer.quorum.newest
