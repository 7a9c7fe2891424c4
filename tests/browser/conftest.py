"""A page in a process of its own, and a browser that watches what it does."""

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import Served, make_folder, make_record, make_slow

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60_000  # milliseconds: a busy machine is slow
NAMES = ("chromium", "chromium-browser", "google-chrome")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-screenshot",
        action="store_true",
        help="write docs/page.webp anew, with the shipped model",
    )


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright")
    found = [path for name in NAMES if (path := shutil.which(name))]
    if not found:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    sync_api.expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=found[0], args=["--no-sandbox"]
        )
        yield running
        running.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Page(Served):
    """The page at an address that stays when it is started again."""

    def __init__(self, folder: Path, **environment: str) -> None:
        port = str(free_port())
        super().__init__(folder, GRADIO_SERVER_PORT=port, **environment)

    def end_runs(self) -> None:
        """What a test left training outlives the page: ask it to end."""
        for history in self.folder.glob("*/events.jsonl"):
            (history.parent / "stop").touch()


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page") / "checkpoints"
    make_folder(folder / "toy", make_record(title="A toy"))
    make_slow(folder / "slow")
    running = Page(folder)
    yield running
    running.end()
    running.end_runs()


@pytest.fixture(scope="package")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page that strangers share."""
    folder = tmp_path_factory.mktemp("hosted") / "checkpoints"
    running = Page(folder, CHARRNN_HOSTED="1")
    yield running
    running.end()
    running.end_runs()


# how Gradio's errors end when an answer is broken off: the first line of each
ENDED = ("AbortError: signal is aborted without reason", "Connection errored out. ")


class Visitor:
    """Opens pages in a browser of one's own and notes what must not happen."""

    def __init__(self, browser: Any, **settings: Any) -> None:
        self.context = browser.new_context(**{"locale": "en-US", **settings})
        self.context.set_default_timeout(PATIENCE)
        self.faults: list[str] = []
        self._loads: dict[Any, int] = {}

    def open(self, url: str) -> Any:
        page = self.context.new_page()
        page.on("domcontentloaded", self._loaded)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("dialog", lambda dialog: self.faults.append("a script ran"))
        page.on("request", lambda request: self._asked(request.url))
        page.goto(url)
        page.locator("#compare:not([disabled])").wait_for(state="attached")
        return page

    def all_faults(self) -> list[str]:
        """What must not have happened; a page that is left ends what it still hears."""
        left = any(loads > 1 for loads in self._loads.values())
        return [one for one in self.faults if not (left and one.endswith(ENDED))]

    def _loaded(self, page: Any) -> None:
        self._loads[page] = self._loads.get(page, 0) + 1

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}".partition("\n")[0])

    def _asked(self, url: str) -> None:
        if not url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.faults.append(f"asked {url}")


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visitor]]:
    """Make visitors; at the end none may have met an error or another host."""
    visitors: list[Visitor] = []

    def make(**settings: Any) -> Visitor:
        visitors.append(Visitor(browser, **settings))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
        assert visitor.all_faults() == []
