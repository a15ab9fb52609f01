"""Documents and code say the same: invariants, modules, names, commands, flags, make targets, versions of Python.

Modules are looked for wherever they lie in the tree, so that moving one needs no change here.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import re
import shlex
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import dropwhile
from pathlib import Path
from typing import Any

import click
import yaml

from clusterdb.cli import cli

ROOT = Path(__file__).parents[2]
PACKAGES = ("clusterdb", "vfs")
CODE = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
OWN_CODE = [*CODE, *TESTS, *sorted((ROOT / "benchmarks").glob("*.py")), *sorted((ROOT / "docs").glob("*.py"))]
DESIGN = ROOT / "vfs" / "DESIGN.md"
ARCHITECTURE = ROOT / "clusterdb" / "ARCHITECTURE.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
DOCS = sorted((ROOT / "docs").glob("**/*.md"))
PAGES = [ROOT / "README.md", CONTRIBUTING, ROOT / "SECURITY.md", DESIGN, ARCHITECTURE, *DOCS]
"""Everything that describes the present state; the changelog also names what was."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


@cache
def prose_of(path: Path) -> str:
    """Comments and docstrings of a module, or a page of text."""
    text = path.read_text()
    if path.suffix != ".py":
        return text
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    strings = [
        node.value.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    return "\n".join([*strings, *comments])


# --- invariants -------------------------------------------------------------------------------------------------------
DEFINED = re.compile(r"^    ([A-Z])(\d+)  (?=\S)", re.MULTILINE)
CITED = re.compile(r"(?<![\w'\"`.])([A-Z])(\d{1,2})(?:(?:-| to )([A-Z])(\d{1,2}))?(?![\w'\"`.(]\w|\w)")


@cache
def invariants() -> dict[tuple[str, int], Path]:
    """Letter and number of each invariant, and the module whose docstring states it."""
    stated: dict[tuple[str, int], Path] = {}
    for path in CODE:
        for letter, number in DEFINED.findall(ast.get_docstring(ast.parse(path.read_text()), clean=False) or ""):
            key = (letter, int(number))
            assert key not in stated, f"{letter}{number} is stated in {name_of(path)} and {name_of(stated[key])}"
            stated[key] = path
    return stated


def citations(text: str) -> Iterator[tuple[str, list[tuple[str, int]], int]]:
    """What is cited as ``R3``, ``R1-R9`` or ``R1 to R9``, with the invariants it means and where that ends."""
    letters = {letter for letter, _ in invariants()}
    for match in CITED.finditer(text):
        letter, first, last_letter, last = match.groups()
        if letter in letters and last_letter in (None, letter):
            yield match[0], [(letter, number) for number in range(int(first), int(last or first) + 1)], match.end()


def test_invariants_are_numbered_from_one_without_gaps() -> None:
    """A number that is missing would be looked for in vain."""
    numbers: dict[str, list[int]] = {}
    for letter, number in invariants():
        numbers.setdefault(letter, []).append(number)
    assert len(numbers) > 8
    for letter, citations in numbers.items():
        assert sorted(citations) == list(range(1, len(citations) + 1)), letter


def test_cited_invariants_are_stated() -> None:
    """Every number leads to a sentence, in the module that is named beside it."""
    problems = []
    for path in [*CODE, *TESTS, DESIGN, ARCHITECTURE, *DOCS]:
        text = prose_of(path)
        for cited, keys, end in citations(text):
            missing = [key for key in keys if key not in invariants()]
            beside = re.match(r" (?:of|in|are in|open) `{0,2}([\w/]+\.py)", text[end:])
            home = invariants().get(keys[0])
            if missing:
                problems.append(f"{name_of(path)} cites {cited}: no module states {missing}")
            elif beside and home and home.name != Path(beside[1]).name:
                problems.append(f"{name_of(path)} cites {cited} of {beside[1]}: it is stated in {name_of(home)}")
    assert not problems, "\n".join(problems)


def test_design_names_every_invariant_of_storage() -> None:
    """The design document leads to all of them: ``the map M1-M5``."""
    named = {key for _, keys, _ in citations(DESIGN.read_text()) for key in keys}
    stated = {key for key, path in invariants().items() if path.is_relative_to(ROOT / "vfs")}
    assert not stated - named, f"vfs/DESIGN.md does not name {sorted(stated - named)}"


# --- modules and names ------------------------------------------------------------------------------------------------
FOREIGN = {"conftest.py", "manage.py", "settings.py", "models.py", "env.py", "test_prices.py", "test_shop.py"}
"""Files of users, which documents may name without their being here."""
BUILT = {"docs/_build/index.html", "benchmarks/results.json"}
"""Files that are made by a command, and not kept."""


@cache
def tree() -> frozenset[str]:
    """All files and folders of the project, as ``/vfs/DESIGN.md``."""
    left_out = {".venv", ".git", "build", "dist", "_build", "__pycache__"}
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and folder.name not in left_out]
    paths = [*ROOT.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]
    return frozenset(f"/{path.relative_to(ROOT)}" for path in paths if not left_out & set(path.relative_to(ROOT).parts))


