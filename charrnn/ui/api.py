"""The public endpoints, for gradio_client and any other program.

They are the page's own abilities as typed functions. On a hosted page a run has an
id, with which anyone may read, and a key, which its owner needs to stop it; each
endpoint takes ``id.key`` as well as the id, and no list tells either.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

import gradio as gr
import numpy as np
from gradio.events import api

from charrnn.config import DEFAULT_LENGTH, DEFAULT_TEMPERATURES, SamplingConfig
from charrnn.errors import ConfigError, CorpusError
from charrnn.files import quoted
from charrnn.hosting import policy
from charrnn.inside import report
from charrnn.model import snapshots
from charrnn.model.generation import Written
from charrnn.model.request import texts_of
from charrnn.model.sampling import next_char_probs
from charrnn.runs import control, curve, events, figures, listing
from charrnn.runs.owner import is_owner, mark_seen, new_owner, split
from charrnn.runs.status import read_status
from charrnn.text import sources
from charrnn.text.corpus import Corpus, from_text
from charrnn.ui import looking
from charrnn.ui.links import MAX_COLUMNS
from charrnn.ui.looking import AT_ONCE
from charrnn.ui.shared import listed_ids, model_folder, owned_id
from charrnn.ui.texts import FALLBACK
from charrnn.ui.visitors import visitor_of
from charrnn.ui.writing import CONCURRENCY
from charrnn.ui.writing_request import (
    WritingRequest,
    draw_seed,
    engine,
    options_of,
    prepare,
)

NEXT_AT_ONCE: Final = 8  # questions that wait for an answer


def _id(model: str) -> str:
    """The id of an ``id.key``: the key goes no further, into no link and no error."""
    return split(model)[0]


def _write(
    asked: WritingRequest, at_least: int, request: gr.Request | None
) -> Iterator[tuple[list[str], int]]:
    """The texts so far and the seed, which was drawn if none was given."""
    prepared = prepare(FALLBACK, asked, at_least=at_least)
    seed = prepared.rows()[0].seed
    for texts in texts_of(prepared.updates(visitor_of(request))):
        yield texts, seed


def generate(
    model: str,
    prompt: str = "",
    length: int = DEFAULT_LENGTH,
    temperature: float = SamplingConfig.temperature,
    seed: int | None = None,
    top_k: int = 0,
    top_p: float = 1.0,
    request: gr.Request | None = None,
) -> Iterator[tuple[str, int]]:
    """Continue a prompt. Streams the whole text so far, without the prompt.

    Args:
        model: Id of a model, as `/models` lists them.
        prompt: How the text begins; unknown characters are read as [UNK].
        length: Characters to write, 1 to 10,000.
        temperature: 0 always takes the likeliest character, 1 follows the model;
            at most 2.
        seed: The same seed writes the same text; null draws one.
        top_k: Only the k likeliest characters; 0 takes all.
        top_p: Only the likeliest characters that hold this share; 1 takes all.
        request: Who asks: Gradio's, no argument of the endpoint.

    Returns:
        The text, and the seed that was used.
    """
    asked = WritingRequest(
        model=_id(model),
        prompt=prompt,
        length=length,
        seed=seed,
        new_seed=seed is None,
        top_k=top_k,
        top_p=top_p,
        stop="",
        column_count=None,
        temperatures=(temperature,),
    )
    for texts, used_seed in _write(asked, 1, request):
        yield texts[0], used_seed


def compare(
    model: str,
    prompt: str = "",
    length: int = DEFAULT_LENGTH,
    temperatures: list[float] = list(DEFAULT_TEMPERATURES),  # noqa: B006  never changed
    seed: int | None = None,
    top_k: int = 0,
    top_p: float = 1.0,
    request: gr.Request | None = None,
) -> Iterator[tuple[list[str], int]]:
    """Continue a prompt at 2 to 4 temperatures, all with the same seed.

    Args:
        model: Id of a model, as `/models` lists them.
        prompt: How the texts begin.
        length: Characters to write in each, 1 to 10,000.
        temperatures: 2 to 4 numbers from 0 to 2.
        seed: The same seed writes the same texts; null draws one.
        top_k: Only the k likeliest characters; 0 takes all.
        top_p: Only the likeliest characters that hold this share; 1 takes all.
        request: Who asks: Gradio's, no argument of the endpoint.

    Returns:
        The texts in the temperatures' order, and the seed that was used.
    """
    if not 2 <= len(temperatures) <= MAX_COLUMNS:
        raise ConfigError(
            f"{len(temperatures)} temperatures are given: expected 2 to {MAX_COLUMNS}.",
            field="temperatures",
        )
    asked = WritingRequest(
        model=_id(model),
        prompt=prompt,
        length=length,
        seed=seed,
        new_seed=seed is None,
        top_k=top_k,
        top_p=top_p,
        stop="",
        column_count=None,
        temperatures=tuple(temperatures),
    )
    yield from _write(asked, 2, request)


def write(
    model: str,
    prompt: str = "",
    options: dict[str, Any] = {},  # noqa: B006  never changed
    request: gr.Request | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Continue a prompt, with every option. Streams the whole texts so far.

    Args:
        model: Id of a model, as `/models` lists them.
        prompt: How the texts begin; unknown characters are read as [UNK].
        options: Any of `length` (characters of each text), `seed` (drawn if null),
            `samples` (texts, with seeds of their own), `step` (of the training, as it
            was then; null: the kept weights), `figures` (true: count at the end),
            `temperature`, `top_k`, `top_p`, `stop` and `hold` (up to 8 units, each
            `[layer, unit, value]`, counted from 0, a value from -1 to 1).
        request: Who asks: Gradio's, no argument of the endpoint.

    Returns:
        For each text `text`, `seed`, and at the end, if asked for, `figures`:
        `invented`, `repeats` and `copied` (shares, null where unknown) and `surprise`
        (bits per character).
    """
    path = model_folder(_id(model))
    length, step, figured, rows = options_of(options)
    sources = [snapshots.source_of(path, step)] * len(rows)
    who = visitor_of(request)
    stream = engine.write_each(sources, prompt, length=length, rows=rows, visitor=who)
    written: list[Written] = []
    for written in stream:
        yield [
            {"text": one.text, "seed": row.seed}
            for one, row in zip(written, rows, strict=True)
        ]
    if figured:
        record = engine.models.get(path).record
        counted = figures.count(path, record, prompt, written).figures
        yield [
            {"text": one.text, "seed": row.seed, "figures": dataclasses.asdict(found)}
            for one, row, found in zip(written, rows, counted, strict=True)
        ]


