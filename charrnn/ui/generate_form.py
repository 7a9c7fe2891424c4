"""What the Generate tab's form holds: models to choose, a prompt, a link's values."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

import gradio as gr

from charrnn.errors import CharrnnError
from charrnn.model import snapshots
from charrnn.runs import listing
from charrnn.ui import links, stored
from charrnn.ui.cards import resting_card
from charrnn.ui.examples import DEFAULT_PROMPT, EXAMPLES, example_chips, examples_of
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

_T = TypeVar("_T")
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


def suggest_prompt(model: str | None, prompt: str) -> str | Update:
    """A beginning that suits the model, unless the visitor wrote one."""
    entries = listing.models(listed_ids((model or "",)))
    known = {entry.model_id: examples_of(entry) for entry in entries}
    untouched = {"", *chain(*EXAMPLES.values(), *known.values())}
    try:
        suggested = known.get(checked_id(model or ""))
    except CharrnnError:
        return SKIP
    if suggested is None or prompt not in untouched:
        return SKIP
    return suggested[0] if suggested else ""


def show_examples(request: gr.Request, model: str | None) -> str:
    """The chosen model's beginnings to choose from, as HTML."""
    entries = listing.models(listed_ids((model or "",)))
    found = (examples_of(entry) for entry in entries if entry.model_id == model)
    return example_chips(language(request), next(found, ()))


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


def refresh(
    request: gr.Request, model: str | None, browser: object, *others: str | None
) -> list[Update]:
    """The lists of models as they are now; those chosen stay chosen.

    Gradio also calls this while the page opens, before anything is chosen: what is
    chosen then is for `opened` to say, from the link in the address.

    Args:
        request: Tells the language.
        model: The chosen one.
        browser: What the visitor's browser keeps.
        *others: Those of the columns.
    """
    choices, chosen = listed(language(request), model, browser)
    if model is None:
        return [gr.update(choices=choices)] * (1 + len(others))
    columns = _model_columns(choices, others) if others else ()
    return [relisted(choices, model, chosen), *columns]


def spread(values: Sequence[_T]) -> list[_T | None]:
    """A value for each column: the first, the last, and what lies between them.

    Example:
        >>> spread("abcdefg"), spread("ab")
        (['a', 'c', 'e', 'g'], ['a', 'b', None, None])
    """
    few, last = min(len(values), MAX_COLUMNS), len(values) - 1
    chosen = [values[round(i * last / max(1, few - 1))] for i in range(few)]
    return [*chosen, *[None] * (MAX_COLUMNS - few)]


class ComparedUpdate(NamedTuple):
    """What another choice of what is compared changes, and another model."""

    by_note: str
    model: Update
    single_temperature: Update
    steps: tuple[Update, ...]


def show_compared(
    request: gr.Request,
    by: str | None,
    model: str | None,
    browser: object,
    *steps: str | None,
) -> tuple[object, ...]:
    """Say what cannot be compared here; offer the steps of the model.

    Args:
        request: Tells the language.
        by: What is compared.
        model: The chosen one, whose steps these are.
        browser: What the visitor's browser keeps.
        *steps: What is chosen in the columns.
    """
    lang = language(request)
    choices = step_choices(lang, model) if by == "step" else []
    told = ""
    if by == "model" and len(listed(lang, model, browser)[0]) < 2:
        told = note(translate(lang, "generate.one_model"), "warn")
    if by == "step" and len(choices) < 2:
        told = note(translate(lang, "generate.no_steps"), "warn")
    update = ComparedUpdate(
        by_note=told,
        model=gr.update(
            label=i18n("generate.model_of_one" if by == "model" else "generate.model")
        ),
        single_temperature=gr.update(
            label=i18n(
                "generate.one_temperature" if by == Link.by else "generate.temperature"
            )
        ),
        steps=tuple(_chosen_steps(choices, steps)) if by == "step" else SAME,
    )
    return flat(update)


def step_choices(lang: str, model: str | None) -> list[Choice]:
    """The steps of a model's training that can be written with, by label and value."""
    try:
        path = model_folder(model or "")
        steps = snapshots.steps(path)
        last = snapshots.source_of(path, steps[-1]).step is None if steps else False
    except CharrnnError:
        return []
    labels = [translate(lang, "generate.step_of", step=step) for step in steps]
    if last:
        labels[-1] = translate(lang, "generate.step_kept", step=steps[-1])
    return list(zip(labels, map(str, steps), strict=True))


def _chosen_steps(
    choices: Sequence[Choice], chosen: Sequence[str | None]
) -> list[Update]:
    """The dropdowns of the columns: what was chosen, where the model has it."""
    known = [value for _, value in choices]
    if not any(value in known for value in chosen):
        chosen = spread(known)
    return [
        gr.update(choices=choices, value=value if value in known else None)
        for value in chosen
    ]


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
    cards: tuple[Html, ...] = SAME
    by: str | Update = SKIP
    models: tuple[Update, ...] = SAME
    steps: tuple[Update, ...] = SAME
    top_ps: tuple[float | Update, ...] = SAME
    status: Html = SKIP
    compare: Update = READY  # before, a click would send a form not yet filled
    generate: Update = READY
    draw: Update = READY  # the curve


