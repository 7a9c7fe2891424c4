"""One HTML file with a model inside: its parts, its policy, its size."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from charrnn.errors import ConfigError
from charrnn.model.record import Figures, Origin
from charrnn.web import bundle, weights
from tests.builders import (
    HOSTILE,
    ROOT,
    WEB,
    large_model,
    make_model,
    steady,
    varied_text,
)

FIGURES = Figures(val_loss=1.5, kept_step=1, total_steps=2, seconds=3)


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text directly in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside = False
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes), []))

        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1][2].append(data)

    def texts(self, tag, **attributes):
        return [
            "".join(text)
            for name, found, text in self.found
            if name == tag and attributes.items() <= found.items()
        ]

    def shape(self):
        """The elements and their attributes, without what the model decides."""
        ignored = ("content",)
        return [
            (tag, [(k, v) for k, v in found.items() if k not in ignored])
            for tag, found, _ in self.found
        ]


def digest(text):
    sha = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(sha).decode()}'"


def test_the_policy_names_every_script_and_style_by_its_hash_and_nothing_else():
    found = Elements(bundle.page(make_model()))
    (shared,) = found.texts("script", id="shared")
    (script,) = ["".join(t) for n, a, t in found.found if n == "script" and not a]
    (style,) = found.texts("style")
    (policy,) = [a["content"] for n, a, _ in found.found if a.get("http-equiv")]
    assert policy == (
        f"default-src 'none'; script-src {digest(shared)} {digest(script)} "
        f"'wasm-unsafe-eval'; worker-src blob:; style-src {digest(style)}; "
        "img-src data:"
    )
    assert not any("style" in a for _, a, _ in found.found)
    assert not any(k.startswith("on") for _, a, _ in found.found for k in a)
    addresses = [a[k] for _, a, _ in found.found for k in ("href", "src") if k in a]
    assert addresses == ["data:,"]


def test_the_page_holds_the_model_and_its_facts_and_nothing_of_this_machine():
    model = make_model("lstm", 2)
    origin = Origin(repo="someone/model", revision="0" * 40)
    record = dataclasses.replace(
        model.record,
        figures=FIGURES,
        license="mit",
        origin=origin,
        versions={"charrnn": "secret-version"},
    )
    text = bundle.page(dataclasses.replace(model, record=record), "float32")
    found = Elements(text)
    content = json.loads(found.texts("script", id="model")[0])
    assert content["vocabulary"] == list(model.vocabulary.entries)
    assert content["facts"] == {
        **{"cell": "LSTM", "layers": 2, "units": 16, "corpus": "t"},
        **{"parameters": record.model.num_parameters(), "corpus_characters": 100},
        **{"nats": 1.5, "format": "float32", "cost": 0.0, "license": "mit"},
        "origin": "someone/model",
    }
    packed = base64.b64decode(found.texts("script", id="weights")[0])
    assert packed == weights.pack(model, "float32")
    kernel = base64.b64decode(content["kernel"])
    assert kernel == (WEB / "kernel.wasm").read_bytes()
    assert "secret-version" not in text
    assert str(ROOT) not in text
    assert text == bundle.page(dataclasses.replace(model, record=record), "float32")


def test_a_page_is_no_larger_than_its_weights_need():
    model = large_model()
    count = model.record.model.num_parameters()
    assert len(bundle.page(model, "int8").encode()) < 4 / 3 * count + 250_000
    assert len(bundle.page(model, "float16").encode()) < 8 / 3 * count + 250_000


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_stranger_wrote_never_becomes_markup(hostile):
    plain = make_model()
    corpus = dataclasses.replace(plain.record.corpus, name=hostile)
    record = dataclasses.replace(
        plain.record,
        title=hostile,
        corpus=corpus,
        license=hostile,
        origin=Origin(repo=hostile, revision=hostile),
    )
    characters = make_model(
        characters="".join(sorted({*hostile, "\n", " "}))
    ).vocabulary
    model = dataclasses.replace(plain, record=record, vocabulary=characters)
    found = Elements(bundle.page(model))
    assert found.shape() == Elements(bundle.page(plain)).shape()
    content = json.loads(found.texts("script", id="model")[0])
    assert content["vocabulary"] == list(characters.entries)
    assert content["facts"]["origin"] == hostile
    assert content["facts"]["license"] == hostile


def test_the_smallest_format_that_costs_little_is_chosen():
    def chosen(**costs):
        figures = dataclasses.replace(FIGURES, **costs)
        return bundle.choose_format(bundle.known_costs(figures))

    assert chosen(int8_cost=0.0049, float16_cost=0.0001) == "int8"
    assert chosen(int8_cost=0.005, float16_cost=0.0001) == "float16"
    assert chosen(int8_cost=0.005, float16_cost=0.006) == "float32"
    assert chosen(float16_cost=0.0001) == "float16"
    assert chosen() == "float16"
    assert bundle.choose_format(bundle.known_costs(None)) == "float16"


def test_costs_are_the_losses_of_the_numbers_that_the_page_has():
    model = steady(make_model("gru", 1, characters="\n abdeginorstuw", scale=1.2))
    ids = model.vocabulary.encode(varied_text(3000))
    found = weights.measure_costs(model, ids)
    assert found["float32"] == 0
    assert 0 < abs(found["float16"]) < 1e-2
    assert abs(found["float16"]) < abs(found["int8"]) < 0.1
    longer = np.concatenate([np.tile(ids, 7), ids[::-1]])
    assert weights.measure_costs(model, longer) == weights.measure_costs(
        model, longer[: weights.MAX_MEASURED]
    )
    with pytest.raises(ConfigError, match="at least 2"):
        weights.measure_costs(model, ids[:1])


def test_both_languages_say_the_same_things():
    texts = [
        json.loads((WEB / "locales" / f"{name}.json").read_text(encoding="utf-8"))
        for name in bundle.LANGUAGES
    ]
    english, japanese = texts
    assert list(english) == list(japanese)
    places = [
        {key: sorted(set(re.findall(r"{(\w+)}", text))) for key, text in t.items()}
        for t in texts
    ]
    assert places[0] == places[1]
    used = "".join((WEB / name).read_text() for name in ("page.html", "page.js"))
    assert [key for key in english if f'"{key}"' not in used] == []
