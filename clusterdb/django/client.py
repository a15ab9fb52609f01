"""``manage.py dbshell``: the SQL shell on the cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.client import BaseDatabaseClient

from clusterdb.store import Store

__all__ = ["DatabaseClient"]


class DatabaseClient(BaseDatabaseClient):
    """Starts ``clusterdb shell``."""

    executable_name = "clusterdb"

    def runshell(self, parameters: Iterable[str]) -> None:
        """Run the shell until it ends.  Raises ImproperlyConfigured."""
        self.connection.require_name()
        super().runshell(parameters)

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        """The command; ``parameters`` are options of ``clusterdb shell``.  Raises ImproperlyConfigured."""
        name, store = settings_dict["NAME"], settings_dict["OPTIONS"].get("store")
        path = store.path if isinstance(store, Store) else store
        if ":memory:" in (name, path) or "mode=memory" in name:
            raise ImproperlyConfigured(
                f"NAME = {name!r} is in the memory of its process: no other program can open it; use a cluster in a "
                "store on disk"
            )
        options = ["--store", str(path)] if path is not None else []
        return [sys.executable, "-m", "clusterdb", *options, "shell", name, *parameters], None
