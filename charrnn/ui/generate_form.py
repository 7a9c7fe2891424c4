"""What the Generate tab's form holds: models to choose, a prompt, a link's values."""

from typing import Final, NamedTuple

import gradio as gr

from charrnn.errors import CharrnnError
from charrnn.runs import listing
from charrnn.runs.listing import ModelEntry
from charrnn.ui import links
from charrnn.ui.labels import i18n
from charrnn.ui.links import MAX_COLUMNS, Link
from charrnn.ui.shared import (
    Browser,
    Choice,
    checked_id,
    flag_field,
    listed_ids,
    model_choices,
    model_folder,
    note,
    relisted,
)
from charrnn.ui.texts import language, translate
from charrnn.ui.wiring import SKIP, Html, Update, flat
from charrnn.ui.writing_request import (
    NUMBERS,
    draw_seed,
    engine,
    field_problem,
)

MAX_SUGGESTED: Final = 40  # characters
PROMPTS: Final = {"shakespeare": "ROMEO:\nO", "python-stdlib": "def "}
DEFAULT_PROMPT: Final = PROMPTS["shakespeare"]
FORMER_PROMPT: Final = "ROMEO:"  # what version 0.1.0 put there; browsers keep it
READY: Final[Update] = gr.update(interactive=True)
SAME: Final = (SKIP,) * MAX_COLUMNS


def flag_numbers(request: gr.Request, *values: float | None) -> list[Update]:
    """Flag the numbers that are wrong.

    Args:
        request: Tells the language.
        *values: Length, seed, top-k and top-p.
    """
    lang = language(request)
    return [
        flag_field(
            field_problem(lang, value, bounds, optional=False),
            "" if name == "length" else i18n(f"generate.{name}_info"),
        )
        for value, (name, bounds) in zip(values, NUMBERS.items(), strict=True)
    ]


def show_columns(count: int | None) -> list[Update]:
    """As many columns as are compared."""
    return [
        gr.update(visible=index < (count or MAX_COLUMNS))
        for index in range(MAX_COLUMNS)
    ]


def prompt_of(entry: ModelEntry) -> str:
    """A beginning that suits a model: its text's own, else that of its samples."""
    named = PROMPTS.get(entry.record.corpus.key or "")
    if named is not None or not entry.is_run:
        return named or ""
    samples = entry.now.view.samples
    return samples[-1].prompt[:MAX_SUGGESTED] if samples else ""


def suggest_prompt(model: str | None, prompt: str) -> str | Update:
    """A beginning that suits the model, unless the visitor wrote one."""
    entries = listing.models(listed_ids((model or "",)))
    prompts = {entry.model_id: prompt_of(entry) for entry in entries}
    untouched = {"", *PROMPTS.values(), *prompts.values()}
    try:
        suggested = prompts.get(checked_id(model or ""))
    except CharrnnError:
        return SKIP
    return SKIP if suggested is None or prompt not in untouched else suggested


def propose_prompt(model: str | None, prompt: str | None) -> list[str]:
    """The prompt that the answer is for, and what shall stand there instead of it.

    Whoever types while the answer is on its way has written a prompt: `generate.js`
    takes the second only where the first still stands there.
    """
    asked = prompt or ""
    suited = suggest_prompt(model, "" if asked == FORMER_PROMPT else asked)
    return [asked, suited if isinstance(suited, str) else asked]


def listed(
    lang: str, model: str | None, browser: object
) -> tuple[list[Choice], str | None]:
    """The models a visitor can choose, and the one that is chosen then."""
    choices = model_choices(lang, Browser.of(browser), model or "")
    ids = [value for _, value in choices]
    return choices, model if model in ids else (ids[0] if ids else None)


def refresh(request: gr.Request, model: str | None, browser: object) -> Update:
    """The list of models as it is now; the chosen one stays chosen.

    Gradio also calls this while the page opens, before anything is chosen: what is
    chosen then is for `opened` to say, from the link in the address.
    """
    choices, chosen = listed(language(request), model, browser)
    return relisted(choices, model, chosen if model else None)


class OpenedUpdate(NamedTuple):
    """What the tab shows when the page opens, perhaps from a link."""

    model: Update
    prompt: str | Update = SKIP
    length: int | Update = SKIP
    seed: int | Update = SKIP
    new_seed: bool | Update = SKIP
    top_k: int | Update = SKIP
    top_p: float | Update = SKIP
    stop: str | Update = SKIP
    single_temperature: float | Update = SKIP
    column_count: int | Update = SKIP
    column_boxes: tuple[Update, ...] = SAME
    temperatures: tuple[float | Update, ...] = SAME
    status: Html = SKIP
    compare: Update = READY  # before, a click would send a form not yet filled
    generate: Update = READY


def opened(
    request: gr.Request, fragment: str | None, browser: object
) -> tuple[object, ...]:
    """Fill the form when the page opens."""
    return flat(fill(request, fragment, browser))


def fill(request: gr.Request, fragment: str | None, browser: object) -> OpenedUpdate:
    """The form from the link in the address, else with what is there.

    Args:
        request: Tells the language, and the address without its fragment.
        fragment: Of the address, as the browser says; a long link stands there.
        browser: What the visitor's browser keeps.
    """
    lang = language(request)
    link = links.read(fragment or "") or links.parse(request.query_params)
    choices, chosen = listed(lang, link.model if link else None, browser)
    model = gr.update(choices=choices, value=chosen)
    if link is not None:
        return _filled(lang, link, model)
    status = SKIP if chosen else note(translate(lang, "generate.no_models"), "warn")
    prompt = suggest_prompt(chosen, DEFAULT_PROMPT)
    return OpenedUpdate(model, prompt, seed=draw_seed(), status=status)


def _filled(lang: str, link: Link, model: Update) -> OpenedUpdate:
    """The form as a link asks for it: one temperature is that of a single text."""
    single = len(link.temperatures) == 1
    count = len(link.temperatures)
    spread: list[float | Update] = [*link.temperatures, *SAME]
    return OpenedUpdate(
        model=model,
        prompt=link.prompt,
        length=link.length,
        seed=draw_seed() if link.seed is None else link.seed,
        new_seed=link.seed is None,
        top_k=link.top_k,
        top_p=link.top_p,
        stop=links.enter_stop(link.stop),
        single_temperature=link.temperatures[0] if single else SKIP,
        column_count=SKIP if single else count,
        column_boxes=SAME if single else tuple(show_columns(count)),
        temperatures=SAME if single else tuple(spread[:MAX_COLUMNS]),
        status=link_status(lang, link, single=single),
    )


def link_status(lang: str, link: Link, *, single: bool) -> str:
    """What a visitor who came by a link should know."""
    try:
        digest = engine.models.get(model_folder(link.model)).weights_hash
    except CharrnnError:
        return note(translate(lang, "generate.link_gone"), "warn")
    ready = note(
        translate(lang, "generate.link_ready_one" if single else "generate.link_ready")
    )
    if link.weights_hash and link.weights_hash != digest:
        return ready + note(translate(lang, "generate.link_changed"), "warn")
    return ready
