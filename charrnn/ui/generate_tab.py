"""The Generate tab: one prompt, one text or several temperatures side by side."""

import contextlib
import html
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import gradio as gr

from charrnn.config import MAX_LENGTH, MAX_VOCAB_SIZE, SamplingConfig
from charrnn.errors import CharrnnError, ConfigError, CorpusError
from charrnn.hosting import UNKNOWN_VISITOR, Visitor
from charrnn.model.record import Record
from charrnn.runs import listing, store
from charrnn.runs.history import read_history
from charrnn.runs.listing import ModelEntry
from charrnn.runs.writer import Writer
from charrnn.text import sources, verbatim
from charrnn.ui import links
from charrnn.ui.links import DEFAULT_TEMPERATURES, MAX_COLUMNS, Link
from charrnn.ui.shared import (
    Browser,
    Choice,
    allowed,
    mark,
    model_choices,
    note,
    reach,
    shown,
    visible,
)
from charrnn.ui.texts import i18n, known, language, resting_card, say, shorten
from charrnn.ui.visitors import visitor_of

CONCURRENCY: Final = 32  # handlers only feed and drain the engine
MAX_SUGGESTED: Final = 40  # characters
DRAWN_SEEDS: Final = 1_000_000  # short enough to read out
PROMPTS: Final = {"shakespeare": "ROMEO:", "python-stdlib": "def "}
DEFAULT_PROMPT: Final = PROMPTS["shakespeare"]
CODE: Final = frozenset({"python-stdlib"})  # texts that are set in a fixed width
NUMBERS: Final[dict[str, tuple[float, float]]] = {  # lowest and highest
    "length": (1, MAX_LENGTH),
    "seed": (0, links.MAX_PAGE_SEED),
    "top_k": (0, MAX_VOCAB_SIZE),
    "top_p": (1e-6, 1),
}
TEMPERATURES: Final = (0, 2)
SKIP: Final[Any] = gr.skip()
READY: Final[Any] = gr.update(interactive=True)
engine: Final = Writer()


@dataclass(frozen=True)
class Wish:
    """A request as the form holds it; numbers may be missing or wrong."""

    model: str | None
    prompt: str
    length: float | None
    seed: float | None
    new_seed: bool
    top_k: float | None
    top_p: float | None
    stop: str
    temperatures: tuple[float | None, ...]


@dataclass(frozen=True)
class Order:
    """A request that can be carried out."""

    path: Path
    record: Record
    link: Link
    columns: tuple[int, ...]  # where each of the temperatures is shown
    unknown: str  # characters of the prompt that the model does not know

    def rows(self) -> list[SamplingConfig]:
        """The settings of each text."""
        return [
            SamplingConfig(
                temperature=temperature,
                top_k=self.link.top_k,
                top_p=self.link.top_p,
                stop=self.link.stop,
                seed=self.link.seed or 0,
            )
            for temperature in self.link.temperatures
        ]


def field_problem(
    lang: str, value: float | None, low: float, high: float, *, optional: bool = False
) -> str:
    """What is wrong with a number of the form; empty if nothing is."""
    if value is None:
        return "" if optional else say(lang, "field.missing")
    if low <= value <= high:  # false for NaN as well
        return ""
    return say(lang, "field.range", low=shorten(low), high=shorten(high))


def first_problem(lang: str, wish: Wish) -> tuple[str, str]:
    """Name and sentence of the first field that is wrong; empty if none is."""
    for name, (low, high) in NUMBERS.items():
        if name == "seed" and wish.new_seed:
            continue
        problem = field_problem(lang, getattr(wish, name), low, high)
        if problem:
            return name, f"{say(lang, f'generate.{name}')}: {problem}"
    for value in wish.temperatures:
        problem = field_problem(lang, value, *TEMPERATURES, optional=True)
        if problem:
            return "temperatures", f"{say(lang, 'generate.temperature')}: {problem}"
    return "", ""


def draw_seed() -> int:
    """A new seed, short enough to read out."""
    return secrets.randbelow(DRAWN_SEEDS)


