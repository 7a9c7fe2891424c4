"""The model card: a model's README.md, on the Hub and in its folder.

`card` is a pure function of what it is given and writes no dates, so that the
same model has the same card to the last byte and pushing it again changes
nothing. `write_card` gathers what `card` needs from a model's folder.

A title, a corpus' name and the samples may come from a stranger. In the front
matter they stand as JSON strings (which YAML reads as well), in the text with
Markdown's and HTML's signs escaped, and samples in a code block whose fence is
longer than any run of backticks inside it.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from charrnn.config import ModelConfig, SamplingConfig
from charrnn.errors import HubError
from charrnn.files import one_line, replace_unsafe, write_file
from charrnn.model import checkpoint, generation
from charrnn.model.record import CARD, Figures, Record
from charrnn.presets import (
    DEFAULT_PRESET,
    PRESETS,
    command_line,
    settings_beyond_preset,
)
from charrnn.runs import events
from charrnn.text.named import named_key, shown_name

TEMPERATURES: Final = (0.2, 0.5, 0.8, 1.1)
SAMPLE_LENGTH: Final = 300
SAMPLE_SEED: Final = 0
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
_FRONT_LICENSE: Final = re.compile(r"---\nlicense: ([a-z0-9.-]+)\n")

_FORMULAS: Final = {
    "gru": """\
def cell(x, state, kernel, recurrent, bias):  # a GRU; z keeps, r forgets
    (h,), a = state, x @ kernel + bias[0]
    b, n = h @ recurrent + bias[1], 2 * len(h)
    z, r = np.split(sigmoid(a[:n] + b[:n]), 2)
    return (z * h + (1 - z) * np.tanh(a[n:] + r * b[n:]),)
""",
    "lstm": """\
def cell(x, state, kernel, recurrent, bias):  # an LSTM; i, f, o are its gates
    h, c = state
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c
""",
    "rnn": """\
def cell(x, state, kernel, recurrent, bias):
    return (np.tanh(x @ kernel + state[0] @ recurrent + bias),)
""",
}
_SIGMOID: Final = """\
def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)

"""
_PROGRAM: Final = """\
import json, sys
from pathlib import Path
import numpy as np
from huggingface_hub import snapshot_download
from safetensors.numpy import load_file

# python write.py [REPOSITORY or FOLDER] [PROMPT] [TEMPERATURE] [LENGTH]
given = dict(enumerate(sys.argv))
source, temperature = given.get(1, {source}), float(given.get(3, 0.8))
if not Path(source).is_dir():
    source = snapshot_download(source, allow_patterns=["*.json", "*.safetensors"])
vocab = json.loads(Path(source, "vocab.json").read_text("utf-8"))
w = load_file(Path(source, "model.safetensors"))
ids, rng = {{c: i for i, c in enumerate(vocab)}}, np.random.default_rng(0)
prompt = given.get(2) or ("\\n" if "\\n" in ids else vocab[1])
states = [(np.zeros({units}, np.float32),) * {parts}] * {layers}

{sigmoid}{formula}
def step(i):  # read a character, score every next one
    x = w["embedding.weight"][i]
    for n in range(len(states)):
        parts = (w[f"rnn.{{n}}.{{s}}"] for s in ("kernel", "recurrent_kernel", "bias"))
        states[n] = cell(x, states[n], *parts)
        x = states[n][0]
    return (x @ w["head.kernel"] + w["head.bias"])[1:]  # without [UNK]

for character in prompt:
    logits = step(ids.get(character, 0))
for _ in range(int(given.get(4, 300))):  # logits plus noise: a fair draw
    i = 1 + int(np.argmax(logits + temperature * rng.gumbel(size=len(logits))))
    print(vocab[i], end="", flush=True)
    logits = step(i)
