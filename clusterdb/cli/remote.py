"""Object storage: push clusters to a repository, list it and care for it.

``clone`` and ``ls`` take URLs too (:mod:`clusterdb.cli.clusters`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from clusterdb.cli.app import CLUSTER, cli, confirm, opened, progress_bar, yes_option
from clusterdb.cli.notes import note, quiet_option
from clusterdb.cli.output import json_option, print_json, print_records
from clusterdb.cli.settings import Duration
from clusterdb.rules.urls import plain_url
from clusterdb.views import messages
from clusterdb.views.columns import REMOTE
from clusterdb.views.json import to_json

if TYPE_CHECKING:
    from clusterdb.store import Cluster

__all__ = ["cli", "list_remote"]

_SPAN = Duration(is_positive=True)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("url")
@click.option("--as", "name", metavar="NAME", help="The name of the database there.  [default: the cluster's]")
@click.option("--force", is_flag=True, help="Replace a database from which the cluster does not descend.")
@click.option("--dry-run", is_flag=True, help="Send nothing; print what would be sent, and the requests.")
@click.option("--every", "every_s", type=_SPAN, help="Push again and again, after this time: 10s, 5m.")
@quiet_option
@json_option
@click.pass_context
def push(
    context: click.Context,
    cluster: str,
    url: str,
    name: str | None,
    force: bool,
    dry_run: bool,
    every_s: float | None,
    as_json: bool,
) -> None:
    """Push CLUSTER to the repository at URL: what changed since the last push.

    URL: s3://BUCKET/PATH, gs://, az://, or file:///DIRECTORY; settings of the engine follow a question mark, as
    ?endpoint=http://localhost:9000, except for secrets.  Credentials are those of the environment, such as
    AWS_ACCESS_KEY_ID.
    """
    from clusterdb.cli.stopping import pausing
    from clusterdb.errors import RemoteUnavailableError

    with opened(context) as store, pausing() as pause:
        source = store.cluster(cluster)
        _push(context, source, url, name, force=force, dry_run=dry_run, as_json=as_json)
        while every_s is not None:
            pause.wait(every_s)
            try:
                _push(context, source, url, name, force=force, dry_run=dry_run, as_json=as_json)
            except RemoteUnavailableError as error:
                click.echo(f"clusterdb: {error}; the next attempt follows", err=True)


def _push(
    context: click.Context, source: Cluster, url: str, name: str | None, *, force: bool, dry_run: bool, as_json: bool
) -> None:
    with progress_bar("pushing") as progress:
        result = source.push(url, name=name, force=force, dry_run=dry_run, progress=progress)
    if as_json:
        print_json(to_json(result))
    elif dry_run:
        click.echo(messages.pushed(source.name, result, is_done=False))
    else:
        note(context, messages.pushed(source.name, result, is_done=True))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.option("--force", is_flag=True, help="Discard the changes of CLUSTER since it was cloned, pulled or pushed.")
@quiet_option
@json_option
@click.pass_context
def pull(context: click.Context, cluster: str, force: bool, as_json: bool) -> None:
    """Move CLUSTER, a clone of a repository, to the newest state of its database there."""
    with opened(context) as store, progress_bar("pulling") as progress:
        result = store.cluster(cluster).pull(force=force, progress=progress)
    if as_json:
        print_json(to_json(result))
    else:
        note(context, messages.pulled(cluster, result))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@quiet_option
@click.pass_context
def fetch(context: click.Context, cluster: str) -> None:
    """Fetch all pages of CLUSTER that are on object storage, so that it can be read without a network."""
    from clusterdb.remote import Counts

    with opened(context) as store:
        with progress_bar("fetching") as progress:
            count = store.cluster(cluster).fetch(progress=progress, requests=(requests := Counts()))
        note(context, messages.fetched(cluster, count, requests))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@quiet_option
@click.pass_context
def evict(context: click.Context, cluster: str) -> None:
    """Give up the pages of CLUSTER that are here and on object storage: they are fetched again when they are read."""
    with opened(context) as store:
        note(context, messages.evicted(cluster, store.cluster(cluster).evict()))


@cli.command()
@click.argument("action", type=click.Choice(["check", "gc", "repack", "rm"]))
@click.argument("url")
@click.option("--keep", "keep_s", type=_SPAN, default="7d", show_default=True, help="gc: how long states stay.")
@click.option("--dry-run", is_flag=True, help="repack: copy nothing; print what would be done.")
@yes_option
@quiet_option
@click.pass_context
def remote(context: click.Context, action: str, url: str, keep_s: float, dry_run: bool, yes: bool) -> None:
    """Care for the repository at URL.

    check: read everything that it has, and compare it with its checksums, and each state with what its successor has of
    it.  gc: delete what only states hold that are older than --keep, and what interrupted pushes left.  repack: copy
    what is left of objects of which less than half is needed, so that gc can delete these.  rm: remove the database
    that URL/NAME names.
    """
    from datetime import timedelta

    from clusterdb.remote import Remote
    from clusterdb.remote.states import split_url

    if action == "rm":
        place, name = split_url(url)
        repository = Remote(place)
        confirm(f"remove the database '{name}' from {repository.url}?", yes=yes)
        repository.remove(name)
        note(context, messages.deleted(plain_url(url)))
    elif action == "gc":
        repository = Remote(url)
        result = repository.collect(timedelta(seconds=keep_s))
        note(context, messages.collected(repository.url, result, repository.requests))
    elif action == "repack":
        repository = Remote(url)
        repacked = repository.repack(dry_run=dry_run)
        if dry_run:
            click.echo(messages.repacked(repository.url, repacked, is_done=False))
        else:
            note(context, messages.repacked(repository.url, repacked, is_done=True))
    else:
        repository = Remote(url)
        problems = repository.check()
        for problem in problems:
            click.echo(problem)
        if problems:
            context.exit(1)
        note(context, f"{repository.url}: no problems: {messages.requests_text(repository.requests)}")


def list_remote(url: str, *, as_json: bool, columns: str | None) -> None:
    """Print the databases of a repository."""
    from clusterdb.remote import Remote

    print_records(Remote(url).databases(), REMOTE, as_json=as_json, chosen=columns)
