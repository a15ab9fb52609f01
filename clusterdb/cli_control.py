"""The verbs of the control plane on the command line: the past, instances, life, bills; one function a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clusterdb.cli import cli, opened, progress_bar
from clusterdb.format import bytes_text, table

__all__ = ["cli"]

_TIME = "%Y-%m-%d %H:%M:%S"


def _local(time: Any) -> str:
    return time.astimezone().strftime(_TIME) if time is not None else ""


# --- the past -------------------------------------------------------------------------------------------------------
@cli.command()
@click.argument("cluster")
@click.argument("name")
@click.pass_context
def snapshot(context: click.Context, cluster: str, name: str) -> None:
    """Keep what CLUSTER (or a point in its past: prod@1234, prod@'5 minutes ago') has now, as the snapshot NAME."""
    with opened(context) as store:
        name_of, at = _split(cluster)
        store.cluster(name_of).snapshot(name, at=at)


@cli.command()
@click.pass_context
def snapshots(context: click.Context) -> None:
    """List the snapshots."""
    with opened(context) as store:
        rows = [
            (each.name, each.cluster, each.version, _local(each.taken_at), bytes_text(each.logical_bytes))
            for each in store.snapshots()
        ]
        click.echo(table(rows, ("snapshot", "cluster", "version", "shows", "logical")))


@cli.command()
@click.argument("snapshot")
@click.argument("name")
@click.pass_context
def restore(context: click.Context, snapshot: str, name: str) -> None:
    """Create the cluster NAME with what SNAPSHOT shows, in constant time."""
    with opened(context) as store:
        store.restore_snapshot(snapshot, name)


@cli.command("copy-snapshot")
@click.argument("snapshot")
@click.argument("name")
@click.pass_context
def copy_snapshot(context: click.Context, snapshot: str, name: str) -> None:
    """Keep what SNAPSHOT shows under another NAME too."""
    with opened(context) as store:
        store.copy_snapshot(snapshot, name)


@cli.command("export-snapshot")
@click.argument("snapshot")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.pass_context
def export_snapshot(context: click.Context, snapshot: str, file: Path, overwrite: bool) -> None:
    """Write what SNAPSHOT shows as a plain SQLite database FILE."""
    with opened(context) as store, progress_bar("exporting") as progress:
        store.export_snapshot(snapshot, file, overwrite=overwrite, progress=progress)


@cli.command("rm-snapshot")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_context
def rm_snapshot(context: click.Context, names: tuple[str, ...]) -> None:
    """Delete snapshots."""
    with opened(context) as store:
        for name in names:
            store.delete_snapshot(name)


@cli.command()
@click.argument("cluster")
@click.argument("point")
@click.pass_context
def backtrack(context: click.Context, cluster: str, point: str) -> None:
    """Let CLUSTER go back in place to POINT: a version, '5 minutes ago', or a time; or forward again."""
    from clusterdb.points import parse

    with opened(context) as store:
        store.cluster(cluster).backtrack(parse(point))


@cli.command()
@click.argument("cluster")
@click.option("--to", "snapshot", help="A snapshot instead of the source's present state.")
@click.pass_context
def reset(context: click.Context, cluster: str, snapshot: str | None) -> None:
    """Give the clone CLUSTER its source's present state again, under its name."""
    with opened(context) as store:
        store.cluster(cluster).reset(snapshot)


def _split(text: str) -> tuple[str, Any]:
    """``prod@5 minutes ago`` as a name and a point."""
    from clusterdb.points import parse

    name, at, point = text.partition("@")
    if at and not point.strip():
        raise click.UsageError(f"'{text}': say which point in time behind the @, or leave it out")
    return name, parse(point) if point else None


# --- instances ------------------------------------------------------------------------------------------------------
@cli.command("add-instance")
@click.argument("cluster")
@click.argument("name")
@click.option("--class", "instance_class", default="db.local", show_default=True, help="As db.r6g.large.")
@click.option("--tier", type=int, default=1, show_default=True, help="0 to 15: the lower, the sooner it is promoted.")
@click.option("--zone", default="local", show_default=True, help="Its availability zone.")
@click.option("--lag", type=float, default=0, show_default=True, help="Milliseconds that it lags, as a reader.")
@click.option("--jitter", type=float, default=0, show_default=True, help="Milliseconds more, by chance.")
@click.pass_context
def add_instance(
    context: click.Context,
    cluster: str,
    name: str,
    instance_class: str,
    tier: int,
    zone: str,
    lag: float,
    jitter: float,
) -> None:
    """Add the instance NAME to CLUSTER: the first is the writer, the others read."""
    with opened(context) as store:
        store.cluster(cluster).add_instance(
            name,
            instance_class=instance_class,
            promotion_tier=tier,
            availability_zone=zone,
            replica_lag_ms=lag,
            lag_jitter_ms=jitter,
        )


@cli.command("rm-instance")
@click.argument("cluster")
@click.argument("name")
@click.pass_context
def rm_instance(context: click.Context, cluster: str, name: str) -> None:
    """Delete the instance NAME of CLUSTER."""
    with opened(context) as store:
        store.cluster(cluster).delete_instance(name)


