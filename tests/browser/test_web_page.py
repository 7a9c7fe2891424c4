"""A model's page, opened from a file with the network off."""

import base64
import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.model import checkpoint, generation
from charrnn.model.network import Network
from charrnn.model.record import Origin
from charrnn.model.sampling import next_char_probs, uniform_stream
from charrnn.runs import control, preparation
from charrnn.text.corpus import Corpus
from charrnn.text.vocabulary import Vocabulary
from charrnn.web import bundle
from charrnn.web.weights import pack
from tests.builders import (
    HOSTILE,
    ROOT,
    TINY,
    large_model,
    make_model,
    rows,
    with_baseline,
    written,
)

SEEDS, LENGTH, NEAR = range(20), 300, 1e-4
TEMPERATURE = 0.8
READY = "#write:not([disabled])"
DONE = "#stop[disabled]"
HUB_TAB = 3
SHIPPED = ROOT / "checkpoints" / "shakespeare"
# what the page's own engine makes of texts: logits after each character, and what it
# draws there by itself; the kernel is left out on demand
READ = """([texts, seeds, temperature, format, compiled, packed]) => {
  const model = JSON.parse(document.getElementById("model").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const network = charrnnEngine.network(
    model.config, bytes(packed), format, compiled ? bytes(model.kernel) : null);
  const words = charrnnEngine.vocabulary(model.vocabulary);
  const ids = texts.map((text) => Array.from(text, (c) => words.begin(c)[0]));
  const states = ids.map(network.blank);
  const uniforms = seeds.map(charrnnEngine.uniforms);
  let last = ids.map(() => words.begin("")[0]);
  const logits = [], drawn = [];
  for (let t = 0; t < ids[0].length; t++) {
    const found = network.step(last, states);
    logits.push(found.map((row) => row.slice(1)));
    drawn.push(found.map((row, i) => charrnnEngine.draw(
      charrnnSampling.unnormalised(row.slice(1), temperature), uniforms[i]()) + 1));
    last = ids.map((text) => text[t]);
  }
  return { logits, drawn, compiled: network.compiled };
}"""