def curve_of(
    model: str,
    prompt: str = "",
    length: int = DEFAULT_LENGTH,
    seed: int | None = None,
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """Write at eight temperatures from 0 to 2, and count what each text is like.

    Args:
        model: Id of a model, as `/models` lists them.
        prompt: How the texts begin.
        length: Characters of each text, 1 to 10,000.
        seed: The same seed writes the same texts; null draws one.
        request: Who asks: Gradio's, no argument of the endpoint.

    Returns:
        What `curve --json` prints, without the model's name and the length.
    """
    path = model_folder(_id(model))
    used = draw_seed() if seed is None else seed
    rows, who = curve.rows(used), visitor_of(request)
    *_, written = engine.write(path, prompt, length=length, rows=rows, visitor=who)
    record = engine.models.get(path).record
    return curve.report(prompt, used, curve.points(path, record, prompt, written))


def next_character(
    model: str, prompt: str = "", request: gr.Request | None = None
) -> list[tuple[str, float]]:
    """What may come next after a prompt.

    Args:
        model: Id of a model, as `/models` lists them.
        prompt: The text so far, at most 100,000 characters; 40,000 on a hosted page.
        request: Who asks: Gradio's, no argument of the endpoint.

    Returns:
        Each character that can be written and its probability at temperature 1, the
        likeliest first.
    """
    path = model_folder(_id(model))
    characters = engine.models.get(path).vocabulary.entries[1:]
    visitor = visitor_of(request)
    logits = np.array(engine.next_logits(path, prompt, visitor=visitor))
    probs = next_char_probs(logits, temperature=1).tolist()
    return sorted(zip(characters, probs, strict=True), key=lambda pair: -pair[1])


def inspect(
    model: str,
    text: str,
    options: dict[str, Any] = {},  # noqa: B006  never changed
    request: gr.Request | None = None,
) -> dict[str, Any]:
    """How much each character of a text surprises a model.

    Args:
        model: Id of a model, as `/models` lists them.
        text: At least two characters; at most 20,000, on a hosted page 5,000.
        options: None of these, or one: `at` (a place: what the model looked at for the
            character there, counted from 0), `reach` (true: how far back it looks, on
            average), `against` (another model's id: where the two differ).
        request: Who asks: Gradio's, no argument of the endpoint.

    Returns:
        What `inspect --json` prints, without the model's name.
    """
    named = dict(options)
    if isinstance(named.get("against"), str):
        named["against"] = _id(named["against"])
    with looking.one_at_a_time(FALLBACK, visitor_of(request)):
        return looking.inspect(FALLBACK, _id(model), text, named)


def units(model: str, text: str, request: gr.Request | None = None) -> dict[str, Any]:
    """Which unit of a model follows which mark of a text.

    Args:
        model: Id of a model, as `/models` lists them.
        text: At least 2,000 characters; at most 20,000, on a hosted page 5,000.
        request: Who asks: Gradio's, no argument of the endpoint.

    Returns:
        What `inspect --units --json` prints, without the model's name.
    """
    with looking.one_at_a_time(FALLBACK, visitor_of(request)):
        return report.of_units(looking.search(FALLBACK, _id(model), text), len(text))


def models() -> list[dict[str, Any]]:
    """The models that text can be generated from.

    Returns:
        For each its id, title, text, parameters, validation loss in nats per
        character (null until there is one), state and origin.
    """
    return [
        {
            "id": entry.model_id,
            "title": entry.record.title,
            "corpus": entry.record.corpus.shown_name,
            "parameters": entry.record.model.num_parameters(),
            "val_loss": entry.record.figures.val_loss if entry.record.figures else None,
            "state": entry.state,
            "origin": entry.record.origin.repo if entry.record.origin else None,
        }
        for entry in listing.models(listed_ids(()))
    ]


def _corpus(text: str, name: str) -> Corpus:
    limit = policy().max_text_bytes
    if text:
        return from_text(text, name=name or "text", max_bytes=limit)
    if name not in sources.NAMED:  # a name must never become a path
        raise CorpusError(
            f"There is no text {quoted(name, 40)}: expected one of "
            f"{', '.join(sources.NAMED)}, or a text."
        )
    return sources.load(name, max_bytes=limit)


def train(
    text: str = "",
    corpus: str = "shakespeare",
    preset: str = "",
    settings: dict[str, Any] = {},  # noqa: B006  never changed
    request: gr.Request | None = None,
) -> str:
    """Start a training in a process of its own.

    Args:
        text: The text to learn; empty to take a named one.
        corpus: `shakespeare` or `python-stdlib`, or what to call the text.
        preset: `quick`, `balanced` or `tutorial`; empty for the machine's own.
        settings: Settings that differ from the preset, by name.
        request: Who asks: Gradio's, no argument of the endpoint.

    Returns:
        The run's id, for `/status` and `/stop`; later also a model's id. On a hosted
        page it is ``id.key``: keep it, since nobody else has the key.
    """
    who = new_owner(visitor_of(request), page=False)
    run_id = control.start(
        _corpus(text, corpus),
        preset=preset or None,
        settings=settings,
        owner=who,
    )
    return run_id if who is None else f"{run_id}.{who.key}"


def status(run: str, since: int = 0) -> dict[str, Any]:
    """How a run stands, and what has happened since the last look.

    On a hosted page a run that waits leaves the queue after an hour in which its owner
    has not asked, with the key.

    Args:
        run: The run's id.
        since: `next` of the last answer; 0 from the beginning.

    Returns:
        `state`, `step`, `planned_steps` (null until known), `events` as in the
        run's events.jsonl, and `next`.
    """
    run_id, key = split(run)
    path = model_folder(run_id)
    if key and is_owner(path, key):
        mark_seen(path)
    now = read_status(run_id)
    recent = events.read(path, since)
    return {
        "state": now.state,
        "step": now.view.step,
        "planned_steps": now.view.planned_steps,
        "events": [events.to_dict(event) for event in recent.events],
        "next": recent.next,
    }


def stop(run: str) -> str:
    """Ask a run to end: it finishes its step, validates, saves and ends.

    Args:
        run: The run's id; on a hosted page ``id.key``.

    Returns:
        The run's state now.
    """
    run_id = owned_id(*split(run))
    control.stop(run_id)
    return read_status(run_id).state


def publish() -> None:
    """Register the endpoints with the page that is being built."""
    writing: dict[str, Any] = {
        "concurrency_id": "generate",
        "concurrency_limit": CONCURRENCY,
    }
    api(generate, api_name="generate", **writing)
    api(compare, api_name="compare", **writing)
    api(write, api_name="write", **writing)
    api(curve_of, api_name="curve", **writing)
    api(
        next_character,
        api_name="next",
        concurrency_id="next",
        concurrency_limit=NEXT_AT_ONCE,
    )
    inside: dict[str, Any] = {
        "concurrency_id": "inside",
        "concurrency_limit": AT_ONCE,
    }
    api(inspect, api_name="inspect", **inside)
    api(units, api_name="units", **inside)
    api(models, api_name="models", queue=False)
    api(train, api_name="train", concurrency_id="start", concurrency_limit=4)
    api(status, api_name="status", queue=False)
    api(stop, api_name="stop", queue=False)
