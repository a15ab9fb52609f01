"""How many steps Python's backtracking takes for a regular expression, counted rather than timed.

:func:`steps` runs a pattern as ``re`` does, on the tree that ``re`` itself parses, and counts.  :func:`growth` pumps
every repetition of a pattern and tells by which power of the length the steps grow: 1 is linear, ``WITHOUT_END`` is
anything past the limit.  :func:`patterns_of` collects the regular expressions of a package from its syntax trees and
its modules.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import re._constants as c  # type: ignore[import-not-found]
import re._parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain
from math import log2
from types import ModuleType
from typing import Any

STEPS_MAX = 200_000
_WORD = re.compile(r"\w")
WITHOUT_END = float("inf")
_MANY = 64
"""A repetition with a higher bound counts as unbounded."""


class TooManySteps(Exception):
    """A match takes more than STEPS_MAX steps."""


# --- the program of a pattern -----------------------------------------------------------------------------------------
class _Program:
    """Instructions: ("char", test), ("split", first, second), ("jump", to), ("mark", name), ("moved", loop),
    ("again", group), ("atomic", program), ("look", program, width, is there), ("at", where), ("end",)."""

    def __init__(self, items: Any, flags: int) -> None:
        self.code: list[Any] = []
        self.flags = flags
        self._loops = 0
        self._sequence(items)
        self.code.append(("end",))

    def _sequence(self, items: Any) -> None:
        for op, value in items:
            self._item(op, value)

    def _item(self, op: Any, value: Any) -> None:
        if op in (c.LITERAL, c.NOT_LITERAL, c.ANY, c.IN):
            self.code.append(("char", _Characters(_test(op, value, self.flags))))
        elif op is c.SUBPATTERN:
            self.code.append(("mark", ("start", value[0])))
            self._sequence(value[3])
            self.code.append(("mark", ("end", value[0])))
        elif op is c.GROUPREF:
            self.code.append(("again", value))
        elif op is c.BRANCH:
            self._branch(value[1])
        elif op in (c.MAX_REPEAT, c.MIN_REPEAT):
            self._repeat(*value, is_greedy=op is c.MAX_REPEAT)
        elif op is c.POSSESSIVE_REPEAT:
            self.code.append(("atomic", _Program([(c.MAX_REPEAT, value)], self.flags)))
        elif op is c.ATOMIC_GROUP:
            self.code.append(("atomic", _Program(value, self.flags)))
        elif op in (c.ASSERT, c.ASSERT_NOT):
            width = value[1].getwidth()[0] if value[0] < 0 else 0
            self.code.append(("look", _Program(value[1], self.flags), width, op is c.ASSERT))
        elif op is c.AT:
            self.code.append(("at", value))
        else:
            raise NotImplementedError(op)

    def _branch(self, branches: Any) -> None:
        jumps = []
        for branch in branches[:-1]:
            split = self._reserve()
            self._sequence(branch)
            jumps.append(self._reserve())
            self.code[split] = ("split", split + 1, len(self.code))
        self._sequence(branches[-1])
        for jump in jumps:
            self.code[jump] = ("jump", len(self.code))

    def _repeat(self, least: int, most: Any, items: Any, *, is_greedy: bool) -> None:
        for _ in range(least):
            self._sequence(items)

        def ways(again: int, onwards: int) -> tuple[str, int, int]:
            return ("split", again, onwards) if is_greedy else ("split", onwards, again)

        if most is c.MAXREPEAT or most > _MANY:
            loop, self._loops = self._loops, self._loops + 1
            start = self._reserve()
            self.code.append(("mark", loop))
            self._sequence(items)
            self.code += [("moved", loop), ("jump", start)]
            self.code[start] = ways(start + 1, len(self.code))
            return
        splits = []
        for _ in range(most - least):
            splits.append(self._reserve())
            self._sequence(items)
        for split in splits:
            self.code[split] = ways(split + 1, len(self.code))

    def _reserve(self) -> int:
        self.code.append(None)
        return len(self.code) - 1


def _test(op: Any, value: Any, flags: int) -> re.Pattern[str]:
    """A pattern for the one character: a class is what ``re`` says it is."""
    kept = flags & (re.IGNORECASE | re.DOTALL | re.ASCII)
    if op is c.ANY:
        return re.compile(".", kept)
    if op is c.LITERAL:
        return re.compile(re.escape(chr(value)), kept)
    if op is c.NOT_LITERAL:
        return re.compile(f"[^{_escaped(value)}]", kept)
    parts = []
    for kind, item in value:
        if kind is c.NEGATE:
            parts.append("^")
        elif kind is c.LITERAL:
            parts.append(_escaped(item))
        elif kind is c.RANGE:
            parts.append(f"{_escaped(item[0])}-{_escaped(item[1])}")
        else:
            parts.append(_CATEGORIES[item])
    return re.compile(f"[{''.join(parts)}]", kept)


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"


_CATEGORIES = {
    c.CATEGORY_DIGIT: r"\d",
    c.CATEGORY_NOT_DIGIT: r"\D",
    c.CATEGORY_SPACE: r"\s",
    c.CATEGORY_NOT_SPACE: r"\S",
    c.CATEGORY_WORD: r"\w",
    c.CATEGORY_NOT_WORD: r"\W",
}


# --- running it -------------------------------------------------------------------------------------------------------
def steps(pattern: str, text: str, flags: int = 0) -> tuple[int, int | None]:
    """The steps of matching at the start of a text, and where the match ends.  Raises TooManySteps."""
    end, count = _run(_program_of(pattern, flags), text, 0, STEPS_MAX)
    return count, end


@lru_cache
def _program_of(pattern: str, flags: int) -> _Program:
    tree = re._parser.parse(pattern, flags)
    return _Program(tree, tree.state.flags)


def _run(program: _Program, text: str, at: int, steps_max: int) -> tuple[int | None, int]:
    """Where the match ends, and the steps it took."""
    count = 0
    stack: list[tuple[int, int, dict[Any, int]]] = [(0, at, {})]
    code, length = program.code, len(text)
    while stack:
        pc, at, marks = stack.pop()
        while True:
            count += 1
            if count > steps_max:
                raise TooManySteps
            what = code[pc]
            kind = what[0]
            if kind == "char":
                if at >= length or not what[1][text[at]]:
                    break
                pc, at = pc + 1, at + 1
            elif kind == "split":
                stack.append((what[2], at, marks))
                pc = what[1]
            elif kind == "jump":
                pc = what[1]
            elif kind == "mark":
                marks = {**marks, what[1]: at}
                pc += 1
            elif kind == "moved":
                if marks[what[1]] == at:
                    break
                pc += 1
            elif kind == "again":
                group = text[marks["start", what[1]] : marks["end", what[1]]]
                if not text.startswith(group, at):
                    break
                pc, at = pc + 1, at + len(group)
            elif kind == "atomic":
                end, spent = _run(what[1], text, at, steps_max - count)
                count += spent
                if end is None:
                    break
                pc, at = pc + 1, end
            elif kind == "look":
                is_there = at >= what[2]
                if is_there:
                    end, spent = _run(what[1], text, at - what[2], steps_max - count)
                    count += spent
                    is_there = end is not None
                if is_there != what[3]:
                    break
                pc += 1
            elif kind == "at":
                if not _is_at(what[1], text, at):
                    break
                pc += 1
            else:
                return at, count
    return None, count


class _Characters(dict[str, bool]):
    """Whether a character matches, remembered for the next time."""

    def __init__(self, test: re.Pattern[str]) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, character: str) -> bool:
        self[character] = matches = self._test.match(character) is not None
        return matches


def _is_at(where: Any, text: str, at: int) -> bool:
    if where in (c.AT_BEGINNING, c.AT_BEGINNING_STRING):
        return at == 0
    if where is c.AT_END_STRING:
        return at == len(text)
    if where is c.AT_END:
        return at == len(text) or text[at:] == "\n"
    is_boundary = bool(_WORD.match(text, at - 1) if at else None) != bool(_WORD.match(text, at))
    return is_boundary == (where is c.AT_BOUNDARY)


# --- attacks ----------------------------------------------------------------------------------------------------------
def growth(pattern: str, flags: int = 0) -> tuple[float, str]:
    """The highest power by which steps grow with the length, and a text that shows it.

    Both of matching some of a text and of matching all of it, as ``fullmatch`` does.
    """
    whole = rf"(?:{pattern}\n)\Z" if flags & re.VERBOSE else rf"(?:{pattern})\Z"
    return max(_growth(pattern, flags), _growth(whole, flags))


def _growth(pattern: str, flags: int) -> tuple[float, str]:
    worst, witness = 0.0, ""
    for prefix, pump, suffix in attacks(pattern, flags):
        texts = [prefix + pump * count + suffix for count in (10, 20, 40)]
        try:
            first, second = (steps(pattern, text, flags)[0] for text in texts[:2])
            if second <= first:
                continue
            third = steps(pattern, texts[2], flags)[0]
        except TooManySteps:
            return WITHOUT_END, texts[0]
        if third > second and log2((third - second) / (second - first)) > worst:
            worst, witness = log2((third - second) / (second - first)), texts[0]
    return worst, witness


def attacks(pattern: str, flags: int = 0) -> Iterator[tuple[str, str, str]]:
    """For every repetition: what leads to it, what it may repeat, and what does not fit behind it."""
    tree = re._parser.parse(pattern, flags)
    singles = _alphabet(pattern)
    seen = set()
    for prefix, body in _repetitions(tree, [""]):
        samples = _samples(body)
        pumps = {*singles, *samples, *(a + b for a in samples[:4] for b in samples[:4])}
        for pump in sorted(pumps - {""}):
            for suffix in ("", "\0", " \0", "\n!"):
                if (prefix, pump, suffix) not in seen:
                    seen.add((prefix, pump, suffix))
                    yield prefix, pump, suffix


def _alphabet(pattern: str) -> list[str]:
    return sorted({*(" ", "\n", "a", "0"), *(x for x in pattern if x in "'\"`-/*;.,_=:$%")})


def _repetitions(items: Any, prefixes: list[str]) -> Iterator[tuple[str, Any]]:
    """Repetitions without a bound, each with samples of what stands before it."""
    for op, value in items:
        if op in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            if value[1] is c.MAXREPEAT or value[1] > _MANY:
                for prefix in prefixes:
                    yield prefix, value[2]
            yield from _repetitions(value[2], prefixes)
        elif op is c.SUBPATTERN:
            yield from _repetitions(value[3], prefixes)
        elif op is c.ATOMIC_GROUP:
            yield from _repetitions(value, prefixes)
        elif op is c.BRANCH:
            for branch in value[1]:
                yield from _repetitions(branch, prefixes)
        prefixes = list(dict.fromkeys(a + b for a in prefixes for b in _samples([(op, value)])))[:3]


def _samples(items: Any) -> list[str]:
    """A few texts that a part of a pattern matches."""
    texts = [""]
    for op, value in items:
        if op is c.LITERAL:
            parts = [chr(value)]
        elif op in (c.NOT_LITERAL, c.ANY, c.IN):
            test = _test(op, value, re.DOTALL)
            parts = [x for x in " a0Z_'\"-/*;.,\n" if test.match(x)][:3] or _first_of(value)
        elif op is c.BRANCH:
            parts = list(chain.from_iterable(_samples(branch)[:2] for branch in value[1]))
        elif op is c.SUBPATTERN:
            parts = _samples(value[3])
        elif op is c.GROUPREF:
            parts = ["-"]
        elif op is c.ATOMIC_GROUP:
            parts = _samples(value)
        elif op in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT):
            inner = _samples(value[2])
            parts = [x * max(1, value[0]) for x in inner[:2]] if value[0] else ["", *inner[:2]]
        else:
            parts = [""]
        texts = list(dict.fromkeys(a + b for a in texts for b in parts))[:8]
    return texts


def _first_of(value: Any) -> list[str]:
    return [chr(item if kind is c.LITERAL else item[0]) for kind, item in value if kind in (c.LITERAL, c.RANGE)][:2]


# --- the patterns of a package ----------------------------------------------------------------------------------------
def patterns_of(packages: Iterable[ModuleType]) -> dict[tuple[str, int], str]:
    """Every regular expression that the modules of packages write down, by pattern and flags: where."""
    patterns: dict[tuple[str, int], str] = {}
    for package in packages:
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith(("__main__", "clusterdb_vfs")):  # a program; a library that is no module
                continue
            module = importlib.import_module(info.name)
            if not (module.__file__ or "").endswith(".py"):
                continue  # in C
            for pattern in chain(_compiled(vars(module).values()), _written(module)):
                patterns.setdefault((pattern.pattern, pattern.flags), info.name)
    return patterns


def _compiled(values: Iterable[Any]) -> Iterator[re.Pattern[str]]:
    for value in values:
        if isinstance(value, re.Pattern):
            if isinstance(value.pattern, str):
                yield value
        elif isinstance(value, tuple | list):
            yield from _compiled(value)
        elif isinstance(value, dict):
            yield from _compiled([*value, *value.values()])


def _written(module: ModuleType) -> Iterator[re.Pattern[str]]:
    """The patterns in calls of ``re.match(...)`` and the like, as far as they stand there as a text."""
    with open(module.__file__ or "", encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
            continue
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str):
            flags = [x for x in [*node.args[1:], *(k.value for k in node.keywords)] if _is_flags(x)]
            yield re.compile(node.args[0].value, eval(ast.unparse(flags[0]), {"re": re}) if flags else 0)


def _is_flags(node: ast.AST) -> bool:
    """Whether an argument is made of names like ``re.DOTALL``."""
    parts = (ast.Attribute, ast.Name, ast.BinOp, ast.BitOr, ast.Load)
    return "re." in ast.unparse(node) and all(isinstance(part, parts) for part in ast.walk(node))
