"""The objects of a repository: create-only where it counts, in a bucket, a directory or memory.

Three operations suffice for the protocol (:mod:`clusterdb.remote.repository`): *create* an object that must not exist,
*get* one or a range of it, and *put* a hint that nobody believes.  A condition on an object's present content
(``If-Match``) is not used: several engines do not have it, or have it wrong.

Buckets are reached through obstore (https://developmentseed.org/obstore/), which the extra ``remote`` installs.
Directories are our own: an object that was created must be on the device, complete, and never replaced.  It is written
under another name in the folder ``new``, synced, and linked, since link(2) fails if the name is taken.  Names are
synced before a writer relies on them, also those of others: a writer may die before it syncs its own.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from clusterdb.errors import (
    InvalidArgumentError,
    NotSupportedError,
    RemoteError,
    RemoteNotFoundError,
    RemoteUnavailableError,
)
from clusterdb.rules.urls import plain_url, require_no_secrets
from vfs.failpoints import reach
from vfs.store import sync_directory

__all__ = ["CALLS", "CONDITIONAL", "Calls", "Counts", "Directory", "Engine", "Listed", "NEW", "Objects", "open_objects"]

SCHEMES = ("s3", "gs", "az", "file", "memory")
NEW = "new"
"""The folder of what is being written to a directory, and of what a writer that died left behind."""
_TRIES, _PATIENCE_S = 3, 10
_REQUEST_S_MAX = 120  # a segment of 16 MiB over a slow line takes most of it
_MISSING = (FileNotFoundError,)
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist")
_NO_CONDITIONS = re.compile(r"\b501 |NotImplemented")
CONDITIONAL = "an engine with conditional writes, such as S3, R2, MinIO, SeaweedFS, GCS or Azure"
_METADATA = re.compile(r"169\.254\.169\.254|/latest/(api/token|meta-data)|computeMetadata")
"""The host of a cloud that knows the credentials of its machines."""


@dataclass
class Counts:
    """The requests that an operation made, and the bytes of objects that it moved."""

    puts: int = 0
    gets: int = 0
    lists: int = 0
    deletes: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    def add(self, other: Counts, since: Counts | None = None) -> None:
        """Add what others asked, without what they had asked before."""
        for field in fields(self):
            before = getattr(since, field.name) if since is not None else 0
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name) - before)


class Listed(NamedTuple):
    """An object of a listing."""

    path: str
    size_bytes: int
    changed_at: datetime


class Engine(Protocol):
    """Where objects are; paths are relative to the repository.  Raises RemoteUnavailableError."""

    def get(self, path: str) -> bytes | None:
        """The bytes of an object; None if there is none."""

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        """A part of an object, shorter if it ends before; None if there is none."""

    def create(self, path: str, data: bytes) -> bool:
        """Create an object; False if the name is taken."""

    def put(self, path: str, data: bytes) -> None:
        """Create or replace an object."""

    def delete(self, path: str) -> None:
        """Delete an object, if there is one."""

    def list(self, prefix: str) -> Iterator[Listed]:
        """The objects below a folder."""

    def settle(self, path: str) -> None:
        """Put the name of an object on the device, if its writer may have died before that."""


class Objects:
    """The objects of one repository, which ``url`` names; ``counts`` adds up what was asked of the engine.

    ``address`` is the URL with the settings of the engine: :func:`open_objects` opens the same objects by it.
    """

    def __init__(self, url: str, engine: Engine, address: str) -> None:
        self.url = url
        self.address = address
        self.counts = Counts()
        self._engine = engine
        self._stage: Callable[[str, bytes], Any] | None = getattr(engine, "stage", None)
        self._knows_outcomes: bool = getattr(engine, "knows_outcomes", False)
        """Whether an object that can be read after a request that failed proves nothing."""

    def get(self, path: str) -> bytes | None:
        """The bytes of an object; None if there is none.  Raises RemoteUnavailableError."""
        self.counts.gets += 1
        return self._received(self._engine.get(path))

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        """A part of an object, shorter if it ends before; None if there is none.  Raises RemoteUnavailableError."""
        self.counts.gets += 1
        return self._received(self._engine.get_range(path, start, length))

    def _received(self, data: bytes | None) -> bytes | None:
        self.counts.received_bytes += len(data or b"")
        return data

    def create(self, path: str, data: bytes) -> bool:
        """Create an object; False if the name is taken by other content.

        The outcome of a request that failed, or was repeated, is unknown: what is there decides.  So ``data`` must tell
        its writer, by a random name or a nonce.  Raises RemoteUnavailableError.
        """
        for _ in range(_TRIES):
            self.counts.puts += 1
            self.counts.sent_bytes += len(data)
            try:
                if self._engine.create(path, data):
                    return True
            except RemoteUnavailableError:
                if self._knows_outcomes:
                    raise
                present = self.get(path)
                if present is None:
                    raise
            else:
                present = self.get(path)
            if present is not None:
                return present == data
        raise RemoteUnavailableError(  # S3 answers so while another request creates the object
            f"cannot write '{path}' in {self.url}: the engine reports a conflict, but has no such object: try again"
        )

    def stage(self, path: str, data: bytes) -> Any:
        """Write an object whose sync the caller sees to; None if the engine cannot: then it has to be created.

        Returns a :class:`clusterdb.zones.directory.Staged`.  Raises RemoteUnavailableError.
        """
        staged = self._stage(path, data) if self._stage is not None else None
        if staged is not None:
            self.counts.puts += 1
            self.counts.sent_bytes += len(data)
        return staged

    def put(self, path: str, data: bytes) -> None:
        """Create or replace an object.  Raises RemoteUnavailableError."""
        self.counts.puts += 1
        self.counts.sent_bytes += len(data)
        self._engine.put(path, data)

    def delete(self, path: str) -> None:
        """Delete an object, if there is one.  Raises RemoteUnavailableError."""
        self.counts.deletes += 1
        self._engine.delete(path)

    def list(self, prefix: str) -> list[Listed]:
        """The objects below a folder, by path.  Raises RemoteUnavailableError."""
        self.counts.lists += 1
        return sorted(self._engine.list(prefix))

    def now(self) -> datetime:
        """The time by the clock that dates the objects, whatever the clock here is.  Raises RemoteUnavailableError."""
        path = f"probe/{secrets.token_hex(8)}"
        self.create(path, path.encode())
        times = [listed.changed_at for listed in self.list("probe") if listed.path == path]
        self.delete(path)
        if not times:
            raise RemoteUnavailableError(f"{self.url} does not list '{path}', which was created: try again")
        return times[0]

    def settle(self, path: str) -> None:
        """Have an object that was read survive a power failure.  Raises RemoteError, RemoteUnavailableError."""
        self._engine.settle(path)


def open_objects(url: str, wrap: Callable[[Engine], Engine] = lambda engine: engine) -> Objects:
    """The objects below a URL: ``s3://BUCKET/PATH``, ``gs://``, ``az://``, ``file:///DIRECTORY`` or ``memory://NAME``.

    Parameters of the URL's query are obstore's settings of the engine, as ``?endpoint=http://localhost:9000``, except
    for secrets, since URLs are kept.  ``wrap`` may put something in front of the engine.

    Raises InvalidArgumentError, NotSupportedError (obstore is not installed), RemoteError (settings that the engine
    refuses).
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise InvalidArgumentError(f"'{plain_url(url)}' is no URL of a repository: use one of {schemes}")
    require_no_secrets(url)
    plain = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise InvalidArgumentError(f"'{plain_url(url)}': use file:// and an absolute path, as file:///mnt/backup")
        return Objects(plain, wrap(Directory(Path(unquote(parts.path)))), url)
    return Objects(plain, wrap(_bucket(plain, parts.scheme, dict(parse_qsl(parts.query)))), url)


