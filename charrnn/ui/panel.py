"""What a followed run looks like: pieces of escaped HTML from a view of it."""

# ruff: noqa: RUF001  signs that a reader is used to
import html
import time
from collections.abc import Sequence

from charrnn.config import TrainingConfig
from charrnn.hosting import policy
from charrnn.model.record import Record
from charrnn.runs import quality
from charrnn.runs.listing import ModelEntry, Unreadable
from charrnn.runs.quality import BestLoss
from charrnn.runs.states import LIVE, RunState
from charrnn.runs.status import Status
from charrnn.runs.view import RunView
from charrnn.ui import chart, links, verdict
from charrnn.ui.sentences import say
from charrnn.ui.shared import note, scrolled
from charrnn.ui.texts import duration, translate

FrameKey = dict[str, object]


def head_html(lang: str, status: Status, record: Record) -> str:
    """Title, state and link of a run."""
    state = html.escape(translate(lang, f"state.{status.state}"))
    href = html.escape(links.build_run(status.run_id))
    copied = html.escape(translate(lang, "generate.copied"))
    link = html.escape(translate(lang, "progress.link"))
    text = html.escape(record.corpus.shown_name)
    count = record.model.num_parameters()
    parameters = translate(lang, "estimate.parameters", count=count)
    return (
        f'<div class="run-head"><strong dir="auto">{html.escape(status.title)}</strong>'
        f'<span class="badge {html.escape(status.state)}">{state}</span>'
        f'<span class="note" dir="auto">{text}</span>'
        f'<span class="note">{html.escape(parameters)}</span>'
        f'<button class="tool" type="button" data-act="link" data-href="{href}" '
        f'data-done="{copied}">{link}</button></div>'
    )


def welcome_html(lang: str) -> str:
    """What stands in the panel's place while no run is followed."""
    return f'<p class="welcome">{html.escape(translate(lang, "train.empty"))}</p>'


def _epoch(lang: str, epoch: int, epochs: int | None) -> str:
    if epochs is None:
        return translate(lang, "progress.epoch", epoch=epoch)
    return translate(lang, "progress.epoch_of", epoch=epoch, epochs=epochs)


def _step(lang: str, step: int, planned: int | None) -> str:
    if planned is None:
        return translate(lang, "progress.step", step=step)
    return translate(lang, "progress.step_of", step=step, planned=planned)


def figures(
    lang: str, status: Status, view: RunView, training: TrainingConfig
) -> list[str]:
    """The progress in words: epoch, step, speed, time left, rate factor."""
    if status.state in LIVE and view.state is RunState.QUEUED:  # whatever it was before
        if view.position:
            return [translate(lang, "progress.queue", count=view.position)]
        return [translate(lang, "progress.starting")]
    if not view.steps.size:
        return [translate(lang, "progress.starting")] if status.state in LIVE else []
    epochs = training.epochs if training.minutes is None else None
    parts = [
        _epoch(lang, view.epoch, epochs),
        _step(lang, view.step, view.planned_steps),
    ]
    if status.state not in LIVE or not view.chars_per_second > 0:
        return parts
    parts.append(translate(lang, "progress.speed", speed=round(view.chars_per_second)))
    seconds = view.seconds_left(
        training.batch_size * training.seq_length, training.minutes
    )
    if view.planned_steps is None:
        parts.append(translate(lang, "progress.measuring"))
    elif seconds is not None:
        parts.append(translate(lang, "progress.left", time=duration(lang, seconds)))
    if view.factor != 1:
        parts.append(translate(lang, "progress.factor", factor=view.factor))
    return parts


def progress_html(
    lang: str, status: Status, view: RunView, training: TrainingConfig
) -> str:
    """A bar and the progress in words."""
    step, planned = view.step, view.planned_steps
    share = min(1.0, step / planned) if planned else 0.0
    name = html.escape(translate(lang, "progress.bar"))
    words = "".join(
        f"<span>{html.escape(part)}</span>"
        for part in figures(lang, status, view, training)
    )
    return (
        f'<div class="bar" role="progressbar" aria-label="{name}" '
        f'aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{100 * share:.0f}"><i style="width:{share:.1%}"></i></div>'
        f'<div class="figures">{words}</div>'
    )


def news_html(
    lang: str, status: Status, record: Record, kept_until: float | None = None
) -> str:
    """What a screen reader announces: once a validation, not once a tick.

    Args:
        lang: Language code.
        status: The run's state, and its history.
        record: Of the run.
        kept_until: When the page removes the run at the latest, seconds since the
            epoch; None if it never does.
    """
    view = status.view
    judged = verdict.judge(view, record)
    parts = [note(verdict.sentence(lang, judged, live=status.state in LIVE), "verdict")]
    if status.message:
        parts.append(note(say(lang, status.message), "warn"))
    best = quality.best_loss(record, view)
    if best is not None:
        parts.append(note(best_sentence(lang, best)))
        if view.rising:
            sentence = translate(lang, "progress.rising", step=best.step)
            parts.append(note(sentence, "warn"))
    if quality.has_diverged(record, status):
        guessing = quality.guessing_loss(record.model)
        sentence = translate(lang, "progress.diverged", guessing=guessing)
        parts.append(note(sentence, "warn"))
    if status.state is RunState.EARLY:
        parts.append(note(translate(lang, "progress.early")))
    parts += [note(say(lang, notice)) for notice in view.notices]
    if kept_until is not None:
        parts.append(note(_kept_note(lang, status, kept_until)))
    return f'<div role="status" aria-live="polite">{"".join(parts)}</div>'


