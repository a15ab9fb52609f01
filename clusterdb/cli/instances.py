"""Instances and endpoints: add, list, modify, delete, crash, fail over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clusterdb.cli.app import CLUSTER, CUSTOM_ENDPOINT, INSTANCE, READER, cli, opened
from clusterdb.cli.notes import note, quiet_option
from clusterdb.cli.output import json_option, print_records
from clusterdb.views import messages
from clusterdb.views.columns import ENDPOINTS, INSTANCES, REPLICAS

if TYPE_CHECKING:
    from clusterdb.ha.endpoints import EndpointType
    from clusterdb.store import Cluster

__all__ = ["cli"]

_TIER_HELP = "Promotion tier, 0 to 15: a failover promotes the reader with the lowest."
_LAG_HELP = "Milliseconds that it lags behind the writer, as a reader."
_JITTER_HELP = "Largest random addition to the lag, in milliseconds."


@cli.command("add-instance")
@click.argument("cluster", type=CLUSTER)
@click.argument("name")
@click.option("--class", "instance_class", default="db.local", show_default=True, help="Its class, as db.r6g.large.")
@click.option("--tier", "promotion_tier", type=int, default=1, show_default=True, help=_TIER_HELP)
@click.option("--zone", "availability_zone", default="local", show_default=True, help="Its availability zone.")
@click.option("--lag", "replica_lag_ms", type=float, default=0, show_default=True, help=_LAG_HELP)
@click.option("--jitter", "lag_jitter_ms", type=float, default=0, show_default=True, help=_JITTER_HELP)
@quiet_option
@click.pass_context
def add_instance(context: click.Context, /, cluster: str, name: str, **options: Any) -> None:
    """Add the instance NAME to CLUSTER: the first is the writer, the others are readers."""
    with opened(context) as store:
        added = store.cluster(cluster).add_instance(name, **options)
        note(context, messages.added_instance(cluster, added))


@cli.command("rm-instance")
@click.argument("cluster", type=CLUSTER)
@click.argument("name", type=INSTANCE)
@quiet_option
@click.pass_context
def rm_instance(context: click.Context, cluster: str, name: str) -> None:
    """Delete the instance NAME of CLUSTER."""
    with opened(context) as store:
        store.cluster(cluster).delete_instance(name)
        note(context, messages.deleted_instance(cluster, name))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@json_option
@click.pass_context
def instances(context: click.Context, cluster: str, as_json: bool) -> None:
    """List the instances of CLUSTER, the writer first."""
    with opened(context) as store:
        print_records(store.cluster(cluster).instances(), INSTANCES, as_json=as_json)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@json_option
@click.pass_context
def endpoints(context: click.Context, cluster: str, as_json: bool) -> None:
    """List the endpoints of CLUSTER, with the instances that each leads to now."""
    with opened(context) as store:
        print_records(store.cluster(cluster).endpoints(), ENDPOINTS, as_json=as_json)


@cli.command("modify-instance")
@click.argument("cluster", type=CLUSTER)
@click.argument("name", type=INSTANCE)
@click.option("--tier", "promotion_tier", type=int, help=_TIER_HELP)
@click.option("--lag", "replica_lag_ms", type=float, help=_LAG_HELP)
@click.option("--jitter", "lag_jitter_ms", type=float, help=_JITTER_HELP)
@quiet_option
@click.pass_context
def modify_instance(context: click.Context, /, cluster: str, name: str, **changes: Any) -> None:
    """Modify the instance NAME of CLUSTER; a new lag applies to open connections."""
    with opened(context) as store:
        modified = store.cluster(cluster).modify_instance(name, **changes)
        note(context, messages.modified_instance(cluster, modified))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("instance", required=False, type=INSTANCE)
@quiet_option
@click.pass_context
def crash(context: click.Context, cluster: str, instance: str | None) -> None:
    """Crash INSTANCE of CLUSTER (default: the writer).

    Its connections fail; a reader replaces a crashed writer.
    """
    with opened(context) as store:
        target = store.cluster(cluster)
        name = instance or _writer(target)
        target.crash_instance(instance)
        note(context, messages.crashed(cluster, name, _writer(target)))


@cli.command("replica-status")
@click.argument("cluster", type=CLUSTER)
@json_option
@click.pass_context
def replica_status(context: click.Context, cluster: str, as_json: bool) -> None:
    """List the replication status of the instances of CLUSTER, as aurora_replica_status()."""
    with opened(context) as store:
        print_records(store.cluster(cluster).replica_status(), REPLICAS, as_json=as_json)


@cli.command("add-endpoint")
@click.argument("cluster", type=CLUSTER)
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(["ANY", "READER", "WRITER"]), default="ANY", show_default=True)
@click.option(
    "--member",
    "members",
    type=INSTANCE,
    metavar="TEXT",
    multiple=True,
    help="An instance that it leads to; may be repeated.",
)
@click.option(
    "--exclude",
    "excluded",
    type=INSTANCE,
    metavar="TEXT",
    multiple=True,
    help="An instance that it does not lead to; may be repeated.",
)
@quiet_option
@click.pass_context
def add_endpoint(
    context: click.Context,
    cluster: str,
    name: str,
    kind: EndpointType,
    members: tuple[str, ...],
    excluded: tuple[str, ...],
) -> None:
    """Add the custom endpoint NAME to CLUSTER."""
    with opened(context) as store:
        added = store.cluster(cluster).add_endpoint(name, kind, members=members, excluded=excluded)
        note(context, messages.added_endpoint(cluster, added))


@cli.command("rm-endpoint")
@click.argument("cluster", type=CLUSTER)
@click.argument("name", type=CUSTOM_ENDPOINT)
@quiet_option
@click.pass_context
def rm_endpoint(context: click.Context, cluster: str, name: str) -> None:
    """Delete the custom endpoint NAME of CLUSTER."""
    with opened(context) as store:
        store.cluster(cluster).delete_endpoint(name)
        note(context, messages.deleted_endpoint(cluster, name))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.option(
    "--to", "target", type=READER, metavar="TEXT", help="The reader to promote.  [default: by tier, then size]"
)
@quiet_option
@click.pass_context
def failover(context: click.Context, cluster: str, target: str | None) -> None:
    """Promote a reader of CLUSTER to be its writer; prints its name."""
    with opened(context) as store:
        former = _writer(store.cluster(cluster))
        writer = store.cluster(cluster).failover(target)
        click.echo(writer)
        note(context, messages.promoted(cluster, writer, former))


def _writer(cluster: Cluster) -> str | None:
    """The name of the writer; None if it is the implicit one."""
    return next((instance.name for instance in cluster.instances() if instance.role == "writer"), None)
