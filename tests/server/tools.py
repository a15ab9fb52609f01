"""Programs of AWS that tests run as processes, where they are installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

__all__ = ["aws_cli", "cli_examples", "require_aws_cli"]


def aws_cli() -> Path | None:
    """The aws CLI, version 1: ``$CLUSTERDB_AWS_CLI``, or ``aws`` on the path."""
    found = os.environ.get("CLUSTERDB_AWS_CLI") or shutil.which("aws")
    return Path(found) if found else None


def require_aws_cli() -> Path:
    """The aws CLI; skips the test where it is not installed."""
    path = aws_cli()
    if path is None:
        pytest.skip("the aws CLI is not installed: pip install awscli, and name it in CLUSTERDB_AWS_CLI")
    return path


def cli_examples(service: str) -> list[Path]:
    """The bundled examples of the aws CLI's commands for a service, where it is installed."""
    path = aws_cli()
    root = path.resolve().parent.parent if path is not None else None
    found = root.glob(f"lib/python*/site-packages/awscli/examples/{service}/*.rst") if root is not None else ()
    return sorted(found)
