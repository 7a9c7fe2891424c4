"""What this machine has, found without TensorFlow, and what our processes inherit."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

# Variables that a process of ours gets from the one that starts it: nothing else,
# so that no secret of a server reaches code that has no need of it. A name with a
# star stands for all that begin like it.
INHERITED: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "XDG_CACHE_HOME", "XDG_DATA_HOME"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONWARNINGS"),
    *("PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"),
    *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("CHARRNN_*", "SPACE_ID"),
)
NEEDED_TO_MULTIPLY: Final = (  # threads and memory of matrix products
    *("OMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "MALLOC_*", "GLIBC_TUNABLES"),
)
NEEDED_TO_TRAIN: Final = (
    *("CUDA_*", "NVIDIA_*", "XLA_FLAGS", "TF_*", "ONEDNN_*", "KERAS_HOME"),
    *NEEDED_TO_MULTIPLY,
)
NEEDED_FOR_THE_HUB: Final = (
    *("HF_ENDPOINT", "HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"),
    *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"),
)

LARGE_BYTES: Final = 1 << 20  # of one array
_M_MMAP_THRESHOLD: Final = -3  # in glibc's malloc.h


def give_back_large_arrays() -> None:
    """Have this process give the memory of a large array back once it is freed.

    glibc by itself counts larger and larger arrays, up to 32 MB, among the small ones,
    after which whatever lies behind them keeps their memory in the process. Where the
    C library is another one this does nothing.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


def child_environment(
    *needed: str, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The variables that a process of ours inherits, by name.

    Args:
        needed: Names beside `INHERITED`; one that ends with a star stands for all
            that begin like it.
        environ: Where the values come from.

    Example:
        >>> child_environment(environ={"LANG": "C.UTF-8", "HF_TOKEN": "secret"})
        {'LANG': 'C.UTF-8'}
    """
    names = (*INHERITED, *needed)
    exact = frozenset(names)
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    return {
        name: value
        for name, value in environ.items()
        if name in exact or name.startswith(prefixes)
    }


LOWEST: Final = 19  # niceness
SESSION: Final = 5  # of a session: a third of the share of one that is not lowered


def give_way(niceness: int) -> None:
    """Let processes that someone waits for go first; for this process and its threads.

    Where Linux shares the processors among sessions first (autogroup), niceness
    counts only within one: at the lowest priority a process that leads its session
    lowers that as well, though not so far that other sessions' work, which may be
    nobody's here, starves it. It also tells the kernel that it only computes.

    Args:
        niceness: What is added to the process's own, 0 to 19.
    """
    os.nice(niceness)
    if niceness < LOWEST:
        return
    with contextlib.suppress(OSError):  # no such kernel, or not allowed
        if hasattr(os, "SCHED_BATCH"):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        if os.getsid(0) == os.getpid():
            Path("/proc/self/autogroup").write_text(str(SESSION), encoding="ascii")


def has_gpu() -> bool:
    """Whether an NVIDIA driver shows a card."""
    cards = Path("/proc/driver/nvidia/gpus")
    return cards.is_dir() and any(cards.iterdir())


def program() -> str:
    """How a person calls this program: as installed, or through Python.

    A tool runner (`uvx`) has the installed command alone, a checkout has none.
    """
    return "charrnn" if Path(sys.argv[0]).name == "charrnn" else "python -m charrnn"


def resident_memory(pid: int) -> int:
    """Bytes of memory that a process holds; 0 of one that has gone."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def available_memory() -> int:
    """Bytes that a new process can have: the machine's, or the container's."""
    free = int(psutil.virtual_memory().available)
    cgroup = Path("/sys/fs/cgroup")
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text())
        statistics = (cgroup / "memory.stat").read_text().split()
        # cached files count as used but make room when room is needed
        used -= int(statistics[statistics.index("inactive_file") + 1])
        return free if limit == "max" else min(free, max(0, int(limit) - used))
    except (OSError, ValueError):
        return free
