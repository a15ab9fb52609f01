"""Seeds: the content of a template, the key derived from it, and how it is built.

A seed is
    a path, or a text that ends in .sql          an SQL file
    a path, or a text that ends in .db, .sqlite  a database file (only as the first seed)
    "package.module:function"                    a function
    any other text                               SQL
    a callable                                   a function

A function gets arguments by the names of its parameters: ``connection`` (a DB-API connection, committed and closed
afterwards; also for a single parameter of any other name), ``cluster``, ``url``, ``sqlalchemy_url``.

The key changes with the content of files, with the source of a function and of its module, with the base, with the
``watched`` files, and with the versions of clusterdb and SQLite.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import itertools
import re
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import clusterdb
from clusterdb import dbapi2
from clusterdb.access import sqlite
from clusterdb.errors import Error
from clusterdb.store import Cluster

__all__ = ["Recipe", "SeedError", "recipe", "sqlalchemy_url_of", "url_of"]

_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")
_FILE = re.compile(r"[^\n;]*\.(sql|db|sqlite|sqlite3)\Z")
_DATABASES = (".db", ".sqlite", ".sqlite3")
_SHOWN_CHARS = 200
_PACKAGE = Path(clusterdb.__file__).parent


class SeedError(Error):
    """A seed is invalid or has failed; the message names the seed and the place."""

    def report(self) -> str:
        """The message, followed by the traceback within the seed's own code."""
        cause = self.__cause__
        frames = traceback.extract_tb(cause.__traceback__) if cause is not None else []
        from_seed = itertools.dropwhile(lambda frame: not _is_foreign(frame), frames)
        foreign = list(itertools.takewhile(_is_foreign, from_seed))
        if cause is None or not foreign:
            return str(self)
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(foreign)]
        return "".join([f"{self}\n\n", *lines, *traceback.format_exception_only(cause)]).rstrip()


def _is_foreign(frame: traceback.FrameSummary) -> bool:
    return not Path(frame.filename).is_relative_to(_PACKAGE)


@dataclass(frozen=True)
class Recipe:
    """How a template is built.  ``seeds`` are paths, SQL, callables, and import paths as texts.

    ``remote``: the URL of a repository that has templates of other machines, or is to have this one.
    """

    seeds: tuple[Path | str | Callable[..., object], ...] = ()
    base: Recipe | None = None
    engine: str = "sqlite"
    watched: tuple[Path, ...] = field(default=())
    remote: str | None = None

    @functools.cached_property
    def key(self) -> str:
        """A digest that identifies the recipe on this machine, in hexadecimal digits.  Raises SeedError."""
        return self._digest(self.base.key if self.base else "", _fingerprint)

    @functools.cached_property
    def shared_key(self) -> str:
        """A digest that identifies the recipe on any machine: of the content of database files.  Raises SeedError."""
        return self._digest(self.base.shared_key if self.base else "", _shared_fingerprint)

    def _digest(self, base: str, fingerprint: Callable[[Path | str | Callable[..., object]], str]) -> str:
        digest = hashlib.sha256()
        parts = [clusterdb.__version__, dbapi2.sqlite_version, self.engine, base]
        parts += [str(len(self.seeds)), *(fingerprint(seed) for seed in self.seeds)]
        parts += [fingerprint(path) for path in self.watched]
        for part in parts:
            digest.update(f"{len(part)}:{part}".encode())
        return digest.hexdigest()

    @property
    def name(self) -> str:
        """The name of the template."""
        return f"template-{self.key[:20]}"

    @property
    def shared_name(self) -> str:
        """The name of the template in a repository."""
        return f"template-{self.shared_key[:20]}"

    @property
    def title(self) -> str:
        """The seeds as text for people."""
        own = [_title(seed) for seed in self.seeds]
        return ", ".join([*([self.base.title] if self.base else []), *own]) or "empty"

    @property
    def database(self) -> Path | None:
        """The database file that is the first seed; None if there is none."""
        first = self.seeds[0] if self.seeds else None
        return first if isinstance(first, Path) and first.suffix in _DATABASES else None

    def run(self, cluster: Cluster) -> None:
        """Run the seeds, except for the database file, on a cluster.  Raises SeedError."""
        for seed in self.seeds[1 if self.database else 0 :]:
            if isinstance(seed, Path):
                _run_sql(cluster, seed.read_text(), str(seed))
            elif isinstance(seed, str) and not _IMPORT_PATH.match(seed):
                _run_sql(cluster, seed, "SQL of a seed")
            else:
                _run_function(cluster, _imported(seed) if isinstance(seed, str) else seed, _title(seed))