@cli.command()
@click.argument("cluster")
@click.pass_context
def instances(context: click.Context, cluster: str) -> None:
    """List the instances of CLUSTER, the writer first."""
    with opened(context) as store:
        rows = [
            (e.name, e.role, e.instance_class, e.promotion_tier, e.availability_zone, e.replica_lag_ms, e.lag_jitter_ms)
            for e in store.cluster(cluster).instances()
        ]
        click.echo(table(rows, ("instance", "role", "class", "tier", "zone", "lag ms", "jitter ms")))


@cli.command()
@click.argument("cluster")
@click.pass_context
def endpoints(context: click.Context, cluster: str) -> None:
    """List the endpoints of CLUSTER and where they lead now."""
    with opened(context) as store:
        rows = [(e.name, e.kind, e.type, ", ".join(e.members)) for e in store.cluster(cluster).endpoints()]
        click.echo(table(rows, ("endpoint", "kind", "type", "leads to")))


@cli.command()
@click.argument("cluster")
@click.option("--to", "target", help="The instance to promote.  [default: by tier, then size]")
@click.pass_context
def failover(context: click.Context, cluster: str, target: str | None) -> None:
    """Make a reader of CLUSTER its writer; prints which."""
    with opened(context) as store:
        click.echo(store.cluster(cluster).failover(target))


# --- life -----------------------------------------------------------------------------------------------------------
@cli.command()
@click.argument("cluster")
@click.pass_context
def show(context: click.Context, cluster: str) -> None:
    """Show all that is known of CLUSTER."""
    with opened(context) as store:
        found = store.cluster(cluster)
        stats, settings = found.stats(), found.settings
        earliest, latest = found.restorable()
        rows = [
            ("status", found.status),
            ("version", stats.version),
            ("created", _local(stats.created_at)),
            ("cloned from", stats.source or ""),
            ("clone group", found.clone_group_id),
            ("logical", bytes_text(stats.logical_bytes)),
            ("own", bytes_text(stats.own_bytes)),
            ("shared", bytes_text(stats.shared_bytes)),
            ("restorable", f"{_local(earliest)} to {_local(latest)}"),
            ("engine", settings.engine),
            ("backup retention", f"{settings.backup_retention_days} days"),
            ("backtrack window", f"{settings.backtrack_window_s} s"),
            ("deletion protection", "on" if settings.deletion_protection else "off"),
            *((f"tag {key}", value) for key, value in sorted(settings.tags.items())),
        ]
        click.echo(table([(name, str(value)) for name, value in rows], (f"cluster {found.name}", "")))


@cli.command()
@click.argument("cluster")
@click.option("--backup-retention-days", type=int, help="0 to 35.")
@click.option("--backtrack-window", "backtrack_window_s", type=int, help="Seconds, 0 to 259200.")
@click.option("--deletion-protection/--no-deletion-protection", default=None, help="Refuse to delete it.")
@click.option("--ttl", "ttl_s", type=float, help="Seconds from its creation until it expires.")
@click.option("--idle", "idle_s", type=float, help="Seconds without a connection until it expires.")
@click.pass_context
def modify(context: click.Context, /, cluster: str, **changes: Any) -> None:
    """Change settings of CLUSTER."""
    with opened(context) as store:
        store.cluster(cluster).modify(**{name: value for name, value in changes.items() if value is not None})


@cli.command()
@click.argument("cluster")
@click.argument("name")
@click.pass_context
def rename(context: click.Context, cluster: str, name: str) -> None:
    """Give CLUSTER another NAME."""
    with opened(context) as store:
        store.cluster(cluster).rename(name)


@cli.command()
@click.argument("cluster")
@click.pass_context
def stop(context: click.Context, cluster: str) -> None:
    """Refuse connections to CLUSTER until it is started."""
    with opened(context) as store:
        store.cluster(cluster).stop()


@cli.command()
@click.argument("cluster")
@click.pass_context
def start(context: click.Context, cluster: str) -> None:
    """Accept connections to CLUSTER again."""
    with opened(context) as store:
        store.cluster(cluster).start()


@cli.command()
@click.argument("source", required=False)
@click.pass_context
def events(context: click.Context, source: str | None) -> None:
    """List what has happened (to the cluster, instance or snapshot SOURCE)."""
    with opened(context) as store:
        rows = [(_local(each.time), each.kind, each.source, each.message) for each in store.events(source)]
        click.echo(table(rows, ("time", "kind", "name", "what")))


@cli.command()
@click.pass_context
def bills(context: click.Context) -> None:
    """List what every cluster and snapshot pays for; the sum is the live bytes of the pool."""
    with opened(context) as store:
        rows = [
            (each.kind, each.name, bytes_text(each.own_bytes), bytes_text(round(each.shared_bytes)))
            for each in store.bills()
        ]
        click.echo(table(rows, ("kind", "name", "own", "its part of what is shared")))


@cli.command()
@click.pass_context
def metrics(context: click.Context) -> None:
    """Print metrics as a Prometheus text page."""
    from clusterdb.metrics import prometheus

    with opened(context) as store:
        click.echo(prometheus(store.metrics()), nl=False)


@cli.command()
@click.pass_context
def shrink(context: click.Context) -> None:
    """Give the free space of the pool back to the file system, while others go on."""
    with opened(context) as store:
        click.echo(f"{bytes_text(store.shrink())} given back")