def order(lang: str, wish: Wish, *, at_least: int) -> Order:
    """Make a request out of the form's values.

    Args:
        lang: Language of the sentences.
        wish: The form.
        at_least: Temperatures that are needed.

    Raises:
        CharrnnError: If a value is wrong or there is no such model.
    """
    if not wish.model:
        raise ConfigError(say(lang, "generate.no_model"), field="model")
    name, problem = first_problem(lang, wish)
    if problem:
        raise ConfigError(problem, field=name)
    columns = tuple(i for i, t in enumerate(wish.temperatures) if t is not None)
    if len(columns) < at_least:
        raise ConfigError(say(lang, "generate.two"), field="temperatures")
    path = reach(wish.model)
    loaded = engine.models.get(path)
    seed = draw_seed() if wish.new_seed or wish.seed is None else int(wish.seed)
    link = Link(
        model=wish.model,
        weights_hash=loaded.weights_hash,
        prompt=wish.prompt,
        seed=seed,
        temperatures=tuple(float(t) for t in wish.temperatures if t is not None),
        length=int(wish.length or 1),
        top_k=int(wish.top_k or 0),
        top_p=float(wish.top_p or 1),
        stop=wish.stop,
    )
    unknown = loaded.vocabulary.unknown(wish.prompt)
    return Order(path, loaded.record, link, columns, unknown)


def file_name(link: Link, temperature: float) -> str:
    """What a downloaded text is called."""
    return f"{store.slug(link.model)}-{temperature:g}-{link.seed}.txt"


def card_head(
    lang: str, link: Link, temperature: float, *, code: bool, wide: bool
) -> str:
    """A column up to where the model's own text begins.

    It stays open: each frame that is streamed begins like the one before, so
    that only what was added travels; the browser closes what is left open.
    """
    kind = "card wide" if wide else "card"
    name = html.escape(file_name(link, temperature))
    copied = html.escape(say(lang, "generate.copied"))
    copy = html.escape(say(lang, "generate.copy"))
    save = html.escape(say(lang, "generate.save"))
    written = "written code" if code else "written"
    return (
        f'<article class="{kind}"><div class="tools">'
        f'<button class="tool" type="button" data-act="copy" data-done="{copied}">'
        f"{copy}</button>"
        f'<button class="tool" type="button" data-act="save" data-file="{name}">'
        f"{save}</button></div>"
        f'<div class="{written}" dir="auto" data-temperature="{temperature:g}">'
        f'<span class="prompt">{html.escape(link.prompt)}</span>'
    )


def marked(text: str, found: Sequence[tuple[int, int]]) -> str:
    """A text as HTML with some passages marked."""
    parts, end = [], 0
    for start, stop in found:
        parts.append(html.escape(text[end:start]))
        parts.append(f"<mark>{html.escape(text[start:stop])}</mark>")
        end = stop
    return "".join(parts) + html.escape(text[end:])


def status_line(lang: str, made: Order, texts: Sequence[str], *, exact: str) -> str:
    """What was written, with which seed, and the link that reproduces it."""
    href = html.escape(links.build(made.link))
    count = say(lang, "generate.done", count=sum(map(len, texts)))
    seed = say(lang, "generate.seed_is", seed=made.link.seed)
    title = html.escape(say(lang, "generate.link_machine"))
    parts = [
        f"<span>{html.escape(count)}</span>",
        f"<span>{html.escape(seed)}</span>",
        f'<a href="{href}" title="{title}">{html.escape(say(lang, "generate.link"))}'
        "</a>",
        f'<button class="tool" type="button" data-act="link" data-href="{href}" '
        f'data-done="{html.escape(say(lang, "generate.copied"))}">'
        f"{html.escape(say(lang, 'generate.copy_link'))}</button>",
    ]
    return f'<div class="status" role="status">{"".join(parts)}</div>{exact}'


def unknown_note(lang: str, unknown: str) -> str:
    """Names the characters of a prompt that the model has never seen."""
    if not unknown:
        return ""
    named = " ".join(c if c.isprintable() and c != " " else ascii(c) for c in unknown)
    sentence = say(lang, "generate.unknown", characters=f"“{named[:120]}”")
    return note(sentence, "warn")


