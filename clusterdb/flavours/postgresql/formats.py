"""PostgreSQL's to_char(), to_date(), to_timestamp(), to_number(): values in a form that a text describes.

A form with a part that is not known here is refused, never copied into the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from clusterdb.flavours.functions import Number
from clusterdb.flavours.postgresql.values import moment

__all__ = ["kind_of_format", "number_as", "parsed", "time_as", "to_number"]

_PARTS = re.compile(
    r"FM|HH24|HH12|HH|MI|SSSSS?|SS|MS|US|Y,YYY|YYYY|YYY|YY|Y|IYYY|IW|IDDD|ID|MM|Month|MONTH|month|Mon|MON|mon|Day|DAY|day"
    r'|Dy|DY|dy|DDD|DD|D|AM|PM|am|pm|Q|WW|W|CC|J|"[^"]*"',
)
_LOWER = re.compile(r"yyyy|mm|dd|hh24|hh12|hh|mi|ss|ddd|q|ww|iw|ms|us|yy")
_WORDS = frozenset({"month", "mon", "day", "dy", "am", "pm"})


def _pieces(form: str) -> list[tuple[str, str]]:
    """The parts of a form, and the characters between them.  Raises ValueError for letters that mean something else."""
    result, at = [], 0
    while at < len(form):
        match = _PARTS.match(form, at) or _LOWER.match(form, at)
        if match is not None:
            part = match[0]
            name = part if part.lower() in _WORDS or part[0] == '"' else part.upper()
            result.append(("part", name))
            at = match.end()
            continue
        if form[at].isalnum() or form[at] in "\\":
            raise ValueError(f"the form {form!r}")
        result.append(("text", form[at]))
        at += 1
    return result


def _makers(at: datetime) -> dict[str, Callable[[], str]]:
    year, week, weekday = at.isocalendar()
    day = at.timetuple().tm_yday
    seconds = at.hour * 3600 + at.minute * 60 + at.second
    return {
        "HH24": lambda: f"{at.hour:02}",
        "HH12": lambda: f"{(at.hour + 11) % 12 + 1:02}",
        "HH": lambda: f"{(at.hour + 11) % 12 + 1:02}",
        "MI": lambda: f"{at.minute:02}",
        "SS": lambda: f"{at.second:02}",
        "SSSS": lambda: str(seconds),
        "SSSSS": lambda: str(seconds),
        "MS": lambda: f"{at.microsecond // 1000:03}",
        "US": lambda: f"{at.microsecond:06}",
        "Y,YYY": lambda: f"{at.year // 1000},{at.year % 1000:03}",
        "YYYY": lambda: f"{at.year:04}",
        "YYY": lambda: f"{at.year % 1000:03}",
        "YY": lambda: f"{at.year % 100:02}",
        "Y": lambda: str(at.year % 10),
        "IYYY": lambda: f"{year:04}",
        "IW": lambda: f"{week:02}",
        "ID": lambda: str(weekday),
        "IDDD": lambda: f"{(week - 1) * 7 + weekday:03}",
        "MM": lambda: f"{at.month:02}",
        "DDD": lambda: f"{day:03}",
        "DD": lambda: f"{at.day:02}",
        "D": lambda: str(weekday % 7 + 1),
        "Q": lambda: str((at.month + 2) // 3),
        "WW": lambda: f"{(day - 1) // 7 + 1:02}",
        "W": lambda: str((at.day - 1) // 7 + 1),
        "CC": lambda: f"{(at.year + 99) // 100:02}",
        "J": lambda: str(at.toordinal() + 1_721_425),
    }


def time_as(value: str, form: str) -> str:
    """to_char() of a date or a time."""
    at = moment(value) if len(value) > 8 and value[4:5] == "-" else moment(f"2000-01-01 {value}")
    makers = _makers(at)
    words = {"month": (at.strftime("%B"), 9), "mon": (at.strftime("%b"), 3), "day": (at.strftime("%A"), 9)}
    words |= {"dy": (at.strftime("%a"), 3), "am": ("AM" if at.hour < 12 else "PM", 2)}
    words["pm"] = words["am"]
    result, unpadded = "", False
    for kind, part in _pieces(form):
        if kind == "text":
            result += part
        elif part == "FM":
            unpadded = True
            continue
        elif part[0] == '"':
            result += part[1:-1]
        elif part in makers:
            text = makers[part]()
            result += (text.lstrip("0") or "0") if unpadded else text
        else:
            word, width = words[part.lower()]
            word = word.upper() if part.isupper() else word.lower() if part.islower() else word
            result += word if unpadded else word.ljust(width)
        unpadded = False
    return result


_NUMBER_FORM = re.compile(r"(FM)?([90,]*)(?:\.([90]*))?")


def kind_of_format(form: str) -> str:
    """What a form is of: "time", "number"; empty if it is neither that is known here."""
    match = _NUMBER_FORM.fullmatch(form)
    if match is not None and re.search("[90]", form):
        return "number"
    try:
        _pieces(form)
    except ValueError:
        return ""
    return "time"


def number_as(value: Number, form: str) -> str:
    """to_char() of a number: nines, zeros, commas, a point."""
    match = _NUMBER_FORM.fullmatch(form)
    if match is None or not match[2]:
        raise ValueError(f"the form {form!r} of a number")
    fill, whole, fraction = bool(match[1]), match[2], match[3] or ""
    number = abs(Decimal(repr(value))).quantize(Decimal(1).scaleb(-len(fraction)), ROUND_HALF_UP)
    text, _, behind = f"{number:f}".partition(".")
    slots = whole.replace(",", "")
    zero = slots.find("0")
    least = len(slots) - zero if zero >= 0 else 0
    digits = text.lstrip("0")
    if len(digits) > len(slots):
        digits, behind = "#" * len(slots), "#" * len(fraction)
    digits = digits.rjust(least, "0") or ("" if (fraction and not fill) or fraction else "0")
    negative = value < 0 and bool(number)
    body = _with_commas(digits, whole)
    if fraction or "." in form:
        body += "."
        keep = len(fraction) - len(fraction) if fill and not fraction.rstrip("9") else 0
        last = fraction.rfind("0") + 1 if fill else len(fraction)
        kept = behind[:last] + behind[last:].rstrip("0") if fill else behind
        body += kept[keep:]
    signed = f"-{body}" if negative else body
    return signed if fill else signed.rjust(len(whole) + len(fraction) + ("." in form) + 1)


def _with_commas(digits: str, whole: str) -> str:
    """Digits from the right into their places; a comma only behind a digit."""
    result, rest = "", list(digits)
    for place in reversed(whole):
        char = "," if place == "," and rest else rest.pop() if place != "," and rest else ""
        result = char + result
    return result


_PARSED = {"YYYY": r"(?P<Y>\d{4})", "MM": r"(?P<m>\d\d?)", "DD": r"(?P<d>\d\d?)", "HH24": r"(?P<H>\d\d?)"}
_PARSED |= {"MI": r"(?P<M>\d\d?)", "SS": r"(?P<S>\d\d?)"}
_PARSED |= dict.fromkeys(("Mon", "MON", "mon"), r"(?P<b>[A-Za-z]{3})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parsed(text: str, form: str) -> datetime:
    """A date and a time from a text of this form.  Raises ValueError."""
    pattern = ""
    for kind, part in _pieces(form):
        if kind == "text":
            pattern += re.escape(part)
        elif part in _PARSED:
            pattern += _PARSED[part]
        else:
            raise ValueError(f"reading a date by the form {form!r}")
    match = re.fullmatch(pattern, text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not written as {form!r}")
    parts = {name: value for name, value in match.groupdict().items() if value is not None}
    month = _MONTHS.index(parts["b"].lower()) + 1 if "b" in parts else int(parts.get("m", 1))
    hour, minute, second = (int(parts.get(name, 0)) for name in "HMS")
    if "Y" not in parts:
        raise ValueError(f"a date without its year: {form!r}")
    return datetime(int(parts["Y"]), month, int(parts.get("d", 1)), hour, minute, second)


def to_number(text: str, form: str) -> int | float:
    """to_number(), of texts that fill the form."""
    if not _NUMBER_FORM.fullmatch(form) or not re.fullmatch(r"\s*+-?[\d,]*(\.\d+)?\s*", text):
        raise ValueError(f"'{text}' as a number of the form {form!r}")
    whole, _, fraction = form.partition(".")
    digits, _, behind = text.strip().lstrip("-").partition(".")
    if len(digits) > len(whole.removeprefix("FM")) or len(behind) > len(fraction):
        raise ValueError(f"'{text}' has more digits than {form!r}")
    number = float(text.replace(",", ""))
    return int(number) if number.is_integer() else number
