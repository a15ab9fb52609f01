"""The objects of a repository: create-only where it counts, in a bucket, a directory or memory.

Three operations suffice for the protocol (:mod:`clusterdb.remote.repository`): *create* an object that must not exist,
*get* one or a range of it, and *put* a hint that nobody believes.  A condition on an object's present content
(``If-Match``) is not used: several engines do not have it, or have it wrong.

Buckets are reached through obstore (https://developmentseed.org/obstore/), which the extra ``remote`` installs.
Directories are our own: an object that was created must be on the device, complete, and never replaced.  It is written
under another name, synced, and linked, since link(2) fails if the name is taken.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from clusterdb.errors import InvalidArgumentError, NotSupportedError, RemoteError, RemoteUnavailableError
from vfs.store import sync_directory

__all__ = ["Counts", "Listed", "Objects", "open_objects", "plain_url"]

SCHEMES = ("s3", "gs", "az", "file", "memory")
_TEMPORARY = ".new-"
_TRIES, _PATIENCE_S = 3, 10
_MISSING = (FileNotFoundError,)
_METADATA_HOST = "169.254.169.254"


@dataclass
class Counts:
    """The requests that an operation made, and the bytes of objects that it moved."""

    puts: int = 0
    gets: int = 0
    lists: int = 0
    deletes: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


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


class Objects:
    """The objects of one repository, which ``url`` names; ``counts`` adds up what was asked of the engine.

    ``address`` is the URL with the settings of the engine: :func:`open_objects` opens the same objects by it.
    """

    def __init__(self, url: str, engine: Engine, address: str) -> None:
        self.url = url
        self.address = address
        self.counts = Counts()
        self._engine = engine

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
        self.counts.puts += 1
        self.counts.sent_bytes += len(data)
        try:
            if self._engine.create(path, data):
                return True
        except RemoteUnavailableError:
            present = self.get(path)
            if present is None:
                raise
            return present == data
        return self.get(path) == data

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


def plain_url(url: str) -> str:
    """The URL of a repository without the settings of the engine."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def open_objects(url: str) -> Objects:
    """The objects below a URL: ``s3://BUCKET/PATH``, ``gs://``, ``az://``, ``file:///DIRECTORY`` or ``memory://NAME``.

    Parameters of the URL's query are obstore's settings of the engine, as ``?endpoint=http://localhost:9000``.

    Raises InvalidArgumentError, NotSupportedError (obstore is not installed), RemoteError (settings that the engine
    refuses).
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise InvalidArgumentError(f"'{url}' is no URL of a repository: use one of {schemes}")
    plain = plain_url(url)
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise InvalidArgumentError(f"'{url}': use file:// and an absolute path, as file:///mnt/backup")
        return Objects(plain, _Directory(Path(unquote(parts.path))), url)
    return Objects(plain, _bucket(url, plain, parts.scheme, dict(parse_qsl(parts.query))), url)


# --- buckets ----------------------------------------------------------------------------------------------------------
_memories: dict[str, Any] = {}
"""The stores ``memory://NAME`` of this process."""


def _bucket(url: str, plain: str, scheme: str, settings: dict[str, str]) -> _Bucket:
    try:
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import MemoryStore, from_url
    except ModuleNotFoundError:
        raise NotSupportedError(f"'{plain}' needs obstore: pip install 'clusterdb[remote]'") from None
    if scheme == "memory":
        return _Bucket(plain, obstore, _memories.setdefault(plain, MemoryStore()))
    if not urlsplit(url).netloc:
        raise InvalidArgumentError(f"'{url}' names no bucket: use {scheme}://BUCKET/PATH")
    options: dict[str, Any] = {"timeout": timedelta(seconds=60)}
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

    @contextmanager
    def _translated(self, verb: str, path: str) -> Iterator[None]:
        """Translate obstore's errors, except those that say whether an object is there."""
        from obstore import exceptions

        try:
            yield
        except (*_MISSING, exceptions.AlreadyExistsError, exceptions.PreconditionError):
            raise
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise RemoteError(
                f"cannot {verb} '{path}' in {self._url}: the credentials do not allow it, or there are none "
                f"({_first_line(error)})"
            ) from None
        except exceptions.NotSupportedError as error:
            raise RemoteError(f"cannot {verb} '{path}' in {self._url}: {_first_line(error)}") from None
        except (exceptions.BaseError, ValueError, OSError) as error:
            raise RemoteUnavailableError(f"cannot {verb} '{path}' in {self._url}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    """obstore's messages continue with the source's debugging output; without credentials it asks the cloud's host."""
    text = str(error).strip().partition("\n")[0].rstrip(": ") or type(error).__name__
    if _METADATA_HOST in text:
        return "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or those of your engine"
    message = re.search(r"<Message>(.*?)</Message>", str(error), re.DOTALL)
    return f"{text.split(': ')[0]}: {message[1]}" if message is not None else text


# --- directories ------------------------------------------------------------------------------------------------------
class _Directory:
    """Objects in a directory, which are on the device when they are created."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, path: str) -> bytes | None:
        with suppress(FileNotFoundError), self._translated("read", path, may_miss=True):
            return (self._root / path).read_bytes()
        return None

    def get_range(self, path: str, start: int, length: int) -> bytes | None:
        with suppress(FileNotFoundError), self._translated("read", path, may_miss=True):
            return self._read(self._root / path, start, length)
        return None

    @staticmethod
    def _read(path: Path, start: int, length: int) -> bytes:
        with path.open("rb") as file:
            return os.pread(file.fileno(), length, start)

    def create(self, path: str, data: bytes) -> bool:
        with self._translated("write", path), self._written(path, data) as temporary:
            try:
                os.link(temporary, self._root / path)
            except FileExistsError:
                return False
            sync_directory((self._root / path).parent)
            return True

    def put(self, path: str, data: bytes) -> None:
        with self._translated("write", path), self._written(path, data) as temporary:
            temporary.replace(self._root / path)

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError), self._translated("delete", path, may_miss=True):
            (self._root / path).unlink()

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._translated("list", prefix):
            for file in sorted((self._root / prefix).rglob("*")):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    status = file.stat()
                    if file.is_file() and not file.name.startswith(_TEMPORARY):
                        changed_at = datetime.fromtimestamp(status.st_mtime, timezone.utc)
                        yield Listed(file.relative_to(self._root).as_posix(), status.st_size, changed_at)

    @contextmanager
    def _written(self, path: str, data: bytes) -> Iterator[Path]:
        """The bytes under another name in the same folder, on the device, for the body."""
        folder = (self._root / path).parent
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            for created in (folder, *folder.parents):
                sync_directory(created.parent)
                if created == self._root:
                    break
        temporary = folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fdatasync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def _translated(self, verb: str, path: str, *, may_miss: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if may_miss and isinstance(error, FileNotFoundError):
                raise
            raise RemoteUnavailableError(f"cannot {verb} '{self._root / path}': {error.strerror}") from None
