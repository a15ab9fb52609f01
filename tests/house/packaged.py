"""``make package``: is the installed package whole?  Run by the Python it was installed for, with ``-I``.

Standard library only: nothing but the wheel is installed there.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
PACKAGES = ("clusterdb", "vfs")


def files_below(folder: Path) -> set[str]:
    """The files of both packages, without what Python makes of them."""
    return {
        str(path.relative_to(folder))
        for package in PACKAGES
        for path in (folder / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def main() -> None:
    """Compare the installed package with the source tree, and load its entry points."""
    import clusterdb

    installed = Path(clusterdb.__file__).parent.parent
    assert not installed.is_relative_to(TREE / "clusterdb"), installed
    differences = files_below(TREE) ^ files_below(installed)
    assert not differences, f"in one of source tree and wheel only: {', '.join(sorted(differences))}"
    distribution = metadata.distribution("clusterdb")
    assert distribution.version == clusterdb.__version__
    for entry_point in distribution.entry_points:
        if entry_point.group == "console_scripts":  # the others need what they plug into
            assert callable(entry_point.load())
    print(f"{len(files_below(installed))} files of clusterdb {distribution.version} are installed", file=sys.stderr)


if __name__ == "__main__":
    main()
