"""Operator precedence, where the engine, sqlglot and SQLite differ.

Expressions that sqlglot parses with other precedence than the engine are refused: parentheses make them unambiguous.
Where SQLite's precedence differs from sqlglot's, parentheses are added.
"""

from __future__ import annotations

from sqlglot import exp

__all__ = ["bracketed", "misread"]

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ)
_TESTS = (exp.In, exp.Between, exp.Like, exp.ILike)
_BITS = (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseLeftShift, exp.BitwiseRightShift)
_OPERATORS = (exp.Binary, exp.In, exp.Between, exp.Unary, exp.Is)
_CLOSED = (exp.Paren, exp.Dot, exp.Collate, exp.PropertyEQ, exp.Kwarg, exp.Escape)
_PARTS = ("this", "expression", "low", "high")


def _operands(node: exp.Expression) -> list[exp.Expression]:
    parts = [node.args.get(part) for part in _PARTS]
    return [part for part in parts if isinstance(part, exp.Expression)]


def _is_test(node: exp.Expression) -> bool:
    """Whether a node stands for ``IS`` or ``IS NOT``."""
    return isinstance(node, exp.Is) or (isinstance(node, exp.Not) and isinstance(node.this, exp.Is))


def misread(tree: exp.Expression, *, levels_of_bits: bool) -> str:
    """A description of an expression that sqlglot parses with other precedence than the engine; empty if none.

    ``levels_of_bits``: the engine's bitwise operators have several levels of precedence, ``^`` the highest.
    """
    for node in tree.walk():
        if isinstance(node, _COMPARISONS) and not isinstance(node.parent, exp.Update | exp.OnConflict):
            if _is_test(node.expression):
                return "IS after a comparison without parentheses"
            if isinstance(node.expression, _COMPARISONS):
                return "a comparison after a comparison without parentheses"
        if isinstance(node, _TESTS) and isinstance(node.this, _TESTS):
            return "BETWEEN, IN or LIKE after BETWEEN, IN or LIKE without parentheses"
        if not levels_of_bits:
            continue
        if isinstance(node, _BITS):
            others = [inner for inner in _operands(node) if isinstance(inner, _BITS) and type(inner) is not type(node)]
            if others or (isinstance(node, exp.BitwiseXor) and any(map(_is_arithmetic, _operands(node)))):
                return "a combination of bitwise operators without parentheses"
        if isinstance(node, exp.Xor) and any(isinstance(inner, exp.Or) for inner in _operands(node)):
            return "XOR combined with OR without parentheses"
    return ""


def _is_arithmetic(node: exp.Expression) -> bool:
    return isinstance(node, exp.Binary | exp.Neg | exp.BitwiseNot) and not isinstance(
        node, exp.Connector | exp.BitwiseXor
    )


def bracketed(tree: exp.Expression) -> exp.Expression:
    """The tree with parentheses wherever SQLite's precedence would change it."""
    for node in list(tree.walk()):
        if not isinstance(node, _OPERATORS) or isinstance(node, _CLOSED):
            continue
        if isinstance(node.parent, exp.Update | exp.OnConflict) and node.arg_key == "expressions":
            continue
        for part in _PARTS:
            inner = node.args.get(part)
            if part == "expression" and isinstance(node, exp.Is):
                continue
            if not isinstance(inner, _OPERATORS) or isinstance(inner, _CLOSED):
                continue
            if not (isinstance(node, exp.Connector) and type(inner) is type(node)):
                node.set(part, exp.paren(inner, copy=False))
    return tree
