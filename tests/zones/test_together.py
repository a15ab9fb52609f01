"""One sync for several files: each has its own errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterdb.zones import together
from clusterdb.zones.segment import Record
from clusterdb.zones.together import sync_together

_RECORD = Record(0, 4096)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    fds = [os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT) for number in range(4)]
    for fd in fds:
        os.write(fd, bytes(8192))
    yield fds
    for fd in fds:
        os.close(fd)


def _codes(files: list[int]) -> list[int | None]:
    errors = sync_together([(fd, _RECORD) for fd in files])
    return [error.errno if error is not None else None for error in errors]


def test_files_are_written_before_one_flush(files: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[tuple[str, int]] = []
    monkeypatch.setattr(together.CALLS, "write_range", lambda fd, record, flags: order.append(("write", fd)))
    monkeypatch.setattr(together.CALLS, "flush", lambda fd: order.append(("flush", fd)))
    assert _codes(files) == [None] * 4
    assert order == [("write", fd) for fd in files] * 2 + [("flush", files[0])]


def test_real_calls_succeed_and_fail(files: list[int], tmp_path: Path) -> None:
    if not together.can_sync_together(tmp_path):
        pytest.skip("the file system is another one")
    assert _codes(files) == [None] * 4
    pipe, other = os.pipe()
    assert _codes([files[0], pipe, files[2]]) == [None, errno.ESPIPE, None]
    os.close(pipe)
    os.close(other)


@pytest.mark.parametrize("call", ["write_range", "flush"])
@pytest.mark.parametrize("bad", [0, 2])
def test_error_of_a_range_is_of_no_other_file(
    files: list[int], monkeypatch: pytest.MonkeyPatch, call: str, bad: int
) -> None:
    real = getattr(together.CALLS, call)

    def fail(fd: int, *arguments: object) -> None:
        if fd == files[bad]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd, *arguments)

    monkeypatch.setattr(together.CALLS, call, fail)
    expected: list[int | None] = [None] * 4
    if call == "write_range":
        expected[bad] = errno.EIO
    elif bad == 0:  # the device may have dropped what it had of the others
        expected = [errno.EIO] * 4
    assert _codes(files) == expected
