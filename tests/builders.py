"""Models with random weights, events, a page's requests, and what other programs
must write with the models.

Two programs add up the same products in different orders, so that their float32
logits differ in the last bits, by how much depends on the processor. Texts of two
programs are compared only where that cannot matter: the recurrent weights of the
model are `contractive`, and no draw of the text is close (`unambiguous_text`).
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import typing
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from charrnn.config import ModelConfig, SamplingConfig, TrainingConfig
from charrnn.model import checkpoint, generation, snapshots
from charrnn.model.checkpoint import Model
from charrnn.model.network import Network
from charrnn.model.record import CorpusRecord, Figures, Record
from charrnn.model.tensors import tensors_to_parts
from charrnn.runs import events, queue
from charrnn.runs.events import Event, EventLog
from charrnn.runs.states import EndReason
from charrnn.runs.view import Reducer, RunView
from charrnn.text.vocabulary import Vocabulary

WEB: Final = Path(__file__).parent.parent / "charrnn" / "web"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
ROOT: Final = Path(__file__).parent.parent
CHARACTERS = "\n abcdefghijklmnopqrstuvwxyzäß😀"
TINY: Final = {  # settings of a run that is trained in a second
    **{"rnn_units": 24, "embedding_dim": 8, "batch_size": 4, "seq_length": 25},
    **{"epochs": 2, "validate_every": 30},
}
HOSTILE: Final = (  # what must stay text, wherever a stranger's text is shown
    '<img src=x onerror="alert(1)">',
    "</script><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    "<!--<script>",
    '"><b id=stolen>',
    "{{title}} {{weights}} ${alert(1)}",
    "\\u003cscript\\u003ealert(1)",
    "&lt;script&gt; &amp;",
    "a\u2028b\u2029c",
    "javascript:alert(1)//'`",
)
MIN_LEAD = 1e-4  # nats by which a drawn character leads; rounding is below 1e-5


def make_record(cell: str = "gru", layers: int = 1, title: str = "Test") -> Record:
    model = ModelConfig(
        cell=cell,
        embedding_dim=6,
        rnn_units=16,
        num_layers=layers,
        vocab_size=len(CHARACTERS) + 1,
    )
    return Record(
        title=title,
        model=model,
        training=TrainingConfig(epochs=3, seed=7),
        corpus=CorpusRecord(
            name="Some text", characters=1234, distinct=30, sha256="0" * 64
        ),
        figures=Figures(
            val_loss=1.5,
            cold256_val_loss=1.625,
            kept_step=1200,
            total_steps=1500,
            seconds=61.4,
        ),
        versions={"charrnn": "0.1.0"},
    )


def contractive(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same weights with every recurrent kernel scaled to spectral norm 0.8.

    Below 1 a difference between two states shrinks from step to step; above it,
    a simple RNN may be chaotic and let a difference of rounding grow without end.
    """
    return {
        name: array * np.float32(0.8 / np.linalg.norm(array, 2))
        if name.endswith("recurrent_kernel")
        else array
        for name, array in weights.items()
    }


