"""Loaded models, few enough that they fit in memory together.

Whoever writes with a model holds it: `ModelCache.acquire` and `release`. Models
that are held count in the limit like those that only wait to be used again, so a
further model is loaded when there is room for it.
"""

import collections
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charrnn.model import checkpoint, snapshots
from charrnn.model.network import Network, network_bytes
from charrnn.model.record import CONFIG, VOCAB, WEIGHTS, Record
from charrnn.model.snapshots import Source
from charrnn.text.vocabulary import Vocabulary

Stamp = tuple[tuple[int, int, int] | None, ...]
MAX_MODELS: Final = 8  # that nobody uses at the moment
MAX_BYTES: Final = 160_000_000
MAX_DESCRIPTIONS: Final = 16  # a megabyte each: a vocabulary's table


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model ready to write: the checkpoint without its raw weights."""

    vocabulary: Vocabulary
    network: Network

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.network.size


class ModelCache:
    """The models in use and those used last, safe to use from several threads.

    Args:
        max_models: How many are kept that nobody uses.
        max_bytes: How much all may take together. A single model may be larger.
    """

    def __init__(
        self, *, max_models: int = MAX_MODELS, max_bytes: int = MAX_BYTES
    ) -> None:
        self.max_models = max_models
        self.max_bytes = max_bytes
        self._current: collections.OrderedDict[Source, tuple[Stamp, Loaded]] = (
            collections.OrderedDict()  # those used last at the end
        )
        self._users: collections.Counter[Loaded] = collections.Counter()
        self._lock = threading.Lock()  # guards the two above
        self._loading = threading.Lock()  # one at a time: it triples a model's memory

    def acquire(self, path: Path | str, step: int | None = None) -> Loaded | None:
        """The model of a folder as it is now, to be given back by `release`.

        Args:
            path: The folder.
            step: Of the model's training, see `snapshots`; None: its kept weights.

        Returns:
            None while models in use leave no room for it.

        Raises:
            CheckpointError: If the folder is no model, or no longer, or does not have
                the step.
        """
        source = Source(Path(path).absolute(), step)
        with self._loading:
            stamp = stamp_of(*source)  # before: a change while loading is seen later
            with self._lock:
                found = self._find(source, stamp)
            return found or self._load(source, stamp)

    def release(self, loaded: Loaded) -> None:
        """Give back what `acquire` gave, once for each time."""
        with self._lock:
            self._users[loaded] -= 1
            if not self._users[loaded]:
                del self._users[loaded]

    @property
    def bytes_held(self) -> int:
        """Bytes of all models in memory, used or not."""
        return sum(loaded.size for loaded in self._models())

    def _models(self) -> set[Loaded]:
        return {loaded for _, loaded in self._current.values()} | self._users.keys()

    def _find(self, source: Source, stamp: Stamp) -> Loaded | None:
        entry = self._current.get(source)
        if entry is None or entry[0] != stamp:
            self._current.pop(source, None)  # a text in the making holds the old one
            return None
        self._current.move_to_end(source)
        self._users[entry[1]] += 1
        return entry[1]

    def _load(self, source: Source, stamp: Stamp) -> Loaded | None:
        size = network_bytes(checkpoint.read_record(source.path).model)
        with self._lock:
            if not self._make_room(size):
                return None
        model = snapshots.load(*source)
        network = Network(model.record.model, model.weights, separator=model.separator)
        loaded = Loaded(model.vocabulary, network)
        with self._lock:
            self._current[source] = stamp, loaded
            self._users[loaded] += 1
        return loaded

    def _make_room(self, size: int) -> bool:
        """Drop models that nobody uses, the longest unused first.

        Returns:
            Whether so many more bytes may be taken: beside nothing else, always.
        """
        unused = [s for s, (_, m) in self._current.items() if not self._users[m]]
        for kept, source in zip(range(len(unused), 0, -1), unused, strict=True):
            if kept < self.max_models and self.bytes_held + size <= self.max_bytes:
                break
            del self._current[source]
        return self.bytes_held + size <= self.max_bytes or not self._users


@dataclass(frozen=True)
class Description:
    """What a folder says of its model, without the weights."""

    record: Record
    vocabulary: Vocabulary
    weights_hash: str


class DescriptionCache:
    """The descriptions asked for last, safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: collections.OrderedDict[Path, tuple[Stamp, Description]] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def get(self, path: Path | str) -> Description:
        """The description of a folder as it is now.

        Raises:
            CheckpointError: If the folder is no model, or no longer. Whether its
                weights are numbers is seen when they are loaded.
        """
        folder = Path(path).absolute()
        stamp = stamp_of(folder)
        with self._lock:
            entry = self._entries.get(folder)
            if entry is not None and entry[0] == stamp:
                self._entries.move_to_end(folder)
                return entry[1]
        record = checkpoint.read_record(folder)
        found = Description(
            record,
            checkpoint.read_vocabulary(folder, record),
            checkpoint.hash_weights(folder, record.model),
        )
        with self._lock:
            self._entries[folder] = stamp, found
            self._entries.move_to_end(folder)
            while len(self._entries) > MAX_DESCRIPTIONS:
                self._entries.popitem(last=False)
        return found


def stamp_of(folder: Path, step: int | None = None) -> Stamp:
    """Changes with the folder's files: time, size and inode of each."""
    files = [folder / name for name in (CONFIG, VOCAB, WEIGHTS)]
    if step is not None:
        files.append(snapshots.file_of(folder, step))
    return tuple(map(_file_stamp, files))


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # loading it says what is wrong
    return status.st_mtime_ns, status.st_size, status.st_ino