# --- buckets ----------------------------------------------------------------------------------------------------------
_memories: dict[str, Any] = {}
"""The stores ``memory://NAME`` of this process."""


def _bucket(plain: str, scheme: str, settings: dict[str, str]) -> _Bucket:
    try:
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import MemoryStore, from_url
    except ModuleNotFoundError:
        raise NotSupportedError(f"'{plain}' needs obstore: pip install 'clusterdb[remote]'") from None
    if scheme == "memory":
        return _Bucket(plain, obstore, _memories.setdefault(plain, MemoryStore()))
    if not urlsplit(plain).netloc:
        raise InvalidArgumentError(f"'{plain}' names no bucket: use {scheme}://BUCKET/PATH")
    options: dict[str, Any] = {"timeout": timedelta(seconds=_REQUEST_S_MAX)}
    if settings.get("endpoint", "").startswith("http://") or os.environ.get("AWS_ENDPOINT_URL", "").startswith("http:"):
        options["allow_http"] = True
    patience: Any = {"max_retries": _TRIES, "retry_timeout": timedelta(seconds=_PATIENCE_S)}
    try:
        connect: Any = from_url  # whose overloads are by engine
        store = connect(plain, config=settings or None, client_options=options, retry_config=patience)
    except (BaseError, ValueError) as error:
        raise RemoteError(f"'{plain}' cannot be opened: {_first_line(error)}") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what obstore raises for a setting that it does not know
            raise
        names = ", ".join(sorted(settings))
        raise InvalidArgumentError(f"'{plain}': obstore does not know one of the settings {names}") from None
    return _Bucket(plain, obstore, store)


