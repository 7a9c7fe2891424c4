"""What the Inside tab and its endpoints compute: one text read by one model.

The models are loaded here, in the thread of the handler; the states of the texts read
last are kept, so that a character that is chosen costs its gradient alone. A visitor
of a hosted page looks at one thing at a time.
"""

import collections
import contextlib
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from charrnn.errors import ConfigError
from charrnn.files import quoted
from charrnn.hosting import Visitor, policy
from charrnn.inside import memory, report, surprise, units
from charrnn.inside.marks import MARKS, marks_of
from charrnn.inside.memory import Look, Reach
from charrnn.inside.surprise import Surprise
from charrnn.inside.units import Found
from charrnn.model import checkpoint, snapshots
from charrnn.model.cache import Stamp, stamp_of
from charrnn.model.checkpoint import Model
from charrnn.ui.shared import model_folder
from charrnn.ui.texts import translate
from charrnn.ui.writing_request import engine

MAX_READINGS: Final = 3  # 30 MB each: 5,000 characters, two layers of 768
MAX_SEARCHES: Final = 32
AT_ONCE: Final = 2  # looks of all visitors; each takes a core
WAIT_SECONDS: Final = 20.0  # for a place among them
OPTIONS: Final = ("at", "reach", "against")
Outputs = npt.NDArray[np.floating]
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class Reading:
    """A text that a model has read.

    Args:
        model: From `checkpoint.load`.
        found: How much each character surprised it.
        states: From `Network.trace`.
    """

    model: Model
    found: Surprise
    states: Any

    def look(self, place: int) -> Look:
        """What the model looked at for the character at a place, from 1."""
        ids = self.model.vocabulary.encode(self.found.text)
        return memory.look(self.model, ids, self.states, place)

    def reach(self) -> Reach | None:
        """How far back the model looks in the text; None where it never does."""
        ids = self.model.vocabulary.encode(self.found.text)
        return memory.reach(self.model, ids, self.states)

    def search(self) -> list[Found]:
        """What follows each mark that the text has."""
        marks = marks_of(self.found.text)
        return units.search(self.model.record.model, self.states, marks)

    def controls(self, layer: int, unit: int, mark: str) -> list[int]:
        """The two other units of a layer that follow a mark of the text least."""
        values = MARKS[mark](self.found.text)
        config = self.model.record.model
        least = units.least_correlated(config, self.states, values, layer, count=3)
        return [other for other in least if other != unit][:2]

    def ends(self, layer: int) -> tuple[Outputs, Outputs]:
        """The lowest and the highest output of each unit of a layer, ``(units,)``."""
        outputs = self.states[self.model.record.model.num_states * layer][1:]
        return outputs.min(axis=0), outputs.max(axis=0)

    def unit(self, layer: int, unit: int) -> npt.NDArray[np.float64]:
        """A unit's output after each character, shape ``(length,)``."""
        return units.output(self.model.record.model, self.states, (layer, unit))


class Latest(Generic[K, V]):
    """The values used last, by key; safe to use from several threads.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: collections.OrderedDict[K, V] = collections.OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: K) -> V | None:
        """The value of a key, where it is kept."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def keep(self, key: K, value: V) -> V:
        """Keep a value, and drop the one that was not used for the longest time."""
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return value


_readings: Final = Latest[tuple[Path, Stamp, str], Reading](MAX_READINGS)
_searches: Final = Latest[tuple[str, str], list[Found]](MAX_SEARCHES)
_busy: set[Visitor] = set()  # who looks, or waits for it
_looking: set[str] = set()  # addresses of those who look
_changed: Final = threading.Condition()  # guards the two above


@contextlib.contextmanager
def one_at_a_time(lang: str, visitor: Visitor) -> Iterator[None]:
    """While a visitor of a hosted page looks at one thing, refuse another.

    Of one address one looks at a time, of all `AT_ONCE`: the others wait for a while.
    The queue holds most of that as well, but not for a look before a text is written.

    Raises:
        ConfigError: If they already look at something, or had to wait for too long.
    """
    if not policy().secret_ids:
        yield
        return
    with _changed:
        if visitor in _busy:
            raise ConfigError(translate(lang, "inside.busy"))
        _busy.add(visitor)
    try:
        with _a_place(lang, visitor.address):
            yield
    finally:
        with _changed:
            _busy.discard(visitor)


@contextlib.contextmanager
def _a_place(lang: str, address: str) -> Iterator[None]:
    """One of the places of those who look.

    Raises:
        ConfigError: If none was free in time.
    """
    with _changed:
        if not _changed.wait_for(lambda: _is_free(address), WAIT_SECONDS):
            raise ConfigError(
                translate(
                    lang,
                    "error.network_waits" if address in _looking else "error.all_wait",
                )
            )
        _looking.add(address)
    try:
        yield
    finally:
        with _changed:
            _looking.discard(address)
            _changed.notify_all()


def _is_free(address: str) -> bool:
    return address not in _looking and len(_looking) < AT_ONCE


def checked_text(lang: str, text: str | None) -> str:
    """The text, if it is not too long.

    Raises:
        ConfigError: If it is.
    """
    limit = policy().max_inside_characters
    given = text or ""
    if len(given) > limit:
        raise ConfigError(
            translate(
                lang, "inside.too_long", given=f"{len(given):,}", limit=f"{limit:,}"
            ),
            field="text",
        )
    return given