@cache
def ends_of_paths() -> frozenset[str]:
    """``vfs/DESIGN.md`` and ``DESIGN.md``."""
    split = [path.split("/") for path in tree()]
    return frozenset("/".join(parts[at:]) for parts in split for at in range(1, len(parts)))


def test_named_files_exist() -> None:
    """``recovery.py``, ``vfs/DESIGN.md``, ``tests/torture/crash.py``: wherever they lie."""
    problems = []
    for path in [*OWN_CODE, DESIGN, ARCHITECTURE, CONTRIBUTING]:
        for match in re.finditer(r"(?<![\w/.<-])([\w./-]*\w\.(?:py|md|toml|yml))\b(?!\.)", prose_of(path)):
            name = re.sub(r"^[./]*/", "", match[1])
            is_ours = Path(name).name not in FOREIGN and not name.startswith("test/")  # that of SQLAlchemy's suite
            if is_ours and name not in ends_of_paths():
                problems.append(f"{name_of(path)}: no file {name}")
    assert not problems, "\n".join(problems)


def test_named_paths_of_this_project_exist() -> None:
    """What begins with a folder of the repository, on pages that show files of users too."""
    folders = r"(?<![\w/.-])((?:vfs|clusterdb|tests|benchmarks|docs|examples|\.github)/[\w./-]*\w)"
    problems = []
    for path in PAGES:
        for match in re.finditer(folders, path.read_text()):
            if f"/{match[1]}" not in tree() and match[1] not in BUILT:
                problems.append(f"{name_of(path)}: no path {match[1]}")
    assert not problems, "\n".join(problems)


def test_links_of_root_pages_lead_somewhere() -> None:
    """Sphinx checks those of docs/."""
    for path in PAGES[:3]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{name_of(path)} links to {target}"


def test_named_modules_exist() -> None:
    """``:mod:`` roles, and dotted names of ours in backticks: ``vfs.store.PageStore``."""
    problems = []
    for path in [*OWN_CODE, *PAGES]:
        text = prose_of(path)
        modules = [name for name in re.findall(r":mod:`~?([\w.]+)`", text) if not importlib.util.find_spec(name)]
        names = re.findall(r"`~?((?:clusterdb|vfs)(?:\.\w+)+)(?:\(.*?\))?`", text)
        missing = modules + [name for name in names if not resolves(name)]
        problems += [f"{name_of(path)}: {name} does not exist" for name in missing]
    assert not problems, "\n".join(problems)


@cache
def extensions() -> frozenset[str]:
    """The modules in C, which setup.py builds, and which need not be built where this runs."""
    return frozenset(re.findall(r'Extension\(\s*"([\w.]+)"', (ROOT / "setup.py").read_text()))


def resolves(name: str) -> bool:
    """Whether a dotted name is a module or something in one."""
    if name in extensions():
        return True
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        module = ".".join(parts[:cut])
        if (ROOT / f"{module.replace('.', '/')}.py").exists() or (ROOT / module.replace(".", "/")).is_dir():
            thing: Any = import_module(module)
            for part in parts[cut:]:
                if not hasattr(thing, part):
                    return part in getattr(thing, "__annotations__", ())
                thing = getattr(thing, part)
            return True
    return False


def test_names_in_design_documents_are_in_the_code() -> None:
    """``Store._clone``, ``continue_from``, ``V_BASE``: the last part of such a name is a word of the code."""
    code = [*CODE, *ROOT.glob("vfs/c/*.[ch]"), *ROOT.glob("vfs/c/vendor/*.h")]
    words = set(re.findall(r"\w+", "".join(path.read_text() for path in code)))
    problems = []
    for path in (DESIGN, ARCHITECTURE):
        for quoted in re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", path.read_text()):
            is_file = quoted.endswith((".py", ".md", ".db")) or f"/{quoted}" in tree()
            if not is_file and quoted.rpartition(".")[2] not in words:
                problems.append(f"{name_of(path)}: no {quoted} in the code")
    assert not problems, "\n".join(problems)


