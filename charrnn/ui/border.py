"""What every call of a handler passes: values on their way in, errors on their way out.

`Border` is the page's `gr.Blocks`. Whatever calls a handler, a button, a timer, the
queue or a program, goes through its methods, so that no handler has to be wrapped:

- the values are counted and compared with the handler's annotations;
- an error of ours becomes its sentence; any other exception becomes a sentence that
  says no more than that, and one short line in the log with its type and its place.

Gradio itself would print tracebacks with the values in them and answer
``{"error": null}``. `answers` does the same for what its routes raise before a
handler is known, and `log_in_lines` for what is printed in spite of all that.
"""

import functools
import html
import inspect
import json
import logging
import math
import sys
import types
import typing
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TextIO, TypeAlias

import gradio as gr
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from gradio import queueing, route_utils, routes
from gradio.block_function import BlockFunction
from gradio.route_utils import FnIndexInferError
from pydantic import ConfigDict, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from charrnn.errors import CharrnnError
from charrnn.files import one_line
from charrnn.ui.outputs import Blocks
from charrnn.ui.sentences import say
from charrnn.ui.texts import FALLBACK, language, translate

MAX_SENTENCE: Final = 1000  # characters of a message that the page shows
MAX_LINE: Final = 300  # characters of a line in the log
MAX_KINDS: Final = 8  # values whose kinds a sentence names
MAX_VALUES: Final = 50_000  # in lists and objects of a request, nested ones included
MAX_FILES: Final = 400  # that a request names: Gradio holds up all for each
REFUSED: Final = "charrnn.refused"  # in a request's scope: its answer is a sentence

