"""The walls of the house: who may import what, and that prose tells the truth."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "charrnn"


def broken_contracts(project: Path) -> list[str]:
    """The names of the contracts that a project's imports break."""
    # in a process of its own: it turns off the loggers of the one it runs in
    code = "import sys; from importlinter.cli import lint_imports as lint; "
    command = [sys.executable, "-c", code + "sys.exit(lint(no_cache=True))"]
    result = subprocess.run(
        command, cwd=project, capture_output=True, text=True, check=False
    )
    broken = re.findall(r"^(.*) BROKEN$", result.stdout, re.MULTILINE)
    assert result.returncode == bool(broken), result.stdout + result.stderr
    return broken


def test_imports_keep_to_the_contracts_in_pyproject() -> None:
    assert broken_contracts(ROOT) == []


def test_the_contracts_catch_what_they_are_for(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "charrnn")
    planted = {
        "text/vocabulary.py": "from .. import runs",
        "model/cache.py": "def late():\n    import keras",
        "hub/names.py": "import huggingface_hub",
        "runs/store.py": "from charrnn import trainer",
    }
    for name, line in planted.items():
        with (tmp_path / "charrnn" / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    assert broken_contracts(tmp_path) == [
        "imports run downwards, inside functions too",
        "only the command line, in the trainer's own process, imports the trainer",
        "TensorFlow and Keras stay in the trainer",
        "huggingface_hub stays in the process that talks to the Hub",
    ]


def test_app_imports_the_page_alone() -> None:
    tree = ast.parse((ROOT / "app.py").read_text(encoding="utf-8"))
    nodes = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(node) for node in nodes] == [
        "from charrnn.ui.page import demo, main"
    ]


def test_each_folder_says_what_lives_there() -> None:
    folders = [path.parent for path in PACKAGE.rglob("__init__.py")]
    for folder in folders:
        tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), folder.name


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
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0]
        not in ("trainer", "ui", "__main__.py", "card_program")
    ]
    loaded = loaded_by("import " + ", ".join(names))
    assert not loaded & {"tensorflow", "keras", "gradio"}


def test_the_page_does_without_tensorflow() -> None:
    assert not loaded_by("import app") & {"tensorflow", "keras"}


def test_the_trainer_does_without_gradio() -> None:
    loaded = loaded_by(
        "import charrnn.trainer."
        + ", charrnn.trainer.".join(("train", "bench", "export"))
    )
    assert "tensorflow" in loaded
    assert "gradio" not in loaded


def test_readme_names_the_pinned_gradio() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    version = re.search(r"gradio\[oauth\]==(\S+)", pinned)
    assert version is not None
    assert f"sdk_version: {version[1]}" in readme


def test_requirements_are_exact_and_explained() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                assert re.fullmatch(r"[a-z0-9-]+(\[\w+\])?==[\d.]+ +# .+", line), line


def test_no_test_file_loads_another_one() -> None:
    """What two of them share lives in the builders, or is a server of its own."""
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
                found += [
                    f"{path.name}: {name}"
                    for name in names
                    if re.search(r"^tests\.(.*\.)?test_\w+$", name)
                ]
    assert not found
