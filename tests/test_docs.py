"""The words keep up with the code: paths, commands, code, links, the tree."""

import argparse
import ast
import contextlib
import functools
import importlib
import inspect
import io
import re
import shlex
import subprocess
import symtable
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn import hosting
from charrnn.cli.parser import parser
from charrnn.model import checkpoint
from charrnn.ui import api
from tests.builders import run_program

ROOT = Path(__file__).parent.parent
GUIDES = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
    ),
    *sorted((ROOT / "docs").glob("*.md")),
]
OURS = [path for path in GUIDES if path.name != "upstream.md"]  # that one cites Gradio
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.(?:py|toml|txt|md|css|js|html|yml|yaml|webp)")


def files() -> list[str]:
    """The project's files, those of a commit to come included."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listed, cwd=ROOT, text=True).splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def blocks(path: Path, language: str) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def prose(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def spans(path: Path) -> list[str]:
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(path))]


def shell_lines(path: Path) -> Iterator[list[str]]:
    """Each command as a shell would split it: of blocks, of transcripts, of prose."""
    found = "".join(blocks(path, "bash")).replace("\\\n", " ").splitlines()
    for block in blocks(path, "text"):
        found += [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    found += [span for span in spans(path) if re.match(r"(python|charrnn|uvx) ", span)]
    for line in found:
        for command in line.split(" && "):
            yield shlex.split(command, comments=True)


def named(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


# --- lengths, links, paths -------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lines"), [("README.md", 150), ("CONTRIBUTING.md", 60)]
)
def test_what_is_read_first_is_short(name: str, lines: int) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= lines


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings
    }


@pytest.mark.parametrize("path", GUIDES, ids=named(GUIDES))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(path)):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = path.parent / name if name else path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


@pytest.mark.parametrize("path", OURS, ids=named(OURS))
def test_paths_that_are_named_exist(path: Path) -> None:
    known = files()
    folders = {name.split("/")[0] for name in known if "/" in name}
    for span in spans(path):
        if span.split("/")[0] in folders and " " not in span:
            assert (ROOT / span.split("::")[0]).exists(), span
        elif FILE.fullmatch(span):
            ends = [name for name in known if f"/{name}".endswith(f"/{span}")]
            assert ends, f"no file of the project is called {span}"


# --- commands --------------------------------------------------------------------


def parses(arguments: list[str]) -> str:
    """What the parser objects to, or nothing."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            parser().parse_args(arguments)
        except SystemExit as exit_:
            return said.getvalue() if exit_.code else ""
    return ""


@pytest.mark.parametrize("path", OURS, ids=named(OURS))
def test_commands_are_understood(path: Path) -> None:
    for words in shell_lines(path):
        if "charrnn" in words and words[0] in ("python", "charrnn", "uvx"):
            arguments = words[words.index("charrnn") + 1 :]
            if arguments and "COMMAND" not in arguments:
                assert parses(arguments) == "", " ".join(words)
        elif words and words[0] in ("python", "pip", "bash"):
            for word in words[1:]:
                if "/" in word or FILE.fullmatch(word):
                    assert (ROOT / word).exists(), " ".join(words)


def test_a_wrong_command_would_be_found() -> None:
    assert "unrecognized arguments" in parses(["generate", "m", "--warmth", "1"])
    assert "invalid choice" in parses(["compose", "m"])


def test_every_command_is_described() -> None:
    (commands,) = [
        action
        for action in parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    described = {
        words[3] for words in shell_lines(ROOT / "docs/api.md") if len(words) > 3
    }
    assert set(commands.choices) <= described


# --- promises --------------------------------------------------------------------


@functools.cache  # a few files have most of the tests that are named
def functions_in(path: str) -> Counter[str]:
    """How often each name is a function of a file of Python, outside of others.

    The compiler's table of symbols, not a tree: of a tree's objects the collection
    takes half a minute beside all that a suite's process holds by then.
    """
    table = symtable.symtable((ROOT / path).read_text("utf-8"), path, "exec")
    return Counter(
        child.get_name()
        for child in table.get_children()
        if child.get_type() == "function"
    )


def test_each_promise_names_tests_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S.*?) \| (.*) \|$", text, re.M)
    promises = [row for row in rows if row[0] != "promise"]
    assert len(promises) >= 10
    for promise, tests in promises:
        named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", tests)
        assert named, promise
        for path, test in named:
            assert functions_in(path)[test] == 1, f"{path}::{test}"


