"""Test databases: clusters, and clones of them for parallel test processes.

An anonymous cluster belongs to its process.  A worker gets its content with the settings, whether it is forked or
spawned, and copies it into an anonymous cluster of its own.
"""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.creation import BaseDatabaseCreation

from clusterdb import dbapi2
from clusterdb.errors import ClusterNotFoundError

__all__ = ["DatabaseCreation"]

_CONTENTS = "CLUSTERDB_CONTENTS"
"""The setting that passes the content of a database in memory to workers."""


class DatabaseCreation(BaseDatabaseCreation):
    """Creates, clones and deletes the clusters that tests run on."""

    @staticmethod
    def is_in_memory_db(database_name: object) -> bool:
        """Whether the database is deleted with its connection; a tool may have added a suffix to its name."""
        name = str(database_name)
        return ":memory:" in name or "mode=memory" in name

    def _get_test_db_name(self) -> str:
        configured = self.connection.settings_dict["TEST"]["NAME"]
        if configured and not self.is_in_memory_db(configured):
            return str(configured)
        name = self.connection.settings_dict["NAME"]
        if configured or self.is_in_memory_db(name):
            return f"file:memorydb_{self.connection.alias}?mode=memory&cache=shared"
        return f"test-{name}"

    def _delete(self, name: str) -> None:
        with suppress(ClusterNotFoundError):
            self.connection.store.cluster(name).delete()

    def _exists(self, name: str) -> bool:
        try:
            self.connection.store.cluster(name)
        except ClusterNotFoundError:
            return False
        return True

    def _delete_old(self, name: str, verbosity: int, *, autoclobber: bool) -> None:
        """Delete an old test database; ask first unless ``autoclobber``."""
        if not self._exists(name):
            return
        if verbosity >= 1:
            self.log(f"Destroying old test database for alias {self._get_database_display_str(verbosity, name)}...")
        if not autoclobber:
            answer = input(
                f"Type 'yes' if you would like to try deleting the test database '{name}', or 'no' to cancel: "
            )
            if answer != "yes":
                self.log("Tests cancelled.")
                sys.exit(1)
        self._delete(name)

    def _create_test_db(self, verbosity: int, autoclobber: bool, keepdb: bool = False) -> str:
        name = self._get_test_db_name()
        if self.is_in_memory_db(name):
            return name
        if not keepdb:
            self._delete_old(name, verbosity, autoclobber=autoclobber)
        if not self._exists(name):
            self.connection.store.create_cluster(name)
        return name

    def get_test_db_clone_settings(self, suffix: str) -> dict[str, Any]:
        """The settings of a clone."""
        settings = self.connection.settings_dict
        if self.is_in_memory_db(settings["NAME"]):
            return dict(settings)  # each process has its own
        return {**settings, "NAME": f"{settings['NAME']}-{suffix}"}

    def _clone_test_db(self, suffix: str, verbosity: int, keepdb: bool = False) -> None:
        name = self.get_test_db_clone_settings(suffix)["NAME"]
        if self.is_in_memory_db(name):
            self.connection.ensure_connection()
            self.connection.settings_dict[_CONTENTS] = self.connection.connection.serialize()
            return
        if keepdb and self._exists(name):
            return
        self._delete_old(name, verbosity, autoclobber=True)
        self.connection.cluster.clone(name)

    def setup_worker_connection(self, _worker_id: int) -> None:
        """Connect a worker to its clone."""
        settings = self.connection.settings_dict
        if not self.is_in_memory_db(settings["NAME"]):
            super().setup_worker_connection(_worker_id)
            return
        BaseDatabaseWrapper.close(self.connection)  # that of the backend keeps databases in memory open
        self.connection.connect()
        contents = settings.get(_CONTENTS)
        if contents is not None:
            with closing(dbapi2.connect(":memory:")) as source:
                source.deserialize(contents)
                source.backup(self.connection.connection)

    def _destroy_test_db(self, test_database_name: str, verbosity: int) -> None:
        if not self.is_in_memory_db(test_database_name):
            self._delete(test_database_name)

    def test_db_signature(self) -> tuple[str, ...]:
        """The values that distinguish this test database from others."""
        name = self._get_test_db_name()
        where = str(self.connection.settings_dict["OPTIONS"].get("store"))
        return where, self.connection.alias if self.is_in_memory_db(name) else name
