"""Whether a run's probabilities mean what they say, as HTML: in words and a table."""

import html

from charrnn.model.record import Record
from charrnn.model.reliability import overall
from charrnn.runs.states import LIVE
from charrnn.runs.status import Status
from charrnn.ui.cards import percent
from charrnn.ui.shared import note, scrolled
from charrnn.ui.texts import translate


def reliability_html(lang: str, status: Status, record: Record) -> str:
    """How sure the kept weights are and how often they are right.

    Empty while the run trains, and where it was not counted.

    Args:
        lang: Language code.
        status: The run's state.
        record: Of the run.
    """
    figures = record.figures
    if status.state in LIVE or figures is None or not figures.reliability:
        return ""
    bins = figures.reliability
    whole = overall(bins)
    title = translate(lang, "reliability.title")
    said, right = percent(whole.said), percent(whole.right)
    sentences = [translate(lang, "reliability.overall", said=said, right=right)]
    scale = figures.logit_scale
    if scale is not None:
        sentences.append(
            translate(
                lang,
                "reliability.too_sure" if scale < 1 else "reliability.too_unsure",
                scale=scale,
            )
        )
    sentences.append(translate(lang, "reliability.about"))
    heads = "".join(
        f'<th scope="col">{html.escape(translate(lang, f"reliability.{key}"))}</th>'
        for key in ("said", "right", "characters")
    )
    rows = "".join(
        f'<tr><th scope="row">{percent(each.said)}</th><td>{percent(each.right)}</td>'
        f"<td>{each.characters:,}</td></tr>"
        for each in bins
    )
    table = (
        f'<table class="runs"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return (
        f'<section class="loss-parts"><h3>{html.escape(title)}</h3>'
        f"{''.join(note(sentence) for sentence in sentences)}"
        f"{scrolled(title, table)}</section>"
    )
