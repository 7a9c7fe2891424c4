"""What passes the border and what does not, tried on a real page."""

import asyncio
import errno
import json
import logging
import random
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio import queueing, route_utils, routes
from gradio.events import api

from charrnn.files import is_safe
from charrnn.runs.events import EventLog
from charrnn.ui.border import Border, InputError, check_type, log_in_lines
from tests.builders import Served, make_event, make_folder, make_record

ROOT = Path(__file__).parent.parent.parent
PAYLOAD = "planted-payload"
PATH = f"/planted/{PAYLOAD}"
TOKEN = "hf_PlantedPlantedPlanted"
FILE = {"path": f"{PATH}/x.txt", "meta": {"_type": "gradio.FileData"}}
ODD = [
    *(None, True, False, 0, -1, 2, 0.5, 10**30, -(10**400), 1e308),
    *(float("nan"), float("inf"), -float("inf")),
    *("", " ", PAYLOAD, TOKEN, PATH, "m", "0", "null", "../m", f"{PAYLOAD}\0"),
    *(f"{PAYLOAD}\u2028\u202e\x1b[1m", "\ud800", "<b>x</b>", "'", "x" * 5000),
    *([], [PAYLOAD], [0.5, PAYLOAD], [[[]]], [None] * 3, [TOKEN, 0.5, 0.5]),
    *({}, {PAYLOAD: 1}, {"value": PATH}, {"run": PAYLOAD, "held": [None, 1, "m"]}),
    *(FILE, [FILE], {**FILE, "path": None}, {**FILE, "url": 1, "size": "x"}),
    *({**FILE, "path": f"http://{PAYLOAD}/x"}, {"path": "m", "is_stream": True}),
    *({"__type__": "update", "value": 1}, {"characters": "x", "vocab_size": {}}),
]
GOOD = {  # values with which a call gets further, by component
    "number": (1, 0.5, 20),
    "slider": (1, 0.5),
    "textbox": ("m", "ROMEO:", ""),
    "checkbox": (True, False),
    "dropdown": ("m", "quick", "gru", ["m"]),
    "radio": ("quick", "paste"),
    "browserstate": ({"run": "m", "held": ["m"]},),
    "json": ({"characters": 5000, "vocab_size": 50}, {}),
    "api": ("m", 5, 0.5, [0.5, 0.6], {}),
}


class Page(Served):
    """A page, and the functions that it can be asked for."""

    def __init__(self, folder: Path, **environment: str) -> None:
        make_folder(folder / "m", make_record())
        super().__init__(folder, HF_ENDPOINT="http://127.0.0.1:9", **environment)
        self.url = self.url.rstrip("/")
        config = httpx.get(f"{self.url}/config").json()
        kinds = {c["id"]: c["type"] for c in config["components"]}
        self.functions: dict[int, dict[str, Any]] = {
            fn["id"]: {**fn, "kinds": [kinds[i] for i in fn["inputs"]]}
            for fn in config["dependencies"]
        }


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("border") / "checkpoints"
    folder.mkdir()
    served = Page(folder)
    yield served
    served.end()


def payloads(page: Page, count: int, seed: int) -> list[tuple[int, list[Any]]]:
    """Function and values: some odd, some as many as are expected."""
    rng, found = random.Random(seed), []
    numbers = sorted(page.functions)
    for index in range(count):
        number = numbers[index % len(numbers)]
        kinds = page.functions[number]["kinds"]
        odd_share = rng.choice((0.2, 0.5, 1.0))
        values = [
            rng.choice(ODD)
            if kind not in GOOD or rng.random() < odd_share
            else rng.choice(GOOD[kind])
            for kind in kinds
        ]
        if rng.random() < 0.15:
            values = values[: rng.randint(0, len(values))]
        if rng.random() < 0.1:
            values.append(rng.choice(ODD))
        found.append((number, values))
    return found


def body(**fields: Any) -> dict[str, Any]:
    """A request's content; JSON as strange as Python writes it."""
    text = json.dumps(fields)
    return {"content": text, "headers": {"content-type": "application/json"}}


def assert_sentence(text: object, of: object) -> None:
    assert isinstance(text, str), of
    assert len(text) > 15, of
    assert is_safe(text), of
    assert "Traceback" not in text, of
    assert "&#x27;" not in text, of


