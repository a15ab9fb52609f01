"""The settings of a cluster, with Aurora's names and limits where Aurora has the setting.

Source of the limits: Amazon RDS API Reference, CreateDBCluster and ModifyDBCluster (BackupRetentionPeriod,
BacktrackWindow, DeletionProtection, Tags).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from clusterdb.errors import CorruptStoreError, InvalidArgumentError, UnknownEngineError

__all__ = ["DEFAULTS", "DURABLE_DEFAULTS", "ENGINES", "ClusterSettings", "Zones", "checked_zones"]

ENGINES = ("sqlite", "aurora-mysql", "aurora-postgresql")
BACKUP_RETENTION_DAYS_MAX = 35
BACKTRACK_WINDOW_S_MAX = 259_200
"""72 hours, as in Aurora MySQL."""
TAGS_MAX = 50
BYTES_MAX = 1 << 47
"""128 TiB, the largest volume of Aurora."""
SECONDS_MAX = 3_153_600_000
"""A hundred years."""
_SECOND = 1_000_000_000


Zones = tuple[tuple[str, str, str], ...]
"""Of each of three availability zones its name, and the URLs of two storage nodes; empty: no copies are kept."""


class _Written:
    """The JSON of settings, once it was needed."""

    __slots__ = ("_json",)
    _json: str


@dataclass(frozen=True, slots=True)
class ClusterSettings(_Written):
    """The settings of a cluster.

    ``engine``: the SQL that it accepts.  ``backup_retention_days`` (0 to 35) and ``backtrack_window_s`` (seconds, up to
    72 hours): the time for which past versions are retained, for clones at a point in time and for backtracking; 0: not
    at all.  ``backup_retention_bytes``: the bytes that past versions older than the backtrack window may take, of which
    the oldest expire first (None: no limit); checked when some megabytes were written, and never less than the size of
    the database.  ``deletion_protection``: refuse to delete the cluster.  ``tags``: up to 50 texts by key.
    ``ttl_s``: the seconds from its creation until it expires;
    ``idle_s``: seconds without a connection until it expires; None: never.  ``clone_limit``: the number of clones in
    its clone group that share pages; further clones are full copies (Aurora's limit is 15; None: no limit).
    ``zones``: where its six copies are, of each of three zones its name and the URLs of two nodes; none: no copies.
    """

    engine: str = "sqlite"
    backup_retention_days: int = 0
    backtrack_window_s: int = 0
    backup_retention_bytes: int | None = None
    deletion_protection: bool = False
    ttl_s: float | None = None
    idle_s: float | None = None
    clone_limit: int | None = None
    zones: Zones = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UnknownEngineError(f"engine={self.engine!r}: use one of {', '.join(ENGINES)}")
        _require_int("backup_retention_days", self.backup_retention_days, BACKUP_RETENTION_DAYS_MAX)
        _require_int("backtrack_window_s", self.backtrack_window_s, BACKTRACK_WINDOW_S_MAX)
        if not isinstance(self.deletion_protection, bool):
            raise InvalidArgumentError(f"deletion_protection={self.deletion_protection!r}: use True or False")
        for name in ("ttl_s", "idle_s"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (is_number and 0 < value <= SECONDS_MAX):
                raise InvalidArgumentError(
                    f"{name}={value!r}: use a number of seconds above 0 and up to {SECONDS_MAX}, or None"
                )
        if self.backup_retention_bytes is not None:
            _require_int("backup_retention_bytes", self.backup_retention_bytes, BYTES_MAX)
        if self.clone_limit is not None:
            _require_int("clone_limit", self.clone_limit, 10_000)
        object.__setattr__(self, "zones", checked_zones(self.zones))
        _require_tags(self.tags)
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))  # read-only: settings are shared

    @property
    def keeps_past_ns(self) -> int:
        """The time for which past versions are retained, in nanoseconds."""
        return max(self.backup_retention_days * 86_400, self.backtrack_window_s) * _SECOND

    def changed(self, changes: Mapping[str, Any]) -> ClusterSettings:
        """A copy with some settings changed.

        A number of days alone has no limit of bytes.  Raises InvalidArgumentError, UnknownEngineError.
        """
        if not changes:
            return self
        if "backup_retention_days" in changes:
            changes = {"backup_retention_bytes": None, **changes}
        try:
            return _changed(self.to_json(), tuple(map(_as_key, changes.items())))
        except TypeError:  # a value that is not hashable
            return self._changed(changes)

    def _changed(self, changes: Mapping[str, Any]) -> ClusterSettings:
        names = sorted(setting.name for setting in fields(self))
        unknown = sorted(set(changes) - set(names))
        if unknown:
            raise InvalidArgumentError(f"unknown setting {unknown[0]!r}: use {', '.join(names)}")
        return replace(self, **changes)

    def inherited(self) -> ClusterSettings:
        """The settings that a clone inherits: the engine, the backup retention, the clone limit, and the zones.

        The backtrack window, deletion protection, tags and expiry are not inherited: RestoreDBClusterToPointInTime has
        parameters for them.
        """
        return _inherited(
            self.engine, self.backup_retention_days, self.backup_retention_bytes, self.clone_limit, self.zones
        )

    def to_json(self) -> str:
        """The settings as JSON for the catalog."""
        try:
            return self._json
        except AttributeError:
            values = {setting.name: getattr(self, setting.name) for setting in fields(self)}
            text = json.dumps(values | {"tags": dict(self.tags)}, sort_keys=True)
            object.__setattr__(self, "_json", text)
            return text

    @staticmethod
    @lru_cache(maxsize=1024)
    def from_json(text: str) -> ClusterSettings:
        """Read the settings from the catalog's JSON.  Raises CorruptStoreError."""
        try:
            return ClusterSettings(**json.loads(text))
        except (ValueError, TypeError, InvalidArgumentError) as error:
            raise CorruptStoreError(f"invalid settings of a cluster in the catalog: {error}") from error


def _require_int(name: str, value: object, highest: int) -> None:
    if type(value) is not int or not 0 <= value <= highest:
        raise InvalidArgumentError(f"{name}={value!r}: use a whole number from 0 to {highest}")


def _require_tags(tags: object) -> None:
    if not (isinstance(tags, Mapping) and len(tags) <= TAGS_MAX) or not all(
        isinstance(key, str) and 1 <= len(key) <= 128 and isinstance(value, str) and len(value) <= 256
        for key, value in tags.items()
    ):
        raise InvalidArgumentError(
            f"tags={tags!r:.100}: use up to {TAGS_MAX} texts (256 characters) by key (128 characters)"
        )


@lru_cache(maxsize=1024)
def _inherited(
    engine: str, days: int, limit_bytes: int | None, clone_limit: int | None, zones: Zones
) -> ClusterSettings:
    return ClusterSettings(
        engine=engine,
        backup_retention_days=days,
        backup_retention_bytes=limit_bytes,
        clone_limit=clone_limit,
        zones=zones,
    )


def checked_zones(zones: object) -> Zones:
    """The zones as tuples, which JSON has as lists.  Raises InvalidArgumentError."""
    parts = [tuple(zone) for zone in zones] if isinstance(zones, tuple | list) else [()]
    if len(parts) not in (0, 3) or not all(
        len(zone) == 3 and all(isinstance(it, str) for it in zone) for zone in parts
    ):
        raise InvalidArgumentError(
            f"zones={zones!r:.100}: use three zones, each with its name and the URLs of two nodes"
        )
    return tuple((zone[0], zone[1], zone[2]) for zone in parts)


Key = tuple[str, type, Any]
"""A changed setting: its name, and its type too, since 1 and True are equal."""


def _as_key(change: tuple[str, Any]) -> Key:
    name, value = change
    if isinstance(value, dict):
        return name, dict, tuple((type(key), key, type(text), text) for key, text in value.items())
    return name, type(value), value


@lru_cache(maxsize=1024)
def _changed(settings: str, changes: tuple[Key, ...]) -> ClusterSettings:
    """The settings with this JSON, with some changed: every test of a run has the same."""
    values = {
        name: {key: text for _, key, _, text in value} if kind is dict else value for name, kind, value in changes
    }
    return ClusterSettings.from_json(settings)._changed(values)


DEFAULTS = ClusterSettings()
"""The settings of a cluster in a store in memory or a disposable one, unless others are given."""
DURABLE_DEFAULTS = ClusterSettings(backup_retention_days=1, backup_retention_bytes=256 << 20)
"""The settings of a cluster in a durable store, unless others are given: the last day of its past, up to 256 MiB."""
