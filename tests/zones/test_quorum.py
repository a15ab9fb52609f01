"""Random histories of writers on six nodes: nothing that was acknowledged is lost, whatever fails."""

from __future__ import annotations

from array import array
from contextlib import suppress
from random import Random

import pytest

from clusterdb.errors import QuorumError, WriterFencedError
from clusterdb.zones import quorum
from clusterdb.zones.entry import Batch
from clusterdb.zones.node import Log
from clusterdb.zones.quorum import Member, Quorum
from clusterdb.zones.reading import Reading
from tests.zones.simulated import Inline, Node, objects_of


class _Writer:
    """A writer that begins an epoch when it has none, and remembers what was acknowledged."""

    def __init__(self, nodes: list[Node], name: str, acknowledged: dict[str, int]) -> None:
        members = [
            Member("abc"[at // 2], at + 1, Log(objects_of(node, at + 1), "c"), Inline())
            for at, node in enumerate(nodes)
        ]
        self.quorum = Quorum(members, {"store": name})
        self._name, self._acknowledged, self._count = name, acknowledged, 0

    def step(self, part_count: int, patience_s: float) -> None:
        log = self.quorum
        with suppress(QuorumError, WriterFencedError):
            log.is_new = not self._acknowledged
            if not log.is_established:
                log.establish(-1)
            self._count += 1
            text = f"{self._name}{self._count}"
            before = log.newest
            version = before.version + 1 if before is not None else 1
            parts = [_batch(text, version, is_last=at == part_count - 1) for at in range(part_count)]
            log.append(parts, patience_s)
            log.newest = parts[-1]
            self._acknowledged[text] = version


def _batch(text: str, version: int, *, is_last: bool) -> Batch:
    pages = array("I")
    return Batch(0, "", 0, (), text, 1, version - 1, version, 0, 0, is_last, pages, pages, b"")


def _complete(reading: Reading) -> list[Batch]:
    return [batch for at in range(1, reading.last + 1) if (batch := reading.batch(at)).is_last]


def _run(seed: int) -> None:
    random = Random(seed)
    nodes = [Node(random, random.choice([0, 0.02, 0.1, 0.3])) for _ in range(6)]
    acknowledged: dict[str, int] = {}
    writers = [_Writer(nodes, name, acknowledged) for name in "xyz"[: random.randint(1, 3)]]
    wiped = 0
    for _ in range(random.randint(5, 60)):
        chance = random.random()
        if chance < 0.1:
            random.choice(nodes).is_down ^= True
        elif chance < 0.12 and wiped < 2:
            node = random.choice(nodes)
            node.wipe()
            wiped += 1
        elif chance < 0.15:
            at = random.randrange(3)
            nodes[2 * at].is_down = nodes[2 * at + 1].is_down = random.random() < 0.5
        elif chance < 0.25:
            random.choice(nodes).deliver(0.5)
        elif chance < 0.3:
            writers[random.randrange(len(writers))] = _Writer(nodes, "uvw"[random.randrange(3)] + str(_), acknowledged)
        else:
            random.choice(writers).step(random.choice([1, 1, 1, 3]), random.choice([-1, 0.002]))
    for node in nodes:
        node.heal()
    logs = [Log(objects_of(node, at), "c") for at, node in enumerate(nodes)]
    for _ in range(5):
        some = random.sample(logs, 3 + wiped)
        batches = _complete(Reading(some)) if sum(not log.tail().is_blank for log in some) >= 3 else []
        if not batches:
            continue
        versions = [batch.version for batch in batches]
        assert versions == list(range(1, len(versions) + 1)), "a gap, or two batches of one version"
        present = {batch.store: batch.version for batch in batches}
        assert present.items() >= acknowledged.items()
    if sum(not Log(objects_of(node, at), "c").tail().is_blank for at, node in enumerate(nodes)) < 3:
        return  # two nodes were lost before others had anything: it cannot be known what was committed
    last = _Writer(nodes, "last", acknowledged)
    last.step(1, -1)
    assert "last1" in acknowledged, [(member.problem, member.is_in, member.sequence) for member in last.quorum.members]
    last.quorum.settle()
    assert last.quorum.count(last.quorum.sequence) == 6, [member.problem for member in last.quorum.members]
    for at, node in enumerate(nodes):
        batches = _complete(Reading([Log(objects_of(node, at), "c") for _ in range(3)]))
        assert {batch.store: batch.version for batch in batches}.items() >= acknowledged.items()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quorum, "_AGAIN_S", 0)


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_histories_lose_nothing_acknowledged(start: int) -> None:
    for seed in range(start, start + 100):
        try:
            _run(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 3000, 500))
def test_many_histories_lose_nothing_acknowledged(start: int) -> None:
    for seed in range(start, start + 500):
        try:
            _run(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
