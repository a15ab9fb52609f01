"""Values of Python types that SQLite does not have: adapters on the way in, converters on the way out.

Source of the rules: "How-to guides" in https://docs.python.org/3/library/sqlite3.html.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeAlias

from clusterdb.dbapi2.deprecated import default_is_used
from clusterdb.errors import ProgrammingError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = [
    "Buffer",
    "Converter",
    "PLAIN",
    "PrepareProtocol",
    "adapt",
    "adapters",
    "bytes_of",
    "converters",
    "register_adapter",
    "register_converter",
    "require_storable",
]

Buffer: TypeAlias = "ReadableBuffer"
"""A bytes-like object."""
Adapter: TypeAlias = Callable[[Any], object]
Converter: TypeAlias = Callable[[bytes], object]


class PrepareProtocol:
    """The protocol that values are adapted to: passed to ``__conform__``, which returns a value that SQLite has."""


PLAIN: set[type] = {int, float, str, bytes, bytearray, memoryview, bool, NoneType}
"""The types that are bound as they are: SQLite has them, and no adapter is registered for them."""

adapters: dict[tuple[type, type], Adapter] = {}
converters: dict[str, Converter] = {}
_MISSING = object()


def register_adapter(type: type, adapter: Adapter, /) -> None:
    """Bind the result of ``adapter(value)`` for values of ``type`` (not of its subclasses)."""
    PLAIN.discard(type)
    adapters[type, PrepareProtocol] = adapter


def register_converter(typename: str, converter: Converter, /) -> None:
    """Return ``converter(stored bytes)`` for values of columns of a declared type; see ``detect_types``."""
    converters[typename.upper()] = converter


def adapt(value: object, protocol: type = PrepareProtocol, default: object = _MISSING, /) -> Any:
    """The value adapted to ``protocol``; ``default`` if it cannot be.  Raises ProgrammingError without a default."""
    adapter = adapters.get((type(value), protocol))
    if adapter is not None:
        return adapter(value)
    for owner, name, argument in ((protocol, "__adapt__", value), (value, "__conform__", protocol)):
        method = getattr(owner, name, None)
        if method is None:
            continue
        try:
            adapted = method(argument)
        except TypeError:  # a class's method without an instance
            continue
        if adapted is not None:
            return adapted
    if default is _MISSING:
        raise ProgrammingError("can't adapt")
    return default


def require_storable(value: object) -> None:
    """Refuse a number or a text that SQLite cannot store.  Raises OverflowError, UnicodeEncodeError."""
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
    elif isinstance(value, str) and not value.isascii():
        value.encode()


def bytes_of(value: object) -> bytes:
    """The bytes of a buffer.  Raises TypeError for another type, BufferError for a buffer with gaps."""
    view = memoryview(value)  # type: ignore[arg-type]
    if not view.c_contiguous:
        raise BufferError("underlying buffer is not C-contiguous")
    return bytes(view)


# --- registered from the start ----------------------------------------------------------------------------------------
def _adapted_date(value: datetime.date) -> str:
    default_is_used("date adapter")
    return value.isoformat()


def _adapted_datetime(value: datetime.datetime) -> str:
    default_is_used("datetime adapter")
    return value.isoformat(" ")


def _date(value: bytes) -> datetime.date:
    default_is_used("date converter")
    return datetime.date(*map(int, value.split(b"-")))


def _timestamp(value: bytes) -> datetime.datetime:
    default_is_used("timestamp converter")
    day, _, time = value.partition(b" ")
    clock, _, fraction = time.partition(b".")
    year, month, of_month = map(int, day.split(b"-"))
    hours, minutes, seconds = map(int, clock.split(b":"))
    microseconds = int(fraction[:6].ljust(6, b"0")) if fraction else 0
    return datetime.datetime(year, month, of_month, hours, minutes, seconds, microseconds)


register_adapter(datetime.date, _adapted_date)
register_adapter(datetime.datetime, _adapted_datetime)
register_converter("date", _date)
register_converter("timestamp", _timestamp)
