"""MySQL's grammar for a set of SQL modes: sqlglot's, extended, with functions under their own names.

The expressions that a SELECT lists keep their source text, which names the result columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.tokens import TokenType  # type: ignore[attr-defined]

from clusterdb.flavours.mysql.modes import Modes

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

__all__ = ["NOT_ENFORCED", "WRITTEN", "dialect_of"]

WRITTEN = "written"
"""Key in the ``meta`` of an expression that a SELECT lists: its source text."""
NOT_ENFORCED = "not enforced"
"""Key in the ``meta`` of a CHECK constraint: whether it is NOT ENFORCED."""


class _Parser(MySQL.Parser):  # type: ignore[valid-type,misc]
    """MySQL's parser; a function call is parsed under the function's own name."""

    FUNCTIONS: dict[str, Callable[..., exp.Expression]] = {}  # noqa: RUF012
    SIGNED_TO_UNSIGNED_TYPE_TOKEN = {  # noqa: RUF012
        **MySQL.Parser.SIGNED_TO_UNSIGNED_TYPE_TOKEN,
        TokenType.FLOAT: TokenType.BIGDECIMAL,  # sqlglot has no unsigned FLOAT, MySQL no BIGDECIMAL
    }

    def _warn_unsupported(self) -> None:
        """Log nothing: unsupported statements raise."""

    def _parse_set_item_assignment(self, kind: str | None = None) -> Expr | None:
        """Parse an assignment; accept the word BINARY, an operator elsewhere, as a value."""
        item = self._curr is not None and self._tokens[self._index : self._index + 3]
        if item and len(item) == 3 and item[2].text.upper() == "BINARY" and item[1].text in ("=", ":="):
            self._advance(3)
            value = exp.Literal.string("binary")
            target = exp.column(item[0].text)
            return self.expression(exp.SetItem(this=exp.EQ(this=target, expression=value), kind=kind))
        return super()._parse_set_item_assignment(kind)

    def _parse_column_constraint(self) -> Expr | None:
        """Parse a constraint of a column; skip attributes of its storage."""
        while (
            (self._match_texts(("COLUMN_FORMAT", "STORAGE", "SRID")) and self._advance_any())
            or self._match_texts(("VISIBLE", "PERSISTENT", "ENFORCED"))
            or self._match_text_seq("WITHOUT", "SYSTEM", "VERSIONING")
        ):
            pass
        return super()._parse_column_constraint()

    def _parse_check_constraint(self) -> Expr | None:
        check = super()._parse_check_constraint()
        if check is not None and self._match_text_seq("NOT", "ENFORCED"):
            check.meta[NOT_ENFORCED] = True
        return check

    def _parse_primary_key(self, *arguments: bool, **options: bool) -> Expr:
        if self._match_text_seq("USING"):
            self._advance()
        return super()._parse_primary_key(*arguments, **options)

    def _parse_primary_key_part(self) -> Expr | None:
        part = super()._parse_primary_key_part()
        self._match_set((TokenType.ASC, TokenType.DESC))
        return part

    def _parse_projections(self) -> tuple[list[Expr], list[Expr] | None]:
        return self._parse_csv(self._projection), None

    def _projection(self) -> Expr | None:
        """Parse an expression that a SELECT lists, and keep its source text."""
        begin = self._curr.start if self._curr else 0
        tree = self._parse_expression()
        if tree is not None and self._prev is not None:
            tree.meta[WRITTEN] = self.sql[begin : self._prev.end + 1]
        return tree


class _Joining(_Parser):
    """The parser for PIPES_AS_CONCAT: ``||`` concatenates, and binds less than unary operators and more than ``^``."""

    DISJUNCTION = {  # noqa: RUF012
        token: kind for token, kind in _Parser.DISJUNCTION.items() if token != TokenType.DPIPE
    }

    def _parse_factor_operand(self) -> Expr | None:
        tree = self._joined()
        while self._match_set(self.EXPONENT):
            tree = self.expression(self.EXPONENT[self._prev.token_type](this=tree, expression=self._joined()))
        return tree

    def _joined(self) -> Expr | None:
        """Parse operands of ``||``."""
        tree = self._parse_unary()
        while self._match(TokenType.DPIPE):
            tree = self.expression(exp.DPipe(this=tree, expression=self._parse_unary()))
        return tree


_TYPES = {
    "INT3": TokenType.MEDIUMINT,
    "INT8": TokenType.BIGINT,
    "MIDDLEINT": TokenType.MEDIUMINT,
    "FLOAT8": TokenType.DOUBLE,
    "LONG VARCHAR": TokenType.MEDIUMTEXT,
    "LONG VARBINARY": TokenType.MEDIUMBLOB,
    **dict.fromkeys(("NATIONAL CHAR", "NATIONAL CHARACTER"), TokenType.NCHAR),
    **dict.fromkeys(("NATIONAL VARCHAR", "NATIONAL CHAR VARYING", "NATIONAL CHARACTER VARYING"), TokenType.NVARCHAR),
}


@lru_cache(maxsize=16)
def dialect_of(modes: Modes) -> type[MySQL]:
    """The grammar for a set of SQL modes."""
    ansi = "ANSI_QUOTES" in modes
    plain = "NO_BACKSLASH_ESCAPES" in modes
    real = TokenType.FLOAT if "REAL_AS_FLOAT" in modes else TokenType.DOUBLE

    class Modal(MySQL):
        class Tokenizer(MySQL.Tokenizer):
            QUOTES = ["'"] if ansi else ["'", '"']
            IDENTIFIERS = ["`", '"'] if ansi else ["`"]
            STRING_ESCAPES = ["'", '"', *([] if plain else ["\\"])]  # noqa: RUF012
            KEYWORDS = {**MySQL.Tokenizer.KEYWORDS, **_TYPES, "REAL": real}  # noqa: RUF012

        class Parser(_Joining if "PIPES_AS_CONCAT" in modes else _Parser):  # type: ignore[misc]
            pass

    return Modal
