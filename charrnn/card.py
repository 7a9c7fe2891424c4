"""The model card: a model's README.md, on the Hub and in its folder.

`card` is a pure function of what it is given and writes no dates, so that the
same model has the same card to the last byte and pushing it again changes
nothing. `write_card` gathers what `card` needs from a model's folder.

A title, a corpus' name and the samples may come from a stranger. In the front
matter they stand as JSON strings (which YAML reads as well), in the text with
Markdown's and HTML's signs escaped, and samples in a code block whose fence is
longer than any run of backticks inside it. The front matter is written here, not
by huggingface_hub, which the Hub's process alone may import; a test reads it back
with the Hub's own classes.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from charrnn.config import DEFAULT_TEMPERATURES, ModelConfig, SamplingConfig
from charrnn.errors import HubError
from charrnn.files import one_line, replace_unsafe, write_file
from charrnn.model import checkpoint, generation
from charrnn.model.record import (
    CARD,
    LICENSE_PATTERN,
    Figures,
    Machine,
    Origin,
    Parent,
    Record,
)
from charrnn.model.reliability import overall
from charrnn.presets import (
    DEFAULT_PRESET,
    PRESETS,
    command_line,
    settings_beyond_preset,
)
from charrnn.runs.history import read_view
from charrnn.runs.quality import guessing_loss
from charrnn.text.named import NAMED

SAMPLE_LENGTH: Final = 300
SAMPLE_SEED: Final = 0
SPACE_TAG: Final = "charrnn-web-page"  # by which a Space of ours is known
MAX_CURVE_ROWS: Final = 20
LICENSES: Final = (  # the Hub's own identifiers, what fits a model of a text
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "mit"),
    *("apache-2.0", "openrail", "other", "unknown"),
)
_UNSET: Final = {
    "epochs": "no limit",
    "minutes": "no limit",
    "validate_every": "automatic",
}
_CELLS: Final = {"gru": "GRU", "lstm": "LSTM", "rnn": "simple recurrent"}
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$&:@^=])")
# the program's parts, package data: `program.py` runs the shipped model as it stands
_PROGRAM: Final = Path(__file__).with_name("card_program")


def _part(name: str) -> str:
    return (_PROGRAM / f"{name}.py").read_text(encoding="utf-8")


def _with_documents(separator: str) -> dict[str, str]:
    """What changes in the program of a model of documents: it begins each anew."""
    begin = json.dumps(separator)
    return {
        ' or ("\\n" if "\\n" in ids else vocab[1])': f" or {json.dumps(separator[-1])}",
        "\n\n\ndef step(": "\nblank, read = states[:], []\n\n\ndef step(",
        "score every next one\n": "score every next one\n    read.append(vocab[i])\n"
        f'    if "".join(read[-{len(separator)}:]) == {begin}:  # a document begins\n'
        "        states[:] = blank\n",
    }


def program(model: ModelConfig, source: str, separator: str = "") -> str:
    """Python code that loads and runs a model without charrnn.

    At most 40 lines, 44 for a model of documents; it needs NumPy, safetensors and
    huggingface_hub.

    Args:
        model: Decides which cell is written out.
        source: Repository or folder to load when none is given.
        separator: What separates the documents of its text; empty: nothing.
    """
    states = "states = [(np.zeros({}, np.float32),) * {}] * {}"
    cell = _part(model.cell).removeprefix("import numpy as np\n").strip()
    changes = _with_documents(separator) if separator else {}
    changes |= {
        "from gru import cell\n": "",
        states.format(384, 1, 2): states.format(
            model.rnn_units, model.num_states, model.num_layers
        ),
        "\n\ndef step(": f"\n\n{cell}\n\ndef step(",
        'given.get(1, ".")': f"given.get(1, {json.dumps(source)})",
    }
    text = _part("program")
    for found, change in changes.items():
        text = text.replace(found, change)
    return re.sub("\n{3,}", "\n\n", text)


def _yaml(text: str) -> str:
    written = json.dumps(one_line(text, None), ensure_ascii=False)
    # the two that YAML does not take as they are
    return written.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", one_line(text, None)).replace(r"\<", "&lt;")


def _fenced(text: str, language: str = "text") -> str:
    """A code block that its content cannot leave."""
    kept = replace_unsafe(text, keep="\n\t")
    longest = max((len(run) for run in re.findall("`+", kept)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{kept.rstrip(chr(10))}\n{fence}"


def _bits(nats: float) -> float:
    return nats / math.log(2)


def _metrics(figures: Figures) -> list[tuple[str, float]]:
    """Protocol and loss in nats, for each protocol that was measured."""
    measured = [("stateful", figures.val_loss)]
    if figures.cold256_val_loss is not None:
        measured.append(("cold256", figures.cold256_val_loss))
    return measured


def _front_matter(record: Record) -> str:
    lines = ["---"]
    if record.license is not None:
        lines.append(f"license: {record.license}")
    lines += [
        "library_name: charrnn",
        "pipeline_tag: text-generation",
        "tags:",
        *(f"- {tag}" for tag in ("char-rnn", "character-level", record.model.cell)),
    ]
    if record.figures is not None:
        lines += [
            "model-index:",
            f"- name: {_yaml(record.title)}",
            "  results:",
            "  - task:",
            "      type: text-generation",
            "    dataset:",
            f"      name: {_yaml(record.corpus.shown_name)}",
            f"      type: {_yaml(_dataset_type(record))}",
            "      split: validation",
            "    metrics:",
        ]
        for protocol, nats in _metrics(record.figures):
            lines += [
                "    - type: bits_per_character",
                f"      name: Bits per character ({protocol})",
                f"      value: {_bits(nats):.4f}",
            ]
    return "\n".join([*lines, "---"])


def _dataset_type(record: Record) -> str:
    name = (record.corpus.key or record.corpus.shown_name).lower()
    return re.sub(r"[^a-z0-9]+", "_", name).strip("_") or "text"


def _introduction(record: Record) -> str:
    model, corpus = record.model, record.corpus
    scratch = " from scratch" if record.parent is None else ""
    layers = "one layer" if model.num_layers == 1 else f"{model.num_layers} layers"
    text = (
        f"A character-level network: {layers} of {model.rnn_units} {_CELLS[model.cell]}"
        f" units, {model.num_parameters():,} parameters, {model.vocab_size:,} ids "
        f"(\\[UNK\\] included). It was trained{scratch} with charrnn on one text, "
        f"{_markdown(corpus.shown_name)}: {corpus.characters:,} characters, "
        f"{corpus.distinct:,} different ones. The text itself is not included."
    )
    if corpus.key and NAMED[corpus.key].rights:
        text += f" {NAMED[corpus.key].rights}"
    if record.parent is not None:
        text += f"\n\n{_parentage(record.parent)}"
    if record.origin is not None:
        text += f"\n\nA copy of {_at(record.origin)}."
    return text


def _at(origin: Origin) -> str:
    return f"{_markdown(origin.repo)} at commit {_markdown(origin.revision)}"


def _parentage(parent: Parent) -> str:
    """The model that the training began with, and what it lacked."""
    pulled = f", a copy of {_at(parent.origin)}" if parent.origin else ""
    grown = ""
    if parent.new_characters:
        grown = f" Characters that it lacked: {parent.new_characters:,}."
    return (
        f"The training began with the weights `{parent.weights}` of another model, "
        f"{_markdown(parent.title)}{pulled}.{grown}"
    )


def _kept(figures: Figures, machine: Machine | None) -> str:
    """Which step is kept, and what the whole training took."""
    steps = "" if figures.total_steps is None else f"{figures.total_steps:,} steps and "
    where = "" if machine is None else f" on {machine.cores} processor cores"
    return (
        f"The weights that are kept are those of step {figures.kept_step:,}; the whole "
        f"training took {steps}{figures.seconds:,.0f} seconds{where}."
    )


def _scale(figures: Figures) -> str:
    """What the logits were multiplied by, and how sure and right the model is then."""
    told = ""
    if figures.logit_scale is not None:
        told = (
            f"The logits were multiplied by {figures.logit_scale:.4f} after the "
            "training, which fits the measured part best; `head.kernel` and "
            "`head.bias` hold it. For *cold256* each half of that part was scored with "
            "the number that fits the other half. "
        )
    if figures.reliability:
        whole = overall(figures.reliability)
        told += (
            f"In the stateful pass the likeliest character had a probability of "
            f"{100 * whole.said:.1f} % on average, and was right "
            f"{100 * whole.right:.1f} % of the time. "
        )
    return told


def _quality(record: Record) -> str:
    figures = record.figures
    if figures is None:
        return "It has not been validated: these are the last weights of its training."
    percent = f"{100 * record.corpus.split:g} %"
    rest = f"{100 * (1 - record.corpus.split):g} %"
    rows = [
        f"| validation, {protocol} | {nats:.4f} | {_bits(nats):.4f} |"
        for protocol, nats in _metrics(figures)
    ]
    part = (
        ""
        if figures.val_characters is None
        else f" over the first {figures.val_characters:,} characters of that part"
    )
    guessing = guessing_loss(record.model)
    warning = (
        [
            f"**It predicts worse than guessing would** ({guessing:.4f} nats per "
            "character): its training diverged.",
            "",
        ]
        if figures.val_loss > guessing
        else []
    )
    return "\n".join(
        [
            *warning,
            "| split, protocol | nats per character | bits per character |",
            "|---|---|---|",
            *rows,
            "",
            f"The first {percent} of the text trained the network, the last {rest} "
            "measured it and chose the step that is kept. *stateful*: one pass"
            f"{part} that carries the state, the first character being context only. "
            "*cold256*: windows of 256 characters, each from an empty state. "
            + _scale(figures)
            + _kept(figures, record.machine),
        ]
    )


def thin(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most `MAX_CURVE_ROWS` points, evenly spread, with first, last and best."""
    last = len(curve) - 1
    if last < MAX_CURVE_ROWS:
        return list(curve)
    rows = [round(row * last / (MAX_CURVE_ROWS - 1)) for row in range(MAX_CURVE_ROWS)]
    best = min(range(len(curve)), key=lambda row: curve[row][1])
    if best not in rows:
        inner = range(1, MAX_CURVE_ROWS - 1)
        rows[min(inner, key=lambda i: abs(rows[i] - best))] = best
    return [curve[row] for row in rows]


