"""The version has one place, ``clusterdb/__init__.py``; whatever shows a version shows that one."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import clusterdb

ROOT = Path(__file__).parents[2]


def test_version_is_written_once() -> None:
    """pyproject.toml reads the version from the package, so that a release changes one line."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "clusterdb.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+|\.dev\d+)?", clusterdb.__version__)


def test_installed_version_is_that_of_the_package() -> None:
    """What pip shows; after a change of the version ``make .venv/.installed`` installs the package again."""
    assert metadata.version("clusterdb") == clusterdb.__version__


def test_command_shows_the_version_of_the_package() -> None:
    """``clusterdb --version``."""
    command = [str(Path(sys.executable).parent / "clusterdb"), "--version"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert shown.startswith(f"clusterdb {clusterdb.__version__} (")


def test_documentation_shows_the_version_of_the_package() -> None:
    """Sphinx asks the package, and so do the benchmarks."""
    assert "release = clusterdb.__version__" in (ROOT / "docs" / "conf.py").read_text()
    assert '"clusterdb": clusterdb.__version__' in (ROOT / "benchmarks" / "run.py").read_text()


def test_changelog_opens_with_unreleased_or_this_version() -> None:
    """A version is released under a dated heading; what is not released yet stands above it."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0].startswith(f"{clusterdb.__version__} (")
    released = [heading for heading in headings if heading != "Unreleased"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+\S* \(\d{4}-\d\d-\d\d\)", heading) for heading in released), released