def training_text(path: Path, record: Record) -> Path | None:
    """The text that a model was trained on, if it lies on this machine."""
    own = path / store.STATE / store.CORPUS_FILE
    if own.is_file():
        return own
    named = sources.NAMED.get(record.corpus.name)
    if named is None or not named.sha256 or named.sha256 != record.corpus.sha256:
        return None
    try:
        cached = sources.cache_folder() / f"{record.corpus.name}.txt"
        fits = cached.is_file() and cached.stat().st_size == named.size
    except (CorpusError, OSError):
        return None
    return cached if fits else None


def learnt_by_heart(
    source: Path, prompt: str, texts: Sequence[str]
) -> list[list[tuple[int, int]]]:
    """For each text, the passages that stand word for word in the source.

    The prompt is looked at with it, since a passage may begin there; what is
    returned counts from the text's own beginning.
    """
    found = []
    for text in texts:
        whole = verbatim.passages(prompt + text, verbatim.pieces(source))
        inside = [(max(0, a - len(prompt)), b - len(prompt)) for a, b in whole]
        found.append([(a, b) for a, b in inside if b > a])
    return found


def final_bodies(lang: str, made: Order, texts: Sequence[str]) -> tuple[list[str], str]:
    """The finished texts as HTML with their marks, and what the marks mean."""
    source = training_text(made.path, made.record)
    if source is None:
        return [html.escape(text) for text in texts], ""
    try:
        found = learnt_by_heart(source, made.link.prompt, texts)
    except OSError:
        return [html.escape(text) for text in texts], ""
    key = "generate.verbatim" if any(found) else "generate.no_verbatim"
    bodies = [marked(t, f) for t, f in zip(texts, found, strict=True)]
    return bodies, note(say(lang, key))


class Frame(NamedTuple):
    """What a moment of writing changes on the page."""

    cards: tuple[str | None, ...]  # HTML of each column; None: as it is
    status: str | None


def write(
    lang: str,
    made: Order,
    *,
    columns: int,
    wide: bool = False,
    visitor: Visitor = UNKNOWN_VISITOR,
) -> Iterator[Frame]:
    """Write an order's texts, frame by frame.

    Closing the iterator stops the writing.

    Raises:
        CharrnnError: If the model cannot be loaded.
    """
    code = made.record.corpus.name in CODE
    heads = [
        card_head(lang, made.link, t, code=code, wide=wide)
        for t in made.link.temperatures
    ]
    off = resting_card(say(lang, "generate.off"), wide=wide)

    def frame(bodies: Sequence[str], status: str | None, rest: str | None) -> Frame:
        cards: list[str | None] = [rest] * columns
        for column, head, body in zip(made.columns, heads, bodies, strict=True):
            cards[column] = head + body
        return Frame(tuple(cards), status)

    warning = unknown_note(lang, made.unknown)
    writing = f'<p class="status" role="status">{say(lang, "generate.writing")}</p>'
    texts = [""] * len(heads)
    yield frame(texts, writing + warning, off)
    stream = engine.generate(
        made.path,
        made.link.prompt,
        length=made.link.length,
        rows=made.rows(),
        visitor=visitor,
    )
    with contextlib.closing(stream):  # a visitor who leaves stops the writing
        for texts in stream:
            yield frame([html.escape(text) for text in texts], None, None)
    bodies, meaning = final_bodies(lang, made, texts)
    yield frame(bodies, status_line(lang, made, texts, exact=meaning) + warning, None)


class Shown(NamedTuple):
    """The outputs of a writing handler, in the order of the components."""

    columns: Any = SKIP
    alone: Any = SKIP
    card0: Any = SKIP
    card1: Any = SKIP
    card2: Any = SKIP
    card3: Any = SKIP
    single: Any = SKIP
    status: Any = SKIP
    seed: Any = SKIP
    stop: Any = SKIP


