"""The button that writes a model as one web page, as its handler is called."""

from pathlib import Path

import pytest

from charrnn.errors import CharrnnError
from charrnn.model import checkpoint
from charrnn.ui.shared import NEW_BROWSER
from charrnn.ui.web_pages import web_page
from charrnn.web import bundle
from tests.builders import ENGLISH, make_folder, make_record


def test_a_model_of_ones_own_becomes_a_page_named_by_its_title(isolated: Path) -> None:
    make_folder(isolated / "toy", make_record(title="A <b>Toy</b>/.."))
    path = Path(web_page(ENGLISH, "toy", NEW_BROWSER)["value"])
    assert path.name == "a-b-toy-b.html"
    expected = bundle.page(checkpoint.load(isolated / "toy"))
    assert path.read_text(encoding="utf-8") == expected


def test_what_is_not_ones_own_is_refused_on_a_hosted_page(
    isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = make_folder(isolated / "20240101-000000-0123456789abcdef", make_record())
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    for name in (foreign.name, "../secret", "", None):
        with pytest.raises(CharrnnError):
            web_page(ENGLISH, name, NEW_BROWSER)
    path = Path(web_page(ENGLISH, "shakespeare", NEW_BROWSER)["value"])
    assert path.name == "shakespeare.html"
