"""Histories: files of version records, with holes where versions were forgotten, lost or never reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from vfs.format.layout import HOLE, VERSION_MAX, Version, pack_version, unpack_version
from vfs.registry import VolumeRow, VolumeState
from vfs.storage.history import History

FAR = 1 << 30


def record(version: int) -> Version:
    return Version(1, version, 0, 0, 0, 0, version, HOLE)


def row(volume: int) -> VolumeRow:
    """A volume whose past begins with its base, version 2."""
    return VolumeRow(volume, 0, 1, VolumeState.LIVE, None, record(2), 2)


@pytest.fixture
def history(tmp_path: Path) -> History:
    """The histories of a store; that of volume 1 has the versions 3 to 500 and one far ahead."""
    history = History(tmp_path, is_durable=False, read_only=False)
    for version in [*range(3, 501), FAR]:
        history.append(row(1), record(version), 10 * version)
    return history


def test_holes_are_stepped_over(history: History) -> None:
    """A number that damage has left leads to no billion of steps."""
    assert [at.version for at in history.between(1, 0, 1 << 62)] == [*range(2, 501), FAR]
    assert [at.version for at in history.between(1, 499, FAR - 1)] == [499, 500]
    assert (history.find(1, 1), history.find(1, 500), history.find(1, FAR + 1)) == (None, record(500), None)
    assert history.find(1, 1 << 63) is None
    assert history.newest_at(1, FAR - 1, 3, FAR) == record(500)


def test_slots_written_are_those_of_the_first_record_that_states_them(history: History) -> None:
    assert (history.written(1, 3, FAR), history.written(1, 400, FAR), history.written(1, 501, FAR)) == (
        30,
        4000,
        10 * FAR,
    )
    assert history.written(1, FAR + 1, 1 << 62) is None
    history.erase(1, 400)
    assert history.written(1, 400, 400) is None and history.written(1, 400, FAR) == 4010


def test_forgotten_records_are_gone(history: History) -> None:
    """Their space is a hole; what follows is there."""
    history.forget_before(1, 320)
    assert [at.version for at in history.between(1, 0, 500)] == [*range(320, 501)]
    history.erase_after(1, 400)
    assert [at.version for at in history.between(1, 0, FAR)] == [*range(320, 401)]


def test_records_of_other_volumes_do_not_count(history: History) -> None:
    history.append(row(2), record(5), 7)
    assert [at.version for at in history.between(2, 0, 10)] == [2]
    assert history.written(2, 3, 10) is None


def test_version_that_no_volume_reaches_is_no_record() -> None:
    """Its place in a history would be no offset of a file."""
    assert unpack_version(pack_version(record(VERSION_MAX))) == record(VERSION_MAX)
    assert unpack_version(pack_version(record(VERSION_MAX + 1))) is None
