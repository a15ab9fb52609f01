"""Which operator is done first: where the engine, sqlglot's grammar and SQLite do not agree.

What sqlglot reads in another order than the engine is refused, since brackets say what is meant.  What SQLite would
read in another order than sqlglot has it gets brackets.
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
    found = [node.args.get(part) for part in _PARTS]
    return [each for each in found if isinstance(each, exp.Expression)]


def _is_test(node: exp.Expression) -> bool:
    """IS and IS NOT."""
    return isinstance(node, exp.Is) or (isinstance(node, exp.Not) and isinstance(node.this, exp.Is))


def misread(tree: exp.Expression, *, levels_of_bits: bool) -> str:
    """What sqlglot reads in another order than the engine; empty if there is nothing.

    ``levels_of_bits``: the engine does some operations on bits before others, and ``^`` before everything.
    """
    for node in tree.walk():
        if isinstance(node, _COMPARISONS) and not isinstance(node.parent, exp.Update | exp.OnConflict):
            if _is_test(node.expression):
                return "IS behind a comparison, without brackets,"
            if isinstance(node.expression, _COMPARISONS):
                return "a comparison behind a comparison, without brackets,"
        if isinstance(node, _TESTS) and isinstance(node.this, _TESTS):
            return "a test behind BETWEEN, IN or LIKE, without brackets,"
        if not levels_of_bits:
            continue
        if isinstance(node, _BITS):
            others = [each for each in _operands(node) if isinstance(each, _BITS) and type(each) is not type(node)]
            if others or (isinstance(node, exp.BitwiseXor) and any(_is_arithmetic(each) for each in _operands(node))):
                return "several operations on bits, without brackets,"
        if isinstance(node, exp.Xor) and any(isinstance(each, exp.Or) for each in _operands(node)):
            return "XOR beside OR, without brackets,"
    return ""


def _is_arithmetic(node: exp.Expression) -> bool:
    return isinstance(node, exp.Binary | exp.Neg | exp.BitwiseNot) and not isinstance(
        node, exp.Connector | exp.BitwiseXor
    )


def bracketed(tree: exp.Expression) -> exp.Expression:
    """A tree whose operators keep their order in SQLite's text."""
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