logger: Final = logging.getLogger("charrnn.page")
_STRICT: Final = ConfigDict(strict=True, allow_inf_nan=False)
_KINDS: Final[dict[object, str]] = {
    type(None): "null",
    bool: "true or false",
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
_PASSED_ON: Final = ("charrnn/ui/border.py", "charrnn/ui/doors.py")
_SPECIAL: Final = (gr.Request, gr.OAuthToken, gr.OAuthProfile, gr.EventData)


class InputError(CharrnnError):
    """Values that no handler can be called with; the sentence holds none of them."""


# --- values ----------------------------------------------------------------------


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    return _KINDS.get(type(value), type(value).__name__)


def _expected(hint: object) -> str:
    """What a type stands for, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_expected(argument) for argument in arguments)
    if origin is list and arguments:
        return f"a list, each of it {_expected(arguments[0])}"
    return _KINDS.get(origin or hint, str(hint))


@functools.cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=_STRICT)


def check_type(name: str, hint: object, value: object) -> None:
    """Compare a value with a type as strictly as JSON allows: a text is no number.

    Args:
        name: What the value is called, for the sentence.
        hint: The annotation.
        value: Anything.

    Raises:
        InputError: If the value is of another type, or a number is not finite.

    Example:
        >>> check_type("length", int | None, {"a": 1})
        Traceback (most recent call last):
        ...
        charrnn.ui.border.InputError: length: an object was received, expected a \
whole number or null.
    """
    try:
        _adapter(hint).validate_python(value)
    except ValidationError:  # its text would hold the value
        raise InputError(
            f"{name}: {_kind(value)} was received, expected {_expected(hint)}."
        ) from None


def _is_special(parameter: inspect.Parameter, hint: object) -> bool:
    """Whether Gradio itself gives this argument."""
    named = (hint, *typing.get_args(hint))
    return isinstance(parameter.default, gr.Progress) or any(
        special in named for special in _SPECIAL
    )


@functools.cache
def _parameters(
    function: Callable[..., Any], count: int
) -> tuple[tuple[str, Any], ...]:
    """Name and annotation of each of the values that the components give."""
    hints = typing.get_type_hints(function)
    found: list[tuple[str, Any]] = []
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints.get(name, Any)
        if parameter.kind is parameter.VAR_POSITIONAL:
            found += [(name, hint)] * (count - len(found))
        elif not _is_special(parameter, hint):
            found.append((name, hint))
    return tuple(found)


def _check_values(fn: BlockFunction, values: Sequence[object]) -> None:
    if fn.fn is None or fn.cancels:
        return
    named = _parameters(fn.fn, len(values))
    for (name, hint), value in zip(named, values, strict=False):
        check_type(name, hint, value)


def _name(fn: BlockFunction) -> str:
    return str(fn.api_name or fn.name)


def _check_count(values: Sequence[object]) -> None:
    """Refuse values that take long to go through, which holds up all visitors.

    Raises:
        InputError: If they are too many.
    """
    count, unseen = 0, list[Sequence[object] | dict[str, object]]([values])
    while unseen:
        some = unseen.pop()
        count += len(some)
        if count > MAX_VALUES:
            raise InputError(
                f"More than {MAX_VALUES:,} values were received in lists and objects: "
                "send fewer."
            )
        inner = some.values() if isinstance(some, dict) else some
        unseen += [value for value in inner if isinstance(value, list | dict)]


def _check_request(fn: BlockFunction, values: Sequence[object]) -> None:
    """Look at what was sent, before any component does.

    Raises:
        InputError: If the function is the browser's own, the values are too many or
            too few, they name too many files, or a text in them is none that can be
            written down.
    """
    if fn.fn is None:
        raise InputError(f"{_name(fn)} is done in the browser alone.")
    if fn.cancels:  # Gradio puts its own value there
        return
    if len(values) != len(fn.inputs):
        named = dict(_parameters(fn.fn, len(fn.inputs)))
        names = f" ({', '.join(named)})" if named else ""
        raise InputError(
            f"{_name(fn)} takes {len(fn.inputs)} values{names}, and {len(values)} were "
            "received."
        )
    _check_count(values)
    text = json.dumps(values, ensure_ascii=False, default=str)
    files = text.count('"gradio.FileData"')  # inside of a text a quote has a backslash
    if files > MAX_FILES:
        raise InputError(
            f"{files:,} files are named, and at most {MAX_FILES} are taken at once: "
            "put them into a zip."
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(
            "A text holds half a character (a lone surrogate): expected text that "
            "UTF-8 can write."
        ) from None


# --- the log ---------------------------------------------------------------------


def place_of(error: BaseException) -> str:
    """Where an exception arose: the last line of ours that it came through.

    Returns:
        File and line, without the folders that the program lies in.
    """
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code.co_filename, traceback.tb_lineno))
        traceback = traceback.tb_next
    places = [(_inside(file), line) for file, line in frames]
    ours = [
        (file, line)
        for file, line in places
        if file.startswith("charrnn/") and file not in _PASSED_ON
    ]
    for file, line in reversed(ours or places):
        return f"{file}:{line}"
    return "an unknown place"


def _inside(file: str) -> str:
    """The path of a source file from its package on."""
    path = Path(file)
    root = next((p for p in path.parents if not (p / "__init__.py").is_file()), None)
    return path.relative_to(root).as_posix() if root else path.name


class _Shorten(logging.Filter):
    """Makes one short line of a record; of an exception its type and place alone."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        line = record.getMessage()
        if error is not None:
            # what others say about an exception may hold what was sent
            ours = record.name == logger.name
            what = line if ours else f"an error in {record.name}"
            line = f"{what}: {type(error).__name__} at {place_of(error)}"
        record.msg, record.args = one_line(line, MAX_LINE), ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def log_line(what: str, error: BaseException | None = None) -> None:
    """Write one short line to the log.

    Args:
        what: In our own words, without anything that a visitor sent.
        error: Its type and place are named, never its text.
    """
    logger.warning("charrnn: %s", what, exc_info=error)


class _Printer:
    """Stands for the module `traceback` where Gradio prints what it caught."""

    @staticmethod
    def print_exc(*_: Any, **__: Any) -> None:
        log_line("an error in Gradio", sys.exception())


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Tell of a warning without its text, which may hold a value."""
    log_line(f"{category.__name__} at {_inside(filename)}:{lineno}")


def log_in_lines() -> None:
    """Let nothing in this process print a traceback, or a value that was sent."""
    for module in (queueing, route_utils, routes):
        vars(module)["traceback"] = _Printer
    for name in (logger.name, "uvicorn.error", "asyncio", "concurrent.futures"):
        known = logging.getLogger(name)
        if not any(isinstance(item, _Shorten) for item in known.filters):
            known.addFilter(_Shorten())
    warnings.showwarning = _show_warning


# --- errors ----------------------------------------------------------------------


def sentence_of(error: CharrnnError | gr.Error, lang: str = FALLBACK) -> str:
    """The message of an error that is meant to be shown, safe to show."""
    text = error.message if isinstance(error, gr.Error) else str(error)
    return one_line(say(lang, str(text)), MAX_SENTENCE)


def _shown(
    fn: BlockFunction, error: CharrnnError | gr.Error, lang: str = FALLBACK
) -> gr.Error:
    """An error as whoever asked shall see it.

    The page reads messages as HTML, a program reads them as they are. The page calls
    private functions alone, and programs are offered the public ones.
    """
    sentence = sentence_of(error, lang)
    if fn.api_visibility == "private":
        sentence = html.escape(sentence, quote=False)
    duration = error.duration if isinstance(error, gr.Error) else 10
    return gr.Error(sentence, duration=duration, title="", print_exception=False)


def _language(fn: BlockFunction, request: object) -> str:
    if fn.api_visibility == "private" and isinstance(request, gr.Request):
        return language(request)
    return FALLBACK


class Border(Blocks):
    """The page's blocks: every call of a handler goes through these methods."""

    async def process_api(
        self,
        block_fn: BlockFunction | int,
        inputs: list[Any],
        *arguments: Any,
        **keywords: Any,
    ) -> dict[str, Any]:
        """Call a handler with what a visitor sent.

        Raises:
            gr.Error: If it cannot be called or fails; the sentence can be shown.
        """
        fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        request = keywords.get("request")
        request = request[0] if isinstance(request, list) else request
        try:
            if keywords.get("iterator") is None:
                _check_request(fn, inputs)
            return await super().process_api(fn, inputs, *arguments, **keywords)
        except Exception as error:
            raise self._page_error(fn, error, request) from error

    async def preprocess_data(
        self,
        block_fn: BlockFunction,
        inputs: list[Any],
        *arguments: Any,
        **keywords: Any,
    ) -> list[Any]:
        """Let the components read what was sent.

        Raises:
            InputError: If one of them cannot.
        """
        try:
            return await super().preprocess_data(  # type: ignore[no-any-return]
                block_fn, inputs, *arguments, **keywords
            )
        except CharrnnError:
            raise
        except Exception as error:
            kinds = [_kind(value) for value in inputs]
            more = ", ..." if len(kinds) > MAX_KINDS else ""
            raise InputError(
                f"One of the values ({', '.join(kinds[:MAX_KINDS])}{more}) is of "
                "another kind than its field holds, not among its choices, or a file "
                "that was not uploaded here."
            ) from error

    async def call_function(
        self,
        block_fn: BlockFunction | int,
        processed_input: list[Any],
        iterator: Any = None,
        *arguments: Any,
        **keywords: Any,
    ) -> dict[str, Any]:
        """Call the handler itself, if its values are of the types that it names.

        Raises:
            InputError: If one is not.
        """
        fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        if iterator is None:
            _check_values(fn, processed_input)
        return await super().call_function(  # type: ignore[no-any-return]
            fn, processed_input, iterator, *arguments, **keywords
        )

    @staticmethod
    def _page_error(fn: BlockFunction, error: Exception, request: object) -> gr.Error:
        """The error to show; what it says no more than is in the log."""
        if isinstance(error, InputError):
            log_line(f"refused {_name(fn)}: {error}".rstrip("."), error.__cause__)
        if isinstance(error, CharrnnError | gr.Error):
            scope = getattr(getattr(request, "request", None), "scope", None)
            if scope is not None:
                scope[REFUSED] = True
            return _shown(fn, error, _language(fn, request))
        log_line(f"{_name(fn)} failed", error)
        lang = _language(fn, request)
        if isinstance(error, OSError) and error.strerror:  # never the file's name
            sentence = translate(lang, "error.file", reason=error.strerror)
            return _shown(fn, gr.Error(sentence))
        return _shown(fn, gr.Error(translate(lang, "error.unforeseen")))


# --- routes ----------------------------------------------------------------------

_Handler: TypeAlias = Callable[[Request, Exception], Response]


def _refuse_body(_: Request, error: Exception) -> JSONResponse:
    first = typing.cast(RequestValidationError, error).errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    sentence = f"The request is not as /gradio_api/info describes it ({where})."
    log_line("refused: a request of another form")
    return JSONResponse({"detail": one_line(sentence, MAX_LINE)}, 422)


def _refuse(status: int, sentence: str) -> _Handler:
    """What answers an exception about the request."""

    def answer(_: Request, error: Exception) -> JSONResponse:
        log_line("refused: a request", error)
        return JSONResponse({"detail": sentence, "error": sentence}, status)

    return answer


async def _tell(request: Request, error: Exception) -> Response:
    """What Gradio itself refuses, which may name what was asked for."""
    refusal = typing.cast(HTTPException, error)
    if isinstance(refusal.detail, str):
        refusal.detail = one_line(refusal.detail, MAX_SENTENCE)
    return await http_exception_handler(request, refusal)


def _failed(_: Request, __: Exception) -> JSONResponse:
    sentence = translate(FALLBACK, "error.unforeseen")
    return JSONResponse({"detail": sentence, "error": sentence}, 500)


def answers() -> dict[type[Exception], Any]:
    """What is answered to exceptions of Gradio's routes, before a handler is known.

    They look functions and sessions up and take requests apart: what they raise
    then is about the request.
    """
    unknown = _refuse(
        404, "There is no such function or session here: see /gradio_api/info."
    )
    unfit = _refuse(
        422,
        "The request does not fit the function that it names: see /gradio_api/info.",
    )
    return {
        RequestValidationError: _refuse_body,
        HTTPException: _tell,
        **dict.fromkeys((FnIndexInferError, LookupError), unknown),
        **dict.fromkeys((TypeError, ValueError), unfit),
        Exception: _failed,
    }
