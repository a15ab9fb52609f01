"""Test databases: new clusters or clones of TEST TEMPLATE, and clones of them for parallel test processes.

An anonymous cluster belongs to its process.  A worker gets its content with the settings, whether it is forked or
spawned, and copies it into an anonymous cluster of its own.
"""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.creation import TEST_DATABASE_PREFIX, BaseDatabaseCreation

from clusterdb import dbapi2
from clusterdb.errors import ClusterNotFoundError, Error, InvalidArgumentError, InvalidNameError
from clusterdb.rules.names import check_name
from clusterdb.rules.points import Point, split
from clusterdb.store import Cluster

__all__ = ["DatabaseCreation", "require_engine"]

_CONTENTS = "CLUSTERDB_CONTENTS"
"""The setting that passes the content of a database in memory to workers."""
_NAMES_MAX = 20
"""How many clusters an error names."""


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
        return f"{TEST_DATABASE_PREFIX}{name}"

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
        self.connection.require_name()
        name = self._get_test_db_name()
        if self.is_in_memory_db(name):
            if self._template_text is not None:
                raise ImproperlyConfigured(
                    f"{self._where('TEMPLATE')}: a test database in memory cannot be a clone: set TEST NAME to the "
                    "name of a cluster, or remove TEMPLATE"
                )
            return name
        try:
            check_name(name)
        except InvalidNameError as error:
            raise ImproperlyConfigured(f"{self._where('NAME')}: {error}") from None
        if keepdb and self._exists(name):
            return name
        template = self._template()  # errors before anything is deleted
        self._require_expendable(name)
        self._delete_old(name, verbosity, autoclobber=autoclobber)
        if template is None:
            self.connection.store.create_cluster(name)
        else:
            self._clone_template(*template, name)
        return name

    def _where(self, key: str) -> str:
        """A setting of the test database as an error names it."""
        return f"DATABASES[{self.connection.alias!r}]['TEST'][{key!r}] = {self._test_setting(key)!r}"

    def _test_setting(self, key: str) -> Any:
        return self.connection.settings_dict["TEST"].get(key)

    @property
    def _template_text(self) -> str | None:
        """TEST TEMPLATE as it was given; None if it is not set."""
        text = self._test_setting("TEMPLATE")
        return str(text) if text else None

    def _template(self) -> tuple[Cluster, Point | None] | None:
        """The cluster, and the point in time, that TEST TEMPLATE names.  Raises ImproperlyConfigured."""
        if self._template_text is None:
            return None
        store = self.connection.store
        try:
            name, point = split(self._template_text)
            cluster: Cluster = store.cluster(name)
        except InvalidArgumentError as error:
            raise ImproperlyConfigured(f"{self._where('TEMPLATE')}: {error}") from None
        except (ClusterNotFoundError, InvalidNameError):
            names = [cluster.name for cluster in store.clusters()]
            command = self.connection.import_command("db.sqlite3", self._template_text.partition("@")[0])
            choice = _choice(names) if names else f"import a database first (`{command}`)"
            raise ImproperlyConfigured(
                f"{self._where('TEMPLATE')}: store '{store.path}' has no such cluster: {choice}"
            ) from None
        require_engine(cluster, self._where("TEMPLATE"))
        return cluster, point

    def _clone_template(self, template: Cluster, point: Point | None, name: str) -> None:
        try:
            template.clone(name, at=point, backup_retention_days=0)  # tests retain no past
        except Error as error:
            raise ImproperlyConfigured(f"{self._where('TEMPLATE')}: {error}") from error

    def _require_expendable(self, name: str) -> None:
        """Raises ImproperlyConfigured if the name of the test database, which is deleted first, is that of another."""
        template = (self._template_text or "").partition("@")[0]
        for setting, other in (("['NAME']", self.connection.settings_dict["NAME"]), ("['TEST']['TEMPLATE']", template)):
            if name == other:
                raise ImproperlyConfigured(
                    f"DATABASES[{self.connection.alias!r}]{setting} = {name!r} is also the name of the test database, "
                    "which is deleted before the tests: set TEST NAME to another name"
                )

    def get_test_db_clone_settings(self, suffix: str) -> dict[str, Any]:
        """The settings of a clone."""
        settings = self.connection.settings_dict
        if self.is_in_memory_db(settings["NAME"]):
            return dict(settings)  # each process has its own
        return {**settings, "NAME": f"{settings['NAME']}_{suffix}"}

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


def require_engine(cluster: Cluster, setting: str) -> None:
    """Raises ImproperlyConfigured, with the setting that names the cluster, if its SQL is not SQLite's."""
    if cluster.settings.engine != "sqlite":
        raise ImproperlyConfigured(
            f"{setting}: the cluster has the engine {cluster.settings.engine}, and clusterdb.django needs sqlite: use "
            "another cluster"
        )


def _choice(names: list[str]) -> str:
    """What to use instead of an unknown name."""
    more = f", or one of {len(names) - _NAMES_MAX} others" if len(names) > _NAMES_MAX else ""
    return f"use {', '.join(map(repr, names[:_NAMES_MAX]))}{more}"