"""


def program(model: ModelConfig, source: str) -> str:
    """Python code that loads and runs a model without charrnn.

    At most 40 lines; it needs NumPy, safetensors and huggingface_hub.

    Args:
        model: Decides which cell is written out.
        source: Repository or folder to load when none is given.
    """
    return _PROGRAM.format(
        source=json.dumps(source),
        units=model.rnn_units,
        parts=2 if model.cell == "lstm" else 1,
        layers=model.num_layers,
        sigmoid="" if model.cell == "rnn" else _SIGMOID,
        formula=_FORMULAS[model.cell],
    )


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


def _front_matter(record: Record, license: str | None) -> str:
    lines = ["---"]
    if license is not None:
        lines.append(f"license: {license}")
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
            f"      name: {_yaml(_corpus_name(record))}",
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


def _corpus_name(record: Record) -> str:
    return shown_name(record.corpus.name, record.corpus.sha256)


def _dataset_type(record: Record) -> str:
    key = named_key(record.corpus.name, record.corpus.sha256)
    name = (key or _corpus_name(record)).lower()
    return re.sub(r"[^a-z0-9]+", "_", name).strip("_") or "text"


def _introduction(record: Record) -> str:
    model, corpus = record.model, record.corpus
    layers = "one layer" if model.num_layers == 1 else f"{model.num_layers} layers"
    text = (
        f"A character-level network: {layers} of {model.rnn_units} {_CELLS[model.cell]}"
        f" units, {model.num_parameters():,} parameters, {model.vocab_size:,} ids "
        f"(\\[UNK\\] included). It was trained from scratch with charrnn on one text, "
        f"{_markdown(_corpus_name(record))}: {corpus.characters:,} characters, "
        f"{corpus.distinct:,} different ones. The text itself is not included."
    )
    if record.origin is not None:
        text += (
            f"\n\nA copy of {_markdown(record.origin.repo)} at commit "
            f"{_markdown(record.origin.revision)}."
        )
    return text


def _quality(record: Record, cores: int | None) -> str:
    figures = record.figures
    if figures is None:
        return "It has not been validated: these are the last weights of its training."
    percent = f"{100 * record.corpus.split:g} %"
    rest = f"{100 * (1 - record.corpus.split):g} %"
    rows = [
        f"| validation, {protocol} | {nats:.4f} | {_bits(nats):.4f} |"
        for protocol, nats in _metrics(figures)
    ]
    where = "" if cores is None else f" on {cores} processor cores"
    return "\n".join(
        [
            "| split, protocol | nats per character | bits per character |",
            "|---|---|---|",
            *rows,
            "",
            f"The first {percent} of the text trained the network, the last {rest} "
            "measured it and chose the step that is kept. *stateful*: one pass that "
            "carries the state, the first character being context only. *cold256*: "
            "windows of 256 characters, each from an empty state. "
            f"The weights are those of step {figures.steps:,}, of a training of "
            f"{figures.seconds:,.0f} seconds{where}.",
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
    if text and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,59}", text):
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
    license: str | None = None,
    command: str | None = None,
    cores: int | None = None,
) -> str:
    """A model's card, the same for the same arguments.

    Args:
        record: What the model is; the title and the corpus' name are escaped.
        samples: Temperature to text; any text.
        curve: Step and validation loss in nats per character; thinned to
            `MAX_CURVE_ROWS` rows, left out where empty.
        source: Repository, or a folder, that the code in the card loads.
        license: One of the Hub's identifiers, see `check_license`.
        command: The command that trains such a model.
        cores: Processor cores that the training had.

    Returns:
        The text of README.md, with front matter.

    Raises:
        HubError: If the licence is not of the expected form.
    """
    parts = [
        _front_matter(record, check_license(license)),
        f"# {_markdown(record.title) or 'A character-level network'}",
        _introduction(record),
        "## How good it is",
        _quality(record, cores),
    ]
    if curve:
        parts += ["## How it learnt", _curve(thin(curve))]
    parts += [
        "## What it writes",
        f"{SAMPLE_LENGTH} characters, not chosen, at four temperatures: a low one "
        "keeps to the likeliest, a high one dares.",
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
        _fenced(program(record.model, source), "python"),
        "## Settings",
        _settings(record, command),
    ]
    return "\n\n".join(parts) + "\n"


def samples_of(model: checkpoint.Model) -> dict[float, str]:
    """What a model writes at each of `TEMPERATURES`, from an empty prompt."""
    (texts,) = generation.generate(
        model,
        "",
        length=SAMPLE_LENGTH,
        rows=[SamplingConfig(temperature=t, seed=SAMPLE_SEED) for t in TEMPERATURES],
        chunk=SAMPLE_LENGTH,
    )
    return dict(zip(TEMPERATURES, texts, strict=True))


def curve_of(folder: Path) -> list[tuple[int, float]]:
    """Step and validation loss of a folder's history; empty without one.

    Raises:
        CheckpointError: If the history cannot be read.
    """
    points = [
        (event["step"], event.get("val_loss"))
        for event in events.read_all(folder)
        if event["type"] == "validation"
    ]
    return [
        (step, float(loss))
        for step, loss in points
        if isinstance(loss, int | float) and math.isfinite(loss)
    ]


def license_of(folder: Path) -> str | None:
    """The licence that a folder's card names, if it has one."""
    try:
        with (folder / CARD).open(encoding="utf-8") as file:
            found = _FRONT_LICENSE.match(file.read(200))
    except (OSError, ValueError):
        return None
    return found.group(1) if found else None


def command_of(record: Record) -> str:
    """The command that trains such a model, as far as the record tells."""
    known = named_key(record.corpus.name, record.corpus.sha256) or "YOUR-TEXT.txt"
    training = record.training
    settings = settings_beyond_preset(record.model, training)
    if training.preset in PRESETS:
        return command_line(known, training.preset, settings)
    every = {**dataclasses.asdict(record.model), **dataclasses.asdict(training)}
    chosen = {
        key: value
        for key, value in every.items()
        if key not in ("preset", "vocab_size")
    }
    return command_line(known, DEFAULT_PRESET, chosen)


def write_card(
    folder: Path,
    *,
    history: Path | None = None,
    source: str = ".",
    license: str | None = None,
) -> str:
    """Write the card of a model's folder, with fresh samples, and return it.

    A licence that the card already names stays unless another one is given.

    Args:
        folder: A complete model.
        history: Where `events.jsonl` lies, for the curve; None: in ``folder``.
        source: See `card`.
        license: See `card`.

    Raises:
        CheckpointError: If the folder is not a model or cannot be written.
        HubError: If the licence is not of the expected form.
    """
    model = checkpoint.load(folder)
    cores = model.record.versions.get("cores", "")
    text = card(
        model.record,
        samples=samples_of(model),
        curve=curve_of(history or folder),
        source=source,
        license=license or license_of(folder),
        command=command_of(model.record),
        cores=int(cores) if re.fullmatch("[0-9]{1,4}", cores) else None,
    )
    write_file(folder / CARD, text.encode())
    return text
