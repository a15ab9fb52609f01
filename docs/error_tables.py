"""The contents of reference/errors.md, from the classes and the tables of codes; used by generated.py beside this."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import apsw

from clusterdb import errors
from clusterdb.dbapi2.codes import TABLES, Codes

__all__ = ["code_rows", "error_tree"]


def error_tree() -> Iterator[str]:
    """The errors of PEP 249 and the classes derived from them, with the codes of the RDS API, as reStructuredText."""
    yield "```{eval-rst}"
    yield from _below(errors.Error)
    yield from ("", ".. autoexception:: clusterdb.Warning", "", "```")


def _below(error: type[errors.Error]) -> Iterator[str]:
    yield from ("", f".. autoexception:: clusterdb.{error.__name__}", "   :show-inheritance:", "")
    if error.aws_code is not None:
        yield from (f"   ``aws_code``: ``{error.aws_code}``", "")
    for derived in sorted(error.__subclasses__(), key=lambda derived: derived.__name__):
        if derived.__name__ in errors.__all__:
            yield from _below(derived)


def code_rows() -> Iterator[tuple[str, str, str, str]]:
    """For each kind of error its name, its SQLSTATE in PostgreSQL and in MySQL, and MySQL's number."""
    postgresql, mysql = TABLES["aurora-postgresql"], TABLES["aurora-mysql"]
    yield from _rows(postgresql.classes, mysql.classes, lambda error: f"`{error.__name__}`")
    yield from _rows(postgresql.results, mysql.results, lambda code: f"`{_result_name(code)}`")
    for pattern, codes in postgresql.texts.items():
        yield (_shown(pattern), codes.sqlstate, "", "")
    for pattern, codes in mysql.texts.items():
        yield (_shown(pattern), "", codes.sqlstate, str(codes.errno or ""))


def _rows(
    postgresql: Mapping[Any, Codes], mysql: Mapping[Any, Codes], name: Callable[[Any], str]
) -> Iterator[tuple[str, str, str, str]]:
    for key in dict.fromkeys((*postgresql, *mysql)):
        first, second = postgresql.get(key), mysql.get(key)
        yield (
            name(key),
            first.sqlstate if first else "",
            second.sqlstate if second else "",
            str(second.errno or "") if second else "",
        )


def _result_name(code: int) -> str:
    names = apsw.mapping_extended_result_codes if code > 0xFF else apsw.mapping_result_codes
    return str(names[code])


def _shown(pattern: str) -> str:
    """A pattern of a message for readers: alternatives stay, names are dots."""
    return f"`{re.sub(r'[(][?]:', '(', pattern)}`"