def make_folder(folder: Path, record: Record, seed: int = 4) -> Path:
    """A complete model with random weights, large enough to write variedly."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, 1.2, shape).astype(np.float32)
        for name, shape in record.model.tensor_shapes().items()
    }
    checkpoint.save_record(folder, record)
    checkpoint.save_vocabulary(folder, Vocabulary.of(CHARACTERS))
    checkpoint.save_weights(folder, record.model, contractive(weights))
    return folder


def make_slow(folder: Path) -> Path:
    """A model called Slow, so large that the longest text takes it some ten seconds."""
    record = make_record(title="Slow")
    large = dataclasses.replace(record.model, rnn_units=512, num_layers=2)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(4)
    weights = {  # recurrent kernels of norm 0.8, about, as `contractive` makes them
        name: rng.normal(
            0, 0.013 if name.endswith("recurrent_kernel") else 1.2, shape
        ).astype(np.float32)
        for name, shape in large.tensor_shapes().items()
    }
    checkpoint.save_record(folder, dataclasses.replace(record, model=large))
    checkpoint.save_vocabulary(folder, Vocabulary.of(CHARACTERS))
    checkpoint.save_weights(folder, large, weights)
    return folder


def make_stepped(folder: Path, kept: int, *steps: int, seed: int = 0) -> Path:
    """The same after ``kept`` steps, with snapshots of earlier ones, each its own."""
    record = make_record()
    figures = dataclasses.replace(record.figures, kept_step=kept)
    record = dataclasses.replace(record, figures=figures)
    make_folder(folder, record, seed=100 + seed)
    whole = checkpoint.load(folder).weights
    for step in steps:
        weights = {name: array * (step / kept) for name, array in whole.items()}
        snapshots.save(folder, record.model, weights, step)
    return folder


EVENT_TYPES: Final = {
    cls.__dataclass_fields__["type"].default: cls for cls in typing.get_args(Event)
}
EVENT_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "queued": {"position": 0},
    "started": {
        **{"planned_steps": None, "steps_per_epoch": 10, "parameters": 9, "pid": 1},
    },
    "planned": {"planned_steps": 100},
    "step": {
        **{"epoch": 1, "loss": 2.0, "learning_rate": 0.01, "chars_per_second": 1000.0},
    },
    "validation": {"val_loss": 2.0, "best": True},
    "sample": {"temperature": 0.8, "prompt": "the", "text": " sea"},
    "baseline": {"order": 5, "loss": 1.75},
    "learning_rate": {"factor": 0.5},
    "ended": {"reason": "finished"},
    "failed": {"message": "because"},
    "notice": {"message": "by the way"},
}


def make_event(kind: str, step: int = 0, **fields: Any) -> Event:
    """An event of a type, with plain values for the fields that are not given."""
    values = {**EVENT_FIELDS.get(kind, {}), **fields}
    if kind == "ended":
        values["reason"] = EndReason(values["reason"])
    return EVENT_TYPES[kind](step=step, **values)


def drawn_rows(plot: Mapping[str, Any]) -> list[list[Any]]:
    """The rows of a plot, which travel to the browser as they are."""
    rows: list[list[Any]] = orjson.loads(orjson.dumps(plot["data"]))
    return rows


def with_baseline(folder: Path) -> Path:
    """The run, its history with a baseline: the training starts no process for one."""
    EventLog(folder).append(make_event("baseline"))
    return folder


def wait_for_event(folder: Path, kind: str, *, count: int = 1) -> None:
    """Wait until a run's history has events of a type; a baseline ends its process."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        told = events.read(folder).events
        if sum(event.type == kind for event in told) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {kind} event came")


@contextlib.contextmanager
def held_queue(folder: Path) -> Iterator[None]:
    """Let no training's turn come: each waits as a process, without TensorFlow.

    It holds its run, so that a history which a test writes is that of a living run,
    and it answers a stop.

    Args:
        folder: Where the runs are.
    """
    nobody = folder / "nobody"
    with queue.turn(nobody, EventLog(nobody), stopped=lambda: False) as ours:
        assert ours
        yield


def waiting_run(folder: Path) -> EventLog:
    """The history of a run that waits in the queue, for a test to go on with."""
    wait_for_event(folder, "queued", count=2)  # when it was made, and by its process
    return EventLog(folder)


def varied_text(characters: int, *, seed: int = 0) -> str:
    """A text with some structure that no window repeats exactly."""
    rng = np.random.default_rng(seed)
    words = ["sea", "sand", "wind", "salt", "star", "stone", "rain", "root", "rust"]
    parts: list[str] = []
    while sum(len(part) + 1 for part in parts) < characters:
        parts.append(str(rng.choice(words)))
        if rng.random() < 0.1:
            parts.append("\n")
    return " ".join(parts)[:characters]


def unambiguous_text(
    model: Model, prompt: str, length: int, *, temperature: float = 0.0
) -> str:
    """The text that follows from charrnn's logits, drawn as a card's program draws.

    Asserts that at each place the drawn character leads the next by `MIN_LEAD`, so
    that another order of summation draws the same, and that at temperature 0 it is
    the text that `generation.generate` writes.
    """
    network = Network(model.record.model, model.weights)
    ids = generation.prompt_ids(model.vocabulary, prompt)
    states = network.prefill(ids[:-1], network.initial_states(1))
    rng, last, drawn = np.random.default_rng(0), ids[-1:], []
    for _ in range(length):
        logits, states = network.step(last, states)
        candidates = logits[0, 1:]  # without [UNK]
        noisy = candidates + temperature * rng.gumbel(size=len(candidates))
        second, first = np.sort(noisy)[-2:]
        assert first - second > MIN_LEAD, f"a close draw at {len(drawn)}: another seed"
        last = np.array([1 + noisy.argmax()])
        drawn.append(model.vocabulary.entries[last[0]])
    text = "".join(drawn)
    if temperature == 0:
        *_, (greedy,) = generation.generate(
            model, prompt, length=length, rows=rows(0.0)
        )
        assert text == greedy
    return text