# --- commands ---------------------------------------------------------------------------------------------------------
def commands_on(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of indented and fenced blocks, and what stands in backticks; with the number of the line."""
    text = re.sub(r"\\\n\s*", " ", path.read_text())
    blocks = r"^(?:    |\$ )((?:\S*/|[A-Z_]+=\S+ )*(?:make|clusterdb|python|pytest)\b.*)$"
    for match in re.finditer(blocks, text, re.MULTILINE):
        yield line_of(text, match.start()), match[1]
    for match in re.finditer(r"(?<!`)`([^`\n]+)`(?!`)", text):
        yield line_of(text, match.start()), match[1]


def programs(command: str) -> Iterator[list[str]]:
    """The words of each program in a line of a shell."""
    try:
        words = shlex.shlex(command, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        tokens = [*words]
    except ValueError:  # a quotation goes on in the next line
        tokens = command.split()
    program: list[str] = []
    for token in [*tokens, ";"]:
        if set(token) <= set("|&;()<>"):
            if program:
                yield program
            program = []
        else:
            program.append(token)


def calls_on(path: Path, program: str) -> Iterator[tuple[int, list[str]]]:
    """The arguments of each call of a program on a page; ``NAME=value`` before it does not count."""
    for number, command in commands_on(path):
        for words in programs(command):
            words = [*dropwhile(lambda word: re.fullmatch(r"[A-Z_]+=.*", word), words)]
            if words and words[0].rpartition("/")[2] == program:
                yield number, words[1:]


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_named_make_targets_exist() -> None:
    """``make lint``."""
    for path in [*PAGES, ROOT / "CHANGELOG.md"]:
        for number, arguments in calls_on(path, "make"):
            targets = {word for word in arguments if re.fullmatch(r"[a-z-]+", word)}
            assert targets <= make_targets(), f"{name_of(path)}:{number}: make {targets - make_targets()}"


def test_make_targets_are_phony_and_documented() -> None:
    """Who contributes finds every target explained."""
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(phony.split()) == make_targets()
    documented = {target for _, arguments in calls_on(CONTRIBUTING, "make") for target in arguments}
    assert not make_targets() - documented, f"CONTRIBUTING.md does not explain {make_targets() - documented}"


def test_named_commands_and_flags_exist() -> None:
    """``clusterdb --store DIRECTORY diff --json``."""
    calls = [(path, *call) for path in PAGES for call in calls_on(path, "clusterdb")]
    assert len(calls) > 50
    for path, number, arguments in calls:
        require_call(arguments, f"{name_of(path)}:{number}: clusterdb {' '.join(arguments)}")


def require_call(arguments: list[str], where: str) -> None:
    """The command is one of clusterdb's, and so is each of its flags."""
    command: click.Command = cli
    rest = iter(arguments)
    for word in rest:
        if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word, re.DOTALL):
            flag = word.partition("=")[0]
            options = {name: option for option in command.params for name in [*option.opts, *option.secondary_opts]}
            assert flag in options or flag in ("-h", "--help"), f"{where}: no flag {flag}"
            option = options.get(flag)
            if "=" not in word and isinstance(option, click.Option) and not option.is_flag:
                next(rest, None)
        elif command is cli and re.fullmatch(r"[a-z][a-z-]*", word):
            assert word in cli.commands, f"{where}: no command {word}"
            command = cli.commands[word]


def test_named_scripts_and_their_words_exist() -> None:
    """``python benchmarks/run.py dbapi``, ``python -m tests.torture --minutes 5``: script, groups and flags."""
    for path in PAGES:
        for number, arguments in calls_on(path, "python"):
            where = f"{name_of(path)}:{number}: python {' '.join(arguments)}"
            match arguments:
                case ["-m", module, *words]:
                    assert importlib.util.find_spec(module), where
                    script = ROOT / module.replace(".", "/") / "__main__.py"
                case [script_name, *words] if script_name.endswith(".py"):
                    script = ROOT / script_name
                case _:
                    continue
            if script.exists():
                accepted = set(re.findall(r'"(--[a-z-]+|[a-z]+)"', script.read_text()))
                unknown = {word for word in words if re.fullmatch(r"(--)?[a-z-]+", word)} - accepted
                assert not unknown, f"{where}: {unknown}"


def test_named_options_of_the_pytest_plugin_exist() -> None:
    """``--clusterdb-keep``."""
    defined = set(re.findall(r'"(--clusterdb-[a-z-]+)"', "".join(path.read_text() for path in CODE)))
    assert len(defined) > 3
    for path in PAGES:
        named = set(re.findall(r"(?<![\w-])(--clusterdb-[a-z-]*[a-z])", path.read_text()))
        assert named <= defined, f"{name_of(path)}: {named - defined}"


# --- continuous integration -------------------------------------------------------------------------------------------
def workflow() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    return loaded


def test_ci_runs_targets_of_the_makefile() -> None:
    """The workflow and .ci/run name targets that exist, and leave out none that a change must pass."""
    steps = [step["run"] for job in workflow()["jobs"].values() for step in job["steps"] if "run" in step]
    for lines in ("\n".join(steps), (ROOT / ".ci" / "run").read_text()):
        targets = set(re.findall(r"^\s*make ([a-z-]+)", lines, re.MULTILINE))
        assert targets <= make_targets()
        assert targets >= {"lint", "docs", "test", "test-slow", "package"}


def test_ci_runs_every_supported_version_of_python() -> None:
    """The classifiers, requires-python, the tools' targets and the workflow agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(project["project"]["classifiers"]))
    assert workflow()["jobs"]["fast"]["strategy"]["matrix"]["python"] == supported
    assert project["project"]["requires-python"] == f">={supported[0]}"
    assert project["tool"]["ruff"]["target-version"] == f"py{supported[0].replace('.', '')}"


def test_hooks_run_the_tools_of_the_environment() -> None:
    """A hook of another version than CI's would format what CI refuses."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    entries = [hook["entry"].split()[0] for hook in hooks[0]["hooks"]]
    assert all(entry.startswith(".venv/bin/") for entry in entries)
    assert {".venv/bin/ruff", ".venv/bin/mypy"} <= set(entries)