def _stream(
    lang: str, wish: Wish, *, alone: bool, visitor: Visitor = UNKNOWN_VISITOR
) -> Iterator[Shown]:
    """Carry a wish out; the first frame also shows the right cards."""
    try:
        made = order(lang, wish, at_least=1 if alone else 2)
        shown_cards = Shown(
            columns=gr.update(visible=not alone),
            alone=gr.update(visible=alone),
            seed=made.link.seed,
            stop=gr.update(interactive=True),
        )
        count = 1 if alone else MAX_COLUMNS
        for cards, status in write(
            lang, made, columns=count, wide=alone, visitor=visitor
        ):
            values = [SKIP if card is None else card for card in cards]
            names = ["single"] if alone else [f"card{i}" for i in range(count)]
            yield shown_cards._replace(
                status=SKIP if status is None else status,
                **dict(zip(names, values, strict=True)),
            )
            shown_cards = Shown()
    except CharrnnError as error:
        raise shown(error) from error


def compare(
    lang: str,
    model: str | None,
    prompt: str,
    length: float | None,
    seed: float | None,
    new_seed: bool,
    top_k: float | None,
    top_p: float | None,
    stop: str,
    t0: float | None,
    t1: float | None,
    t2: float | None,
    t3: float | None,
    request: gr.Request | None = None,
) -> Iterator[Shown]:
    """Write at two to four temperatures side by side, from one batch."""
    wish = Wish(
        *(model, prompt or "", length, seed, new_seed, top_k, top_p, stop or ""),
        (t0, t1, t2, t3),
    )
    yield from _stream(known(lang), wish, alone=False, visitor=visitor_of(request))


def generate_one(
    lang: str,
    model: str | None,
    prompt: str,
    length: float | None,
    seed: float | None,
    new_seed: bool,
    top_k: float | None,
    top_p: float | None,
    stop: str,
    temperature: float | None,
    request: gr.Request | None = None,
) -> Iterator[Shown]:
    """Write one text, at one temperature."""
    wish = Wish(
        *(model, prompt or "", length, seed, new_seed, top_k, top_p, stop or ""),
        (temperature,),
    )
    yield from _stream(known(lang), wish, alone=True, visitor=visitor_of(request))


def marks(lang: str, *values: float | None) -> list[dict[str, Any]]:
    """Updates that mark the wrong numbers.

    Args:
        lang: Language code.
        *values: Length, seed, top-k and top-p, the temperature of a single
            text and those of the columns.
    """
    lang = known(lang)
    bounds = (*NUMBERS.values(), *[TEMPERATURES] * (1 + MAX_COLUMNS))
    infos = [i18n(f"generate.{name}_info") for name in (*NUMBERS, "one_temperature")]
    columns = len(NUMBERS) + 1
    result = []
    for index, (value, (low, high)) in enumerate(zip(values, bounds, strict=True)):
        column = index >= columns
        problem = field_problem(lang, value, low, high, optional=column)
        info = "" if column else infos[index]
        result.append(mark(problem, info, *(["inline"] if column else [])))
    return result


def stopped(lang: str) -> tuple[str, Any]:
    """After Stop: what was written stays."""
    sentence = html.escape(say(known(lang), "generate.stopped"))
    status = f'<p class="status" role="status">{sentence}</p>'
    return status, gr.update(interactive=False)


def rested() -> Any:
    """After writing, well or not: there is nothing to stop."""
    return gr.update(interactive=False)


def prompt_of(entry: ModelEntry) -> str:
    """A beginning that suits a model: its text's own, else that of its samples."""
    named = PROMPTS.get(entry.record.corpus.name)
    if named is not None or not entry.is_run:
        return named or ""
    samples = [e for e in read_history(entry.model_id) if e["type"] == "sample"]
    return str(samples[-1].get("prompt", ""))[:MAX_SUGGESTED] if samples else ""


def suggest_prompt(model: str | None, prompt: str) -> Any:
    """A beginning that suits the model, unless the visitor wrote one."""
    known_to_all = visible(listing.models(), (model or "",))
    prompts = {entry.model_id: prompt_of(entry) for entry in known_to_all}
    untouched = {"", *PROMPTS.values(), *prompts.values()}
    try:
        suggested = prompts.get(allowed(model or ""))
    except CharrnnError:
        return SKIP
    return SKIP if suggested is None or prompt not in untouched else suggested