def opened(
    request: gr.Request, fragment: str | None, browser: object, first: bool | None
) -> tuple[object, ...]:
    """Fill the form when the page opens."""
    return flat(fill(request, fragment, browser, first=first or False))


def fill(
    request: gr.Request, fragment: str | None, browser: object, *, first: bool = False
) -> OpenedUpdate:
    """The form from the link in the address, else with what is there.

    Args:
        request: Tells the language, and the address without its fragment.
        fragment: Of the address, as the browser says; a long link stands there.
        browser: What the visitor's browser keeps.
        first: Whether no text and no other model is kept in the browser's tab.
    """
    lang = language(request)
    link = links.read(fragment or "") or links.parse(request.query_params)
    choices, chosen = listed(lang, link.model if link else None, browser)
    model = gr.update(choices=choices, value=chosen)
    if link is not None:
        filled = _filled(lang, link, model)
        return filled._replace(
            models=_model_columns(choices, link.models),
            **_resting(lang, filled.status),
        )
    status = "" if chosen else note(translate(lang, "generate.no_models"), "warn")
    prompt = suggest_prompt(chosen, DEFAULT_PROMPT)
    update = OpenedUpdate(
        model,
        prompt,
        seed=draw_seed(),
        models=_model_columns(choices, ()),
    )
    before = stored.shown(lang, chosen) if first else None
    if before is None:
        return update._replace(**_resting(lang, status))
    return update._replace(cards=before.cards, status=before.status, seed=before.seed)


def _resting(lang: str, status: Html) -> dict[str, Any]:
    """Columns without text, where `template` may have put the stored comparison."""
    card = resting_card(translate(lang, "generate.card"))
    return {"cards": (card,) * MAX_COLUMNS, "status": status}


def _model_columns(
    choices: list[Choice], asked: Sequence[str | None]
) -> tuple[Update, ...]:
    """The models of the columns: those that are asked for, and then the first ones."""
    ids = [value for _, value in choices]
    known = [one if one in ids else None for one in asked]
    known += [None] * (MAX_COLUMNS - len(known))
    rest = iter([one for one in ids if one not in known])
    return tuple(
        gr.update(choices=choices, value=next(rest, None) if one is None else one)
        for one in known
    )


def _padded(values: Sequence[float]) -> tuple[float | Update, ...]:
    """A value for each column; as it is where there is none."""
    padded: list[float | Update] = [*values, *SAME]
    return tuple(padded[:MAX_COLUMNS])


def _step_columns(lang: str, link: Link) -> tuple[Update, ...]:
    """The steps of the columns; a single one stands beside others of its training."""
    choices = step_choices(lang, link.model)
    asked: list[str | None] = [str(step) for step in link.steps]
    if len(asked) == 1:
        rest = [value for _, value in choices if value not in asked]
        asked += spread(rest)
    asked += [None] * MAX_COLUMNS
    return tuple(_chosen_steps(choices, asked[:MAX_COLUMNS]))


def _filled(lang: str, link: Link, model: Update) -> OpenedUpdate:
    """The form as a link asks for it: one temperature is that of a single text."""
    count = len(link.each())
    several = link.by == Link.by and count > 1
    single = link.by == Link.by and count == 1
    return OpenedUpdate(
        model=model,
        prompt=link.prompt,
        length=link.length,
        seed=draw_seed() if link.seed is None else link.seed,
        new_seed=link.seed is None,
        top_k=link.top_k,
        top_p=link.top_p,
        stop=links.enter_stop(link.stop),
        single_temperature=SKIP if several else link.temperatures[0],
        column_count=count if count > 1 else SKIP,
        column_boxes=tuple(show_columns(count)) if count > 1 else SAME,
        temperatures=_padded(link.temperatures) if several else SAME,
        by=link.by,
        steps=_step_columns(lang, link) if link.steps else SAME,
        top_ps=_padded(link.top_ps),
        status=link_status(lang, link, single=single),
    )


def link_status(lang: str, link: Link, *, single: bool) -> str:
    """What a visitor who came by a link should know."""
    named = link.models or (link.model,)
    try:
        hashes = [engine.models.get(model_folder(one)).weights_hash for one in named]
    except CharrnnError:
        return note(translate(lang, "generate.link_gone"), "warn")
    ready = note(
        translate(lang, "generate.link_ready_one" if single else "generate.link_ready")
    )
    if link.weights_hash and link.weights_hash != ",".join(dict.fromkeys(hashes)):
        return ready + note(translate(lang, "generate.link_changed"), "warn")
    return ready