def _curve(curve: Sequence[tuple[int, float]]) -> str:
    rows = [f"| {step:,} | {loss:.4f} | {_bits(loss):.4f} |" for step, loss in curve]
    head = ["| step | nats per character | bits per character |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def _settings(record: Record, command: str | None) -> str:
    values = {
        **dataclasses.asdict(record.model),
        **dataclasses.asdict(record.training),
    }
    preset = values.pop("preset")
    rows = [
        f"| {name} | {_UNSET.get(name, 'none') if value is None else value} |"
        for name, value in values.items()
    ]
    known = f"`{preset}`" if preset in PRESETS else "`custom`"
    lines = [f"Preset {known}.", "", "| setting | value |", "|---|---|", *rows]
    if command is not None:
        lines += ["", "The same again:", "", _fenced(one_line(command, None), "sh")]
    return "\n".join(lines)


def check_license(license: str | None) -> str | None:
    """A licence as the Hub writes it, or None where none is chosen.

    Raises:
        HubError: If it does not look like one of the Hub's identifiers.
    """
    text = (license or "").strip().lower()
    if text and not re.fullmatch(LICENSE_PATTERN, text):
        raise HubError(
            "That is no licence the Hub knows: expected an identifier like "
            f"{', '.join(LICENSES[:3])}."
        )
    return text or None


def card(
    record: Record,
    *,
    samples: Mapping[float, str],
    curve: Sequence[tuple[int, float]] = (),
    source: str = ".",
    command: str | None = None,
) -> str:
    """A model's card, the same for the same arguments.

    Args:
        record: What the model is; the title and the corpus' name are escaped.
        samples: Temperature to text; any text.
        curve: Step and validation loss in nats per character; thinned to
            `MAX_CURVE_ROWS` rows, left out where empty.
        source: Repository, or a folder, that the code in the card loads.
        command: The command that trains such a model.

    Returns:
        The text of README.md, with front matter.
    """
    parts = [
        _front_matter(record),
        f"# {_markdown(record.title) or 'A character-level network'}",
        _introduction(record),
        "## How good it is",
        _quality(record),
    ]
    if curve:
        parts += ["## How it learnt", _curve(thin(curve))]
    parts += [
        "## What it writes",
        f"{SAMPLE_LENGTH} characters, not chosen, at four temperatures: a low one "
        "keeps to the likeliest characters, a high one also draws unlikely ones.",
    ]
    for temperature, text in samples.items():
        parts += [f"Temperature {temperature:g}:", _fenced(text)]
    parts += [
        "It knows letters, not facts: whatever it writes is invented, in the manner "
        "of its text, and may repeat pieces of it.",
        "## Run it",
        f"With charrnn: `python -m charrnn pull {source}`, then generate. Without it:"
        if source != "."
        else "Without charrnn, in this folder or with a folder's path behind it:",
        _fenced(
            program(record.model, source, record.corpus.document_separator), "python"
        ),
        "## Settings",
        _settings(record, command),
    ]
    return "\n\n".join(parts) + "\n"


def space_card(record: Record, model_repo: str | None, endpoint: str) -> str:
    """The README of a static Space that shows a model's web page.

    Args:
        record: What the model is; the title is escaped.
        model_repo: ``owner/name`` of the model itself, checked; None: it is not told.
        endpoint: The Hub's address.

    Returns:
        The text of README.md, with front matter.
    """
    title = one_line(record.title, None) or "A character-level network"
    lines = [
        "---",
        f"title: {_yaml(title)}",
        *("emoji: 📜", "colorFrom: green", "colorTo: gray"),
        *("sdk: static", "app_file: index.html", "pinned: false"),
    ]
    if record.license is not None:
        lines.append(f"license: {record.license}")
    if model_repo is not None:
        lines += ["models:", f"- {_yaml(model_repo)}"]
    lines += ["tags:", f"- {SPACE_TAG}", "---"]
    source = (
        ""
        if model_repo is None
        else "\n\nThe model itself: "
        f"[{_markdown(model_repo)}]({endpoint}/{model_repo})."
    )
    return (
        "\n".join(lines)
        + f"\n\n# {_markdown(title)}\n\nA character-level network that writes in its "
        "reader's browser: `index.html` holds the model and asks nobody for anything. "
        f"Made with charrnn.{source}\n"
    )


def samples_of(model: checkpoint.Model) -> dict[float, str]:
    """What a model writes at each of `DEFAULT_TEMPERATURES`, from an empty prompt."""
    (texts,) = generation.generate(
        model,
        "",
        length=SAMPLE_LENGTH,
        rows=[
            SamplingConfig(temperature=t, seed=SAMPLE_SEED)
            for t in DEFAULT_TEMPERATURES
        ],
        chunk=SAMPLE_LENGTH,
    )
    return dict(zip(DEFAULT_TEMPERATURES, texts, strict=True))


def curve_of(folder: Path) -> list[tuple[int, float]]:
    """Step and validation loss of a folder's history; empty without one.

    Raises:
        CheckpointError: If the history cannot be read.
    """
    return [(event.step, event.val_loss) for event in read_view(folder).validations]


def command_of(record: Record) -> str:
    """The command that trains such a model, as far as the record tells."""
    known = record.corpus.key or "YOUR-TEXT.txt"
    training = record.training
    settings = settings_beyond_preset(record.model, training)
    init = "" if record.parent is None else "PARENT"
    if training.preset in PRESETS:
        return command_line(known, training.preset, settings, init=init)
    every = {**dataclasses.asdict(record.model), **dataclasses.asdict(training)}
    chosen = {
        key: value
        for key, value in every.items()
        if key not in ("preset", "vocab_size")
    }
    return command_line(known, DEFAULT_PRESET, chosen, init=init)


def write_card(
    folder: Path,
    *,
    history: Path | None = None,
    source: str = ".",
    license: str | None = None,
) -> str:
    """Write the card of a model's folder, with fresh samples, and return it.

    A licence that is given is first put on record; without one, the recorded stays.

    Args:
        folder: A complete model.
        history: Where `events.jsonl` lies, for the curve; None: in ``folder``.
        source: See `card`.
        license: One of the Hub's identifiers, see `check_license`.

    Raises:
        CheckpointError: If the folder is not a model or cannot be written.
        HubError: If the licence is not of the expected form.
    """
    chosen = check_license(license)
    model = checkpoint.load(folder)
    record = model.record
    if chosen not in (None, record.license):
        record = dataclasses.replace(record, license=chosen)
        checkpoint.save_record(folder, record)
    text = card(
        record,
        samples=samples_of(model),
        curve=curve_of(history or folder),
        source=source,
        command=command_of(record),
    )
    write_file(folder / CARD, text.encode())
    return text