def refresh(lang: str, model: str | None, browser: Any) -> Any:
    """The list of models as it is now; the chosen one stays chosen."""
    choices, kept = listed(known(lang), model, browser)
    return gr.update(choices=choices, value=kept)


def listed(
    lang: str, model: str | None, browser: Any
) -> tuple[list[Choice], str | None]:
    """The models a visitor can choose, and the one that is chosen then."""
    choices = model_choices(lang, Browser.of(browser), model or "")
    ids = [value for _, value in choices]
    return choices, model if model in ids else (ids[0] if ids else None)


class Opened(NamedTuple):
    """What the tab shows when the page opens, perhaps from a link."""

    model: Any
    prompt: Any = SKIP
    length: Any = SKIP
    seed: Any = SKIP
    new_seed: Any = SKIP
    top_k: Any = SKIP
    top_p: Any = SKIP
    stop: Any = SKIP
    temperature: Any = SKIP
    t0: Any = SKIP
    t1: Any = SKIP
    t2: Any = SKIP
    t3: Any = SKIP
    status: Any = SKIP
    compare: Any = READY  # before, a click would send a form that is not yet filled
    one: Any = READY


def opened(browser: Any, request: gr.Request) -> Opened:
    """Fill the form: from the link in the address, else with what is there."""
    lang = language(request)
    link = links.parse(request.query_params)
    choices, chosen = listed(lang, link.model if link else None, browser)
    dropdown = gr.update(choices=choices, value=chosen)
    if link is None:
        text = SKIP if chosen else note(say(lang, "generate.no_models"), "warn")
        prompt = suggest_prompt(chosen, DEFAULT_PROMPT)
        return Opened(dropdown, prompt, seed=draw_seed(), status=text)
    single = len(link.temperatures) == 1
    spread = (*link.temperatures, *[None] * MAX_COLUMNS)[:MAX_COLUMNS]
    columns = [SKIP] * MAX_COLUMNS if single else list(spread)
    opened_form = Opened(
        dropdown,
        link.prompt,
        link.length,
        draw_seed() if link.seed is None else link.seed,
        link.seed is None,
        link.top_k,
        link.top_p,
        link.stop,
        link.temperatures[0] if single else SKIP,
        *columns,
    )
    return opened_form._replace(status=link_status(lang, link, single=single))


def link_status(lang: str, link: Link, *, single: bool) -> str:
    """What a visitor who came by a link should know."""
    try:
        digest = engine.models.get(reach(link.model)).weights_hash
    except CharrnnError:
        return note(say(lang, "generate.link_gone"), "warn")
    key = "generate.link_ready_one" if single else "generate.link_ready"
    ready = note(say(lang, key))
    if link.weights_hash and link.weights_hash != digest:
        return ready + note(say(lang, "generate.link_changed"), "warn")
    return ready


@dataclass(frozen=True)
class GenerateTab:
    """What other parts of the page reach into."""

    model: gr.Dropdown
    filled: list[Any]  # outputs of `opened`


def _temperature_number(index: int) -> gr.Number:
    return gr.Number(
        DEFAULT_TEMPERATURES[index],
        label=i18n("generate.temperature"),
        step=0.1,
        elem_id=f"temperature-{index}",
        elem_classes="inline",
    )


def _column(index: int) -> tuple[gr.Number, gr.HTML]:
    with gr.Column(min_width=230):
        number = _temperature_number(index)
        card = gr.HTML(
            i18n(f"card.{index}"),
            elem_id=f"card-{index}",
            apply_default_css=False,
        )
    return number, card


def _buttons() -> tuple[gr.Button, gr.Button, gr.Button]:
    with gr.Row():
        run = gr.Button(
            i18n("generate.compare"),
            variant="primary",
            interactive=False,
            min_width=110,
            elem_id="compare",
        )
        one = gr.Button(
            i18n("generate.one"),
            interactive=False,
            min_width=110,
            elem_id="generate-one",
        )
        stop = gr.Button(
            i18n("generate.stop"),
            interactive=False,
            min_width=70,
            elem_id="stop-writing",
        )
    return run, one, stop