class Opened:
    """Pages from files, in a browser without a network; notes what must not be."""

    def __init__(self, browser: Any, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.context = browser.new_context(
            **{"locale": "en-US", "offline": True, **settings}
        )
        self.faults: list[str] = []

    def open(self, model: checkpoint.Model, number_format: str | None = None) -> Any:
        path = self.folder / "page.html"
        bundle.write_page(path, bundle.page(model, number_format))
        return self.show(path)

    def show(self, path: Path) -> Any:
        page = self.context.new_page()
        page.on("console", lambda message: self.faults.append(message.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append("a script ran"))
        page.on("request", lambda request: self._asked(request.url, path))
        page.goto(path.as_uri())
        page.locator(READY).wait_for()
        return page

    def _asked(self, url: str, path: Path) -> None:
        if url != path.as_uri() and not url.startswith(("blob:", "data:")):
            self.faults.append(f"asked {url}")


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Make visitors; none may meet an error, a request or a violation."""
    visitors: list[Opened] = []

    def make(**settings: Any) -> Opened:
        visitors.append(Opened(browser, tmp_path, **settings))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
        assert visitor.faults == []


def write(page: Any) -> list[str]:
    """Press Write; what stands in the columns at the end, prompts included."""
    page.click("#write")
    page.locator(DONE).wait_for()
    return [str(text) for text in page.locator(".written").all_text_contents()]


def packed_weights(model: checkpoint.Model, number_format: str) -> str:
    return base64.b64encode(pack(model, number_format)).decode()


def is_close(logits: np.ndarray, chosen: int, uniform: float) -> bool:
    """Whether a uniform lies at an end of the share that a candidate has."""
    ends = next_char_probs(logits, temperature=TEMPERATURE).cumsum()
    start = ends[chosen - 1] if chosen else 0.0
    return min(abs(ends[chosen] - uniform), abs(start - uniform)) < NEAR


@pytest.fixture
def model_of(small_corpus: Corpus, isolated: Path) -> Any:
    """A trained model of a kind of cell."""

    def make(cell: str) -> checkpoint.Model:
        if cell == "gru":
            return checkpoint.load(SHIPPED)
        from charrnn.trainer import train

        settings = {**TINY, "cell": cell, "num_layers": 2, "epochs": 1}
        prepared = preparation.prepare(small_corpus, settings=settings)
        folder = with_baseline(control.create(prepared))
        train.train(folder)
        return checkpoint.load(folder)

    return make


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_it_draws_what_the_package_draws(cell: str, model_of: Any, opened: Any) -> None:
    model = model_of(cell)
    page = opened().open(model, "float32")
    network = Network(model.record.model, model.weights, batch_invariant=False)
    packed = packed_weights(model, "float32")
    for first in SEEDS[::10]:
        seeds = SEEDS[first : first + 10]
        settings = [r for seed in seeds for r in rows(TEMPERATURE, seed=seed)]
        texts = written(generation.generate(model, "", length=LENGTH, rows=settings))
        answer = page.evaluate(
            READ, [texts, list(seeds), TEMPERATURE, "float32", True, packed]
        )
        assert answer["compiled"]
        start = generation.prompt_ids(model.vocabulary, "")[0]
        ids = np.array([[start, *model.vocabulary.encode(text)] for text in texts])
        outputs, _ = network.scan(ids[:, :-1], network.initial_states(len(ids)))
        logits = network.logits(outputs)[..., 1:]  # (time, rows, candidates)
        np.testing.assert_allclose(np.array(answer["logits"]), logits, 0, 1e-4)
        streams = [uniform_stream(seed) for seed in seeds]
        uniforms = np.array([[next(s) for s in streams] for _ in range(LENGTH)])
        for t, row in np.argwhere(np.array(answer["drawn"]) != ids[:, 1:].T):
            assert is_close(logits[t, row], ids[row, t + 1] - 1, uniforms[t, row])


def test_it_writes_with_one_button_what_the_command_line_writes(opened: Any) -> None:
    model = make_model("gru", 2, characters="\n abcdefghij", scale=0.3)
    page = opened().open(model, "float32")
    page.fill("#prompt", "abba")
    page.fill("#length", "200")
    page.fill("#seed", str(2**63 - 1))
    expected = written(
        generation.generate(
            model,
            "abba",
            length=200,
            rows=rows(0.2, 0.5, 0.8, 1.1, seed=2**63 - 1),
        )
    )
    assert write(page) == [f"abba{text}" for text in expected]
    assert page.inner_text("#status").startswith("800 characters, ")
    page.locator(".card input").nth(0).fill("0")
    (greedy,) = written(generation.generate(model, "abba", length=200, rows=rows(0.0)))
    assert write(page)[0] == f"abba{greedy}"


def test_the_strip_shows_what_may_come_next_and_follows_the_slider(
    opened: Any,
) -> None:
    model = make_model("lstm", 1)
    page = opened().open(model, "float32")
    page.fill("#prompt", "abc")
    network = Network(model.record.model, model.weights)
    ids = model.vocabulary.encode("abc")
    states = network.prefill(ids[:-1], network.initial_states(1))
    logits = network.step(ids[-1:], states)[0][0, 1:]
    for temperature in (0.8, 1.55, 0.0):
        page.locator(".card input").nth(2).fill(f"{temperature}")
        shares = next_char_probs(logits, temperature=temperature)
        best = int(shares.argmax())
        sign = {"\n": "⏎", " ": "␣"}.get(*[model.vocabulary.entries[best + 1]] * 2)
        percent = f"{round(100 * shares[best])}%"
        first = page.locator("#next-bars li").first
        first.filter(has_text=percent).filter(has_text=sign).wait_for()
        assert f"{temperature:.2f}" in page.inner_text("#next-setting")
    page.locator("#prompt").press_sequentially("de")  # only these are read
    page.locator(".card input").nth(2).fill("0.8")
    ids = model.vocabulary.encode("abcde")
    states = network.prefill(ids[:-1], network.initial_states(1))
    shares = next_char_probs(network.step(ids[-1:], states)[0][0, 1:], temperature=0.8)
    percent = f"{round(100 * shares.max())}%"
    page.locator("#next-bars li").first.filter(has_text=percent).wait_for()


def test_a_touched_character_shows_others_to_go_on_with(opened: Any) -> None:
    model = make_model("rnn", 1, scale=0.3)
    page = opened().open(model, "float32")
    page.fill("#prompt", "ab")
    page.fill("#length", "40")
    before = write(page)
    page.locator(".own").nth(1).locator("span").nth(4).click()
    page.locator("#next-title", has_text="Instead of").wait_for()
    page.locator("#next-close").click()
    page.locator("#next-title", has_text="Next character").wait_for()
    page.locator(".own").nth(1).locator("span").nth(4).click()
    page.locator("#next-title", has_text="Instead of").wait_for()
    assert page.locator(".written").all_text_contents() == before
    network = Network(model.record.model, model.weights)
    ids = model.vocabulary.encode(before[1][:6])
    states = network.prefill(ids[:-1], network.initial_states(1))
    logits = network.step(ids[-1:], states)[0][0, 1:]
    best, second = np.argsort(-logits, kind="stable")[:2] + 1
    sign = {"\n": "⏎", " ": "␣"}
    shown = [model.vocabulary.entries[i] for i in (best, second)]
    bars = page.locator("#next-bars b")
    for place, character in enumerate(shown):
        bars.nth(place).filter(has_text=sign.get(character, character)).wait_for()
    bars.nth(1).click()
    page.locator(DONE).wait_for()
    assert page.input_value("#prompt") == before[1][:6] + shown[1]
    after = page.locator(".written").all_text_contents()
    assert [text[:7] for text in after] == [before[1][:6] + shown[1]] * 4
    assert [len(text) for text in after] == [47] * 4


def test_the_same_goes_by_keys_and_bars_grow_the_prompt(opened: Any) -> None:
    page = opened().open(make_model("rnn", 1, scale=0.3))
    page.fill("#prompt", "ab")
    page.fill("#length", "40")
    before = write(page)
    page.locator(".own").nth(3).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    page.locator("#next-bars button:focus").wait_for()
    page.keyboard.press("Enter")
    page.locator(DONE).wait_for()
    page.locator(f"{READY}").wait_for()
    assert page.input_value("#prompt")[:3] == before[3][:3]
    assert len(page.input_value("#prompt")) == 4
    page.locator("#next-title", has_text="Next character").wait_for()
    page.locator("#next-bars button").first.click()
    assert len(page.input_value("#prompt")) == 5


def test_it_stops_at_once_and_never_freezes(opened: Any) -> None:
    page = opened().open(large_model())
    page.fill("#length", "10000")
    page.click("#write")
    page.locator("#status", has_text=re.compile("Writing … [1-9]")).wait_for()
    longest = page.evaluate(
        """() => new Promise((done) => {
          const times = [];
          const look = (now) => {
            times.push(now);
            if (times.length < 30) requestAnimationFrame(look);
            else done(Math.max(...times.slice(1).map((t, i) => t - times[i])));
          };
          requestAnimationFrame(look);
        })"""
    )
    assert longest < 1000  # ms, on a machine that does other work
    page.keyboard.press("Escape")
    page.locator("#status", has_text="Stopped after ").wait_for()
    counted = sum(map(len, page.locator(".written").all_text_contents()))
    page.locator("#next-bars li").first.wait_for()
    page.fill("#prompt", "A")
    page.fill("#length", "10")
    assert [len(text) for text in write(page)] == [11] * 4
    assert 0 < counted < 40_000


def test_wrong_numbers_are_refused_in_a_sentence(opened: Any) -> None:
    page = opened().open(make_model())
    for field, value, sentence in (
        ("#seed", "-1", "The seed is no whole number"),
        ("#seed", str(2**63), "The seed is no whole number"),
        ("#length", "0", "The length is no whole number"),
        ("#length", "10001", "The length is no whole number"),
    ):
        old = page.input_value(field)
        page.fill(field, value)
        page.click("#write")
        assert page.inner_text("#status").startswith(sentence)
        page.fill(field, old)
    page.fill("#prompt", "a?ü")
    assert page.inner_text("#unknown") == "The model does not know ? ü."


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_both_widths_and_speaks_both_languages(
    width: int, scheme: str, opened: Any, browser: Any
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    visitor = opened(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale="ja-JP"
    )
    page = visitor.open(make_model())
    assert page.inner_text("#write") == "書く"
    assert page.get_attribute("html", "lang") == "ja"
    page.check("#coloured")
    write(page)
    page.locator("summary").click()
    found = Axe().run(page).response["violations"]
    serious = [f for f in found if f["impact"] in ("serious", "critical")]
    assert [(f["id"], [n["target"] for n in f["nodes"]]) for f in serious] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.select_option("#language", "en")
    assert page.inner_text("#write") == "Write"
    assert page.inner_text("#status").endswith(page.input_value("#seed"))


def test_hostile_texts_stay_texts(opened: Any) -> None:
    plain = make_model()
    text = "".join(HOSTILE)
    vocabulary = Vocabulary.of({*text, "\n"})
    config = dataclasses.replace(plain.record.model, vocab_size=len(vocabulary))
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(0, 0.5, shape).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    visitor = opened()
    for hostile in HOSTILE:
        corpus = dataclasses.replace(plain.record.corpus, name=hostile)
        record = dataclasses.replace(
            plain.record,
            title=hostile,
            model=config,
            corpus=corpus,
            license=hostile,
            origin=Origin(repo=hostile, revision="0"),
        )
        model = checkpoint.Model(record, vocabulary, arrays, "0" * 16)
        page = visitor.open(model)
        page.fill("#prompt", hostile)
        page.fill("#length", "100")
        texts = write(page)
        assert all(shown.startswith(hostile) for shown in texts)
        assert hostile in page.locator("#facts").text_content()
        assert page.locator("h1").text_content().split() == (
            hostile.replace("\u2028", " ").replace("\u2029", " ").split()
        )
        assert page.locator("img, svg, b#stolen, h1 *, .own * *").count() == 0
        page.close()


def test_the_buttons_of_the_product_give_such_a_page(
    served: Any, visit: Any, opened: Any, tmp_path: Path
) -> None:
    page = visit().open(served.url)
    page.get_by_role("tab").nth(HUB_TAB).click()
    page.locator("#push-model input").click()
    page.get_by_role("option", name="A toy").click()
    with page.expect_download() as download:
        page.locator("#model-web-page").click()
    assert download.value.suggested_filename == "a-toy.html"
    download.value.save_as(tmp_path / "page.html")
    model = checkpoint.load(served.folder / "toy")
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert content == bundle.page(model)
    own = opened().show(tmp_path / "page.html")
    own.fill("#length", "20")
    assert [len(text) for text in write(own)] == [20] * 4


def test_compiled_it_is_several_times_as_fast(opened: Any) -> None:
    model = large_model()
    page = opened().open(model)
    packed = packed_weights(model, "float32")
    speeds = json.loads(
        page.evaluate(
            """(packed) => {
          const model = JSON.parse(document.getElementById("model").textContent);
          const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const speed = (kernel, rows) => {
            const network = charrnnEngine.network(
              model.config, bytes(packed), "float32", kernel);
            const states = Array.from({ length: rows }, network.blank);
            const write = (count) => {
              for (let i = 0; i < count; i++)
                network.step(states.map(() => 1 + i % 60), states);
            };
            const count = kernel ? 150 : 40;
            write(40);
            const best = [1, 2, 3].map(() => {
              const begun = performance.now();
              write(count);
              return performance.now() - begun;
            });
            return 1000 * rows * count / Math.min(...best);
          };
          const kernel = bytes(model.kernel);
          return JSON.stringify([
            speed(kernel, 1), speed(kernel, 4), speed(null, 1), speed(null, 4)]);
        }""",
            packed,
        )
    )
    one, four, plain_one, plain_four = speeds
    told = f"{one:.0f} characters/s, four columns {four:.0f}; plain {plain_one:.0f}"
    sys.stdout.write(f"\n{told}\n")
    assert one > 2.5 * plain_one
    assert four > 3.5 * plain_four
