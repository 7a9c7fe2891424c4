"""Where models and runs lie: their folders, ids and locks."""

import contextlib
import fcntl
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from platformdirs import user_data_path

import charrnn
from charrnn.errors import RunError
from charrnn.files import is_safe, is_there, quoted
from charrnn.hosting import policy
from charrnn.machine import program
from charrnn.model.record import CONFIG

PACKAGE_ROOT: Final = Path(charrnn.__file__).resolve().parent.parent
INSTALLED_MODELS: Final = PACKAGE_ROOT / "charrnn" / "_models"  # as in pyproject.toml
SHIPPED_IDS: Final = ("shakespeare", "python")  # in the order of the lists
SHIPPED_ID: Final = SHIPPED_IDS[0]  # a first visitor finds its texts
STATE: Final = "state"
QUEUE: Final = ".queue"
CORPUS_FILE: Final = "corpus.txt"
WORDS_FILE: Final = "words.txt"  # of the text that trained, sorted
STATE_FILE: Final = "state.safetensors"
BEST_FILE: Final = "best.safetensors"  # scheduled best, beside that of a stop
LOCK, STOP, LEARNING_RATE = "lock", "stop", "learning_rate"
UNWANTED: Final = "unwanted"  # in `STATE`: its owner has given the run up
ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
MAX_NAME: Final = 100  # characters of a folder's name that is listed
HOSTED_PATTERN: Final = re.compile(r"[0-9a-f]{32}")


def shipped_folder() -> Path:
    """The folder of the models that came with the program.

    A wheel carries them as package data; in a checkout they lie in
    `checkpoints/`, beside the runs.
    """
    if INSTALLED_MODELS.is_dir():
        return INSTALLED_MODELS
    return PACKAGE_ROOT / "checkpoints"


def folder() -> Path:
    """The folder of models and runs.

    `CHARRNN_CHECKPOINTS`, else `checkpoints/` of the checkout, else, where the
    program is installed, this user's data folder.

    Raises:
        RunError: If there is neither the variable nor a home folder.
    """
    text = os.environ.get("CHARRNN_CHECKPOINTS", "").strip()
    if text:
        return Path(text).resolve()
    if shipped_folder() != INSTALLED_MODELS:
        return shipped_folder()
    try:
        return user_data_path("charrnn", appauthor=False) / "checkpoints"
    except RuntimeError as error:
        raise RunError(
            "There is no home folder to keep models and runs in: set "
            "CHARRNN_CHECKPOINTS to a folder."
        ) from error


def may_read(model: str) -> bool:
    """Whether whoever knows an id may read what is behind it here.

    Where ids are secret, one that could be guessed, as a local run's readable id
    can, opens nothing.
    """
    if not policy().secret_ids or model in SHIPPED_IDS:
        return True
    return HOSTED_PATTERN.fullmatch(model) is not None


def is_name(text: str) -> bool:
    """Whether a text may name a folder of models and runs.

    On one's own computer that is any single name, as people rename folders; on a
    hosted page only ids that we made, and the shipped models'.
    """
    if policy().secret_ids:
        return may_read(text)
    hidden = text.startswith(".") or "/" in text or "\\" in text or os.sep in text
    return 0 < len(text) <= MAX_NAME and not hidden and is_safe(text)


def named_folders(place: Path) -> list[Path]:
    """What lies in a folder of models and runs under names, in their order.

    On a hosted page with all that its owner trained from a terminal.
    """
    if not place.is_dir():
        return []
    shared = policy().secret_ids
    return [
        path
        for path in sorted(place.iterdir())
        if (ID_PATTERN.fullmatch(path.name) if shared else is_name(path.name))
    ]


def misnamed(place: Path) -> dict[Path, str]:
    """Folders of models and runs that stand in no list by their names, and why."""
    if policy().secret_ids or not place.is_dir():
        return {}
    return {
        path: _wrong_name(path.name)
        for path in sorted(place.iterdir())
        if not path.name.startswith(".")
        and not is_name(path.name)
        and is_there(path / CONFIG)
    }


def _wrong_name(name: str) -> str:
    if len(name) > MAX_NAME:
        return (
            f"Its name has {len(name)} characters: at most {MAX_NAME} are taken. "
            "Rename the folder."
        )
    return "Its name holds characters that are no letters or signs. Rename the folder."


def _in_list(place: Path, name: str) -> Path:
    """The folder of a name as the system lists it: accents may be spelled otherwise."""
    if ID_PATTERN.fullmatch(name) or not place.is_dir():
        return place / name
    spelled = unicodedata.normalize("NFC", name)
    listed = sorted(place.iterdir(), key=lambda path: path.name != name)
    same = (p for p in listed if unicodedata.normalize("NFC", p.name) == spelled)
    return next(same, place / name)


def find(model: str) -> Path:
    """The folder behind a name.

    A name has no separators, so one from a visitor can never become a path. The
    shipped models are found wherever the runs are kept. On a hosted page only ids that
    cannot be guessed are, so that what its owner trained from a terminal stays the
    owner's.

    Raises:
        RunError: If there is no such model.
    """
    if is_name(model):
        places = [folder(), *([shipped_folder()] if model in SHIPPED_IDS else [])]
        for place in places:
            found = _in_list(place, model)
            if is_there(found / CONFIG):  # whoever reads it says what it is
                return found
    _explain(model)
    raise RunError(
        f"There is no model or run {quoted(model)} here: "
        f"`{program()} models` and `runs` list what there is."
    )


