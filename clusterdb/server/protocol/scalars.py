"""Timestamps, blobs and numbers as protocols write them.

Timestamps are UTC with milliseconds, as AWS has them.
"""

from __future__ import annotations

import base64
import binascii
import math
from datetime import datetime, timedelta, timezone

__all__ = ["blob_of", "blob_text", "double_of", "double_text", "integer_of", "iso_text", "time_of", "unix_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_INTEGER_MAX = 1 << 63


def iso_text(time: datetime) -> str:
    """``2026-01-31T12:00:00.123Z``; a time without a zone is UTC."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
    return f"{aware.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def unix_of(time: datetime) -> float | int:
    """Seconds since 1970, with milliseconds."""
    aware = time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
    milliseconds = (aware - _EPOCH) // timedelta(milliseconds=1)
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def time_of(value: object) -> datetime:
    """A timestamp in ISO 8601 or in seconds since 1970; without a zone it is UTC.  Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not a timestamp")
    try:
        seconds = float(value)
    except ValueError:
        return _in_utc(datetime.fromisoformat(str(value).strip()))
    if not math.isfinite(seconds):
        raise ValueError("not a timestamp")
    try:
        return _EPOCH + timedelta(milliseconds=round(seconds * 1000))
    except OverflowError as error:
        raise ValueError(str(error)) from None


def _in_utc(time: datetime) -> datetime:
    try:
        return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)
    except OverflowError as error:  # the first or the last day of all, in another zone
        raise ValueError(str(error)) from None


def blob_text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def blob_of(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"invalid base64: {error}") from None


def integer_of(text: str) -> int:
    """Raises ValueError for what is not a whole number of 64 bits."""
    if len(text) > 20 or not text.lstrip("+-").isascii():
        raise ValueError("not a whole number of 64 bits")
    number = int(text)
    if not -_INTEGER_MAX <= number < _INTEGER_MAX or "_" in text:
        raise ValueError("not a whole number of 64 bits")
    return number


_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def double_of(text: str) -> float:
    """Raises ValueError."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if "_" in text:
        raise ValueError("not a number")
    return float(text)


def double_text(value: float) -> str:
    """The shortest text that is the same number; ``NaN``, ``Infinity`` and ``-Infinity``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value)) if not float(value).is_integer() or abs(value) >= 1e15 else f"{float(value):.1f}"
