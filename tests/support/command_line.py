"""A command line with a store of its own, in the process of the test."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

import clusterdb
from clusterdb.cli import cli


class Shell:
    """A command line with a store of its own."""

    def __init__(self, store: Path | str) -> None:
        self._store = store

    def tried(self, *arguments: str) -> Result:
        """Run a command."""
        return CliRunner().invoke(cli, ["--store", str(self._store), *arguments])

    def __call__(self, *arguments: str) -> str:
        """Run a command that has to succeed; what it prints."""
        result = self.tried(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    def settings(self, name: str) -> clusterdb.ClusterSettings:
        with clusterdb.open(self._store) as store:
            return store.cluster(name).settings
