"""Programs of AWS that tests run as processes, where they are installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["aws_cli", "cli_examples", "require_aws_cli"]


def aws_cli() -> Path | None:
    """The aws CLI, version 1: ``$CLUSTERDB_AWS_CLI``, or ``aws`` on the path."""
    found = os.environ.get("CLUSTERDB_AWS_CLI") or shutil.which("aws")
    return Path(found) if found and list(_packages(Path(found))) else None


def _packages(path: Path) -> Iterator[Path]:
    """The package that a command belongs to; nothing for a shim or for version 2."""
    return path.resolve().parent.parent.glob("lib/python*/site-packages/awscli")


def require_aws_cli() -> Path:
    """The aws CLI; skips the test where it is not installed."""
    path = aws_cli()
    if path is None:
        pytest.skip(
            "the aws CLI is not installed: pip install awscli in an environment of its own, and name its bin/aws in "
            "CLUSTERDB_AWS_CLI"
        )
    return path


def cli_examples(service: str) -> list[Path]:
    """The bundled examples of the aws CLI's commands for a service, where it is installed."""
    path = aws_cli()
    packages = _packages(path) if path is not None else ()
    return sorted(page for package in packages for page in package.glob(f"examples/{service}/*.rst"))
