"""The how-to guide of zones names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
GUIDE = FOLDER.parents[1] / "docs" / "howto" / "zones.md"


def test_guide_names_tests_that_exist() -> None:
    defined = {
        name for file in FOLDER.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    named = re.findall(r"`(test_\w+)`", GUIDE.read_text())
    assert len(named) > 8
    assert set(named) <= defined
