"""PostgreSQL's patterns in Python's: LIKE, SIMILAR TO, regular expressions.

PostgreSQL takes the longest of several alternatives where Python takes the first: that makes no difference for whether
a pattern is found, but for what it finds.  Such patterns are refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

from clusterdb.flavours.functions import SqlValue, text_of

_CLASSES = {
    "alpha": r"a-zA-Z",
    "digit": r"0-9",
    "alnum": r"a-zA-Z0-9",
    "space": r" \t\n\r\f\v",
    "upper": r"A-Z",
    "lower": r"a-z",
    "punct": r"!-/:-@\[-`{-~",
    "xdigit": r"0-9A-Fa-f",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "print": r" -~",
    "graph": r"!-~",
}
_ESCAPES = {"y": r"\b", "m": r"\b(?=\w)", "M": r"\b(?<=\w)", "A": r"\A", "Z": r"\Z", "Y": r"\B"}


@lru_cache(maxsize=256)
def _regexp(pattern: str, flags: str) -> re.Pattern[str]:
    """A regular expression.  Raises ValueError for what Python has no word for."""
    if set(flags) - set("igcs"):
        raise ValueError(f"the flags {flags!r} of a regular expression")
    if pattern.startswith("***") or re.match(r"\(\?[a-z]+\)", pattern):
        raise ValueError(f"options inside of the regular expression {pattern!r}")
    result, at, in_brackets = "", 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            result += _escaped(pattern[at + 1])
            at += 2
            continue
        if in_brackets:
            named = re.match(r"\[:(\w+):\]", pattern[at:])
            if named is not None:
                result += _CLASSES[named[1]]
                at += named.end()
                continue
            if char == "[":
                raise ValueError(f"a bracket in brackets: {pattern!r}")
            in_brackets = char != "]" or result.endswith(("[", "[^"))
            result += "\\]" if char == "]" and in_brackets else char
        elif char == "[":
            in_brackets = True
            result += "[^" if pattern[at + 1 : at + 2] == "^" else "["
            at += result.endswith("^")
        else:
            result += r"\Z" if char == "$" else char
        at += 1
    try:
        return re.compile(result, re.DOTALL | re.ASCII | (re.IGNORECASE if "i" in flags else 0))
    except re.error as error:
        raise ValueError(f"invalid regular expression {pattern!r}: {error}") from None


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char in "dDwWsSntrfv" or not char.isalnum():
        return "\\" + char
    raise ValueError(f"\\{char} in a regular expression")


def _finding(pattern: str, flags: str) -> re.Pattern[str]:
    """A pattern of which matters what it finds."""
    plain = re.sub(r"\\.", "", pattern)
    if "|" in plain or re.search(r"[*+?}]\?", plain):
        raise ValueError(f"what the regular expression {pattern!r} finds may be longer in PostgreSQL")
    return _regexp(pattern, flags)


def _plain_letters(text: str, pattern: str) -> str:
    """A text.  Raises ValueError if classes of letters would have to know those beyond ASCII."""
    if not text.isascii() and re.search(r"\\[dDwWsSyYmM]|\[:", pattern):
        raise ValueError(f"classes of characters are those of ASCII here: {pattern!r}")
    return text


def matches(text: SqlValue, pattern: str, flags: str = "") -> int:
    """``~``."""
    return int(_regexp(pattern, flags).search(_plain_letters(text_of(text), pattern)) is not None)


def replaced(text: SqlValue, pattern: str, new: str, flags: str = "") -> str:
    """regexp_replace()."""
    compiled = _finding(pattern, flags)

    def result(match: re.Match[str]) -> str:
        return re.sub(r"\\(.)", lambda escape: _piece(match, escape[1]), new, flags=re.DOTALL)

    return compiled.sub(result, _plain_letters(text_of(text), pattern), count=0 if "g" in flags else 1)


def _piece(match: re.Match[str], char: str) -> str:
    if char.isdigit():
        return (match[int(char)] or "") if int(char) <= match.re.groups else ""
    return {"&": match[0], "\\": "\\"}.get(char, "\\" + char)


def part(text: SqlValue, pattern: str) -> str | None:
    """What a pattern finds; of one with groups, what the first group finds."""
    match = _finding(pattern, "").search(_plain_letters(text_of(text), pattern))
    return None if match is None else match[1] if match.re.groups else match[0]


@lru_cache(maxsize=256)
def _like(pattern: str, escape: str, flags: str) -> re.Pattern[str]:
    result, rest = "", iter(pattern)
    for char in rest:
        if char == escape:
            follows = next(rest, None)
            if follows is None:
                raise ValueError("LIKE pattern must not end with escape character")
            result += re.escape(follows)
        else:
            result += {"%": ".*", "_": "."}.get(char) or re.escape(char)
    return re.compile(result, re.DOTALL | (re.IGNORECASE if flags else 0))


def like(text: SqlValue, pattern: str, escape: str = "\\") -> int:
    return int(_like(pattern, escape, "").fullmatch(text_of(text)) is not None)


def ilike(text: SqlValue, pattern: str, escape: str = "\\") -> int:
    return int(_like(pattern, escape, "i").fullmatch(text_of(text)) is not None)


@lru_cache(maxsize=256)
def _similar(pattern: str, escape: str) -> re.Pattern[str]:
    result, rest = "", iter(pattern)
    for char in rest:
        if char == escape:
            result += re.escape(next(rest, ""))
        elif char in ".^$\\":
            result += re.escape(char)
        elif char == "[":
            raise ValueError(f"brackets in the pattern {pattern!r}")
        else:
            result += {"%": ".*", "_": "."}.get(char, char)
    return re.compile(f"(?:{result})", re.DOTALL)


def similar(text: SqlValue, pattern: str, escape: str = "\\") -> int:
    """SIMILAR TO."""
    return int(_similar(pattern, escape).fullmatch(text_of(text)) is not None)