def build(lang: gr.Textbox) -> GenerateTab:
    """Lay the tab out and connect it."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=260):
            prompt = gr.Textbox(
                DEFAULT_PROMPT,
                label=i18n("generate.prompt"),
                placeholder=i18n("generate.prompt_hint"),
                lines=2,
                max_lines=6,
                max_length=links.MAX_PROMPT,
                elem_id="prompt",
            )
            gr.Markdown(i18n("generate.lead"), elem_id="lead")
        with gr.Column(scale=2, min_width=260):
            model = gr.Dropdown([], label=i18n("generate.model"), elem_id="model")
            run, one, stop = _buttons()
    status = gr.HTML(elem_id="writing-status", apply_default_css=False)
    with gr.Row(elem_id="columns") as columns:
        pairs = [_column(index) for index in range(MAX_COLUMNS)]
    with gr.Row(visible=False) as alone:
        single = gr.HTML(elem_id="single", apply_default_css=False)
    settings = _settings()
    temperatures, cards = zip(*pairs, strict=True)
    length, seed, new_seed, top_k, top_p, stop_string, temperature = settings
    inputs = [lang, model, prompt, length, seed, new_seed, top_k, top_p, stop_string]
    outputs = [columns, alone, *cards, single, status, seed, stop]
    shared: dict[str, Any] = {
        "outputs": outputs,
        "api_visibility": "private",
        "show_progress": "hidden",
        "concurrency_id": "generate",
        "concurrency_limit": CONCURRENCY,
    }
    events = [
        run.click(compare, [*inputs, *temperatures], **shared),
        one.click(generate_one, [*inputs, temperature], **shared),
    ]
    quiet: dict[str, Any] = {
        "queue": False,
        "api_visibility": "private",
        "show_progress": "hidden",
    }
    for event in events:
        event.then(rested, None, stop, **quiet)
    stop.click(stopped, lang, [status, stop], cancels=list(events), **quiet)
    model.input(suggest_prompt, [model, prompt], prompt, **quiet)
    numbers = [length, seed, top_k, top_p, temperature, *temperatures]
    changes = [number.change for number in numbers]
    gr.on(
        changes, marks, [lang, *numbers], numbers, trigger_mode="always_last", **quiet
    )
    seed.input(lambda: False, None, new_seed, **quiet)
    filled = [
        *(model, prompt, length, seed, new_seed, top_k, top_p, stop_string),
        *(temperature, *temperatures, status, run, one),
    ]
    return GenerateTab(model, filled)


def _settings() -> tuple[Any, ...]:
    """The accordion with what a first visitor need not see."""
    with gr.Accordion(i18n("generate.settings"), open=False, elem_id="sampling"):
        with gr.Row():
            length = gr.Number(
                400,
                label=i18n("generate.length"),
                info=i18n("generate.length_info"),
                precision=0,
                elem_id="length",
            )
            seed = gr.Number(
                0,
                label=i18n("generate.seed"),
                info=i18n("generate.seed_info"),
                precision=0,
                elem_id="seed",
            )
            new_seed = gr.Checkbox(
                True, label=i18n("generate.new_seed"), elem_id="new-seed"
            )
        with gr.Row():
            top_k = gr.Number(
                0,
                label=i18n("generate.top_k"),
                info=i18n("generate.top_k_info"),
                precision=0,
                elem_id="top-k",
            )
            top_p = gr.Number(
                1,
                label=i18n("generate.top_p"),
                info=i18n("generate.top_p_info"),
                step=0.05,
                elem_id="top-p",
            )
            stop_string = gr.Textbox(
                "",
                label=i18n("generate.stop_string"),
                info=i18n("generate.stop_string_info"),
                max_length=links.MAX_STOP,
                elem_id="stop-string",
            )
            temperature = gr.Number(
                0.8,
                label=i18n("generate.one_temperature"),
                info=i18n("generate.one_temperature_info"),
                step=0.1,
                elem_id="one-temperature",
            )
    return length, seed, new_seed, top_k, top_p, stop_string, temperature
