"""Instances and endpoints: who writes, who reads, how far they lag, and what becomes of them."""

from __future__ import annotations

from typing import Any

import click

from clusterdb.cli.app import CLUSTER, cli, opened
from clusterdb.cli.output import json_option, tell
from clusterdb.listings import ENDPOINTS, INSTANCES

__all__ = ["cli"]


@cli.command("add-instance")
@click.argument("cluster", type=CLUSTER)
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
@click.argument("cluster", type=CLUSTER)
@click.argument("name")
@click.pass_context
def rm_instance(context: click.Context, cluster: str, name: str) -> None:
    """Delete the instance NAME of CLUSTER."""
    with opened(context) as store:
        store.cluster(cluster).delete_instance(name)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@json_option
@click.pass_context
def instances(context: click.Context, cluster: str, as_json: bool) -> None:
    """List the instances of CLUSTER, the writer first."""
    with opened(context) as store:
        tell(store.cluster(cluster).instances(), INSTANCES, as_json=as_json)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@json_option
@click.pass_context
def endpoints(context: click.Context, cluster: str, as_json: bool) -> None:
    """List the endpoints of CLUSTER and where they lead now."""
    with opened(context) as store:
        tell(store.cluster(cluster).endpoints(), ENDPOINTS, as_json=as_json)


@cli.command("modify-instance")
@click.argument("cluster", type=CLUSTER)
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
@click.argument("cluster", type=CLUSTER)
@click.argument("instance", required=False)
@click.pass_context
def crash(context: click.Context, cluster: str, instance: str | None) -> None:
    """Crash an INSTANCE of CLUSTER (by default its writer): its connections fail; a reader takes the writer's place."""
    with opened(context) as store:
        store.cluster(cluster).crash_instance(instance)


@cli.command("replica-status")
@click.argument("cluster", type=CLUSTER)
@json_option
@click.pass_context
def replica_status(context: click.Context, cluster: str, as_json: bool) -> None:
    """List how far every instance of CLUSTER is, as aurora_replica_status() does."""
    with opened(context) as store:
        columns = {
            "instance": lambda each: each.server_id,
            "session": lambda each: each.session_id,
            "durable": lambda each: each.durable_lsn,
            "reads": lambda each: each.current_read_lsn,
            "lag ms": lambda each: each.replica_lag_in_msec,
        }
        tell(store.cluster(cluster).replica_status(), columns, as_json=as_json)


@cli.command("add-endpoint")
@click.argument("cluster", type=CLUSTER)
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
@click.argument("cluster", type=CLUSTER)
@click.argument("name")
@click.pass_context
def rm_endpoint(context: click.Context, cluster: str, name: str) -> None:
    """Delete the custom endpoint NAME of CLUSTER."""
    with opened(context) as store:
        store.cluster(cluster).delete_endpoint(name)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.option("--to", "target", help="The instance to promote.  [default: by tier, then size]")
@click.pass_context
def failover(context: click.Context, cluster: str, target: str | None) -> None:
    """Make a reader of CLUSTER its writer; prints which."""
    with opened(context) as store:
        click.echo(store.cluster(cluster).failover(target))
