"""The choice of a data plane, in builds with and without the plane in C, which is played by a module in Python."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import clusterdb
import vfs
from vfs.errors import UnknownDataPlaneError
from vfs.plane import available, chosen, native, notice

Build = Callable[..., None]

PLANE = """
from vfs import _native

class Plane:
    def __init__(self, name):
        self.name = name

def plane():
    return Plane("c")
"""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """A function that replaces the plane in C by modules with these texts; None is a module that does not exist."""
    assert issubclass(clusterdb.InvalidArgumentError, clusterdb.Error), "imports vfs while its path is known"
    names = ("native", "_native")
    modules = {name: sys.modules.pop(f"vfs.{name}", None) for name in names}
    monkeypatch.setattr(vfs, "__path__", [str(tmp_path)])
    finders = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]
    monkeypatch.setattr(sys, "meta_path", finders)  # that of an editable installation knows the real modules
    monkeypatch.delenv("CLUSTERDB_IMPL", raising=False)
    for name in names:
        monkeypatch.setattr(vfs, name, None, raising=False)
        monkeypatch.delattr(vfs, name)

    def write(native_text: str | None, extension_text: str | None = "") -> None:
        for name, text in zip(names, (native_text, extension_text), strict=True):
            if text is not None:
                (tmp_path / f"{name}.py").write_text(text)
        native.cache_clear()

    yield write
    for name, module in modules.items():
        sys.modules.pop(f"vfs.{name}", None)
        if module is not None:
            sys.modules[f"vfs.{name}"] = module
    native.cache_clear()


def test_plane_in_c_is_used_where_the_environment_names_it(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build(PLANE)
    monkeypatch.setenv("CLUSTERDB_IMPL", "c")
    assert available() == ["python", "c", "mixed"]
    assert chosen().name == "c"
    assert notice() is None
    assert clusterdb.implementation == "c"


def test_plane_in_c_is_the_default(build: Build) -> None:
    build(PLANE)
    assert chosen().name == "c"
    assert notice() is None
    assert clusterdb.implementation == "c"


def test_plane_in_python_is_used_where_the_environment_names_it(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build(PLANE)
    monkeypatch.setenv("CLUSTERDB_IMPL", "python")
    assert chosen().name == "python"
    assert clusterdb.implementation == "python"


def test_empty_variable_means_the_default(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build(PLANE)
    monkeypatch.setenv("CLUSTERDB_IMPL", "")
    assert chosen().name == "c"


def test_mixed_plane_uses_both(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    build(PLANE)
    monkeypatch.setenv("CLUSTERDB_IMPL", "mixed")
    assert available() == ["python", "c", "mixed"]
    assert chosen().name == "mixed"


REASONS = {
    "none": (None, "", "this version of clusterdb has no data plane in C"),
    "not built": (
        PLANE,
        None,
        "the extension module vfs._native was not built: install a C compiler and reinstall clusterdb",
    ),
    "not importable": (
        PLANE,
        "raise ImportError('undefined symbol: x')",
        "the data plane in C failed to load: ImportError: undefined symbol: x",
    ),
    "not initialised": (
        "def plane(): raise OSError('SQLite 3.1 is too old')",
        "",
        "the data plane in C failed to load: OSError: SQLite 3.1 is too old",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_plane_in_python_is_used_with_a_notice_where_the_one_in_c_cannot_be(
    build: Build, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    native_text, extension_text, reason = REASONS[case]
    build(native_text, extension_text)
    assert available() == ["python"]
    assert chosen().name == "python"
    assert notice() == reason
    assert clusterdb.implementation == "python"
    for name in ("c", "mixed"):
        monkeypatch.setenv("CLUSTERDB_IMPL", name)
        with pytest.raises(UnknownDataPlaneError) as refusal:
            chosen()
        assert str(refusal.value) == f"CLUSTERDB_IMPL={name}: {reason}"
        with pytest.raises(clusterdb.InvalidArgumentError, match=f"CLUSTERDB_IMPL={name}: "):
            _ = clusterdb.implementation
    monkeypatch.setenv("CLUSTERDB_IMPL", "python")
    assert notice() is None, "it is not missed"


def test_extension_module_of_other_sources_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that was left in place by an older release has another interface number, or none."""
    module = pytest.importorskip("vfs.native", reason="the extension module is not built")
    for built in (module.INTERFACE + 1, None):
        with monkeypatch.context() as patch:
            if built is None:
                patch.delattr(module._native, "INTERFACE")
            else:
                patch.setattr(module._native, "INTERFACE", built)
            native.cache_clear()
            assert available() == ["python"]
            refusal = f"vfs._native has interface {built or 0}, and vfs/native.py needs {module.INTERFACE}: rebuild it"
            assert refusal in (notice() or "")
            patch.setenv("CLUSTERDB_IMPL", "c")
            with pytest.raises(UnknownDataPlaneError, match=r"^CLUSTERDB_IMPL=c: .*: rebuild it by reinstalling"):
                chosen()
        native.cache_clear()
