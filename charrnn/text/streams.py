"""A text as streams that are read side by side, window after window.

Truncated backpropagation with carried states (Mikolov et al., 2010) needs every row
of a batch to continue where it stopped: row ``b`` reads its own contiguous piece of
the text, and window ``i + 1`` begins at the character that window ``i`` predicted
last. The ids are never copied as a whole: windows are views of them, or gathers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charrnn.errors import CorpusError
from charrnn.text.corpus import MIN_CHARACTERS, SPLIT, split_at

Ids = npt.NDArray[np.integer]
Mask = npt.NDArray[np.float32]
Starts = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StreamShape:
    """The streams and the window that a text's length allows, and what was changed."""

    batch_size: int
    seq_length: int
    notices: tuple[str, ...]


def fit_shape(
    characters: int, *, batch_size: int, seq_length: int, split: float = SPLIT
) -> StreamShape:
    """Shrink the streams and the window until a small text can fill them.

    Every stream of either split must hold one whole window. The training part
    needs ``seq_length`` characters more, because each epoch begins at another
    offset. There are first fewer streams, which costs only speed; the window,
    which is what a model can learn to connect, shrinks only when a single
    stream is left.

    Args:
        characters: Length of the whole text, both splits.
        batch_size: Streams that were asked for.
        seq_length: Window that was asked for, in characters.
        split: Share of the text that trains.

    Raises:
        CorpusError: If the text is shorter than `MIN_CHARACTERS`.

    Example:
        >>> fit_shape(2_000, batch_size=8, seq_length=50).batch_size
        3
    """
    if characters < MIN_CHARACTERS:
        raise CorpusError(
            f"The text has {characters:,} characters: at least {MIN_CHARACTERS} are "
            "needed to train and to validate. Use a longer text."
        )
    train = split_at(characters, split)
    validation = characters - train - 1  # the first one is context only
    window = min(seq_length, train // 2, validation)
    streams = min(batch_size, train // window - 1, validation // window)
    if (streams, window) == (batch_size, seq_length):
        return StreamShape(batch_size, seq_length, ())
    notice = (
        f"The text has {characters:,} characters, too few for {batch_size} streams in "
        f"windows of {seq_length}: it is read as {streams} in windows of {window}."
    )
    return StreamShape(streams, window, (notice,))


class Streams:
    """The training part as `batch_size` contiguous streams.

    An epoch shifts all streams by its own offset, so that windows are cut at
    other places each time. With ``L = (N - seq_length) // batch_size``, stream
    ``b`` of an epoch at offset ``o`` reads characters ``o + b * L`` to
    ``o + (b + 1) * L``. A window depends on seed, epoch and index alone: a
    resumed run continues with exactly the windows it had not read.

    Args:
        ids: Ids of the training part, shape ``(N,)``; used in place.
        batch_size: Streams.
        seq_length: Characters of a window.
        seed: Draws the offsets.
        starts: Where documents begin, shape ``(N,)``; None: nowhere.

    Attributes:
        steps_per_epoch: Windows of an epoch, the same for every epoch.

    Raises:
        CorpusError: If a stream cannot hold one window (`fit_shape` sees to it).
    """

    def __init__(
        self,
        ids: Ids,
        *,
        batch_size: int,
        seq_length: int,
        seed: int,
        starts: Starts | None = None,
    ) -> None:
        self._starts = starts
        self.batch_size = batch_size
        self.seq_length = seq_length
        self.seed = seed
        self._ids = ids.view()
        self._ids.flags.writeable = False
        self._length = (len(ids) - seq_length) // batch_size  # of a stream
        self.steps_per_epoch = self._length // seq_length
        if self.steps_per_epoch < 1:
            raise CorpusError(
                f"The training part has {len(ids):,} characters: {batch_size} streams "
                f"in windows of {seq_length} need {(batch_size + 1) * seq_length:,}."
            )

    def offset(self, epoch: int) -> int:
        """Where an epoch begins, in ``[0, seq_length)``.

        Philox is counter-based: the number of an epoch is had without those
        before it. Its raw output is used since NumPy may change how a
        Generator makes integers of it, and a resumed run may not notice.
        """
        key = np.array([self.seed, epoch], np.uint64)
        return int(np.random.Philox(key=key).random_raw() % self.seq_length)

    def window(self, epoch: int, index: int) -> tuple[Ids, Ids]:
        """Inputs and targets of one step.

        Args:
            epoch: From 0.
            index: From 0, below `steps_per_epoch`.

        Returns:
            Ids and the same ids one character ahead, each
            ``(batch_size, seq_length)``, read-only views.

        Raises:
            IndexError: If there is no such window.
        """
        if not 0 <= index < self.steps_per_epoch:
            raise IndexError(f"window {index} of {self.steps_per_epoch}")
        begin = self.offset(epoch)
        inputs = self._rows(self._ids, begin, index)
        return inputs, self._rows(self._ids, begin + 1, index)

    @property
    def has_documents(self) -> bool:
        """Whether `starts` says of each window where documents begin."""
        return self._starts is not None

    def starts(self, epoch: int, index: int) -> Starts | None:
        """Where documents begin in the inputs of a window, of their shape.

        None where the text has no documents.
        """
        if self._starts is None:
            return None
        rows: Starts = self._rows(self._starts, self.offset(epoch), index)
        return rows

    def _rows(self, array: npt.NDArray[Any], begin: int, index: int) -> Any:
        """A window of every stream, ``(B, T)``, streams beginning at ``begin``."""
        size = self.batch_size * self._length
        columns = slice(index * self.seq_length, (index + 1) * self.seq_length)
        rows = array[begin : begin + size].reshape(self.batch_size, -1)  # (B, L)
        return rows[:, columns]


def validation_windows(
    ids: Ids | Starts, *, streams: int, seq_length: int, warmup: int, limit: int
) -> Iterator[tuple[Any, Any, Mask]]:
    """The validation part for a stateful pass that reads pieces side by side.

    Reading the text as one stream is exact and slow. Here each of ``streams``
    pieces starts from a zero state but first reads up to ``warmup`` characters
    of the text before it, whose loss does not count: by then its state is
    nearly the one a single pass would have carried there. Over all windows
    every character but the first is predicted exactly once. One stream without
    warm-up is the exact pass.

    A piece begins in the first column of the first window, so that no padding
    comes before its text; columns after its end repeat its last character
    under a mask of zero. Carry the states from window to window.

    Args:
        ids: Ids of the validation part, shape ``(N,)``, or what else each of its
            characters has.
        streams: Pieces, the rows of every window.
        seq_length: Columns of every window.
        warmup: Characters read before a piece.
        limit: Predict at most so many characters, from the beginning.

    Yields:
        Inputs, targets one ahead, and the mask (1.0 where the loss counts),
        each ``(streams, seq_length)``. The masks sum to
        ``min(N - 1, limit)``.
    """
    count = min(len(ids) - 1, limit)
    if count < 1:
        return
    piece = -(-count // streams)
    first = np.minimum(np.arange(streams) * piece, count)  # whose loss counts
    end = np.minimum(first + piece, count)
    begin = np.maximum(first - warmup, 0)
    for column in range(0, int((end - begin).max()), seq_length):
        columns = np.arange(column, column + seq_length)
        position = begin[:, None] + columns  # (B, T)
        counted = (position >= first[:, None]) & (position < end[:, None])
        position = np.minimum(position, np.maximum(end[:, None] - 1, 0))
        yield ids[position], ids[position + 1], counted.astype(np.float32)
