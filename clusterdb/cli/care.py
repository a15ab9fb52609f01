"""The store as a whole: its events, costs, soundness and space."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from clusterdb.cli.app import CLUSTER, SOURCE, cli, opened, progress_bar, store_path
from clusterdb.cli.output import columns_option, filter_option, json_option, print_json, print_records
from clusterdb.views.checks import report_json, report_line
from clusterdb.views.columns import BILLS, EVENTS
from clusterdb.views.filters import is_wanted
from clusterdb.views.json import object_of, to_json
from clusterdb.views.prometheus import prometheus
from clusterdb.views.text import bytes_text

if TYPE_CHECKING:
    import clusterdb

__all__ = ["cli"]


@cli.command()
@click.argument("source", required=False, type=SOURCE)
@json_option
@click.pass_context
def events(context: click.Context, source: str | None, as_json: bool) -> None:
    """List the events of the store, or of the cluster, instance or snapshot SOURCE."""
    with opened(context) as store:
        print_records(store.events(source), EVENTS, as_json=as_json)


@cli.command()
@filter_option
@columns_option
@json_option
@click.pass_context
def bills(context: click.Context, filters: tuple[str, ...], columns: str | None, as_json: bool) -> None:
    """List the bytes that each cluster and snapshot pays for.

    A cluster pays for the pages that it has written and still holds, its past included, even if others share them, and
    for its part of pages that no cluster has written. All bills add up to the live bytes of the pool. ls and show list
    another figure, "own": what only the cluster holds, which is never more than it pays for.
    """
    with opened(context) as store:
        shown = [bill for bill in store.bills() if is_wanted(bill.name, {"kind": bill.kind}, filters)]
    if as_json and columns is None:
        print_json([{**object_of(bill), "bytes": to_json(bill.bytes)} for bill in shown])
    else:
        print_records(shown, BILLS, as_json=as_json, chosen=columns)


@cli.command()
@json_option
@click.pass_context
def metrics(context: click.Context, as_json: bool) -> None:
    """Print metrics as a Prometheus text page."""
    with opened(context) as store:
        samples = store.metrics()
    if as_json:
        print_json(to_json(samples))
    else:
        click.echo(prometheus(samples), nl=False)


@cli.command()
@click.pass_context
def expire(context: click.Context) -> None:
    """Delete expired clusters, and the past that settings no longer keep.

    Prints the names of the deleted clusters.
    """
    with opened(context) as store:
        for name in store.expire():
            click.echo(name)


@cli.command()
@click.option("--repair", is_flag=True, help="Put the bytes of damaged pages back that storage nodes have.")
@json_option
@click.pass_context
def check(context: click.Context, repair: bool, as_json: bool) -> None:
    """Compare everything in the store with its checksums; exits with 1 if something is damaged."""
    with opened(context) as store, progress_bar("checking") as progress:
        report = store.check(progress, repair=repair)
    _print_report(report, as_json=as_json)


@cli.command()
@json_option
@click.pass_context
def repair(context: click.Context, as_json: bool) -> None:
    """Rebuild the derived files of the store, and check it.

    No other process may have the store open.
    """
    from clusterdb.store import repair as rebuild

    with progress_bar("checking") as progress:
        report = rebuild(store_path(context), progress=progress)
    _print_report(report, as_json=as_json)


def _print_report(report: clusterdb.CheckReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report_json(report))
    else:
        for problem in report.problems:
            click.echo(problem, err=True)
        for repaired in report.mended:
            click.echo(f"{repaired}: repaired from a storage node", err=True)
        click.echo(report_line(report))
    if not report.ok:
        sys.exit(1)


@cli.command()
@click.argument("cluster", required=False, type=CLUSTER)
@click.option("--slot", type=click.IntRange(0), help="Print this slot of the pool instead of clusters.")
@click.pass_context
def dump(context: click.Context, cluster: str | None, slot: int | None) -> None:
    """Print the structure of CLUSTER, of every cluster, or of a slot, as text."""
    with opened(context) as store:
        click.echo(store.dump(cluster=cluster, slot=slot))


@cli.command()
@click.pass_context
def upgrade(context: click.Context) -> None:
    """Upgrade the store to the format of this release, as opening it for writing does.

    The command reads no page: it takes the same time for any store.  Older releases cannot open the store afterwards.
    No other process may have the store open.
    """
    from vfs.format.layout import FORMAT

    with opened(context) as store:
        former = store.upgraded_from
    click.echo(f"the store has format {FORMAT}" if former is None else f"upgraded from format {former} to {FORMAT}")


@cli.command()
@click.pass_context
def reclaim(context: click.Context) -> None:
    """Free the slots that killed processes leaked, while the store stays in use."""
    with opened(context) as store:
        click.echo(f"{store.reclaim().freed_count} slots freed")


@cli.command()
@click.pass_context
def shrink(context: click.Context) -> None:
    """Return the free space of the pool to the file system, while the store stays in use."""
    with opened(context) as store:
        click.echo(f"{bytes_text(store.shrink())} returned")
