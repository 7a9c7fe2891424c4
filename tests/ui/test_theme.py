"""The page's colours: what is written on each of them can be read."""

import re
from pathlib import Path

import pytest

from charrnn.ui import theme

CSS = (Path(theme.__file__).parent / "page.css").read_text(encoding="utf-8")
CARD = {"light": "#ffffff", "dark": "#18202a"}  # what texts stand on, as in `theme`


def variables(mode: str) -> dict[str, str]:
    """The colours that are set for one mode, those of the other as a fallback."""
    light, dark = (
        dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r"^(?::root|\.dark) \{(.*?)\}", CSS, re.S | re.M)
    )
    return light | dark if mode == "dark" else light


def luminance(colour: str) -> float:
    """Relative luminance, from 0 to 1 (WCAG 2.2)."""
    total = 0.0
    for weight, start in ((0.2126, 1), (0.7152, 3), (0.0722, 5)):
        c = int(colour[start : start + 2], 16) / 255
        total += weight * (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    return total


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_is_read_on_every_colour_of_surprise(mode):
    colours = variables(mode)
    steps = [colours[f"--p{i}"] for i in range(6)]
    assert len(set(steps)) == 6
    assert all(contrast(colours["--ink"], step) >= 4.5 for step in steps)
    # each step is further from what stands for "expected"
    distances = [contrast(steps[0], step) for step in steps]
    assert distances == sorted(distances)
    assert steps[0] == CARD[mode]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", ["--accent-text", "--warm", "--wrong"])
def test_coloured_text_is_read_on_a_card(mode, name):
    assert contrast(variables(mode)[name], CARD[mode]) >= 4.5


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_focus_is_seen(mode):
    assert contrast(variables(mode)["--focus"], CARD[mode]) >= 3