def best_sentence(lang: str, best: BestLoss) -> str:
    """The loss of the kept weights, and how it was measured."""
    said = {"loss": best.loss, "step": best.step}
    if not best.exact:
        return translate(lang, "progress.best_sampled", **said)
    if best.characters is None:
        return translate(lang, "progress.best", **said)
    return translate(lang, "progress.best_part", count=best.characters, **said)


def _kept_note(lang: str, status: Status, until: float) -> str:
    """Until when a hosted page keeps a run, which others may shorten."""
    if status.state in LIVE:
        days = f"{policy().keep_days or 0.0:g}"
        return translate(lang, "progress.kept_days", days=days)
    moment = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(until))
    return translate(lang, "progress.kept_until", moment=moment)


def legend_html(
    lang: str, view: RunView, record: Record, overlays: Sequence[str], unit: str
) -> str:
    """What the lines of the plot are, with the levels that do not change.

    Args:
        lang: Language code.
        view: The followed run.
        record: Of it.
        overlays: Titles of the runs laid over, in the order of their lines.
        unit: Of the losses, one of `chart.UNITS`.
    """
    guessing = quality.guessing_loss(record.model)
    values = {"guessing": guessing, "baseline": view.baseline}
    best = quality.best_loss(record, view)
    if best is not None:
        values["best"] = best.loss
    items = []
    for key in chart.SERIES:
        value = values.get(key)
        level = "" if value is None else f" {chart.in_unit(value, unit):.3f}"
        items.append((chart.COLOURS[key], translate(lang, f"series.{key}") + level))
    for key, title in zip(chart.OVERLAYS, overlays, strict=False):
        name = translate(lang, f"series.{key}")
        items.append((chart.COLOURS[key], f"{name}: {title}"))
    parts = [
        f'<li data-colour="{colour}"><i style="background:{colour}"></i>'
        f'<span dir="auto">{html.escape(name)}</span></li>'
        for colour, name in items
    ]
    return f'<ul class="legend">{"".join(parts)}</ul>'


def runs_table(
    lang: str, entries: Sequence[ModelEntry], damaged: Sequence[Unreadable] = ()
) -> str:
    """All runs with text, settings, best loss and state, or why there is none."""
    if not entries and not damaged:
        return note(translate(lang, "runs.none"))
    keys = ("title", "text", "settings", "loss", "state")
    names = [html.escape(translate(lang, f"runs.{key}")) for key in keys]
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(_run_row(lang, entry) for entry in entries)
    rows += "".join(
        f'<tr><td dir="auto">{html.escape(folder.model_id)}</td>'
        f'<td colspan="4" dir="auto">{html.escape(say(lang, folder.problem))}</td></tr>'
        for folder in damaged
    )
    return scrolled(
        translate(lang, "train.runs"),
        f'<table class="runs"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>",
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
    cells = (
        record.title,
        record.corpus.shown_name,
        settings_line(record),
        _loss_cell(lang, entry),
        say(lang, entry.problem) or translate(lang, f"state.{entry.state}"),
    )
    columns = "".join(f'<td dir="auto">{html.escape(cell)}</td>' for cell in cells)
    return f"<tr>{columns}</tr>"


def _loss_cell(lang: str, entry: ModelEntry) -> str:
    best = quality.best_loss(entry.record, entry.now.view)
    if best is None:
        return "–"
    if quality.has_diverged(entry.record, entry.now):
        return f"{best.loss:.3f} · {translate(lang, 'runs.diverged')}"
    return f"{best.loss:.3f}"


def frame_key(status: Status, view: RunView, extra: Sequence[str]) -> FrameKey:
    """What a frame of the page is drawn from: with the same key it stays."""
    return {
        "run": status.run_id,
        "state": status.state,
        "events": view.taken,
        "samples": len(view.samples),
        "last_sample": view.samples[-1].step if view.samples else 0,
        "step": len(view.steps),
        "validations": len(view.validations),
        "baseline": view.baseline,
        "title": status.title,
        "notices": len(view.notices),
        "extra": list(extra),
    }


def changed_parts(new: FrameKey, old: object) -> set[str]:
    """The parts of a frame's key that differ from the one the page sent back."""
    before = old if isinstance(old, dict) else {}
    return {name for name, value in new.items() if value != before.get(name)}
