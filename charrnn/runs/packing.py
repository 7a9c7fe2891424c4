"""A model or run as a zip: packed here, taken in there.

A zip always holds what a model shows and its history. The saved state and the text go
in only when they are asked for; with both, the run goes on elsewhere as if it had
never been moved. What tells a run's owner is never packed, and never taken.

`unpack` treats every zip as a stranger's: of its names only those in `_limits` are
read, and written under names of our own, so that no name, link or device in it
decides where anything lands. Sizes are checked as declared and counted as they come.
"""

import dataclasses
import os
import secrets
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from charrnn.errors import CharrnnError, CheckpointError, RunError
from charrnn.files import quoted, remedy
from charrnn.hosting import policy
from charrnn.model import checkpoint
from charrnn.model.record import CONFIG, PUBLIC_FILES, VOCAB, WEIGHTS, Record
from charrnn.model.tensors import bytes_to_tensors
from charrnn.runs import events, store
from charrnn.runs.control import can_go_on
from charrnn.runs.events import Ended, EventLog
from charrnn.runs.history import forget, read_view
from charrnn.runs.leftovers import PULLING, remove_leftovers
from charrnn.runs.owner import Owner, save
from charrnn.runs.preparation import check_taken_in, limit_minutes
from charrnn.runs.queue import check_disk, check_kept
from charrnn.runs.states import LIVE, EndReason, RunState
from charrnn.runs.store import BEST_FILE, CORPUS_FILE, STATE, STATE_FILE
from charrnn.text import corpus
from charrnn.zips import (
    ZipError,
    check_declared,
    content_of,
    files_of,
    opened,
    too_large,
)

MAX_ENTRIES: Final = 100  # a zip of ours has at most eight
_STATE_FILES: Final = (f"{STATE}/{STATE_FILE}", f"{STATE}/{BEST_FILE}")
_TEXT: Final = f"{STATE}/{CORPUS_FILE}"


def _limits() -> dict[str, int]:
    """What is taken from a zip, and how many bytes of each at most."""
    whole = policy().max_zip_bytes
    return {
        **checkpoint.MAX_BYTES,
        WEIGHTS: whole,
        events.FILE_NAME: whole,
        **dict.fromkeys(_STATE_FILES, whole),
        _TEXT: policy().max_text_bytes,
    }


# --- out -------------------------------------------------------------------------


