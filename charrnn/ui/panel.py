"""What a followed run looks like: pieces of escaped HTML from a view of it."""

# ruff: noqa: RUF001  signs that a reader is used to
import html
import json
import math
from collections.abc import Sequence
from typing import Any

from charrnn.config import TrainingConfig
from charrnn.hosting import policy
from charrnn.model.record import Record
from charrnn.runs.events import Event
from charrnn.runs.history import read_history
from charrnn.runs.listing import ModelEntry
from charrnn.runs.status import LIVE, Status
from charrnn.ui import chart, links
from charrnn.ui.history import RunView
from charrnn.ui.shared import note
from charrnn.ui.texts import duration, say

SHOWN_SAMPLES = 40  # the newest; more would only slow the page down


def head_html(lang: str, status: Status, record: Record) -> str:
    """Title, state and link of a run."""
    state = html.escape(say(lang, f"state.{status.state}"))
    href = html.escape(links.build_run(status.run_id))
    copied = html.escape(say(lang, "generate.copied"))
    link = html.escape(say(lang, "progress.link"))
    text = html.escape(record.corpus.name)
    count = record.model.num_parameters()
    parameters = say(lang, "estimate.parameters", count=count)
    return (
        f'<div class="run-head"><strong dir="auto">{html.escape(status.title)}</strong>'
        f'<span class="badge {html.escape(status.state)}">{state}</span>'
        f'<span class="note" dir="auto">{text}</span>'
        f'<span class="note">{html.escape(parameters)}</span>'
        f'<button class="tool" type="button" data-act="link" data-href="{href}" '
        f'data-done="{copied}">{link}</button></div>'
    )


def _count(lang: str, key: str, value: int, total: int | None, of: str) -> str:
    if total is None:
        return say(lang, key, **{key.split(".")[1]: value})
    return say(lang, f"{key}_of", **{key.split(".")[1]: value, of: total})


def figures(
    lang: str, status: Status, view: RunView, training: TrainingConfig
) -> list[str]:
    """The progress in words: epoch, step, speed, time left, rate factor."""
    if status.state == "queued" and status.position:
        return [say(lang, "progress.queue", count=status.position)]
    latest = view.latest.get("step")
    if latest is None:
        return [say(lang, "progress.starting")] if status.state in LIVE else []
    epochs = training.epochs if training.minutes is None else None
    step = int(latest["step"])
    parts = [
        _count(lang, "progress.epoch", int(latest.get("epoch", 1)), epochs, "epochs"),
        _count(lang, "progress.step", step, view.planned_steps, "planned"),
    ]
    speed = float(latest.get("chars_per_second", 0.0))
    if status.state not in LIVE or not speed > 0:
        return parts
    parts.append(say(lang, "progress.speed", speed=round(speed)))
    if view.planned_steps is None:
        parts.append(say(lang, "progress.measuring"))
    else:
        window = training.batch_size * training.seq_length
        seconds = max(0, view.planned_steps - step) * window / speed
        left = duration(lang, seconds)
        parts.append(say(lang, "progress.left", time=left))
    factor = view.latest.get("learning_rate", {}).get("factor", 1)
    if isinstance(factor, (int, float)) and factor != 1:
        parts.append(say(lang, "progress.factor", factor=factor))
    return parts


def progress_html(
    lang: str, status: Status, view: RunView, training: TrainingConfig
) -> str:
    """A bar and the progress in words."""
    step, planned = status.step, view.planned_steps
    share = min(1.0, step / planned) if planned else 0.0
    words = "".join(
        f"<span>{html.escape(part)}</span>"
        for part in figures(lang, status, view, training)
    )
    return (
        f'<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * share:.0f}"><i style="width:{share:.1%}"></i></div>'
        f'<div class="figures">{words}</div>'
    )


def news_html(lang: str, status: Status, view: RunView) -> str:
    """What a screen reader should say: once a validation, not once a tick."""
    parts = []
    if status.message:
        parts.append(note(status.message, "warn"))
    if view.best is not None:
        step, loss = view.best
        parts.append(note(say(lang, "progress.best", loss=loss, step=step)))
        if view.rising:
            parts.append(note(say(lang, "progress.rising", step=step), "warn"))
    if status.state == "early":
        parts.append(note(say(lang, "progress.early")))
    parts += [note(notice) for notice in dict.fromkeys(view.notices)]
    if policy().keep_days is not None:
        parts.append(note(say(lang, "progress.hosted")))
    return f'<div role="status" aria-live="polite">{"".join(parts)}</div>'