def recipe(
    seeds: object,
    *,
    folders: Sequence[Path] = (),
    base: Recipe | None = None,
    engine: str | None = None,
    watched: Iterable[str | Path] = (),
    remote: str | None = None,
) -> Recipe:
    """The recipe of one seed or several.  Relative paths are looked up in the ``folders``.  Raises SeedError.

    ``engine`` defaults to the base's, else ``"sqlite"``.  ``watched``: patterns of files that functions read, such as
    migrations; the key changes with them.  ``remote``: the URL of a repository for templates.
    """
    several = seeds if isinstance(seeds, list | tuple) else [] if seeds is None else [seeds]
    parsed = tuple(_parsed(seed, folders) for seed in several)
    for seed in parsed[0 if base else 1 :]:
        if isinstance(seed, Path) and seed.suffix in _DATABASES:
            raise SeedError(f"seed '{seed}': a database file must be the first seed of a template without a base")
    inherited = base.engine if base is not None else "sqlite"
    if base is not None and engine not in (None, inherited):
        raise SeedError(f"engine={engine!r}: the base of the template has the engine '{inherited}': leave out engine=")
    files = sorted({path for pattern in watched for path in _matching(str(pattern), folders)})
    return Recipe(parsed, base, engine or inherited, tuple(files), remote)


def _parsed(seed: object, folders: Sequence[Path]) -> Path | str | Callable[..., object]:
    if isinstance(seed, Path) or (isinstance(seed, str) and _FILE.match(seed.strip())):
        return _located(Path(seed if isinstance(seed, Path) else seed.strip()).expanduser(), folders)
    if isinstance(seed, str):
        return seed.strip() if _IMPORT_PATH.match(seed.strip()) else seed
    if callable(seed):
        return seed
    raise SeedError(f"seed {seed!r}: use SQL, a path, a function or 'package.module:function'")


def _located(path: Path, folders: Sequence[Path]) -> Path:
    for folder in folders or [Path()]:
        if (folder / path).is_file():
            return (folder / path).absolute()
    searched = ", ".join(str(folder.absolute()) for folder in folders or [Path()])
    raise SeedError(f"seed '{path}': no such file in {searched}")


def _matching(pattern: str, folders: Sequence[Path]) -> list[Path]:
    for folder in folders or [Path()]:
        if files := [path for path in folder.glob(pattern) if path.is_file()]:
            return files
    raise SeedError(f"watched='{pattern}': no file matches")


# --- keys -------------------------------------------------------------------------------------------------------------
def _fingerprint(seed: Path | str | Callable[..., object]) -> str:
    if isinstance(seed, Path):
        try:
            stat = seed.stat()
            if seed.suffix in _DATABASES:  # perhaps large
                return f"{seed} {stat.st_size} {stat.st_mtime_ns}"
            return hashlib.sha256(seed.read_bytes()).hexdigest()
        except OSError as error:
            raise SeedError(f"seed '{seed}' cannot be read: {error.strerror}") from error
    if isinstance(seed, str):
        return f"{seed}\n{_source(_imported(seed))}" if _IMPORT_PATH.match(seed) else seed
    return _source(seed)


def _shared_fingerprint(seed: Path | str | Callable[..., object]) -> str:
    """As :func:`_fingerprint`, without what differs between machines: the place and the time of a database file."""
    if not isinstance(seed, Path) or seed.suffix not in _DATABASES:
        return _fingerprint(seed)
    try:
        with seed.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SeedError(f"seed '{seed}' cannot be read: {error.strerror}") from error


