"""Not tests unless asked: with --update-screenshot, docs/page.webp is written anew."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, Page, Visitor

pytest.importorskip("playwright.sync_api", reason="no Playwright")
ASKED = "?model=shakespeare&prompt=ROMEO%3A%0AO&seed=7"
SIZE, SHOWN = (1280, 1280), (960, 960)  # of the window, of the picture
MOST = 1_500_000  # bytes
POINTER = """() => {
  const dot = document.createElement("div");
  dot.style.cssText = "position:fixed;z-index:99;width:18px;height:18px;left:-30px;"
    + "border-radius:50%;background:#e0115f99;pointer-events:none;margin:-9px 0 0 -9px";
  document.body.append(dot);
  addEventListener("mousemove", (event) => {
    dot.style.left = `${event.clientX}px`;
    dot.style.top = `${event.clientY}px`;
  }, true);
}"""


class Film:
    """Pictures of a page, each with how long it is shown."""

    def __init__(self, page: Any, image: Any) -> None:
        self._page = page
        self._image = image
        self.pictures: list[Any] = []
        self.seconds: list[float] = []

    def take(self, seconds: float = 0.1) -> None:
        picture = self._image.open(io.BytesIO(self._page.screenshot()))
        resized = picture.convert("RGB").resize(SHOWN, self._image.Resampling.LANCZOS)
        if self.pictures and resized == self.pictures[-1]:
            self.seconds[-1] += seconds
            return
        self.pictures.append(resized)
        self.seconds.append(seconds)

    def save(self, target: Path) -> None:
        first, *others = self.pictures
        milliseconds = [round(1000 * seconds) for seconds in self.seconds]
        first.save(
            target,
            save_all=True,
            append_images=others,
            duration=milliseconds,
            loop=0,
            quality=62,
            method=6,
        )


def middle(page: Any, selector: str) -> tuple[float, float]:
    box = page.locator(selector).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def press(page: Any, film: Film, selector: str) -> None:
    page.mouse.move(*middle(page, selector))
    film.take(0.5)
    page.mouse.down()
    page.mouse.up()


def compare(page: Any, film: Film) -> None:
    film.take(1)
    press(page, film, "#compare")
    for _ in range(12):
        film.take(0.12)
        page.wait_for_timeout(30)
    page.wait_for_timeout(500)
    film.take(2)


def pull(page: Any, film: Film) -> None:
    """The last temperature up and down, while the bars follow."""
    box = page.locator("#temperature-3 input[type=range]").bounding_box()
    y = box["y"] + box["height"] / 2
    shares = [*range(55, 100, 4), *range(96, 8, -6), *range(12, 60, 6)]
    page.mouse.move(box["x"] + 0.55 * box["width"], y)
    film.take(0.4)
    page.mouse.down()
    for share in shares:
        page.mouse.move(box["x"] + share / 100 * box["width"], y)
        page.wait_for_timeout(60)
        film.take(0.09)
    page.mouse.up()
    film.take(0.6)


def touch(page: Any, film: Film) -> None:
    """Colours on, and another character in a text's place."""
    press(page, film, "#colour input")
    page.locator("#card-1 .ch").first.wait_for()
    page.wait_for_timeout(200)
    film.take(1.2)
    page.locator("#card-1 .ch").nth(40).click()  # a letter
    page.mouse.move(*middle(page, "#card-1 .ch.at"))
    page.locator("#choice .put").first.wait_for()
    film.take(1.8)
    press(page, film, "#choice tr:nth-child(4) .put")
    for _ in range(8):
        film.take(0.12)
    page.wait_for_timeout(800)
    film.take(2.5)


@pytest.fixture
def opened(request: Any, browser: Any, tmp_path: Path) -> Iterator[Any]:
    if not request.config.getoption("--update-screenshot", default=False):
        pytest.skip("only with --update-screenshot")
    served = Page(tmp_path / "checkpoints")
    width, height = SIZE
    visitor = Visitor(browser, viewport={"width": width, "height": height})
    try:
        yield visitor.open(served.url + ASKED)
    finally:
        visitor.context.close()
        served.end()


def test_the_picture_of_the_readme(opened):
    film = Film(opened, pytest.importorskip("PIL.Image"))
    opened.locator("#next-bars li").first.wait_for()
    opened.evaluate(POINTER)
    opened.wait_for_timeout(500)
    compare(opened, film)
    pull(opened, film)
    touch(opened, film)
    target = ROOT / "docs" / "page.webp"
    film.save(target)
    assert target.stat().st_size <= MOST
