"""What this machine has: memory, a GPU, and how this program is called on it."""

import sys
from pathlib import Path

import psutil


def has_gpu() -> bool:
    """Whether an NVIDIA driver shows a card, told without TensorFlow."""
    cards = Path("/proc/driver/nvidia/gpus")
    return cards.is_dir() and any(cards.iterdir())


def program() -> str:
    """How a person calls this program: as installed, or through Python.

    A tool runner (`uvx`) has the installed command alone, a checkout has none.
    """
    return "charrnn" if Path(sys.argv[0]).name == "charrnn" else "python -m charrnn"


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