def _explain(model: str) -> None:
    """Say of a folder that is there why it is not found under its name."""
    if policy().secret_ids:
        return
    for path, problem in misnamed(folder()).items():
        if path.name == model:
            raise RunError(f"{quoted(model)} cannot be an id: {problem}")
    if is_name(model) and (path := _in_list(folder(), model)).is_dir():
        raise RunError(
            f"The folder {quoted(path.name)} has no {CONFIG}: it is not a model."
        )


def resolve(model: str) -> Path:
    """A MODEL or RUN of the command line: a name, or a path when it looks like one.

    Raises:
        RunError: If there is no such id or folder.
    """
    if "/" in model or os.sep in model or model.startswith("."):
        path = Path(model).resolve()  # "." has a name, too
        if not path.exists():
            raise RunError(f"There is no folder {quoted(model)}.")
        return path
    return find(model)


def slug(text: str) -> str:
    """A folder name out of any title: ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40] or "text"


def new_folder(parent: Path, wanted: str, *, exact: bool) -> Path:
    """Create a folder that was not there: `name`, `name-2`, `name-3`, ..."""
    if not ID_PATTERN.fullmatch(wanted):
        raise RunError(
            f"{wanted!r} cannot be an id: expected up to 80 letters, digits, "
            "hyphens and underscores, like shakespeare-2."
        )
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 10_000):
            name = wanted if number == 1 else f"{wanted}-{number}"
            if not is_taken(parent, name):
                with contextlib.suppress(FileExistsError):
                    (parent / name).mkdir()
                    return parent / name
            if exact:
                raise RunError(f"The id {wanted!r} is taken: choose another one.")
    except OSError as error:
        raise RunError(
            f"The folder {parent.name} cannot be written ({error.strerror}): choose "
            "a writable one with the variable CHARRNN_CHECKPOINTS."
        ) from error
    raise RunError(f"There are too many folders named {wanted}: delete some.")


def place(ready: Path, destination: Path, wanted: str, *, exact: bool) -> Path:
    """Let a finished folder appear at once under a free id.

    The name is first taken with an empty folder, which the rename replaces: so
    nothing that somebody else puts there in between is ever lost.

    Args:
        ready: The folder, on the same disk.
        destination: The folder of models and runs.
        wanted: The id; if it is taken, one with a number behind it.
        exact: Whether it must be this id and no other.

    Returns:
        The folder in its place.

    Raises:
        RunError: If the id is none or taken.
        OSError: If the folder cannot be moved there.
    """
    path = new_folder(destination, wanted, exact=exact)
    try:
        ready.rename(path)
    except OSError:
        with contextlib.suppress(OSError):  # not empty: somebody works there already
            path.rmdir()
        raise
    return path


def is_taken(parent: Path, name: str) -> bool:
    """Whether a folder of this name is there, or would hide a shipped model."""
    return any((place / name).exists() for place in (parent, shipped_folder()))


def hosted_id() -> str:
    """An id that cannot be guessed: on a hosted page only who is given it can read."""
    return secrets.token_hex(16)


def is_run(path: Path) -> bool:
    """Whether a folder was trained here: it keeps the text that it learns."""
    try:
        return (path / STATE / CORPUS_FILE).is_file()
    except OSError:  # it may not be looked at: whoever reads it says so
        return True


def own_run(run_id: str) -> Path:
    """The folder of a run that was made here, not of a pulled or shipped model.

    Raises:
        RunError: If there is no such run, or only a model of that id.
    """
    return check_own_run(find(run_id))


def check_own_run(path: Path) -> Path:
    """The same folder, if it is a run that was made here.

    Raises:
        RunError: As `own_run`.
    """
    strange = policy().secret_ids and is_shipped(
        path
    )  # its owner's, while it is retrained
    if strange or not is_run(path):
        raise RunError(
            f"{path.name} is a model without a training behind it: "
            "train from it with `--init`."
        )
    return path


def own_model(run_id: str) -> Path:
    """The folder of a model that may be changed, not a shipped one."""
    path = find(run_id)
    if is_shipped(path):
        raise RunError("A shipped model stays as it is: train or pull your own.")
    return path


def is_shipped(path: Path) -> bool:
    """Whether a folder is a model that came with the program."""
    real = path.resolve()
    return real.name in SHIPPED_IDS and real.parent == shipped_folder().resolve()


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Be the one trainer of a run's folder.

    Raises:
        RunError: If another process is.
    """
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=2)  # a reader that asks `is_alive` holds it briefly
    except Timeout as error:
        raise RunError(
            f"{path.name} is being trained already: follow or stop it."
        ) from error
    except OSError as error:
        raise RunError(
            f"{path.name} cannot be locked ({error.strerror}): is it writable?"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_alive(path: Path) -> bool:
    """Whether a living process holds the run's lock.

    The kernel frees the lock with the process, however it ends, so this tells
    a dead trainer at once.
    """
    return is_locked(path / LOCK)


def is_locked(path: Path) -> bool:
    """Whether a living process holds this lock file.

    A shared lock is asked for, which only the holder's own refuses: those who look
    do not see each other.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # nobody ever held it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    finally:
        os.close(descriptor)
    return False
