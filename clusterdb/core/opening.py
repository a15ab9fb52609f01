"""Opening and closing a store: its directory, its catalog and pool, and the handlers for forks."""

from __future__ import annotations

import itertools
import os
import stat
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clusterdb.access.translate import of_store
from clusterdb.catalog.catalog import Catalog
from clusterdb.catalog.database import Database
from clusterdb.core.context import Context
from clusterdb.errors import (
    CorruptStoreError,
    InvalidArgumentError,
    NotAStoreError,
    StoreInUseError,
    StoreUnreadableError,
    StoreUnsafeError,
)
from vfs.abc import Durability, Resolver
from vfs.format.layout import unpack_pool_header
from vfs.plane import DataPlane, chosen
from vfs.storage.device import is_read_only
from vfs.store import POOL_FILES, PageStore, sync_directory

__all__ = ["ABSENT_FILE", "Options", "close", "default_path", "open_context", "register"]

ABSENT_FILE = "remote"
"""The file that has the places of pages on object storage, in a store with lazy clones of repositories."""
_MEMORY = ":memory:"
_DEFAULT = ".clusterdb"
_IGNORE = ".gitignore"
_vfs_numbers = itertools.count(1)
_open: weakref.WeakSet[Context] = weakref.WeakSet()
_forking: list[Context] = []


@dataclass(frozen=True, slots=True)
class Options:
    """The parameters of :func:`clusterdb.open`.

    ``rebuilds`` rebuilds derived files in any case; ``before_rebuild`` is called before they are rebuilt, and
    ``after_rebuild`` afterwards, while no other process has the store open.
    """

    create: bool
    synchronous: str
    verify_reads: bool
    read_only: bool = False
    rebuilds: bool = False
    disposable: bool = False
    before_rebuild: Callable[[PageStore], None] = lambda pages: None
    after_rebuild: Callable[[PageStore], None] = lambda pages: None


def default_path() -> Path:
    """The path in ``$CLUSTERDB_STORE``; else ``./.clusterdb``, or that of a directory above if only that one exists.

    The search ends at the home directory and at the boundary of the file system, and skips stores of other users.
    """
    chosen_path = os.environ.get("CLUSTERDB_STORE")
    own = Path(chosen_path or _DEFAULT)
    if chosen_path or os.path.lexists(own):
        return own
    with suppress(OSError):  # the current directory was deleted, or cannot be read
        here = Path.cwd()
        device, home = here.stat().st_dev, os.path.expanduser("~")  # noqa: PTH111 - not an error without a home
        for folder, above in zip((here, *here.parents), here.parents, strict=False):
            if str(folder) == home or above.stat().st_dev != device:
                break
            store = above / _DEFAULT
            if (store / "pool").exists() and store.stat().st_uid == os.geteuid():
                return store
    return own


def open_context(path: str | os.PathLike[str] | None, options: Options) -> Context:
    """Open a store, without its VFS (see :func:`register`).  Raises the errors of :func:`clusterdb.open`."""
    if options.synchronous not in Durability.__members__:
        raise InvalidArgumentError(f"synchronous={options.synchronous!r}: use 'OFF', 'NORMAL' or 'FULL'")
    in_memory = path is not None and os.fspath(path) == _MEMORY
    where = _MEMORY if in_memory else str(Path(path) if path is not None else default_path())
    directory = None if in_memory else Path(where)
    read_only = options.read_only
    is_new = directory is not None and not os.path.exists(directory / "pool")  # noqa: PTH110 - raises nothing
    if directory is not None:
        read_only = _prepare_directory(directory, create=options.create and not read_only) or read_only
    elif read_only:
        raise InvalidArgumentError("read_only=True: a store in memory begins empty: open it for writing")
    with of_store(where):
        plane = chosen()
        pages = PageStore(directory, create=True, verify_reads=options.verify_reads, read_only=read_only)
        try:
            catalog = _start(where, directory, pages, plane, options)
        except BaseException:
            pages.close()
            raise
    if is_new and directory is not None:
        _ignore(directory)
    if options.disposable:
        pages.is_durable = False  # its files exist: from now on this affects syncs only
    return Context(where, pages, catalog, plane, read_only=read_only)