def assert_told(response: httpx.Response, of: object) -> None:
    """An answer is a result or a 4xx with a sentence."""
    assert response.status_code < 500, (of, response.text[:500])
    if response.status_code >= 400:
        told = response.json()
        assert_sentence(told.get("error") or told.get("detail"), (of, told))


def assert_bounded(said: str, requests: int) -> None:
    """At most one short line a request, and nothing in it that was sent."""
    lines = said.splitlines()
    assert len(lines) <= requests
    assert "Traceback" not in said
    for line in lines:
        assert len(line) <= 300
        assert is_safe(line)
        for planted in ("planted", TOKEN, "hf_", str(ROOT), "site-packages"):
            assert planted not in line.lower(), line


async def run_all(page: Page, wanted: list[tuple[int, list[Any]]]) -> None:
    """Call functions as they take it, directly or in the queue, eight at a time."""
    waiting = iter(wanted)

    async def work(client: httpx.AsyncClient) -> None:
        for number, values in waiting:
            if page.functions[number]["queue"]:
                await join(client, page, number, values)
                continue
            session = f"s{len(values)}"
            name = page.functions[number]["api_name"] or "none"
            response = await client.post(
                f"{page.url}/gradio_api/run/{name}",
                **body(data=values, fn_index=number, session_hash=session),
            )
            assert_told(response, (name, values))

    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.gather(*(work(client) for _ in range(8)))


def test_thousands_of_payloads_are_told_what_is_wrong(page: Page) -> None:
    before = len(page.said())
    wanted = payloads(page, 2000, seed=1)
    asyncio.run(run_all(page, wanted))
    assert_bounded(page.said()[before:], len(wanted))


async def join(client: httpx.AsyncClient, page: Page, number: int, values: list[Any]):
    """Call a function through the queue; the sentence of its error, or nothing."""
    session = f"{number}-{random.random()}"
    fields = {"data": values, "fn_index": number, "session_hash": session}
    response = await client.post(f"{page.url}/gradio_api/queue/join", **body(**fields))
    if response.status_code != 200:
        assert_told(response, values)
        return ""
    async with client.stream(
        "GET", f"{page.url}/gradio_api/queue/data", params={"session_hash": session}
    ) as stream:
        async for line in stream.aiter_lines():
            message = json.loads(line.removeprefix("data: ")) if line else {}
            if message.get("msg") == "process_completed":
                if message["success"]:
                    return ""
                assert_sentence(message["output"]["error"], (number, values))
                return message["output"]["error"]


def test_an_error_of_a_file_is_told_without_its_name():
    fn: Any = SimpleNamespace(api_visibility="public", api_name="stop")
    error = OSError(errno.EROFS, "Read-only file system", "/private/place")
    shown = Border._page_error(fn, error, None)
    assert "could not be read or written (Read-only file system)" in shown.message
    assert "private" not in shown.message


def test_the_queue_tells_it_as_well(page: Page) -> None:
    before = len(page.said())
    wanted = payloads(page, 240, seed=2)

    async def run() -> None:
        waiting = iter(wanted)

        async def work(client: httpx.AsyncClient) -> None:
            for number, values in waiting:
                await join(client, page, number, values)

        async with httpx.AsyncClient(timeout=60) as client:
            await asyncio.gather(*(work(client) for _ in range(12)))

    asyncio.run(run())
    assert_bounded(page.said()[before:], len(wanted))


