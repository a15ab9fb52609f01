"""Draw the pictures: ``python docs/pictures`` writes an SVG beside every source.

``--check`` names those that differ from what their sources draw, and writes nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = ("sharing", "clones", "commit", "instances", "past")


def drawn() -> dict[Path, str]:
    """The content of every file."""
    return {FOLDER / f"{name}.svg": import_module(name).draw().svg() for name in SOURCES}


def main() -> None:
    """Write the files, or exit with the names of those that are not what their sources draw."""
    pictures = drawn()
    if "--check" in sys.argv:
        others = [path.name for path in FOLDER.glob("*.svg") if path not in pictures]
        differing = [path.name for path, text in pictures.items() if not path.exists() or path.read_text() != text]
        sys.exit(", ".join(differing + others) or 0)
    for path, text in pictures.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