def _start(where: str, directory: Path | None, pages: PageStore, plane: DataPlane, options: Options) -> Catalog:
    """Open the catalog, and start the pool with it."""
    with pages.opening():
        pages.look_at_content()
        path = directory / "catalog.db" if directory is not None else None
        if pages.size_bytes() and path is not None and not (path.exists() and path.stat().st_size):
            unpack_pool_header(pages.header())  # reports a newer format
            raise CorruptStoreError(
                f"store '{where}': catalog.db is missing or empty, but the pool is not: restore both from one backup"
            )
        database = Database(
            path,
            plane.connect_plain,
            store_id=os.urandom(16),
            read_only=pages.read_only,
            disposable=options.disposable,
        )
        catalog = Catalog(database)
        try:
            pages.before_rebuild, pages.after_rebuild = options.before_rebuild, options.after_rebuild
            pages.start(catalog.volumes, catalog.store_id, rebuilds=options.rebuilds)
            catalog.database.remember_under(pages.tables.header)
        except BaseException:
            catalog.close()
            raise
        return catalog


def register(context: Context, resolve: Resolver, synchronous: str) -> None:
    """Register the store's VFS; ``resolve`` returns the volume of a name."""
    name = f"clusterdb-{next(_vfs_numbers)}"
    context.vfs = context.plane.vfs(name, context.pages, resolve, Durability[synchronous])
    _open.add(context)


def close(context: Context) -> None:
    """Close a store and the connections that its clusters have opened; does nothing if it is closed already.

    Raises StoreInUseError if other connections to it are open.
    """
    if not context.is_usable:
        return
    for connection in list(context.connections):
        connection.close()
    context.run_deferred()
    names = context.vfs.open_names()
    if names:
        raise StoreInUseError(
            f"store '{context.path}': connections to {', '.join(names)} are still open: close them first"
        )
    context.ends.close()
    context.is_closed = True
    context.vfs.close()
    with of_store(context.path):
        try:
            context.pages.finish()
        finally:
            try:
                context.catalog.close()  # before the stamp, since it may write to its files
            finally:
                context.pages.close()
    _open.discard(context)


# --- the directory ----------------------------------------------------------------------------------------------------
def _prepare_directory(directory: Path, *, create: bool) -> bool:
    """Check that a directory is a store, or create one; returns whether it can only be read.

    Raises NotAStoreError, StoreUnreadableError, StoreUnsafeError.
    """
    try:
        if not directory.exists():
            if not create:
                raise NotAStoreError(f"there is no store at '{directory}': create a cluster in it first")
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(directory.absolute().parent)
            _require_private(directory, is_new=True)
        elif not directory.is_dir():
            raise NotAStoreError(f"'{directory}' is not a clusterdb store: it is a file, not a directory")
        elif not (directory / "locks").exists():
            names = {path.name for path in directory.iterdir()}
            # If another process is creating the store now, only the files of the pool exist.
            names.discard(_IGNORE)  # stays where the other files were deleted
            if names - set(POOL_FILES) and not {"pool", "catalog.db"} <= names:
                raise NotAStoreError(f"'{directory}' is not a clusterdb store: it holds other files")
            if not create and not names:
                raise NotAStoreError(f"there is no store at '{directory}': the directory is empty")
            _require_private(directory, is_new=not names)
        else:
            _require_private(directory, is_new=False)
        return is_read_only(directory)
    except OSError as error:
        raise StoreUnreadableError(f"store '{directory}' cannot be opened: {error.strerror}") from error


def _ignore(directory: Path) -> None:
    """Keep the files of a new store out of version control.  A store is as good without: errors are ignored."""
    with suppress(OSError):
        fd = os.open(directory / _IGNORE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write("*\n")


def _require_private(directory: Path, *, is_new: bool) -> None:
    """Check that only its owner can write to a store's directory, as PostgreSQL does for its data directory.

    A user who can write there can replace the store's files.  The mode of an empty directory that is about to become a
    store is corrected.  Raises StoreUnsafeError.
    """
    status = directory.stat()
    if is_read_only(directory):
        return
    if status.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise StoreUnsafeError(
            f"store '{directory}' belongs to another user (uid {status.st_uid}), who could replace its files: use a "
            "directory of your own"
        )
    if not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    if is_new and status.st_uid == os.geteuid():
        directory.chmod(0o700)
        return
    raise StoreUnsafeError(
        f"other users can write to the directory of store '{directory}' (mode {stat.S_IMODE(status.st_mode):04o}), and "
        f"replace its files: run chmod go-w '{directory}'"
    )


# --- forks ------------------------------------------------------------------------------------------------------------
def _before_fork() -> None:
    _forking.extend(context for context in _open if not context.is_of_parent)
    for context in _forking:
        context.catalog.database.before_fork()


def _after_fork() -> None:
    for context in _forking:
        context.catalog.database.after_fork()
    _forking.clear()


def _after_fork_in_child() -> None:
    for context in _forking:
        context.pages.forget_locks()  # first, so that no object of the parent releases a lock here
        context.vfs.orphan_files()
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
