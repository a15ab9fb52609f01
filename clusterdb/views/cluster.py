"""Everything about one cluster, as ``clusterdb show`` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterdb.views.columns import pays_text, size_rows, source_text
from clusterdb.views.json import Json, object_of, to_json
from clusterdb.views.text import bytes_text, time_text

if TYPE_CHECKING:
    from clusterdb.clusters.billing import Bill
    from clusterdb.clusters.figures import ClusterDetails, ListedCluster
    from clusterdb.rules.settings import ClusterSettings

__all__ = ["details_json", "details_rows", "listed_json"]


def listed_json(cluster: ListedCluster, bill: Bill | None = None) -> dict[str, Json]:
    """One flat object: the fields of the statistics, then what the list shows of the settings."""
    return {
        **object_of(cluster.stats),
        "source_exists": cluster.has_source,
        "status": cluster.status,
        "engine": cluster.settings.engine,
        "tags": to_json(cluster.settings.tags),
        **_billed(bill),
    }


def _billed(bill: Bill | None) -> dict[str, Json]:
    return {"billed_bytes": to_json(bill.bytes)} if bill is not None else {}


def details_json(details: ClusterDetails, bill: Bill | None = None) -> dict[str, Json]:
    """One flat object: the fields of the statistics and of the settings beside the others."""
    return {
        **object_of(details.stats),
        "source_exists": details.has_source,
        "status": details.status,
        "clone_group_id": details.clone_group_id,
        "earliest_restorable_time": to_json(details.earliest_restorable_time),
        "latest_restorable_time": to_json(details.latest_restorable_time),
        **object_of(details.settings),
        **_billed(bill),
    }


def _retention(settings: ClusterSettings) -> str:
    """How much of the past is kept."""
    days, limit = settings.backup_retention_days, settings.backup_retention_bytes
    return f"{days} days" + (f", up to {bytes_text(limit)}" if days and limit is not None else "")


def details_rows(details: ClusterDetails, bill: Bill | None = None) -> list[tuple[str, str]]:
    """Rows of a name and a value."""
    stats, settings = details.stats, details.settings
    earliest, latest = details.earliest_restorable_time, details.latest_restorable_time
    return [
        ("status", details.status),
        ("version", str(stats.version)),
        ("created", time_text(stats.created_at)),
        ("cloned from", source_text(details) or ""),
        ("clone group", details.clone_group_id),
        *size_rows(stats),
        *([("pays", pays_text(bill))] if bill is not None else []),
        ("restorable", f"{time_text(earliest)} to {time_text(latest)}"),
        ("engine", settings.engine),
        ("backup retention", _retention(settings)),
        ("backtrack window", f"{settings.backtrack_window_s} s"),
        ("deletion protection", "on" if settings.deletion_protection else "off"),
        ("time to live", f"{settings.ttl_s:g} s" if settings.ttl_s is not None else "unlimited"),
        ("idle time", f"{settings.idle_s:g} s" if settings.idle_s is not None else "unlimited"),
        ("clone limit", str(settings.clone_limit) if settings.clone_limit is not None else "none"),
        *((f"zone {zone}", ", ".join(urls)) for zone, *urls in settings.zones),
        *((f"tag {key}", value) for key, value in sorted(settings.tags.items())),
    ]
