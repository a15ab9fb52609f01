"""Clusters: create, import, clone, list, modify, delete, export."""

from __future__ import annotations

from pathlib import Path

import click

from clusterdb.cli.app import CLUSTER, POINT, cli, confirm, opened, progress_bar, split_point, yes_option
from clusterdb.cli.output import json_option, output_file, print_json, print_records, warn_about_collations
from clusterdb.cli.settings import given_settings, settings_options
from clusterdb.views.cluster import details_json, details_rows
from clusterdb.views.columns import CLUSTERS
from clusterdb.views.text import table

__all__ = ["cli"]

_no_check_option = click.option("--no-check", is_flag=True, help="Import without checking the pages of the file.")


@cli.command()
@click.argument("name")
@click.option("--from", "from_file", metavar="FILE", type=click.Path(path_type=Path), help="Import a SQLite database.")
@_no_check_option
@click.option("--page-size", type=int, help="Bytes, 512 to 65536; only for an empty cluster.  [default: 4096]")
@click.option("--engine", help="The SQL it accepts: sqlite, aurora-mysql, aurora-postgresql.  [default: sqlite]")
@settings_options
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
    "--engine", help="With --dump: aurora-mysql or aurora-postgresql.  [default: from the dump's first comment]"
)
@click.option("--strict", is_flag=True, help="With --dump: refuse unsupported statements instead of skipping them.")
@_no_check_option
@settings_options
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


def _create(
    context: click.Context,
    name: str,
    from_file: Path | None,
    page_size: int | None,
    settings: dict[str, object],
    *,
    check: bool,
) -> None:
    with opened(context, create=True) as store, progress_bar("importing") as progress:
        store.create_cluster(
            name, from_file=from_file, page_size=page_size, check=check, progress=progress, **given_settings(settings)
        )


@cli.command()
@click.argument("source", type=POINT)
@click.argument("name")
@click.option("--full-copy", is_flag=True, help="Copy all pages instead of sharing them.")
@settings_options
@click.pass_context
def clone(context: click.Context, /, source: str, name: str, full_copy: bool, **settings: object) -> None:
    """Clone the cluster SOURCE as NAME, in constant time.

    SOURCE can name a point in time: prod@1234 (a version), prod@'5 minutes ago', prod@2026-01-31T12:00:00, or
    prod@SNAPSHOT.
    """
    with opened(context) as store:
        cluster, point = split_point(source)
        copy_type = "full-copy" if full_copy else "copy-on-write"
        store.cluster(cluster).clone(name, at=point, copy_type=copy_type, **given_settings(settings))


@cli.command()
@json_option
@click.pass_context
def ls(context: click.Context, as_json: bool) -> None:
    """List the clusters with their sizes."""
    with opened(context) as store:
        print_records([cluster.stats() for cluster in store.clusters()], CLUSTERS, as_json=as_json)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@json_option
@click.pass_context
def show(context: click.Context, cluster: str, as_json: bool) -> None:
    """Show the status, sizes and settings of CLUSTER, and how to read it in SQLite's shell."""
    from clusterdb.access.build import library_commands  # imports SQLite: help does not need it
    from clusterdb.clusters.figures import cluster_details

    with opened(context) as store:
        details = cluster_details(store.context, store.cluster(cluster))
    if as_json:
        print_json(details_json(details))
    else:
        click.echo(table(details_rows(details), (f"cluster {details.stats.name}", "")))
        commands = library_commands(store.path, details.stats.name)
        if commands:
            click.echo("\n".join(["", "In SQLite's shell (read-only):", *(f"  {command}" for command in commands)]))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@settings_options
@click.pass_context
def modify(context: click.Context, /, cluster: str, **settings: object) -> None:
    """Change settings of CLUSTER; --tag replaces all tags."""
    with opened(context) as store:
        store.cluster(cluster).modify(**given_settings(settings))


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("name")
@click.pass_context
def rename(context: click.Context, cluster: str, name: str) -> None:
    """Rename CLUSTER to NAME."""
    with opened(context) as store:
        store.cluster(cluster).rename(name)


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.pass_context
def stop(context: click.Context, cluster: str) -> None:
    """Stop CLUSTER: it refuses connections until it is started."""
    with opened(context) as store:
        store.cluster(cluster).stop()


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.pass_context
def start(context: click.Context, cluster: str) -> None:
    """Start CLUSTER: it accepts connections again."""
    with opened(context) as store:
        store.cluster(cluster).start()


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", type=CLUSTER)
@yes_option
@click.pass_context
def rm(context: click.Context, names: tuple[str, ...], yes: bool) -> None:
    """Delete clusters; their clones remain."""
    with opened(context) as store:
        clusters = [store.cluster(name) for name in names]  # all names are checked before the first cluster is deleted
        confirm(f"Delete {', '.join(names)} from {store.path}?", yes=yes)
        for cluster in clusters:
            cluster.delete()


@cli.command()
@click.argument("cluster", type=CLUSTER)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.pass_context
def export(context: click.Context, cluster: str, file: Path, overwrite: bool) -> None:
    """Write CLUSTER as a plain SQLite database FILE; - is standard output.

    A new file gets its mode from the umask; a file that is replaced keeps its mode.
    """
    with opened(context) as store, output_file(file) as path, progress_bar("exporting") as progress:
        collations = store.cluster(cluster).export(path, overwrite=overwrite, progress=progress)
    warn_about_collations(file, collations)
