"""The history of the shell's input lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusterdb.shell.history import History


def test_history_keeps_entries_of_several_lines_privately(tmp_path: Path) -> None:
    """Entries of several lines come back as they were; the same again is kept once; others cannot read it."""
    path = tmp_path / "state" / "history"
    history = History(path)
    for entry in ("SELECT 1;", "SELECT 1;", "SELECT\n  2;\n", "", "  "):
        history.append(entry)
    History(path).append(".clusters")
    assert History(path).entries == ["SELECT 1;", "SELECT\n  2;", ".clusters"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 3


def test_history_is_truncated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not grow for ever."""
    monkeypatch.setattr("clusterdb.shell.history.ENTRIES_MAX", 3)
    path = tmp_path / "history"
    path.write_text("".join(f"SELECT {n};\n" for n in range(10)))
    assert History(path).entries == ["SELECT 7;", "SELECT 8;", "SELECT 9;"]
    assert path.read_text().count("\n") == 3


def test_truncation_loses_no_entry_of_another_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which appends one when the first has read the file."""
    monkeypatch.setattr("clusterdb.shell.history.ENTRIES_MAX", 3)
    path, other = tmp_path / "history", History(tmp_path / "history")
    path.write_text("".join(f"SELECT {n};\n" for n in range(10)))
    cut = History._cut

    def cut_late(self: History) -> None:
        other.append("SELECT 'late';")
        cut(self)

    monkeypatch.setattr(History, "_cut", cut_late)
    assert History(path).entries == ["SELECT 8;", "SELECT 9;", "SELECT 'late';"]
    assert path.read_text().splitlines()[-1] == "SELECT 'late';"


def test_history_without_a_writable_file_is_kept_in_memory(tmp_path: Path) -> None:
    """It is kept in memory then."""
    (tmp_path / "file").touch()
    history = History(tmp_path / "file" / "history")
    history.append("SELECT 1;")
    assert history.entries == ["SELECT 1;"]