def _source(function: Callable[..., object]) -> str:
    """The source of a function and of its module, and its bound values: arguments, defaults, closure."""
    values: list[object] = []
    while isinstance(function, functools.partial):
        values += [function.args, sorted(function.keywords.items())]
        function = function.func
    function = inspect.unwrap(function)
    values += list(getattr(function, "__defaults__", None) or ())
    values += [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    values_text = repr(values)
    if " at 0x" in values_text:
        raise SeedError(
            f"seed {_title(function)} is bound to a value that differs in every process "
            f"({values_text[:_SHOWN_CHARS]}): use a function of a module, without such values"
        )
    module = inspect.getmodule(function)
    try:
        sources = [inspect.getsource(function), inspect.getsource(module) if module is not None else ""]
    except (OSError, TypeError) as error:
        raise SeedError(f"seed {_title(function)} has no source, which identifies its version: {error}") from None
    return "\n".join([_title(function), values_text, *sources])


def _title(seed: Path | str | Callable[..., object]) -> str:
    if isinstance(seed, Path):
        return seed.name
    if isinstance(seed, str):
        return seed if _IMPORT_PATH.match(seed) else "SQL"
    while isinstance(seed, functools.partial):
        seed = seed.func
    return f"{getattr(seed, '__module__', '')}:{getattr(seed, '__qualname__', type(seed).__name__)}"


# --- running ----------------------------------------------------------------------------------------------------------
def _imported(path: str) -> Callable[..., object]:
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SeedError(f"seed '{path}' cannot be imported: {error}") from error
    if not callable(function):
        raise SeedError(f"seed '{path}' is not a function: {function!r:.80}")
    return function  # type: ignore[no-any-return]


def url_of(cluster: Cluster) -> str:
    """The URL of a cluster for :func:`clusterdb.connect`, in any process (a store in memory: in this one only)."""
    path = cluster.store.path
    return f"clusterdb:{cluster.name}?store={path if path == ':memory:' else Path(path).absolute()}"


def sqlalchemy_url_of(cluster: Cluster) -> str:
    """The URL of a cluster for SQLAlchemy."""
    return url_of(cluster).replace("clusterdb:", "sqlite+clusterdb:///", 1)


def _run_function(cluster: Cluster, function: Callable[..., object], title: str) -> None:
    connection = None
    try:
        available = {"cluster": cluster, "url": url_of(cluster), "sqlalchemy_url": sqlalchemy_url_of(cluster)}
        wanted = _required_parameters(function)
        arguments: dict[str, Any] = {name: available[name] for name in wanted if name in available}
        others = [name for name in wanted if name not in available]
        if len(others) > 1:
            names = ", ".join(["connection", *available])
            raise SeedError(f"seed {title} has the parameters {', '.join(wanted)}: use any of {names}")
        if others:
            connection = arguments[others[0]] = dbapi2.connect(cluster)
        if len(arguments) == 1:
            function(*arguments.values())
        else:
            function(**arguments)
        if connection is not None:
            connection.commit()
    except SeedError:
        raise
    except Exception as error:
        raise SeedError(f"seed {title} failed: {type(error).__name__}: {error}") from error
    finally:
        if connection is not None:
            connection.close()


def _required_parameters(function: Callable[..., object]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _run_sql(cluster: Cluster, text: str, where: str) -> None:
    connection = dbapi2.connect(cluster, autocommit=True)  # the text may begin and end transactions itself
    try:
        for line, statements in _statements(text):
            try:
                connection.executescript(statements)
            except (Error, sqlite.SQLError) as error:
                shown = " ".join(statements.split())[:_SHOWN_CHARS]
                raise SeedError(f"{where}, line {line}: {error}: {shown}") from error
    finally:
        connection.close()


def _statements(text: str) -> Iterable[tuple[int, str]]:
    """Groups of complete statements, split at line ends, each with the number of its first line."""
    lines: list[str] = []
    begin = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not lines and not line.strip():
            continue
        begin = begin if lines else number
        lines.append(line)
        if ";" in line and dbapi2.complete_statement("".join(lines)):
            yield begin, "".join(lines)
            lines.clear()
    if lines:
        yield begin, "".join(lines)
