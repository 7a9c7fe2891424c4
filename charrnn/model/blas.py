"""How many threads NumPy's matrix products take.

OpenBLAS, which NumPy's wheels carry, splits a product between its threads and lets
these wait for each other at its end. For products as small as a recurrent layer's that
gains little on an idle machine, and beside other work one product may wait for a
hundred others: what reads a long text runs its products unsplit, and its independent
parts side by side. Where NumPy came with another library nothing is changed.
"""

import contextlib
import ctypes
import importlib
import threading
from collections.abc import Iterator
from typing import Any

_LOCK = threading.Lock()
_inside = 0  # blocks of `unsplit` that are open
_before = 1  # threads when the first of them began


def _function(name: str) -> Any:
    """A function of the OpenBLAS that NumPy is linked to; None if it is another."""
    try:
        extension = importlib.import_module("numpy._core._multiarray_umath")
        library = ctypes.CDLL(extension.__file__)
    except (ImportError, OSError, AttributeError):
        return None
    return getattr(library, f"scipy_openblas_{name}64_", None)


def num_threads() -> int | None:
    """Threads that a large product is split between; None if that is unknown."""
    get = _function("get_num_threads")
    return None if get is None else int(get())


def _set_num_threads(count: int) -> None:
    change = _function("set_num_threads")
    if change is not None:
        change(count)


@contextlib.contextmanager
def unsplit() -> Iterator[None]:
    """A context in which no product of this process is split; it may be nested."""
    global _inside, _before
    with _LOCK:
        if not _inside:
            _before = num_threads() or 1
            _set_num_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if not _inside:
                _set_num_threads(_before)
