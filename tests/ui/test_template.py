"""The head of the page, as link previews and browsers without scripts read it."""

import asyncio
import json
import re

import httpx
import psutil
import pytest
from gradio import routes

from charrnn.ui import stored, template, threads
from tests.builders import Served


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("template"))
    yield served
    served.end()


@pytest.mark.parametrize(
    ("headers", "lang", "words"),
    [
        ({}, "en", "one character at a time"),
        ({"accept-language": "fr, ja;q=0.8"}, "ja", "一文字ずつ"),
        ({"cookie": "charrnn_lang=ja"}, "ja", "一文字ずつ"),
    ],
)
def test_a_link_to_the_page_is_previewed_as_what_it_is(page, headers, lang, words):
    source = httpx.get(page.url, headers=headers).text
    head = source[: source.index("<script>")]
    assert f'lang="{lang}"' in head
    assert '<meta property="og:title" content="charrnn">' in head
    assert words in head
    assert "og:image" not in source
    assert "twitter:" not in source
    assert "{url}" not in source
    assert "Gradio" not in head


@pytest.mark.parametrize(
    ("query", "lang", "cards"),
    [
        ("", "en", 4),
        ("?tab=train", "ja", 4),
        ("?model=shakespeare&prompt=so", "en", 0),  # whose texts are others
    ],
)
def test_the_stored_comparison_comes_with_the_page(page, query, lang, cards):
    source = httpx.get(page.url + query, headers={"accept-language": lang}).text
    (config,) = re.findall(r"window\.gradio_config = (.*?);</script>", source)
    props = [one["props"] for one in json.loads(config)["components"]]
    shown = {one["elem_id"]: one.get("value") for one in props if one.get("elem_id")}
    found = [shown[f"card-{number}"] for number in range(4)]
    assert sum("card stored" in card for card in found) == cards
    if cards:
        stood = stored.shown(lang, "shakespeare")
        assert (tuple(found), shown["writing-status"]) == (stood.cards, stood.status)


def test_few_pages_are_made_at_once(page):
    """Each takes a thread, and those of them that wait take none."""
    process = psutil.Process(page.process.pid)
    httpx.get(page.url)
    before = process.num_threads()

    async def open_together() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(client.get(page.url) for _ in range(12)))

    answers = asyncio.run(open_together())
    assert {answer.status_code for answer in answers} == {200}
    assert process.num_threads() - before < threads.PAGES_AT_ONCE


def test_a_template_without_a_place_for_the_head_is_refused():
    with pytest.raises(ValueError, match="no place"):
        template.adapted("<html><head></head></html>")


def test_gradios_other_templates_stay_as_they_are():
    template.use()
    template.use()  # a second time changes nothing
    loader = routes.templates.env.loader
    share = loader.get_source(routes.templates.env, "frontend/share.html")[0]
    assert "page_head" not in share