# --- Python, endpoints, limits, figures ------------------------------------------

PYTHON = [(path, code) for path in OURS for code in blocks(path, "python")]


@pytest.mark.parametrize(("path", "code"), PYTHON, ids=named([p for p, _ in PYTHON]))
def test_python_code_runs(path: Path, code: str) -> None:
    """Runs it; where it needs a page or trains, looks up what it names instead."""
    if "Client(" not in code and ".start(" not in code:
        assert run_program(code, PYTHONPATH=str(ROOT))
        return
    names: dict[str, object] = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            names |= {alias.name: getattr(module, alias.name) for alias in node.names}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = names.get(ast.unparse(node.func.value))
            if owner is not None:
                keywords = {str(k.arg): None for k in node.keywords}
                function = getattr(owner, node.func.attr)
                inspect.signature(function).bind(*node.args, **keywords)


def test_the_endpoints_are_described_with_their_arguments() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    described = dict(re.findall(r"^\| `/(\w+)\((.*?)\)`", text, re.M))
    functions = {
        **{name: getattr(api, name) for name in ("generate", "compare", "models")},
        **{name: getattr(api, name) for name in ("train", "status", "stop", "write")},
        "curve": api.curve_of,
        "next": api.next_character,
        "inspect": api.inspect,
        "units": api.units,
    }
    arguments = {
        name: list(inspect.signature(function).parameters)
        for name, function in functions.items()
    }
    assert described == {
        name: ", ".join(n for n in names if n != "request")  # Gradio's own
        for name, names in arguments.items()
    }


def test_the_limits_are_those_of_the_policy() -> None:
    text = (ROOT / "docs/hosting.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| `(CHARRNN_\w+)` \| (\w+) \| (\w+)[^|]* \| ", re.M)
    described = {variable: defaults for variable, *defaults in row.findall(text)}
    limits = {limit.metadata["variable"]: limit for limit in hosting.LIMITS}
    assert described
    for variable, defaults in described.items():
        limit = limits[variable]
        for told, policy in zip(defaults, (hosting.LOCAL, hosting.HOSTED), strict=True):
            value = getattr(policy, limit.name)
            unit = limit.metadata["unit"]
            assert told == ("none" if value is None else f"{value / unit:.9g}"), (
                variable
            )


@pytest.mark.parametrize("name", ["README.md", "docs/figures.md"])
def test_the_figures_of_the_shipped_model_are_its_own(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    figures = checkpoint.read_record(ROOT / "checkpoints" / "shakespeare").figures
    assert f"{figures.val_loss:.3f}" in text
    assert f"{figures.cold256_val_loss:.3f}" in text


# --- the tree --------------------------------------------------------------------


def tree_lines() -> list[str]:
    """Paths of the tree in docs/architecture.md; a folder ends with a slash."""
    found: list[str] = []
    parents: list[str] = []
    for line in blocks(ROOT / "docs/architecture.md", "text")[0].splitlines():
        match = re.fullmatch(r"((?:  )*)(\S+) +(\S.*)", line)
        assert match, f"expected two spaces a level, a name and what it is: {line!r}"
        depth = len(match[1]) // 2
        parents[depth:] = [match[2]]
        found.append("".join(parents))
    return found


def test_the_tree_of_the_architecture_is_the_project() -> None:
    closed = ("tests/", "checkpoints/")  # a line of their own, not one a file
    expected: set[str] = set()
    for name in files():
        parts = name.split("/")
        expected |= {"/".join(parts[:depth]) + "/" for depth in range(1, len(parts))}
        if parts[-1] != "__init__.py":  # the folder's line stands for it
            expected.add(name)
    expected = {n for n in expected if n in closed or not n.startswith(closed)}
    lines = tree_lines()
    assert len(lines) == len(set(lines))
    missing, gone = sorted(expected - set(lines)), sorted(set(lines) - expected)
    told = f"docs/architecture.md, the tree: add lines for {missing}, remove {gone}"
    assert missing + gone == [], told