def pack(path: Path, target: Path, *, state: bool, text: bool) -> None:
    """Write a zip of a model or run; it appears whole or not at all.

    Args:
        path: The folder of the model.
        target: The zip, which must not be there yet.
        state: Whether to add the saved state, which training goes on from.
        text: Whether to add the text that it trains on.

    Raises:
        CheckpointError: If the folder is no model, or the zip cannot be written.
        RunError: If the state is asked for while it changes, or what is asked for is
            not there.
    """
    checkpoint.read_record(path)
    wanted = _wanted(path, state=state, text=text)
    if target.exists():
        raise RunError(f"{target.name} is there already: choose another name.")
    _check_readable(path, wanted)
    aside = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}.tmp")
    try:
        with aside.open("xb") as raw:
            with zipfile.ZipFile(
                raw, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False
            ) as packed:
                for name in wanted:
                    packed.write(path / name, name)
            raw.flush()
            os.fsync(raw.fileno())
        aside.rename(target)
    except OSError as error:
        raise CheckpointError(
            f"{target.name} cannot be written ({error.strerror}): {remedy(error)}."
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _check_readable(path: Path, names: list[str]) -> None:
    for name in names:
        try:
            (path / name).open("rb").close()
        except OSError as error:
            raise CheckpointError(
                f"{name} cannot be read ({error.strerror})."
            ) from error


def _wanted(path: Path, *, state: bool, text: bool) -> list[str]:
    """The names to pack, in order."""
    names = [*PUBLIC_FILES, events.FILE_NAME]
    if text:
        if not store.is_run(path):
            raise RunError(f"{path.name} keeps no text here: pack it without the text.")
        names.append(_TEXT)
    if state:
        if store.is_alive(path):
            raise RunError(
                f"{path.name} is being trained, and its state changes meanwhile: stop "
                "it first, or pack it without the state."
            )
        if not (path / _STATE_FILES[0]).is_file():
            raise RunError(f"{path.name} has no saved state: pack it without.")
        names += _STATE_FILES
    return [name for name in names if (path / name).is_file()]


def archive(
    run_id: str, destination: Path, *, state: bool = False, text: bool = False
) -> Path:
    """Pack a model under its title's name and return the zip's path.

    Args:
        run_id: The model or run.
        destination: The folder for the zip.
        state: See `pack`.
        text: Likewise.

    Raises:
        CharrnnError: As `pack`.
    """
    path = store.find(run_id)
    title = checkpoint.read_record(path).title
    target = destination / f"{store.slug(title)}.zip"
    pack(path, target, state=state, text=text)
    return target


# --- in --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """A zip that was taken in."""

    model_id: str
    path: Path
    title: str
    is_run: bool  # it keeps its text
    can_go_on: bool  # and what its training needs
    notices: tuple[str, ...]  # what a person should know


def unpack(
    file: Path,
    destination: Path,
    *,
    model_id: str | None = None,
    owner: Owner | None = None,
) -> Unpacked:
    """Take a zip of `pack` in, from whomever it comes.

    Args:
        file: The zip.
        destination: The folder of models and runs.
        model_id: The id to take; None takes a free one after the title, or one that
            nobody can guess where the policy wants that.
        owner: Whose key shall open it on a hosted page.

    Returns:
        What is here now.

    Raises:
        CheckpointError: If it is no such zip, or damaged, hostile or too large; then
            nothing of it stays.
        RunError: If the id is none or taken, or the visitor keeps too many.
    """
    check_disk()
    if owner is not None:
        check_kept(owner)
    remove_leftovers(destination)
    aside = destination / f"{PULLING}{secrets.token_hex(8)}"
    ready = aside / "model"
    try:
        (ready / STATE).mkdir(parents=True)
        left_out = _extract(file, ready)
        record, notices = _check(file, ready)
        if owner is not None:
            save(ready, owner, place=destination)
        is_run = store.is_run(ready)
        if not any((ready / STATE).iterdir()):
            (ready / STATE).rmdir()
        path = _place(ready, destination, record, model_id)
    except OSError as error:
        raise CheckpointError(
            f"The folder {destination.name} cannot be written ({error.strerror}): "
            f"{remedy(error)}."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Unpacked(
        model_id=path.name,
        path=path,
        title=record.title,
        is_run=is_run,
        can_go_on=is_run and can_go_on(path, record),
        notices=(*notices, *left_out),
    )


def _place(
    ready: Path, destination: Path, record: Record, model_id: str | None
) -> Path:
    exact = model_id is not None
    if model_id is None and policy().secret_ids:
        model_id = store.hosted_id()  # nobody finds, or is told of, another's model
    return store.place(
        ready, destination, model_id or store.slug(record.title), exact=exact
    )


def _refusal(file: Path, reason: object) -> CheckpointError:
    sentence = str(reason).rstrip(".") + "."
    return CheckpointError(
        f"{quoted(file.name)} is no zip that can be taken in: {sentence}"
    )


def _extract(file: Path, ready: Path) -> list[str]:
    """Write the known files of a zip into a folder.

    Returns:
        A sentence about what was left out, if anything was.

    Raises:
        CheckpointError: If the zip is damaged, hostile or too large.
        OSError: If a file cannot be written.
    """
    try:
        with opened(file, most=MAX_ENTRIES) as packed:
            taken, others = _sort(files_of(packed, most=MAX_ENTRIES))
            for name, info in taken.items():
                with (ready / name).open("xb") as copy:
                    copy.writelines(content_of(packed, info))
    except ZipError as error:
        raise _refusal(file, error) from error
    if not others:
        return []
    told = ", ".join(quoted(name, 40) for name in others[:3])
    count = "1 file" if len(others) == 1 else f"{len(others)} files"
    return [f"{count} of the zip left out, as none of a model's: {told}."]


def _top_folder(files: list[zipfile.ZipInfo]) -> str:
    """The one folder in a zip that holds the model, as ``name/``, or nothing.

    A folder that was unpacked and packed again by hand has its files in one.
    """
    names = [info.filename for info in files]
    if CONFIG in names:
        return ""
    tops = [name.removesuffix(CONFIG) for name in names if name.endswith(f"/{CONFIG}")]
    return tops[0] if len(tops) == 1 and tops[0].count("/") == 1 else ""


def _sort(
    files: list[zipfile.ZipInfo],
) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """A zip's files: those that are taken, by name, and the names of the others.

    Raises:
        ZipError: If one of them, or all together, are too large, or one is missing.
    """
    limits, top = _limits(), _top_folder(files)
    taken, others = {}, []
    for info in files:
        name = info.filename.removeprefix(top)
        if info.filename.startswith(top) and name in limits:
            taken[name] = info
        else:
            others.append(info.filename)
    for name, info in taken.items():
        check_declared(info, limits[name])
    total = sum(info.file_size for info in taken.values())
    if total > policy().max_zip_bytes:
        raise ZipError(f"unpacked, {too_large(total)}")
    missing = [name for name in (CONFIG, VOCAB) if name not in taken]
    if missing:
        raise ZipError(f"it has no {' and no '.join(missing)}")
    return taken, others


def _check(file: Path, ready: Path) -> tuple[Record, list[str]]:
    """Validate what was unpacked as any stranger's folder, and settle it for here.

    Returns:
        The record, and what a person should know.

    Raises:
        CheckpointError: If it is no model or run that charrnn can open.
    """
    try:
        record = checkpoint.read_record(ready)
        check_taken_in(record.model)
        notices = list(_check_model(ready, record))
        if store.is_run(ready):
            corpus.read_clean(ready / _TEXT, record.corpus.sha256)
            record, limited = _limit(ready, record)
            notices += limited
        else:
            notices += _drop_state(ready)
        _check_state(ready, record)
        _end(ready)
    except CharrnnError as error:
        raise _refusal(file, error) from error
    return record, notices


def _check_model(ready: Path, record: Record) -> tuple[str, ...]:
    if (ready / WEIGHTS).is_file():
        return checkpoint.load(ready).notices
    if not store.is_run(ready):
        raise CheckpointError("It holds neither weights nor a text to train on.")
    checkpoint.read_vocabulary(ready, record)
    return ()


def _limit(ready: Path, record: Record) -> tuple[Record, tuple[str, ...]]:
    """The record of a run that will not train longer than this page allows."""
    training, notices = limit_minutes(record.training)
    if training != record.training:
        record = dataclasses.replace(record, training=training)
        checkpoint.save_record(ready, record)
    return record, notices


def _drop_state(ready: Path) -> list[str]:
    """Remove a state that nothing can go on from: its text is not there."""
    found = [ready / name for name in _STATE_FILES if (ready / name).is_file()]
    for path in found:
        path.unlink()
    if not found:
        return []
    return ["Its saved state is left out: without its text the training cannot go on."]


def _check_state(ready: Path, record: Record) -> None:
    saved, best = (ready / name for name in _STATE_FILES)
    if saved.is_file():
        context = checkpoint.read_bounded(ready, VOCAB)
        bytes_to_tensors(saved.read_bytes(), saved.name, context=context)
    if best.is_file():
        checkpoint.load_weights(ready, record.model, path=best)


def _end(ready: Path) -> None:
    """Let a history that was packed in the middle of a training end there."""
    view = read_view(ready)
    forget(ready)
    unbegun = view.state is RunState.MODEL and store.is_run(ready)
    if view.state in LIVE or unbegun:
        EventLog(ready).append(Ended(step=view.step, reason=EndReason.STOPPED))
