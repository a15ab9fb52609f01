"""The pictures of the documentation: drawn by their sources, readable in both modes and without seeing them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
PICTURES = sorted(FOLDER.glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def svg() -> ModuleType:
    """The module that the sources share."""
    spec = importlib.util.spec_from_file_location("svg", FOLDER / "svg.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for its dataclasses
    try:
        spec.loader.exec_module(module)
        return module
    finally:
        del sys.modules[spec.name]


def test_committed_pictures_are_what_the_sources_draw() -> None:
    """``make pictures`` rewrites those that are not."""
    run = subprocess.run([sys.executable, FOLDER, "--check"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr.strip()) == (0, "")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_picture_has_a_title_a_description_and_both_modes(path: Path) -> None:
    """Screen readers read the title and the description; text is text, and not paths."""
    root = ElementTree.parse(path).getroot()
    title, description = (root.findtext(f"{SVG}{name}") for name in ("title", "desc"))
    assert title and description and len(description) > 100
    assert root.get("aria-labelledby") == "title description"
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")
    assert len(root.findall(f"{SVG}text")) > 5


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_picture_is_on_a_page_with_a_text_of_its_own(path: Path) -> None:
    """A page that shows a picture describes it in words too."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]
    texts = [re.findall(rf"!\[([^\]]*)\]\([^)]*pictures/{path.name}\)", page.read_text()) for page in pages]
    assert any(texts) and all(len(text) > 20 for shown in texts for text in shown)


def test_overlapping_texts_are_refused(svg: ModuleType) -> None:
    """So are texts that leave the picture, and labels wider than their box."""
    picture = svg.Picture("a title", "a description", 100)
    picture.text(20, 40, "some words")
    picture.text(60, 45, "other words")
    with pytest.raises(svg.PictureError, match="overlaps"):
        picture.svg()
    picture = svg.Picture("a title", "a description", 100)
    picture.text(500, 40, "some words")
    with pytest.raises(svg.PictureError, match="leaves the picture"):
        picture.svg()
    with pytest.raises(svg.PictureError, match="wider than its box"):
        picture.box(10, 10, 30, 20, "some words")
