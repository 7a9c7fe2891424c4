"""The walls of the house: who may import what, and that prose tells the truth."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "charrnn"
TENSORFLOW = {"training", "model", "recurrent", "export", "bench"}
# from the ground up; a module imports only from rows above its own
LAYERS = [
    {"errors", "quiet", "output", "__init__"},
    {"config"},
    {"vocabulary"},
    {"events", "checkpoint", "corpus", "streams", "ngram", "plan", "generation"},
    {"scores", "recurrent", "preparation"},
    {"model", "engine", "export", "runs", "hub_client"},
    {"card"},
    {"hub", "training"},
    {"bench", "ui"},
    {"__main__"},
]


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        yield name, path


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "charrnn":
                yield from (f"charrnn.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("name", "path"), list(modules()), ids=lambda value: str(value)[-24:]
)
def test_libraries_stay_in_their_rooms(name: str, path: Path) -> None:
    tops = {module.split(".")[0] for module in imported(path)}
    if name not in TENSORFLOW:
        assert not tops & {"tensorflow", "keras"}
    if name != "ui":
        assert "gradio" not in tops
    if name not in {"hub", "hub_client"}:
        assert "huggingface_hub" not in tops


@pytest.mark.parametrize(
    ("name", "path"), list(modules()), ids=lambda value: str(value)[-24:]
)
def test_imports_run_one_way(name: str, path: Path) -> None:
    height = {module: i for i, row in enumerate(LAYERS) for module in row}
    assert name in height, f"say in LAYERS where {name} belongs"
    for module in imported(path):
        parts = module.split(".")
        if parts[0] == "charrnn" and len(parts) > 1 and parts[1] in height:
            assert height[parts[1]] <= height[name], module


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in result.stdout.split()}


def test_everything_but_the_trainer_does_without_tensorflow() -> None:
    names = {name for name, _ in modules()} - TENSORFLOW - {"__init__", "ui"}
    loaded = loaded_by("import " + ", ".join(f"charrnn.{name}" for name in names))
    assert not loaded & {"tensorflow", "keras", "gradio"}


def test_the_page_does_without_tensorflow() -> None:
    assert not loaded_by("import app") & {"tensorflow", "keras"}


def test_the_trainer_does_without_gradio() -> None:
    loaded = loaded_by("import charrnn.training, charrnn.bench, charrnn.export")
    assert "tensorflow" in loaded
    assert "gradio" not in loaded


def test_readme_names_the_pinned_gradio_and_files_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    version = re.search(r"gradio\[oauth\]==(\S+)", pinned)
    assert version is not None
    assert f"sdk_version: {version[1]}" in readme
    tree = readme.split("```")
    listed = re.findall(r"^  (\w+\.py) ", "\n".join(tree), re.MULTILINE)
    assert set(listed) == {path.name for name, path in modules() if name != "ui"}


def test_requirements_are_exact_and_explained() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                assert re.fullmatch(r"[a-z-]+(\[\w+\])?==[\d.]+ +# .+", line), line
