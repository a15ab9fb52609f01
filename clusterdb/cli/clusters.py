"""Clusters: create, import, clone, list, modify, delete, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clusterdb.cli.app import CLUSTER, ENGINE, POINT, cli, confirm, opened, progress_bar, split_point, yes_option
from clusterdb.cli.notes import note, quiet_option
from clusterdb.cli.output import (
    chosen_columns,
    columns_option,
    file_name,
    filter_option,
    json_option,
    output_file,
    print_json,
    terminal_width,
    warn_about_collations,
)
from clusterdb.cli.remote import list_remote
from clusterdb.cli.settings import given_settings, settings_options, zones_option
from clusterdb.rules.urls import is_url, plain_url
from clusterdb.views import messages
from clusterdb.views.cluster import details_json, details_rows, listed_json
from clusterdb.views.columns import LISTED, LISTED_DEFAULT, records_table
from clusterdb.views.json import object_of
from clusterdb.views.text import table

if TYPE_CHECKING:
    from clusterdb.clusters.billing import Bill
    from clusterdb.store import Store

__all__ = ["cli"]

_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
_no_check_option = click.option("--no-check", is_flag=True, help="Import without checking the pages of the file.")


@cli.command()
@click.argument("name")
@click.option("--from", "from_file", metavar="FILE", type=click.Path(path_type=Path), help="Import a SQLite database.")
@_no_check_option
@click.option("--page-size", type=int, help="Bytes, 512 to 65536; only for an empty cluster.  [default: 4096]")
@click.option(
    "--engine",
    type=ENGINE,
    metavar="TEXT",
    help="The SQL it accepts: sqlite, aurora-mysql, aurora-postgresql.  [default: sqlite]",
)
@settings_options
@zones_option
@quiet_option
@click.pass_context
def create(
    context: click.Context,
    /,
    name: str,
    from_file: Path | None,
    no_check: bool,
    page_size: int | None,
    **settings: object,
) -> None:
    """Create the cluster NAME, empty or with the content of a database file."""
    _create(context, name, from_file, page_size, settings, check=not no_check)


@cli.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("name", required=False)
@click.option(
    "--dump",
    is_flag=True,
    help="FILE is SQL of mysqldump, mariadb-dump or pg_dump, which may be gzipped; - reads standard input.",
)
@click.option(
    "--engine",
    type=ENGINE,
    metavar="TEXT",
    help="With --dump: aurora-mysql or aurora-postgresql.  [default: from the dump's first comment]",
)
@click.option("--strict", is_flag=True, help="With --dump: refuse unsupported statements instead of skipping them.")
@_no_check_option
@settings_options
@zones_option
@quiet_option
@click.pass_context
def import_(
    context: click.Context,
    /,
    file: Path,
    name: str | None,
    dump: bool,
    engine: str | None,
    strict: bool,
    no_check: bool,
    **settings: object,
) -> None:
    """Create the cluster NAME with the content of the database FILE.

    NAME defaults to the name of the file. A dump is loaded whole or not at all. Unsupported statements (triggers,
    functions, grants, owners, ...) are skipped, and reported on standard error by kind and count.
    """
    if not dump:
        if engine is not None or strict:
            raise click.UsageError("--engine and --strict apply to dumps: add --dump")
        _create(context, name or file.stem, file, None, settings, check=not no_check)
        return
    if no_check:
        raise click.UsageError("--no-check does not apply to dumps: remove it")
    if name is None:
        if str(file) == "-":
            raise click.UsageError("NAME missing: a dump from standard input needs a name for the cluster")
        name = file.name.partition(".")[0]
    with opened(context, create=True) as store:
        with progress_bar("importing") as progress:
            loaded = store.import_dump(
                name, file, engine=engine, strict=strict, progress=progress, **given_settings(settings)
            )
        for line in loaded.summary():
            click.echo(line, err=True)
        note(context, messages.imported(name, str(file), _size_bytes(store, name)))


def _create(
    context: click.Context,
    name: str,
    from_file: Path | None,
    page_size: int | None,
    settings: dict[str, object],
    *,
    check: bool,
) -> None:
    with opened(context, create=True) as store:
        with progress_bar("importing") as progress:
            store.create_cluster(
                name,
                from_file=from_file,
                page_size=page_size,
                check=check,
                progress=progress,
                **given_settings(settings),
            )
        if from_file is None:
            note(context, messages.created(name))
        else:
            note(context, messages.imported(name, str(from_file), _size_bytes(store, name)))


def _size_bytes(store: Store, name: str) -> int:
    """The size of a database in bytes, without a walk over its pages."""
    connection = store.cluster(name).connect(read_only=True)
    return next(int(str(size)) for (size,) in connection.execute(_SIZE))


@cli.command()
@click.argument("source", type=POINT)
@click.argument("name")
@click.option("--full-copy", is_flag=True, help="Copy all pages instead of sharing them.")
@settings_options
@zones_option
@quiet_option
@click.pass_context
def clone(context: click.Context, /, source: str, name: str, full_copy: bool, **settings: object) -> None:
    """Clone the cluster SOURCE as NAME, in constant time.

    SOURCE can name a point in time: prod@1234 (a version), prod@'5 minutes ago', prod@2026-01-31T12:00:00, or
    prod@SNAPSHOT.  It can be a database that was pushed, as s3://BUCKET/PATH/prod: pages come when they are read.
    """
    with opened(context, create=is_url(source)) as store:
        cluster, point = split_point(source)
        if is_url(source):
            from clusterdb.remote import Counts

            copy_type = "full-copy" if full_copy else "copy-on-write"
            is_copy = full_copy or not store.context.pages.may_have_holes
            with progress_bar("copying") as progress:
                cloned = store.clone(
                    cluster,
                    name,
                    at=point,
                    copy_type=copy_type,
                    progress=progress,
                    requests=(requests := Counts()),
                    **given_settings(settings),
                )
            moment = cloned.versions(1)[0]
            place = plain_url(cluster)
            text = messages.cloned_remote(place, name, moment.version, moment.time, requests, is_copy=is_copy)
            note(context, text)
            if is_copy and not full_copy:
                note(context, messages.copied_on_tmpfs(store.path))
            return
        copy_type = "full-copy" if full_copy else "copy-on-write"
        cloned = store.cluster(cluster).clone(name, at=point, copy_type=copy_type, **given_settings(settings))
        note(context, messages.cloned(cluster, name, cloned.origin))


_bill_option = click.option(
    "--bill", "with_bill", is_flag=True, help="Show what it pays for too, as clusterdb bills; walks all pages."
)


@cli.command()
@click.argument("url", required=False)
@click.option("--tree", "as_tree", is_flag=True, help="Draw the clones below their sources, with bars of their sizes.")
@filter_option
@columns_option
@_bill_option
@json_option
@click.pass_context
def ls(
    context: click.Context,
    url: str | None,
    as_tree: bool,
    filters: tuple[str, ...],
    columns: str | None,
    with_bill: bool,
    as_json: bool,
) -> None:
    """List the clusters with their sizes, or the databases of the repository at URL.

    "own" is what only the cluster holds: deleting it frees this. "shared" is what others hold too. Its past, and pages
    of a deleted source that several clones hold, are on its bill, but not among its own.

    Fields for --filter: source, status, engine, and tags by their keys.
    """
    from clusterdb.clusters.figures import listing
    from clusterdb.views.filters import is_wanted

    if url is not None:
        if not is_url(url) or as_tree or with_bill or filters:
            raise click.UsageError(
                "URL lists a repository, as s3://BUCKET/PATH; of the options, with --json or --columns"
            )
        list_remote(url, as_json=as_json, columns=columns)
        return
    if as_tree and (as_json or columns or with_bill):
        raise click.UsageError("--tree draws a tree: remove --json, --columns and --bill")
    shown = chosen_columns(LISTED, columns, as_json=as_json, default=LISTED_DEFAULT)
    if with_bill and columns is None:
        shown = {name: LISTED[name] for name in LISTED if name in shown or name == "pays"}
    with opened(context) as store:
        listed = listing(store.context, lambda name, fields: is_wanted(name, fields, filters))
        bills = _bills(store) if with_bill or "pays" in shown else {}
        if as_tree:
            from clusterdb.views.tree import ASCII_MARKS, UNICODE_MARKS, tree

            can_draw = (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")
            marks = UNICODE_MARKS if can_draw else ASCII_MARKS
            click.echo(tree(listed, store.stats(), width=terminal_width(), marks=marks))
            return
    records = [(cluster, bills.get(cluster.stats.name)) for cluster in listed]
    if as_json:
        print_json([listed_json(*record) for record in records])
    else:
        if columns is None and any(cluster.test for cluster in listed):
            shown = {**shown, "test": LISTED["test"]}
        click.echo(records_table(records, shown, width=terminal_width()))


def _bills(store: Store) -> dict[str, Bill]:
    """The bills of clusters by their names."""
    return {bill.name: bill for bill in store.bills() if bill.kind == "cluster"}


@cli.command()
@click.argument("cluster", type=CLUSTER)
@_bill_option
@json_option
@click.pass_context
def show(context: click.Context, cluster: str, with_bill: bool, as_json: bool) -> None:
    """Show the status, sizes and settings of CLUSTER, and how programs connect to it."""
    from clusterdb.access.build import library_commands  # imports SQLite: help does not need it
    from clusterdb.clusters.figures import cluster_details
    from clusterdb.views.urls import connections

    with opened(context) as store:
        details = cluster_details(store.context, store.cluster(cluster))
        bill = _bills(store).get(cluster) if with_bill else None
    if as_json:
        print_json(details_json(details, bill))
        return
    click.echo(table(details_rows(details, bill), (f"cluster {details.stats.name}", "")))
    urls = [f"  {name:12}{url}" for name, url in connections(store.path, details.stats.name).items()]
    if urls:
        click.echo("\n".join(["", "In Python:", *urls]))
    commands = [] if is_url(store.path) else library_commands(store.path, details.stats.name)
    if commands:
        click.echo("\n".join(["", "In SQLite's shell (read-only):", *(f"  {command}" for command in commands)]))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@settings_options
@quiet_option
@click.pass_context
def modify(context: click.Context, /, cluster: str, **settings: object) -> None:
    """Change settings of CLUSTER; --tag replaces all tags."""
    with opened(context) as store:
        target = store.cluster(cluster)
        before = target.settings
        after = target.modify(**given_settings(settings))
        note(context, messages.modified(cluster, object_of(before), object_of(after)))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("name")
@quiet_option
@click.pass_context
def rename(context: click.Context, cluster: str, name: str) -> None:
    """Rename CLUSTER to NAME."""
    with opened(context) as store:
        store.cluster(cluster).rename(name)
        note(context, messages.renamed(cluster, name))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@quiet_option
@click.pass_context
def stop(context: click.Context, cluster: str) -> None:
    """Stop CLUSTER: it refuses connections until it is started."""
    with opened(context) as store:
        store.cluster(cluster).stop()
        note(context, messages.stopped(cluster))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@quiet_option
@click.pass_context
def start(context: click.Context, cluster: str) -> None:
    """Start CLUSTER: it accepts connections again."""
    with opened(context) as store:
        store.cluster(cluster).start()
        note(context, messages.started(cluster))


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=CLUSTER)
@yes_option
@quiet_option
@click.pass_context
def rm(context: click.Context, names: tuple[str, ...], yes: bool) -> None:
    """Delete clusters; their clones remain."""
    with opened(context) as store:
        clusters = [store.cluster(name) for name in names]  # all names are checked before the first cluster is deleted
        confirm(f"Delete {', '.join(names)} from {store.path}?", yes=yes)
        for cluster in clusters:
            clones = [clone.name for clone in cluster.clones() if clone.name not in names]
            cluster.delete()
            note(context, messages.deleted(cluster.name, clones))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@quiet_option
@click.pass_context
def export(context: click.Context, cluster: str, file: Path, overwrite: bool) -> None:
    """Write CLUSTER as a plain SQLite database FILE; - is standard output.

    A new file gets its mode from the umask; a file that is replaced keeps its mode.
    """
    with opened(context) as store, output_file(file) as path, progress_bar("exporting") as progress:
        collations = store.cluster(cluster).export(path, overwrite=overwrite, progress=progress)
        size_bytes = path.stat().st_size
    warn_about_collations(file, collations)
    note(context, messages.exported(cluster, file_name(file), size_bytes))