CELLS = ("gru", "lstm", "rnn")


def make_model(
    cell="gru",
    num_layers=1,
    units=16,
    characters="\n abcdefghij",
    seed=0,
    scale=0.5,
) -> checkpoint.Model:
    """A model in memory alone, with random weights.

    At the default scale a simple RNN is chaotic: the last bit decides. What may
    differ in the last bits takes `steady` models instead.
    """
    vocabulary = Vocabulary.of(characters)
    config = ModelConfig(
        cell=cell,
        embedding_dim=7,
        rnn_units=units,
        num_layers=num_layers,
        vocab_size=len(vocabulary),
    )
    rng = np.random.default_rng(seed)
    weights = {
        name: (scale * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    record = Record(
        title="t",
        model=config,
        training=TrainingConfig(),
        corpus=CorpusRecord(
            name="t", characters=100, distinct=len(characters), sha256="0" * 64
        ),
    )
    return checkpoint.Model(record, vocabulary, weights, "0" * 16)


def large_model() -> checkpoint.Model:
    """As large as the shipped model: two GRU layers of 384, 66 ids."""
    model = make_model(num_layers=2, characters="".join(map(chr, range(32, 97))))
    config = dataclasses.replace(
        model.record.model, rnn_units=384, embedding_dim=128, num_layers=2
    )
    rng = np.random.default_rng(0)
    weights = {
        name: (0.05 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    record = dataclasses.replace(model.record, model=config)
    return dataclasses.replace(model, record=record, weights=weights)


def steady(model: checkpoint.Model) -> checkpoint.Model:
    """The model with recurrent weights that let no difference of rounding grow."""
    return dataclasses.replace(model, weights=contractive(model.weights))


def save_model(folder: Path, **options) -> checkpoint.Model:
    """What `make_model` makes, in a folder; returned as it is loaded."""
    folder.mkdir(exist_ok=True)
    model = make_model(**options)
    checkpoint.save_record(folder, model.record)
    checkpoint.save_vocabulary(folder, model.vocabulary)
    checkpoint.save_weights(folder, model.record.model, model.weights)
    return checkpoint.load(folder)


def written(texts) -> list[str]:
    """The complete texts of a request."""
    return list(texts)[-1]


def alone(model: checkpoint.Model, prompt, length, temperatures, **options):
    """What a model writes by itself, with nobody beside."""
    settings = rows(*temperatures, **options)
    return written(generation.generate(model, prompt, length=length, rows=settings))


def wait_until(condition, seconds: float) -> float:
    """Seconds until it holds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.002)
    return time.monotonic() - start


def keras_network(config: ModelConfig, weights):
    """Keras' own layers with the same weights, ids to logits at each position."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    kind = {
        "gru": keras.layers.GRU,
        "lstm": keras.layers.LSTM,
        "rnn": keras.layers.SimpleRNN,
    }[config.cell]
    layers = [keras.layers.Embedding(config.vocab_size, config.embedding_dim)]
    for _ in range(config.num_layers):
        layers.append(kind(config.rnn_units, return_sequences=True))
    layers.append(keras.layers.Dense(config.vocab_size))
    network = keras.Sequential(layers)
    network.build((None, None))
    arrays = list(weights.values())
    layers[0].set_weights(arrays[:1])
    for index in range(config.num_layers):
        layers[1 + index].set_weights(arrays[1 + 3 * index : 4 + 3 * index])
    layers[-1].set_weights(arrays[-2:])
    return network


def rows(*temperatures: float, **options) -> list[SamplingConfig]:
    """Rows of one request: the same settings at several temperatures."""
    return [SamplingConfig(temperature=t, **options) for t in temperatures]


class Served:
    """The page in a process of its own, which can be ended and started again.

    Args:
        folder: Where its models are; made if there is none.
        command: What Python is given to run.
        **environment: More variables for it.
    """

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.temporary = folder.parent / f"{folder.name}-gradio"
        self.log = folder.parent / f"{folder.name}.log"
        self._command = command or ("app.py",)
        self._environment = {
            **os.environ,
            "CHARRNN_CHECKPOINTS": str(folder),
            "GRADIO_TEMP_DIR": str(self.temporary),
            **environment,
        }
        self.start()

    def start(self) -> None:
        """Start it and wait until it says where it is."""
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=ROOT,
                env=self._environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while not (found := re.search(r"charrnn is at (\S+?)/? ", self.said())):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        self.url = f"{found[1]}/"

    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text(encoding="utf-8")

    def end(self, number: int = signal.SIGTERM) -> str:
        """End it by a signal; what it has printed."""
        self.process.send_signal(number)
        self.process.wait(30)
        return self.said()


def form_of(
    config: Mapping[str, Any], name: str, changed: Mapping[str, Any]
) -> list[Any]:
    """What a page that was just opened sends to one of its functions.

    Args:
        config: What the page answers at ``/config``.
        name: The function.
        changed: Other values, by the `elem_id` of their fields.
    """
    fields = {one["id"]: one["props"] for one in config["components"]}
    (function,) = (fn for fn in config["dependencies"] if fn["api_name"] == name)
    asked = [fields[number] for number in function["inputs"]]
    assert changed.keys() <= {field["elem_id"] for field in asked}
    return [changed.get(field["elem_id"], field.get("value")) for field in asked]


class PageRequest:
    """What a handler of the page reads of a request: its headers and its address."""

    request = None  # no visitor behind it

    def __init__(self, query: str = "", *, lang: str = "en", **headers: str) -> None:
        self.headers = {"accept-language": lang, **headers}
        self.query_params = dict(urllib.parse.parse_qsl(query.removeprefix("?")))


ENGLISH = PageRequest()


def writing_request(**changed: Any) -> Any:
    """What the Generate tab's form asks for: four texts of the model called m."""
    from charrnn.ui.writing_request import WritingRequest  # Gradio takes seconds

    plain = {
        "model": "m",
        "prompt": "the ",
        "length": 30,
        "seed": 7,
        "new_seed": False,
        "top_k": 0,
        "top_p": 1,
        "stop": "",
        "column_count": None,
        "temperatures": (0.2, 0.5, 0.8, 1.1),
    }
    return WritingRequest(**{**plain, **changed})


def program_in(text: str) -> str:
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    return program


def run_program(program: str, *arguments: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        timeout=60,
        check=False,
    )
    assert result.stderr == ""
    return result.stdout


def run_javascript(parts: str, expression: str, cases: list[Any]) -> list[Any]:
    """What an expression over ``cases`` is worth where these scripts are known.

    With node where there is one, else in a browser; without either the test is
    skipped.
    """
    import pytest

    code = f"{parts}\nconst cases = {json.dumps(cases)};\n"
    if node := shutil.which("node"):
        told = f"{code}process.stdout.write(JSON.stringify({expression}));"
        run = [node, "-"]
        answer = subprocess.run(
            run, input=told.encode(), capture_output=True, check=True
        )
        return json.loads(answer.stdout)
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright")
    if not found:
        pytest.skip("neither node nor a browser is installed")
    with (
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=found[0], args=["--no-sandbox"]
        ) as browser,
    ):
        return browser.new_page().evaluate(f"() => {{{code} return {expression};}}")


def tensors_to_bytes(
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
    *,
    context: bytes = b"",
) -> bytes:
    """The file of `tensors_to_parts` in memory."""
    sources = {name: partial(np.asarray, array) for name, array in tensors.items()}
    return b"".join(tensors_to_parts(sources, metadata, context=context))


def reduce(history: Iterable[Event]) -> RunView:
    """What some events amount to."""
    reducer = Reducer()
    for event in history:
        reducer.take(event)
    return reducer.view()


def assert_near_states(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    """Two saved states are the same to 1e-5, large carried ones to 5e-5 of their size.

    The c of an LSTM, which may be large, sums the rounding of every character since it
    was zeroed.
    """
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        size = np.abs(array).max() if name.startswith("carried") else 0
        near = 5e-5 * size if size > 1 else 1e-5
        np.testing.assert_allclose(found[name], array, rtol=0, atol=near, err_msg=name)
