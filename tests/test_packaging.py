"""What is declared, what the wheel holds, and the program installed from it."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import charrnn
from tests.builders import varied_text

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
SHIPPED_FILES = [
    f"{model}/{name}"
    for model in ("shakespeare", "python")
    for name in (
        *("README.md", "config.json", "model.safetensors", "vocab.json"),
        "words.txt",
    )
]


def pinned(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line.split(" #")[0]) for line in lines if line[:1] != "#"]
    return {canonicalize_name(one.name): one for one in found}


def version_of(pin: Requirement) -> str:
    (only,) = pin.specifier
    return only.version


def imported_by(folder: Path) -> set[str]:
    """Distributions that the Python files below a folder import, any one of each."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    own = {"charrnn", "tests", "app"} | {path.stem for path in folder.rglob("*.py")}
    foreign = names - sys.stdlib_module_names - own
    owners = packages_distributions()
    return {canonicalize_name(owners[name][0]) for name in foreign}


# --- what is declared ------------------------------------------------------------


def test_every_pin_lies_within_the_bounds_of_the_package() -> None:
    pins = pinned("requirements.txt")
    bounds = {}
    for line in PROJECT["dependencies"]:
        bound = Requirement(line)
        bounds[canonicalize_name(bound.name)] = bound
    assert bounds.keys() == pins.keys()
    for name, bound in bounds.items():
        assert {one.operator for one in bound.specifier} == {">=", "<"}, name
        assert bound.specifier.contains(version_of(pins[name])), name
        assert bound.extras == pins[name].extras, name


def test_what_the_package_imports_is_what_it_declares() -> None:
    assert imported_by(ROOT / "charrnn") == pinned("requirements.txt").keys()


def test_what_the_tests_import_is_declared() -> None:
    declared = pinned("requirements.txt") | pinned("requirements-dev.txt")
    assert imported_by(ROOT / "tests") <= declared.keys()


def test_the_extra_for_graphics_cards_exists() -> None:
    (gpu,) = PROJECT["optional-dependencies"]["gpu"]
    (name,) = Requirement(gpu).extras
    assert name in distribution("tensorflow").metadata.get_all("Provides-Extra")


def test_the_pythons_are_the_same_everywhere() -> None:
    listed = [
        c.rpartition(":: ")[2] for c in PROJECT["classifiers"] if "Python ::" in c
    ]
    assert listed == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"python: \[(.+)\]", workflow)
    assert matrix == ", ".join(f'"{version}"' for version in listed)


# --- the wheel -------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy that also has a run, a retrained model and compiled files."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, source)
    compiled = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "charrnn", source / "charrnn", ignore=compiled)
    for name in SHIPPED_FILES:
        target = source / "checkpoints" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "checkpoints" / name, target)
    for name in (
        "checkpoints/novel/config.json",
        "checkpoints/shakespeare/state/corpus.txt",
        "checkpoints/shakespeare/events.jsonl",
        "charrnn/__pycache__/card.cpython-311.pyc",
        "tests/test_card.py",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("{}\n", encoding="utf-8")
    built = tmp_path_factory.mktemp("wheel")
    command = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(built)]
    pip(*command, str(source))
    (path,) = built.iterdir()
    return path


def pip(*arguments: str) -> None:
    quiet = ["--disable-pip-version-check", "--no-input", "-q"]
    subprocess.run([sys.executable, "-m", "pip", *quiet, *arguments], check=True)


def test_the_wheel_holds_the_package_and_the_shipped_model_alone(wheel: Path) -> None:
    info = f"charrnn-{charrnn.__version__}.dist-info"
    names = zipfile.ZipFile(wheel).namelist()
    held = {name for name in names if not name.startswith(f"{info}/")}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "charrnn").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == package | {f"charrnn/_models/{name}" for name in SHIPPED_FILES}
    assert wheel.stat().st_size < 20_000_000


# --- the program that was installed ----------------------------------------------


class Installed:
    """The wheel in an environment of its own, used from a folder outside."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.home, self.outside = folder / "home", folder / "outside"
        self.home.mkdir()
        self.outside.mkdir()
        venv.create(folder / "venv", symlinks=True)
        self.scripts = folder / "venv" / "bin"
        python = self.scripts / "python"
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        place = Path(subprocess.check_output([python, "-c", where], text=True).strip())
        # what it depends on is read where the tests have it, not downloaded again
        shared = sysconfig.get_path("purelib")
        (place / "shared.pth").write_text(f"{shared}\n", encoding="utf-8")
        pip("--python", str(python), "install", "--no-deps", str(wheel))
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "PYTHON"))
        }
        kept.pop("CHARRNN_CHECKPOINTS", None)
        self.environment = {**kept, "HOME": str(self.home)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.scripts / "charrnn", *arguments],
            cwd=self.outside,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, *arguments: str) -> tuple[str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return out, err


@pytest.fixture(scope="module")
def installed(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    program = Installed(tmp_path_factory.mktemp("installed"), wheel)
    yield program
    assert list(program.outside.iterdir()) == [program.outside / "text.txt"]


def test_it_is_the_installed_code_that_runs(installed: Installed) -> None:
    python = installed.scripts / "python"
    code = "import charrnn; print(charrnn.__file__)"
    found = subprocess.check_output(
        [python, "-c", code],
        cwd=installed.outside,
        env=installed.environment,
        text=True,
    )
    assert installed.scripts.parent in Path(found).parents


def test_it_trains_writes_and_lists_outside_a_checkout(installed: Installed) -> None:
    (installed.outside / "text.txt").write_text(varied_text(1200), encoding="utf-8")
    tiny = ["--rnn-units", "8", "--batch-size", "4", "--seq-length", "25"]
    _, err = installed.run(
        *("train", "--corpus", "text.txt", "--id", "mine", "--epochs", "1", *tiny)
    )
    assert "follow it with `charrnn follow mine`" in err
    assert "\nfinished after step 10\n" in err
    (record,) = installed.home.rglob("mine/config.json")
    assert record.parent.parent.name == "checkpoints"
    listed = json.loads(installed.run("models", "--json")[0])
    assert [(m["id"], m["shipped"]) for m in listed] == [
        *(("shakespeare", True), ("python", True), ("mine", False))
    ]
    for model in ("shakespeare", "python", "mine"):
        text, _ = installed.run(
            *("generate", model, "--prompt", "s", "--length", "20", "--seed", "1")
        )
        assert len(text.strip("\n")) >= 15, text


def test_it_opens_the_page_outside_a_checkout(installed: Installed) -> None:
    process = installed.start("page")
    try:
        address = process.stdout.readline().split()[3]
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert (answer.status, answer.headers["Content-Type"][:9]) == (
                200,
                "text/html",
            )
        with urllib.request.urlopen(f"{address}config", timeout=30) as answer:
            assert json.load(answer)["title"].startswith("charrnn")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_commit_passes_the_checks_of_a_whole_run() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    before_commit = [
        hook["entry"] for repo in config["repos"] for hook in repo["hooks"]
    ]
    whole = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    first = whole.index(before_commit[0])
    after = first + len(before_commit)
    assert whole[first:after] == before_commit
    assert whole[after].startswith("python -m pytest")
