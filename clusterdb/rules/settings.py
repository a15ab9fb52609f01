"""What can be set on a cluster, with Aurora's names and limits where Aurora has the setting.

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

__all__ = ["ENGINES", "ClusterSettings"]

ENGINES = ("sqlite", "aurora-mysql", "aurora-postgresql")
BACKUP_RETENTION_DAYS_MAX = 35
BACKTRACK_WINDOW_S_MAX = 259_200
"""72 hours, as in Aurora MySQL."""
TAGS_MAX = 50
SECONDS_MAX = 3_153_600_000
"""A hundred years."""
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The settings of a cluster.

    ``engine``: the SQL it accepts.  ``backup_retention_days`` (0 to 35; 0: none) and ``backtrack_window_s`` (seconds,
    0 to 72 hours; 0: none): how long past versions are kept, for clones at a point in time and for going back in place.
    ``deletion_protection``: it cannot be deleted until this is off.  ``tags``: up to 50 texts by key.  ``ttl_s``: it
    expires so many seconds after its creation; ``idle_s``: after so many without a connection (None: never).
    ``clone_limit``: when its clone group has so many clones, further ones are full copies (Aurora's limit is 15; None:
    no limit).
    """

    engine: str = "sqlite"
    backup_retention_days: int = 0
    backtrack_window_s: int = 0
    deletion_protection: bool = False
    ttl_s: float | None = None
    idle_s: float | None = None
    clone_limit: int | None = None
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
                raise InvalidArgumentError(f"{name}: use a number of seconds above 0, up to {SECONDS_MAX}, or None")
        if self.clone_limit is not None:
            _require_int("clone_limit", self.clone_limit, 10_000)
        _require_tags(self.tags)
        object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))  # settings are shared: nobody changes them

    @property
    def keeps_past_ns(self) -> int:
        """How long past versions are kept, in nanoseconds."""
        return max(self.backup_retention_days * 86_400, self.backtrack_window_s) * _SECOND

    def changed(self, changes: Mapping[str, Any]) -> ClusterSettings:
        """The same with some settings changed.  Raises InvalidArgumentError, UnknownEngineError."""
        unknown = sorted(set(changes) - {each.name for each in fields(self)})
        if unknown:
            raise InvalidArgumentError(
                f"there is no setting {unknown[0]!r}: use {', '.join(sorted(each.name for each in fields(self)))}"
            )
        return replace(self, **changes) if changes else self

    def inherited(self) -> ClusterSettings:
        """What a clone begins with: its source's engine, backup retention and clone limit.

        The backtrack window, deletion protection, tags and expiry are each cluster's own: RestoreDBClusterToPointInTime
        takes them as parameters of their own.
        """
        return ClusterSettings(
            engine=self.engine, backup_retention_days=self.backup_retention_days, clone_limit=self.clone_limit
        )

    def to_json(self) -> str:
        """For the catalog."""
        return _DEFAULT_JSON if self == _DEFAULT else self._as_json()

    def _as_json(self) -> str:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps(values | {"tags": dict(self.tags)}, sort_keys=True)

    @staticmethod
    @lru_cache(maxsize=1024)
    def from_json(text: str) -> ClusterSettings:
        """Out of the catalog.  Raises CorruptStoreError."""
        try:
            return ClusterSettings(**json.loads(text))
        except (ValueError, TypeError, InvalidArgumentError) as error:
            raise CorruptStoreError(f"the catalog's settings of a cluster make no sense: {error}") from error


def _require_int(name: str, value: object, highest: int) -> None:
    if type(value) is not int or not 0 <= value <= highest:
        raise InvalidArgumentError(f"{name}={value!r}: use a whole number from 0 to {highest}")


def _require_tags(tags: object) -> None:
    right = isinstance(tags, Mapping) and len(tags) <= TAGS_MAX
    if not right or not all(
        isinstance(key, str) and 1 <= len(key) <= 128 and isinstance(value, str) and len(value) <= 256
        for key, value in tags.items()  # type: ignore[attr-defined]
    ):
        raise InvalidArgumentError(f"tags: use up to {TAGS_MAX} texts (256 characters) by key (128 characters)")


_DEFAULT = ClusterSettings()
_DEFAULT_JSON = _DEFAULT._as_json()
