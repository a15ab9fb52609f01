"""Named parameters, ``:name``, of any name: ``:0``, ``:1`` and ``:from`` too.

SQLite takes every name; the grammars of the engines take only those that are identifiers and no words of their own.
So :func:`hidden` puts a prefix before each name, and :func:`restored` removes it from the tree.  A colon is part of a
parameter unless it stands in a text, a comment or a quoted name, or belongs to a cast (``::``), an assignment (``:=``)
or a slice of an array: in ``a[1:n]`` and ``a[:2]`` the colon separates two bounds, while ``ARRAY[:0, :1]``, ``a[:n]``
and ``a[b + :0]`` have parameters.
"""

from __future__ import annotations

import re

from sqlglot import exp, parse_one

__all__ = ["hidden", "parsed", "restored", "shown"]

_PREFIX = "clusterdb_parameter_"
_TOKENS = r"""
    (?P<passed> {text} | "(?:[^"]|"")*+" | `[^`]*+` | {comment} | /\*.*?(?:\*/|\Z) | :: | := )
    | (?P<word> \w++ )
    | :(?P<name> \w++ )
    | \?(?P<number> \d++ )
    | (?P<open> \[ ) | (?P<close> \] )
    | (?P<other> [^\s] )
"""
_ESCAPED = r"""'(?:[^'\\]|\\.|'')*+' | "(?:[^"\\]|\\.|"")*+\""""
_DOLLAR = r"\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)"
_OF_ESCAPES = re.compile(_TOKENS.format(text=_ESCAPED, comment=r"--(?=\s)[^\n]*+ | \#[^\n]*+"), re.VERBOSE | re.DOTALL)
_PLAIN = re.compile(
    _TOKENS.format(
        text=rf"(?<!\w)[eE]'(?:[^'\\]|\\.|'')*+' | '(?:[^']|'')*+' | (?<![\w$]){_DOLLAR}", comment=r"--[^\n]*+"
    ),
    re.VERBOSE | re.DOTALL,
)
_NAMED = re.compile(r":\w")


def hidden(sql: str, *, has_escapes: bool, are_numbered: bool = False) -> str:
    """The statement with a prefix before the names of its parameters.

    ``has_escapes``: texts are those of MySQL.  ``are_numbered``: ``?1`` is a parameter with the name 1 too.
    """
    if not _NAMED.search(sql) and not are_numbered:
        return sql
    parts: list[str] = []
    is_subscript: list[bool] = []
    end, before, last_word = 0, "", ""
    for token in (_OF_ESCAPES if has_escapes else _PLAIN).finditer(sql):
        kind, text = token.lastgroup, token[0]
        if kind == "tag":
            kind = "passed"
        if kind == "open":
            is_subscript.append(before == "operand" and last_word != "ARRAY")
        elif kind == "close" and is_subscript:
            is_subscript.pop()
        elif kind == "name":
            is_first = before == "open" and token["name"].isdigit()
            is_bound = bool(is_subscript) and is_subscript[-1] and (before == "operand" or is_first)
            if not is_bound and not text.startswith(f":{_PREFIX}"):
                parts += [sql[end : token.start()], f":{_PREFIX}{token['name']}"]
                end = token.end()
        elif kind == "number" and are_numbered:
            parts += [sql[end : token.start()], f":{_PREFIX}{token['number']}"]
            end = token.end()
        if kind == "passed" and text[:2] in ("--", "/*", "# "):
            continue
        last_word = text.upper() if kind == "word" else ""
        is_operand = kind in ("word", "name", "close") or text in (")", "$") or text[:1] in ("'", '"', "`")
        before = "open" if kind == "open" else "operand" if is_operand else ""
    return "".join([*parts, sql[end:]])


def parsed(sql: str) -> exp.Expr:
    """The tree of a statement of SQLite's, with its parameters.  Raises SqlglotError."""
    tree = parse_one(hidden(sql, has_escapes=False, are_numbered=True), read="sqlite")
    restored(tree)
    return tree


def restored(tree: exp.Expr) -> None:
    """Give the parameters of a tree the names that they have in the statement."""
    for node in tree.find_all(exp.Placeholder):
        if isinstance(node.this, str) and node.this.startswith(_PREFIX):
            node.set("this", node.this.removeprefix(_PREFIX))


def shown(text: str) -> str:
    """A part of a statement as it was before :func:`hidden`."""
    return text.replace(f":{_PREFIX}", ":")
