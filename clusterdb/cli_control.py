"""The verbs of the control plane on the command line: the past, instances, life, bills; one function a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clusterdb.cli import cli, opened, progress_bar, split_point
from clusterdb.cli_settings import chosen, settings_options
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
        name_of, at = split_point(cluster)
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
@settings_options
@click.pass_context
def restore(context: click.Context, /, snapshot: str, name: str, **settings: Any) -> None:
    """Create the cluster NAME with what SNAPSHOT shows, in constant time."""
    with opened(context) as store:
        store.restore_snapshot(snapshot, name, **chosen(settings))


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


@cli.command("modify-instance")
@click.argument("cluster")
@click.argument("name")
@click.option("--tier", "promotion_tier", type=int, help="0 to 15.")
@click.option("--lag", "replica_lag_ms", type=float, help="Milliseconds that it lags, as a reader.")
@click.option("--jitter", "lag_jitter_ms", type=float, help="Milliseconds more, by chance.")
@click.pass_context
def modify_instance(context: click.Context, /, cluster: str, name: str, **changes: Any) -> None:
    """Change the instance NAME of CLUSTER; open connections see its new lag."""
    with opened(context) as store:
        store.cluster(cluster).modify_instance(name, **changes)


@cli.command()
@click.argument("cluster")
@click.argument("instance", required=False)
@click.pass_context
def crash(context: click.Context, cluster: str, instance: str | None) -> None:
    """Crash an INSTANCE of CLUSTER (by default its writer): its connections fail; a reader takes the writer's place."""
    with opened(context) as store:
        store.cluster(cluster).crash_instance(instance)


@cli.command("replica-status")
@click.argument("cluster")
@click.pass_context
def replica_status(context: click.Context, cluster: str) -> None:
    """List how far every instance of CLUSTER is, as aurora_replica_status() does."""
    with opened(context) as store:
        rows = [
            (e.server_id, e.session_id, e.durable_lsn, e.current_read_lsn, e.replica_lag_in_msec)
            for e in store.cluster(cluster).replica_status()
        ]
        click.echo(table(rows, ("instance", "session", "durable", "reads", "lag ms")))


@cli.command("add-endpoint")
@click.argument("cluster")
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(["ANY", "READER", "WRITER"]), default="ANY", show_default=True)
@click.option("--member", "members", multiple=True, help="An instance it may lead to; several times for several.")
@click.option("--exclude", "excluded", multiple=True, help="All instances but this; several times for several.")
@click.pass_context
def add_endpoint(
    context: click.Context, cluster: str, name: str, kind: Any, members: tuple[str, ...], excluded: tuple[str, ...]
) -> None:
    """Add the custom endpoint NAME to CLUSTER."""
    with opened(context) as store:
        store.cluster(cluster).add_endpoint(name, kind, members=members, excluded=excluded)


@cli.command("rm-endpoint")
@click.argument("cluster")
@click.argument("name")
@click.pass_context
def rm_endpoint(context: click.Context, cluster: str, name: str) -> None:
    """Delete the custom endpoint NAME of CLUSTER."""
    with opened(context) as store:
        store.cluster(cluster).delete_endpoint(name)


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
            ("time to live", f"{settings.ttl_s:g} s" if settings.ttl_s is not None else "unlimited"),
            ("idle time", f"{settings.idle_s:g} s" if settings.idle_s is not None else "unlimited"),
            ("clone limit", settings.clone_limit if settings.clone_limit is not None else "none"),
            *((f"tag {key}", value) for key, value in sorted(settings.tags.items())),
        ]
        click.echo(table([(name, str(value)) for name, value in rows], (f"cluster {found.name}", "")))


@cli.command()
@click.argument("cluster")
@settings_options
@click.pass_context
def modify(context: click.Context, /, cluster: str, **settings: Any) -> None:
    """Change settings of CLUSTER; --tag replaces all tags."""
    with opened(context) as store:
        store.cluster(cluster).modify(**chosen(settings))


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
def expire(context: click.Context) -> None:
    """Delete the clusters whose time is over, and give up what settings keep of the past no longer; prints names."""
    with opened(context) as store:
        for name in store.expire():
            click.echo(name)


@cli.command()
@click.pass_context
def reclaim(context: click.Context) -> None:
    """Bring back the space that killed processes leaked, while others go on."""
    with opened(context) as store:
        click.echo(f"{store.reclaim().freed_count} slots brought back")


@cli.command()
@click.pass_context
def shrink(context: click.Context) -> None:
    """Give the free space of the pool back to the file system, while others go on."""
    with opened(context) as store:
        click.echo(f"{bytes_text(store.shrink())} given back")