def legend_html(
    lang: str, view: RunView, vocab_size: int, overlays: Sequence[str]
) -> str:
    """What the lines of the plot are, with the levels that do not change."""
    values = {"guessing": math.log(max(2, vocab_size)), "floor": view.floor}
    if view.best is not None:
        values["best"] = view.best[1]
    items = []
    for key in chart.SERIES:
        value = values.get(key)
        level = "" if value is None else f" {value:.3f}"
        items.append((chart.COLOURS[key], say(lang, f"series.{key}") + level))
    items += zip(chart.OVERLAY_COLOURS, overlays, strict=False)
    parts = [
        f'<li><i style="background:{colour}"></i>'
        f'<span dir="auto">{html.escape(name)}</span></li>'
        for colour, name in items
    ]
    return f'<ul class="legend">{"".join(parts)}</ul>'


def samples_html(lang: str, view: RunView, *, code: bool) -> str:
    """The samples, the newest first, each with its step and loss."""
    losses = dict(zip(view.val_steps, view.val_losses, strict=True))
    shown = [
        _sample(lang, event, losses.get(event["step"]), code=code)
        for event in reversed(view.samples[-SHOWN_SAMPLES:])
    ]
    if not shown:
        return note(say(lang, "train.samples_none"))
    label = html.escape(say(lang, "train.samples"))
    return (
        f'<div class="samples" tabindex="0" role="region" aria-label="{label}">'
        f"{''.join(shown)}</div>"
    )


def _sample(lang: str, event: Event, loss: float | None, *, code: bool) -> str:
    heads = [say(lang, "sample.head", step=event["step"])]
    if loss is not None and math.isfinite(loss):
        heads.append(say(lang, "sample.loss", loss=loss))
    spans = "".join(f"<span>{html.escape(part)}</span>" for part in heads)
    prompt = html.escape(str(event.get("prompt", "")))
    written = "written code" if code else "written"
    return (
        f'<article class="sample"><h4>{spans}</h4><div class="{written}" dir="auto">'
        f'<span class="prompt">{prompt}</span>{html.escape(event["text"])}</div>'
        "</article>"
    )


def runs_table(lang: str, entries: Sequence[ModelEntry]) -> str:
    """All runs with text, settings, best loss and state."""
    if not entries:
        return note(say(lang, "runs.none"))
    keys = ("title", "text", "settings", "loss", "state")
    heads = "".join(f"<th>{html.escape(say(lang, f'runs.{k}'))}</th>" for k in keys)
    rows = "".join(_run_row(lang, entry) for entry in entries)
    return (
        '<div class="table-scroll"><table class="runs"><thead><tr>'
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def settings_line(record: Record) -> str:
    """The settings that tell runs apart, in a few words."""
    model, training = record.model, record.training
    return (
        f"{training.preset}: {model.num_layers} × {model.cell.upper()} "
        f"{model.rnn_units}, {training.batch_size} × {training.seq_length}, "
        f"{training.learning_rate:g}"
    )


def _run_row(lang: str, entry: ModelEntry) -> str:
    record = entry.record
    best = best_loss(entry)
    cells = (
        record.title,
        record.corpus.name,
        settings_line(record),
        "–" if best is None else f"{best:.3f}",
        say(lang, f"state.{entry.state}"),
    )
    return (
        "<tr>"
        + "".join(f'<td dir="auto">{html.escape(c)}</td>' for c in cells)
        + ("</tr>")
    )


def best_loss(entry: ModelEntry) -> float | None:
    """The best validation loss: of the record, or so far."""
    if entry.record.figures is not None:
        return entry.record.figures.val_loss
    losses = [
        float(event["val_loss"])
        for event in read_history(entry.model_id)
        if event["type"] == "validation"
        and math.isfinite(event.get("val_loss", math.nan))
    ]
    return min(losses, default=None)


def mark_of(status: Status, view: RunView, extra: Sequence[str]) -> str:
    """What a frame of the page was drawn from: the same again needs no frame."""
    latest = view.latest.get("step", {}).get("step", 0)
    seen = {
        "run": status.run_id,
        "state": status.state,
        "events": view.taken,
        "samples": len(view.samples),
        "last_sample": view.samples[-1]["step"] if view.samples else 0,
        "step": latest,
        "validations": len(view.val_losses),
        "floor": view.floor,
        "title": status.title,
        "notices": len(view.notices),
        "extra": list(extra),
    }
    return json.dumps(seen)


def read_mark(text: str) -> dict[str, Any]:
    """A mark as the page sent it back; anything odd counts as none."""
    try:
        mark = json.loads(text)
    except ValueError:
        return {}
    return mark if isinstance(mark, dict) else {}
