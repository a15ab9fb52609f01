"""The bundled examples of the aws CLI, as commands with the output that they show; and what they take for granted."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Example", "examples_in", "keys_of", "options_of", "words_of"]


@dataclass(frozen=True)
class Example:
    """A command (the words after ``aws``), and the JSON that it answers; None if none is shown or it is cut."""

    file: str
    words: tuple[str, ...]
    output: Any

    def __str__(self) -> str:
        return f"{self.file}: {' '.join(self.words)[:60]}"


def examples_in(path: Path) -> Iterator[Example]:
    """The examples of a command's page."""
    text = path.read_text().replace("\r", "")
    blocks = re.split(r"^ {4}aws (?=rds )", text, flags=re.MULTILINE)[1:]
    for block in blocks:
        lines = block.splitlines()
        command: list[str] = []
        for line in lines:
            if not line.strip() or (command and not line.startswith(" ")):
                break
            command.append(line.strip().removesuffix("\\").strip())
        _, shown, output = block.partition("Output::")
        yield Example(path.stem, tuple(shlex.split(" ".join(command))), _json(output) if shown else None)


def _json(text: str) -> Any:
    """The first JSON value in a text; what is cut from it is left out."""
    text = text.split("\nFor more information")[0].split("\n**")[0]
    text = re.sub(r"^\s*\.\.\..*$", "", text, flags=re.MULTILINE)
    text = re.sub(r",(\s*[}\]])", r"\1", text)
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(text[start:])[0]
    except ValueError:
        return None


def options_of(words: tuple[str, ...]) -> dict[str, list[str]]:
    """The options of a command, with their values."""
    options: dict[str, list[str]] = {}
    values: list[str] = []
    for word in words[2:]:
        if word.startswith("--"):
            values = options.setdefault(word, [])
        else:
            values.append(word)
    return options


def words_of(options: dict[str, list[str]], name: str) -> list[str]:
    """The values of an option."""
    return options.get(f"--{name}", [])


def keys_of(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The keys of a JSON value by their path, with the types of their values; those of the first member of lists."""
    if isinstance(value, dict):
        for key, item in value.items():
            if item == "":
                continue  # AWS shows some members without a value
            kind = "number" if isinstance(item, int | float) and not isinstance(item, bool) else type(item).__name__
            yield f"{path}.{key}", kind
            yield from keys_of(item, f"{path}.{key}")
    elif isinstance(value, list) and value:
        yield from keys_of(value[0], f"{path}[]")
