"""Six copies in three zones: the storage nodes of a cluster, their loss and repair, and recovery from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clusterdb.cli.app import CLUSTER, ZONE_OR_NODE, cli, opened, progress_bar
from clusterdb.cli.notes import note, quiet_option
from clusterdb.cli.output import columns_option, json_option, print_records
from clusterdb.cli.settings import Duration, given_settings, settings_options
from clusterdb.views import messages
from clusterdb.views.columns import NODES

if TYPE_CHECKING:
    from clusterdb.store import Cluster

__all__ = ["cli"]

_PLACE = "a zone by its name, or a node by its number"


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.option("--lose", type=ZONE_OR_NODE, metavar="ZONE|NODE", multiple=True, help=f"Lose {_PLACE}; may be repeated.")
@click.option(
    "--slow", metavar="ZONE|NODE SECONDS", type=(str, float), multiple=True, help="Let it answer this much later."
)
@click.option("--for", "for_s", type=Duration(is_positive=True), help="End what is lost or slow after this time.")
@click.option(
    "--return", "back", type=ZONE_OR_NODE, metavar="ZONE|NODE", multiple=True, help="End what was lost or slow."
)
@click.option("--repair", is_flag=True, help="Give every node that can be reached what it lacks, now.")
@quiet_option
@columns_option
@json_option
@click.pass_context
def zones(
    context: click.Context,
    cluster: str,
    lose: tuple[str, ...],
    slow: tuple[tuple[str, float], ...],
    for_s: float | None,
    back: tuple[str, ...],
    repair: bool,
    columns: str | None,
    as_json: bool,
) -> None:
    """List the storage nodes of CLUSTER; or lose, return or repair some.

    CLUSTER was created with --zones.  A commit waits until four of six nodes have it, at most for the seconds in
    CLUSTERDB_QUORUM_PATIENCE_S (30), and fails then.  What is lost stays lost, for every process that uses the store,
    until it is returned; the next commits repair it.
    """
    if for_s is not None and not (lose or slow):
        raise click.UsageError("--for applies to --lose and --slow")
    if (as_json or columns) and (lose or slow or back or repair):
        raise click.UsageError("--json and --columns list the nodes: remove --lose, --slow, --return and --repair")
    with opened(context) as store:
        target = store.cluster(cluster)
        for place in lose:
            _lose(target, place, for_s or 0.0)
            note(context, messages.node_changed(cluster, _place(target, place), "lost"))
        for place, delay_s in slow:
            target.slow_node(_place(target, place), delay_s, for_s or 0.0)
            note(context, messages.node_changed(cluster, _place(target, place), f"slower by {delay_s:g} s"))
        for place in back:
            target.return_node(_place(target, place))
            note(context, messages.node_changed(cluster, _place(target, place), "back"))
        if repair:
            with progress_bar("repairing") as progress:
                count = target.repair_nodes(progress=progress)
            note(context, messages.repaired(cluster, count))
        elif not (lose or slow or back):
            nodes = target.nodes()
            print_records(nodes, NODES, as_json=as_json, chosen=columns)
            if not as_json:
                click.echo(messages.quorum_text(nodes))


def _lose(cluster: Cluster, place: str, for_s: float) -> None:
    zone_or_node = _place(cluster, place)
    if isinstance(zone_or_node, int):
        cluster.lose_node(zone_or_node, for_s)
    else:
        cluster.lose_zone(zone_or_node, for_s)


def _place(cluster: Cluster, text: str) -> str | int:
    """A zone by its name, else a node by its number."""
    names = [name for name, *_ in cluster.settings.zones]
    return int(text) if text.isdigit() and text not in names else text


@cli.command()
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@click.option("--cluster", "source", metavar="NAME", help="Recover this one.  [default: all that the nodes have]")
@click.option("--as", "name", metavar="NAME", help="Its name in this store.  [default: the same]")
@settings_options
@quiet_option
@click.pass_context
def recover(
    context: click.Context, /, nodes: tuple[str, ...], source: str | None, name: str | None, **settings: object
) -> None:
    """Recover clusters whose store is lost from their storage nodes; prints their names.

    NODE is a directory or a URL, as clusterdb zones lists them: three of six must be readable, the others are found
    from there.  The former writer, wherever it runs, is refused when this store has taken over.
    """
    with opened(context, create=True) as store, progress_bar("recovering") as progress:
        for cluster in store.recover(nodes, source, name, progress=progress, **given_settings(settings)):
            click.echo(cluster.name)
            moment = cluster.versions(1)[0]
            note(context, messages.recovered(cluster.name, moment.version, moment.time))