API = "/gradio_api"
REQUESTS = [
    *(("POST", f"{API}/{way}/{PAYLOAD}", "{}") for way in ("run", "api", "call")),
    *(("POST", f"{API}/{way}/{PAYLOAD}", '{"data": []}') for way in ("run", "call")),
    ("POST", f"{API}/call/v2/{PAYLOAD}", "{}"),
    ("POST", f"{API}/call/v2/generate", f'{{"{PAYLOAD}": 1}}'),
    ("POST", f"{API}/call/v2/generate", "{}"),
    ("POST", f"{API}/call/v2/generate", f'["{PAYLOAD}"]'),
    ("POST", f"{API}/call/generate", f'{{"data": "{PAYLOAD}"}}'),
    ("POST", f"{API}/run/generate", PAYLOAD),
    ("POST", f"{API}/run/generate", "[" * 5000),
    ("POST", f"{API}/run/generate", f'{{"data": ["{TOKEN}"], "fn_index": 9999}}'),
    ("POST", f"{API}/run/generate", f'{{"data": [], "fn_index": "{PAYLOAD}"}}'),
    ("POST", f"{API}/run/generate", '{"data": [], "trigger_id": 99999}'),
    ("POST", f"{API}/run/generate", '{"data": [], "batched": true}'),
    ("POST", f"{API}/run/generate", '{"data": [], "session_hash": {}}'),
    ("POST", f"{API}/run/generate", '{"data": [], "session_hash": "\\ud800"}'),
    ("POST", f"{API}/queue/join", f'{{"data": ["{PAYLOAD}"]}}'),
    ("POST", f"{API}/queue/join", '{"data": [], "session_hash": "a"}'),
    ("POST", f"{API}/queue/join", '{"data": [], "session_hash": "a", "fn_index": -1}'),
    ("POST", f"{API}/queue/join", "null"),
    ("POST", f"{API}/cancel", f'{{"session_hash": "{PAYLOAD}"}}'),
    ("POST", f"{API}/reset", f'{{"event_id": {{"{PAYLOAD}": 1}}}}'),
    ("POST", f"{API}/component_server", f'{{"data": "{PAYLOAD}"}}'),
    (
        "POST",
        f"{API}/component_server",
        '{"session_hash": "a", "component_id": 99999, "fn_name": "x", "data": 1}',
    ),
    ("POST", f"{API}/upload", PAYLOAD),
    ("GET", f"{API}/call/generate/{PAYLOAD}", ""),
    ("GET", f"{API}/call/{PAYLOAD}/{PAYLOAD}", ""),
    ("GET", f"{API}/queue/data", ""),
    ("GET", f"{API}/queue/data?session_hash={PAYLOAD}", ""),
    ("GET", f"{API}/file={PATH}", ""),
    ("GET", f"{API}/file=%00", ""),
    ("GET", f"{API}/stream/{PAYLOAD}/1/1/playlist.m3u8", ""),
    ("GET", f"{API}/stream/{PAYLOAD}/x/y/playlist-file", ""),
    ("GET", f"{API}/upload_progress?upload_id={PAYLOAD}", ""),
    ("GET", f"{API}/deep_link?session_hash={PAYLOAD}", ""),
    ("GET", f"/theme.css?{PAYLOAD}", ""),
    ("GET", f"/?deep_link={PAYLOAD}&model={PAYLOAD}&run=%F0%9F&seed=NaN", ""),
    ("GET", f"/{PAYLOAD}", ""),
    ("GET", f"/static/{PATH}", ""),
    ("PUT", f"{API}/run/generate", ""),
]


def test_odd_requests_to_gradios_own_addresses(page: Page) -> None:
    before = len(page.said())
    with httpx.Client(base_url=page.url, timeout=60) as client:
        for method, path, content in REQUESTS:
            response = client.request(
                method,
                path,
                content=content,
                headers={"content-type": "application/json"} if content else {},
            )
            assert response.status_code < 500, (method, path, content, response.text)
            if method == "POST" and response.status_code >= 400:
                assert_told(response, (path, content))
    assert_bounded(page.said()[before:], len(REQUESTS))


DAMAGED = [
    '{"type": "weather", "step": 1, "time": 1}',
    '{"type": "validation", "step": "x", "val_loss": null}',
    '{"type": "sample", "step": 1, "text": {"a": 1}, "time": []}',
    '{"type": null}',
    "[1, 2]",
    '{"type": "step", "step": -1e999, "loss": "NaN"}',
]


def test_one_damaged_history_breaks_the_page_for_no_run(page: Page) -> None:
    folder = page.log.parent / "checkpoints"
    for name in ("damaged", "whole"):
        path = make_folder(folder / name, make_record(title=name))
        log = EventLog(path)
        log.append(make_event("started"))
        log.append(make_event("validation", 10, val_loss=2.5, best=True))
    with (folder / "damaged" / "events.jsonl").open("a", encoding="utf-8") as history:
        history.write("\n".join(DAMAGED) + "\n")
    before = page.said()
    held = {"run": None, "held": ["damaged", "whole"]}
    by_name = {fn["api_name"]: number for number, fn in page.functions.items()}
    with httpx.Client(base_url=page.url, timeout=60) as client:
        for run in ("damaged", "whole"):
            for name, values in (
                ("models", []),
                ("status", [run, 0]),
                ("opened_1", [{**held, "run": run}]),
                ("tick", [run, None, [], "nats"]),
                ("redrawn", [run, held, [], "nats"]),
            ):
                response = client.post(
                    f"{API}/run/x", **body(data=values, fn_index=by_name[name])
                )
                assert response.status_code == 200, (name, run, response.text)
                assert run in response.text or name in ("status", "tick")
    assert "failed" not in page.said()[len(before) :]


