"""``make package``: is the installed package whole?  Run by the Python it was installed for, with ``-I``.

Standard library only: nothing but the wheel is installed there.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
PACKAGES = ("clusterdb", "vfs")
SOURCES = ("vfs/c", "clusterdb/server/console/static/vendor/source")
"""What is in the source distribution only."""


def files_below(folder: Path) -> set[str]:
    """The files of both packages, without what they are built from, and without what Python and compilers make."""
    return {
        str(path.relative_to(folder))
        for package in PACKAGES
        for path in (folder / package).rglob("*")
        if path.is_file()
        and path.suffix not in (".pyc", ".so")
        and not any(path.is_relative_to(folder / sources) for sources in SOURCES)
    }


def can_compile() -> bool:
    """Whether this machine has what building the extension module needs."""
    return shutil.which("cc") is not None and Path(sysconfig.get_path("include"), "Python.h").exists()


def main() -> None:
    """Compare the installed package with the source tree, and load its entry points."""
    import clusterdb

    installed = Path(clusterdb.__file__).parent.parent
    assert not installed.is_relative_to(TREE / "clusterdb"), installed
    differences = files_below(TREE) ^ files_below(installed)
    assert not differences, f"in one of source tree and wheel only: {', '.join(sorted(differences))}"
    extensions = sorted(path.name for path in (installed / "vfs").glob("*.so"))
    expected = ["_native.abi3.so", "clusterdb_vfs.so"]
    assert extensions == expected or not can_compile(), f"extension modules in the wheel: {extensions}"
    distribution = metadata.distribution("clusterdb")
    assert distribution.version == clusterdb.__version__
    for entry_point in distribution.entry_points:
        if entry_point.group == "console_scripts":  # the others need what they plug into
            assert callable(entry_point.load())
    installed_count = len(files_below(installed))
    print(f"{installed_count} files of clusterdb {distribution.version} are installed", file=sys.stderr)
    print(f"extension modules: {' '.join(extensions) or 'none'}", file=sys.stderr)


if __name__ == "__main__":
    main()