class _Bucket:
    """Objects that obstore reaches."""

    def __init__(self, url: str, obstore: Any, store: Any) -> None:
        self._url, self._obstore, self._store = url, obstore, store

    def get(self, path: str) -> bytes | None:
        with suppress(*_MISSING), self._translated("read", path):
            return bytes(self._obstore.get(self._store, path).bytes())
        return None

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        with suppress(*_MISSING), self._translated("read", path):
            return bytes(self._obstore.get_range(self._store, path, start=start, length=length))
        return None

    def create(self, path: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with suppress(AlreadyExistsError, PreconditionError), self._translated("write", path):
            self._obstore.put(self._store, path, data, mode="create", use_multipart=False)
            return True
        return False

    def put(self, path: str, data: bytes) -> None:
        with self._translated("write", path):
            self._obstore.put(self._store, path, data, use_multipart=False)

    def delete(self, path: str) -> None:
        with suppress(*_MISSING), self._translated("delete", path):
            self._obstore.delete(self._store, path)

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._translated("list", prefix):
            for some in self._obstore.list(self._store, prefix):
                for one in some:
                    yield Listed(one["path"], one["size"], one["last_modified"])

    def settle(self, path: str) -> None:
        """Nothing: an object that can be read is stored."""

    @contextmanager
    def _translated(self, verb: str, path: str) -> Iterator[None]:
        """Translate obstore's errors, except those that say whether an object is there."""
        from obstore import exceptions

        try:
            yield
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            raise
        except _MISSING as error:
            if verb == "write" or _NO_BUCKET.search(str(error)):
                raise RemoteNotFoundError(
                    f"cannot {verb} '{path}' in {self._url}: there is no such bucket: create it first"
                ) from None
            raise
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            if "RequestTimeTooSkewed" in str(error):
                raise RemoteError(
                    f"cannot {verb} '{path}' in {self._url}: the clock of this machine is off: set it"
                ) from None
            raise RemoteError(
                f"cannot {verb} '{path}' in {self._url}: the credentials do not allow it, or there are none: set "
                f"those of an account that may ({_first_line(error)})"
            ) from None
        except exceptions.NotSupportedError as error:
            raise RemoteError(f"cannot {verb} '{path}' in {self._url}: {_first_line(error)}") from None
        except (exceptions.BaseError, ValueError, OSError) as error:
            if verb == "write" and _NO_CONDITIONS.search(str(error)):
                raise RemoteError(
                    f"cannot {verb} '{path}' in {self._url}: the engine does not create objects on condition that they "
                    f"do not exist (If-None-Match), so two writers could lose data there: use {CONDITIONAL}"
                ) from None
            raise RemoteUnavailableError(f"cannot {verb} '{path}' in {self._url}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    """obstore's messages continue with the source's debugging output; without credentials it asks the cloud's host."""
    text = str(error).strip().partition("\n")[0].rstrip(": ") or type(error).__name__
    if _METADATA.search(text):
        return "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or those of your engine"
    message = re.search(r"<Message>(.*?)</Message>", str(error), re.DOTALL)
    return f"{text.split(': ')[0]}: {message[1]}" if message is not None else text


# --- directories ------------------------------------------------------------------------------------------------------
def _write_file(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


@dataclass(slots=True)
class Calls:
    """The calls that change a directory of objects, so that a recorder or a fault injector can replace them."""

    mkdir: Callable[[Path], None] = Path.mkdir
    write: Callable[[Path, bytes], None] = _write_file
    sync_file: Callable[[Path], None] = _sync_file
    link: Callable[[Path, Path], None] = os.link
    replace: Callable[[Path, Path], None] = os.replace
    unlink: Callable[[Path], None] = os.unlink
    sync_directory: Callable[[Path], None] = sync_directory


CALLS = Calls()


class Directory:
    """Objects in a directory, which are on the device when they are created or replaced."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._settled: set[Path] = set()
        """Folders whose own names are on the device."""

    def get(self, path: str) -> bytes | None:
        with suppress(FileNotFoundError), self.translated("read", path, may_miss=True):
            return (self.root / path).read_bytes()
        return None

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        with suppress(FileNotFoundError), self.translated("read", path, may_miss=True):
            return self._read(self.root / path, start, length)
        return None

    @staticmethod
    def _read(path: Path, start: int, length: int) -> bytes:
        with path.open("rb") as file:
            return os.pread(file.fileno(), length, start)

    def create(self, path: str, data: bytes) -> bool:
        with self.translated("write", path), self._written(path, data) as temporary:
            try:
                CALLS.link(temporary, self.root / path)
                is_created = True
            except FileExistsError:
                is_created = False
            reach("object: linked")
            self.settle(path)  # what another writer created, too: the caller relies on it
            return is_created

    def put(self, path: str, data: bytes) -> None:
        with self.translated("write", path), self._written(path, data) as temporary:
            CALLS.replace(temporary, self.root / path)
            self.settle(path)

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError), self.translated("delete", path, may_miss=True):
            CALLS.unlink(self.root / path)

    def list(self, prefix: str) -> Iterator[Listed]:
        with self.translated("list", prefix):
            skipped = len(f"{self.root}".rstrip("/")) + 1
            for file in sorted(_files_below(f"{self.root / prefix}"), key=lambda file: file.path.split("/")):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    status = file.stat()
                    if S_ISREG(status.st_mode):
                        changed_at = datetime.fromtimestamp(status.st_mtime, timezone.utc)
                        yield Listed(file.path[skipped:], status.st_size, changed_at)

    def settle(self, path: str) -> None:
        folder = (self.root / path).parent
        try:
            CALLS.sync_directory(folder)
        except OSError as error:  # not RemoteUnavailableError: that an object can be read proves nothing then
            raise RemoteError(f"cannot sync '{folder}', so it may lose '{path}': {error.strerror}") from None

    @contextmanager
    def _written(self, path: str, data: bytes) -> Iterator[Path]:
        """The bytes under another name, on the device, for the body, in which the object's folder exists."""
        for folder in {(self.root / path).parent, self.root / NEW}:
            self._require_folder(folder)
        temporary = self.root / NEW / secrets.token_hex(8)
        try:
            CALLS.write(temporary, data)
            CALLS.sync_file(temporary)
            reach("object: written")
            yield temporary
        finally:
            with suppress(FileNotFoundError):
                CALLS.unlink(temporary)

    def _require_folder(self, folder: Path) -> None:
        """Create a folder, and put its name on the device, also if another process has created it."""
        if folder in self._settled and folder.is_dir():
            return
        missing = [above for above in (folder, *folder.parents) if not above.is_dir()]
        for above in reversed(missing):
            with suppress(FileExistsError):
                CALLS.mkdir(above)
        for above in dict.fromkeys((*missing, folder)):
            CALLS.sync_directory(above.parent)
        if self.root not in missing:
            with suppress(PermissionError):  # the writer that created the repository had it
                CALLS.sync_directory(self.root.parent)
        self._settled.add(folder)

    @contextmanager
    def translated(self, verb: str, path: str, *, may_miss: bool = False) -> Iterator[None]:
        """Translate errors of what is done to an object; ``may_miss``: not that there is none."""
        try:
            yield
        except OSError as error:
            if may_miss and isinstance(error, FileNotFoundError):
                raise
            raise RemoteUnavailableError(f"cannot {verb} '{self.root / path}': {error.strerror}") from None


def _files_below(folder: str) -> Iterator[os.DirEntry[str]]:
    """Whatever is in a folder or below, but for folders; links to folders are not followed."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(entry.path)
            else:
                yield entry