def test_a_program_reads_an_error_as_it_is_and_the_page_as_html(page: Page) -> None:
    by_name = {fn["api_name"]: number for number, fn in page.functions.items()}

    async def told(name: str, *values: Any) -> str:
        async with httpx.AsyncClient(timeout=60) as client:
            return await join(client, page, by_name[name], ["<b>'x'", *values])

    assert "<b>'x'" in asyncio.run(told("next", "abc"))
    assert "&lt;b&gt;'x'" in asyncio.run(told("ask_delete", None))


def test_any_number_of_files_or_values_holds_up_nobody(page: Page) -> None:
    upload = {"files": ("a.txt", b"hello")}
    (path,) = httpx.post(f"{page.url}{API}/upload", files=upload).json()
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    by_name = {fn["api_name"]: number for number, fn in page.functions.items()}

    async def told(*values: Any) -> str:
        async with httpx.AsyncClient(timeout=60) as client:
            return await join(client, page, by_name["next"], [*values])

    started = time.monotonic()
    sentence = asyncio.run(told([file] * 10_000, "abc"))
    assert time.monotonic() - started < 3
    assert sentence.startswith("10,000 files are named, and at most 400 are taken")
    for many in ([1] * 60_000, [{"a": []}] * 30_000, [[[0] * 300] * 300]):
        assert asyncio.run(told(many, "abc")).startswith("More than 50,000 values were")
    written = json.dumps(file) * 401  # a text that speaks of them names none
    assert "no model or run" in asyncio.run(told("none", written))


def test_the_page_calls_private_functions_alone(page: Page) -> None:
    """So that `border` knows whose messages are read as HTML."""
    for fn in page.functions.values():
        assert (fn["api_visibility"] == "private") == bool(fn["targets"]), fn


def test_what_nobody_foresaw_is_a_sentence_and_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(value: str) -> str:
        raise KeyError(f"{value} {PATH} {TOKEN}")

    with Border() as blocks:
        api(broken, api_name="broken")
    log_in_lines()
    (fn,) = blocks.fns.values()
    with pytest.raises(gr.Error) as caught:
        asyncio.run(blocks.process_api(fn, [PAYLOAD], request=None))
    assert "log says why" in caught.value.message
    assert not caught.value.print_exception
    assert PAYLOAD not in caught.value.message
    (record,) = caplog.records
    line = record.getMessage()
    assert re.fullmatch(r"charrnn: broken failed: KeyError at test_border.py:\d+", line)
    assert record.exc_info is None


@pytest.mark.parametrize("module", [queueing, routes, route_utils])
def test_gradio_prints_no_traceback(
    module: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    log_in_lines()
    try:
        int(PAYLOAD)
    except ValueError:
        module.traceback.print_exc()
    logging.getLogger("uvicorn.error").error(PAYLOAD, exc_info=ValueError(PAYLOAD))
    warnings.showwarning(UserWarning(PAYLOAD), UserWarning, __file__, 1)
    first, second, third = (record.getMessage() for record in caplog.records)
    assert first.startswith("charrnn: an error in Gradio: ValueError at test_border.py")
    assert second == "an error in uvicorn.error: ValueError at an unknown place"
    assert third == "charrnn: UserWarning at test_border.py:1"
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("hint", "value", "told"),
    [
        (int, "1", "x: a text was received, expected a whole number."),
        (int, 1.0, "x: a number was received, expected a whole number."),
        (int, True, "x: true or false was received, expected a whole number."),
        (float, float("nan"), "x: a number that is not finite was received, expected"),
        (str, None, "x: null was received, expected a text."),
        (str | None, [], "x: a list was received, expected a text or null."),
        (list[float], ["a"], "x: a list was received, expected a list, each of it a"),
        (dict[str, Any], "a", "x: a text was received, expected an object."),
    ],
)
def test_types_are_told_in_words(hint: Any, value: object, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        check_type("x", hint, value)


@pytest.mark.parametrize(
    ("hint", "value"),
    [(float, 1), (float | None, None), (list[float], [1, 0.5]), (object, {1: []})],
)
def test_what_is_of_its_type_passes(hint: Any, value: object) -> None:
    check_type("x", hint, value)