def read(lang: str, model: str | None, text: str | None) -> Reading:
    """A text read by the model that a visitor names.

    Raises:
        CharrnnError: If there is no such model, or the text is too short or too long.
    """
    path, given = _asked(lang, model, text)
    key = path, stamp_of(path), given
    if (known := _readings.find(key)) is not None:
        return known
    loaded = checkpoint.load(path)
    network, states = surprise.read(loaded, given)
    found = surprise.surprise_of(loaded, given, network, states)
    return _readings.keep(key, Reading(loaded, found, states))


def _asked(lang: str, model: str | None, text: str | None) -> tuple[Path, str]:
    """A model's folder and a text.

    Raises:
        CharrnnError: If there is no such model, or the text is too long.
    """
    if not model:
        raise ConfigError(translate(lang, "generate.no_model"), field="model")
    given = checked_text(lang, text)
    return model_folder(model), given


def search(lang: str, model: str | None, text: str | None) -> list[Found]:
    """What follows each mark of a text, cached by the weights' hash and the text.

    Raises:
        CharrnnError: As in `read`, and if the text is too short to tell anything.
    """
    path, given = _asked(lang, model, text)
    units.check_count(len(given))
    digest = engine.models.get(path).weights_hash  # of which no weight is loaded
    if (known := _searches.find((digest, given))) is not None:
        return known
    reading = read(lang, model, text)
    return _searches.keep((reading.model.weights_hash, given), reading.search())


def checked_unit(lang: str, reading: Reading, unit: str | None) -> tuple[int, int]:
    """Layer and unit of ``layer.unit``.

    Raises:
        ConfigError: If the name is none of a unit, or the model has no such one.
    """
    parts = (unit or "").split(".")
    if len(parts) != 2 or not all(
        part.isascii() and part.isdigit() and len(part) < 6 for part in parts
    ):
        raise ConfigError(translate(lang, "inside.no_unit"), field="unit")
    layer, number = map(int, parts)
    config = reading.model.record.model
    if layer >= config.num_layers or number >= config.rnn_units:
        raise ConfigError(
            f"There is no unit {layer}.{number}: expected layers 0 to "
            f"{config.num_layers - 1} and units 0 to {config.rnn_units - 1}.",
            field="unit",
        )
    return layer, number


def checked_mark(lang: str, mark: str | None) -> str:
    """The name of a mark.

    Raises:
        ConfigError: If it is none.
    """
    if mark not in MARKS:
        raise ConfigError(translate(lang, "hand.no_mark"), field="mark")
    return mark


@dataclass(frozen=True, eq=False)
class Course:
    """A unit after one step of the training.

    Args:
        step: Of those that were kept.
        correlation: With its mark, as `units.search` tells it.
        outputs: After each character of the text, ``(length,)``.
    """

    step: int
    correlation: float
    outputs: npt.NDArray[np.float64]


def course(
    lang: str, model: str | None, text: str | None, unit: str | None, mark: str | None
) -> list[Course]:
    """How a unit came to follow a mark, at each step that was kept.

    Raises:
        CharrnnError: As in `read`, if there is no such unit or mark, or if a snapshot
            is damaged.
    """
    reading = read(lang, model, text)
    place = checked_unit(lang, reading, unit)
    values = MARKS[checked_mark(lang, mark)](reading.found.text)
    path, found = model_folder(model or ""), []
    for step in snapshots.steps(path):
        then = snapshots.load(path, step)
        _, states = surprise.read(then, reading.found.text)
        outputs = units.output(then.record.model, states, place)
        found.append(Course(step, units.correlation(outputs, values), outputs))
    return found


def _check_options(options: dict[str, Any]) -> None:
    if unknown := [name for name in options if name not in OPTIONS]:
        raise ConfigError(
            f"There is no option {quoted(unknown[0], 40)}: expected "
            f"{', '.join(OPTIONS)}.",
            field="options",
        )
    if len(options) > 1:
        raise ConfigError(
            f"{len(options)} options are given: expected one of {', '.join(OPTIONS)}, "
            "or none.",
            field="options",
        )
    kinds = {"at": int, "reach": bool, "against": str}
    for name, value in options.items():
        if type(value) is not kinds[name]:
            raise ConfigError(
                f"{name} is {quoted(str(value), 40)}: expected a place for at, true "
                "for reach, a model's id for against.",
                field="options",
            )


def inspect(
    lang: str, model: str, text: str, options: dict[str, Any]
) -> dict[str, Any]:
    """What `inspect --json` prints of a text, without the model's name.

    Args:
        lang: Language of sentences about the form.
        model: Id of a model.
        text: At least two characters.
        options: One of `OPTIONS` with its value, or none.

    Raises:
        CharrnnError: If an option or the text is wrong, or there is no such model.
    """
    _check_options(options)
    reading = read(lang, model, text)
    vocabulary = reading.model.vocabulary
    if "at" in options:
        return report.of_look(reading.found, reading.look(options["at"]), vocabulary)
    if "against" in options:
        other = read(lang, options["against"], text)
        return report.of_difference(reading.found, other.found)
    if options.get("reach"):
        return report.of_reach(report.measured(reading.reach()))
    return report.of_text(reading.found, vocabulary)
