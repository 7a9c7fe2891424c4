"""The page: what a visitor sees, from top to bottom.

    pip install -r requirements.txt && python app.py

builds it and opens it at http://127.0.0.1:7860, or the next free port. It is
the same on a Space. The page's process only shows and asks: a training is a
process of its own with a folder of its own, and outlives this one.
"""

import gc
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from charrnn.hosting import policy

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "200")
# no proxy is believed but those that the policy counts, see `visitors.address`
os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
for variable in ("NO_PROXY", "no_proxy"):  # Gradio asks itself whether it is up
    others = os.environ.get(variable, "")
    os.environ[variable] = ",".join(filter(None, [others, "127.0.0.1,localhost"]))


def is_loopback(server_name: str) -> bool:
    """Whether only this computer can reach a server of that name."""
    if server_name in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(server_name).is_loopback
    except ValueError:
        return False


SHARE = os.environ.get("GRADIO_SHARE", "").lower() == "true"
if SHARE or not is_loopback(os.environ.get("GRADIO_SERVER_NAME", "")):
    os.environ.setdefault("CHARRNN_HOSTED", "1")  # strangers share this page
if policy().sweeps:  # what lies there is removed: no other program's uploads
    user = os.getuid()
    own_uploads = Path(tempfile.gettempdir()) / f"charrnn-uploads-{user}"
    os.environ.setdefault("GRADIO_TEMP_DIR", str(own_uploads))

import gradio as gr  # noqa: E402  reads the variables above when imported
from gradio.blocks import Block  # noqa: E402
from gradio.events import Dependency  # noqa: E402
from gradio.routes import App  # noqa: E402

from charrnn.machine import give_back_large_arrays, program  # noqa: E402
from charrnn.runs import listing  # noqa: E402
from charrnn.runs.states import LIVE  # noqa: E402
from charrnn.runs.store import SHIPPED_ID  # noqa: E402
from charrnn.ui import (  # noqa: E402
    api,
    border,
    doors,
    following,
    form,
    generate_form,
    generate_tab,
    housekeeping,
    inside_course,
    inside_tab,
    keeping,
    next_character,
    polling,
    run_actions,
    sessions,
    share_tab,
    sharing,
    template,
    threads,
    train_tab,
    visitor_data,
    waiting,
    watch_panel,
)
from charrnn.ui.labels import i18n  # noqa: E402
from charrnn.ui.shared import (  # noqa: E402
    NEW_BROWSER,
    STORAGE_KEY,
    STORAGE_SECRET,
    PageState,
)
from charrnn.ui.texts import FALLBACK, translate  # noqa: E402
from charrnn.ui.theme import theme  # noqa: E402
from charrnn.ui.wiring import QUIET, SKIP, Update  # noqa: E402
from charrnn.ui.writing import CONCURRENCY  # noqa: E402

HERE = Path(__file__).parent
# Gradio looks for work every 1 and 10 ms, which costs 4 % of a core while idle
TABS: Final = ("generate", "train", "inside", "hub")
QUEUE_SLEEP, PROGRESS_SLEEP = 0.03, 0.1  # seconds
GRACE: Final = 1  # second, for what is still answered when the page ends


def first_tab(request: gr.Request) -> Update:
    """The tab that the address names; else none that was not chosen."""
    named = request.query_params.get("tab")
    if named in TABS:
        return gr.update(selected=named)
    if request.query_params.get("run"):
        return gr.update(selected="train")
    return SKIP


def build() -> gr.Blocks:
    """The page, its endpoints and its queue."""
    title = translate(FALLBACK, "title")
    cache = (600, policy().upload_seconds)
    blocks = border.Border(title=title, delete_cache=cache)
    with blocks:
        api.publish()  # first, so that their names are theirs
        _lay_out(blocks)
    # what has a queue is reached through it alone: it holds the limits
    blocks.queue(default_concurrency_limit=8, api_open=False)
    waiting.share(blocks._queue)
    blocks._queue.sleep_when_free = QUEUE_SLEEP  # there is no public way
    blocks._queue.progress_update_sleep_when_free = PROGRESS_SLEEP
    return blocks


@dataclass(frozen=True)
class _Tabs:
    """The page's tabs, what stands in them, and the events that begin there."""

    all: gr.Tabs
    generate_view: gr.Tab
    train_view: gr.Tab
    inside_view: gr.Tab
    hub_view: gr.Tab
    train_form: gr.Column
    generating: generate_tab.GenerateTab
    training: train_tab.TrainTab
    watching: watch_panel.WatchPanel
    inside: inside_tab.InsideTab
    pushed_model: gr.Dropdown
    started: Dependency  # a training
    taken: Dependency  # a model or run


def _lay_out(blocks: gr.Blocks) -> None:
    """The tabs, what happens when the page opens, and what joins the tabs."""
    page = PageState(
        followed=gr.Textbox("", visible=False),
        wake=gr.Button("", elem_id="wake", elem_classes="offstage"),
        browser=gr.BrowserState(
            NEW_BROWSER, storage_key=STORAGE_KEY, secret=STORAGE_SECRET
        ),
    )
    gr.HTML(i18n("masthead"), elem_id="masthead", apply_default_css=False)
    gr.HTML(i18n("page.words"), elem_classes="offstage")
    gr.HTML(i18n("train.working"), elem_id="working-word", elem_classes="offstage")
    tabs = _build_tabs(page)
    _connect_opening(blocks, tabs, page)
    _connect_tabs(tabs, page)


def _build_tabs(page: PageState) -> _Tabs:
    with gr.Tabs(selected="generate") as tabs:
        with gr.Tab(
            i18n("generate.tab"), id="generate", elem_id="generate-view"
        ) as generate_view:
            generating = generate_tab.build(page)
        with (
            gr.Tab(i18n("train.tab"), id="train", elem_id="train-view") as train_view,
            gr.Row(),
        ):
            with gr.Column(scale=2, min_width=300, elem_id="train-form") as train_form:
                training, started = train_tab.build(train_view, page)
            with gr.Column(scale=3, min_width=300, elem_id="watch"):
                watching = watch_panel.build(page)
                if policy().secret_ids:
                    visitor_data.build(training, watching)
        with gr.Tab(i18n("inside.tab"), id="inside") as inside_view:
            inside = inside_tab.build()
        with gr.Tab(i18n("hub.tab"), id="hub") as hub_view:
            pushed_model, taken = share_tab.build(page, generating)
    return _Tabs(
        all=tabs,
        generate_view=generate_view,
        train_view=train_view,
        inside_view=inside_view,
        hub_view=hub_view,
        train_form=train_form,
        generating=generating,
        training=training,
        watching=watching,
        inside=inside,
        pushed_model=pushed_model,
        started=started,
        taken=taken,
    )


def _connect_opening(blocks: gr.Blocks, tabs: _Tabs, page: PageState) -> None:
    blocks.load(first_tab, None, tabs.all, **QUIET)
    fragment = gr.Textbox("", visible=False)  # the browser gives its value
    opened = blocks.load(
        generate_form.opened,
        [fragment, page.browser, gr.Checkbox(visible=False)],
        tabs.generating.opened(),
        js="(_, browser) => [location.hash, browser, "
        f"charrnn.isFirst({json.dumps(SHIPPED_ID)})]",
        **QUIET,
    )
    _keep_generating(opened, tabs.generate_view, tabs.generating, page)
    blocks.load(following.opened, page.browser, tabs.watching.outputs(), **QUIET).then(
        None, None, None, js="() => charrnn.showLinkedRun()", **QUIET
    )
    training = tabs.training
    filled = blocks.load(
        form.values_of, training.preset, list(training.settings), **QUIET
    )
    kept = keeping.fields_in(tabs.train_form)
    keeping.keep(kept)
    keeping.bring_back(filled, kept)
    _open_inside(opened, tabs, page)


def _open_inside(opened: Dependency, tabs: _Tabs, page: PageState) -> None:
    """Fill the Inside tab from a link or from what it held, and show what a link names.

    Args:
        opened: The event that fills the Generate tab's form.
        tabs: The page's tabs.
        page: What the page keeps.
    """
    inside = tabs.inside
    fragment = gr.Textbox("", visible=False)  # the browser gives its value
    linked = opened.then(
        inside_tab.opened,
        [fragment, page.browser],
        [inside.model, inside.against, inside.text, inside.note],
        js="(_, browser) => [location.hash, browser]",
        **QUIET,
    )
    looked = keeping.fields_in(tabs.inside_view)
    keeping.keep(looked)
    asked, shown = _proposing(tabs, page)
    keeping.bring_back(linked, looked).then(
        inside_tab.refresh, asked, shown, **QUIET
    ).then(None, None, None, js="() => charrnn.inside.open()", **QUIET)


def _proposing(tabs: _Tabs, page: PageState) -> tuple[list[Block], list[Block]]:
    """Inputs and outputs of `inside_tab.refresh`."""
    models: list[Block] = [tabs.inside.model, tabs.inside.against]
    return [*models, page.browser, tabs.generating.model], models


def _connect_tabs(tabs: _Tabs, page: PageState) -> None:
    shown = tabs.watching.outputs()
    run = [page.followed, page.browser]
    tabs.started.success(following.follow, run, shown, **QUIET).then(
        None, None, None, js="() => charrnn.showRun()", **QUIET
    )
    tabs.taken.success(following.follow, run, shown, **QUIET)
    generating = tabs.generating
    tabs.watching.body.controls.write.click(
        run_actions.write_with,
        [*run, generating.prompt],
        [tabs.all, generating.model, generating.prompt],
        **QUIET,
    )
    tabs.generate_view.select(
        generate_form.refresh,
        generating.chosen(page),
        generating.lists(),
        **QUIET,
    )
    tabs.train_view.select(None, None, None, js="() => charrnn.ask()", **QUIET)
    asked, models = _proposing(tabs, page)
    tabs.inside_view.select(inside_tab.refresh, asked, models, **QUIET)
    inside_tab.connect(tabs.inside, page.browser)
    tabs.inside.hand.steps.write.click(
        inside_course.write,
        [tabs.inside.model, page.browser, generating.prompt],
        [tabs.all, generating.model, generating.prompt, generating.by],
        js="(_, ...rest) => [charrnn.inside.model(), ...rest]",
        **QUIET,
    ).success(None, None, None, js="() => charrnn.inside.left()", **QUIET)
    tabs.hub_view.select(
        sharing.refresh,
        [tabs.pushed_model, page.browser, tabs.generating.model],
        tabs.pushed_model,
        **QUIET,
    )


def _keep_generating(
    opened: Dependency,
    view: gr.Tab,
    tab: generate_tab.GenerateTab,
    page: PageState,
) -> None:
    """Bring back what the Generate tab held before a reload.

    Args:
        opened: The event that fills the form otherwise.
        view: The tab.
        tab: What stands in it.
        page: What the page keeps.
    """
    kept = keeping.fields_in(view)
    keeping.keep(kept)
    restored = keeping.bring_back(opened, kept).then(
        generate_form.show_columns,
        tab.settings.column_count,
        list(tab.column_boxes),
        **QUIET,
    )
    # a model that was kept may be gone by now
    restored.then(generate_form.refresh, tab.chosen(page), tab.lists(), **QUIET)
    rows, cards = [tab.columns, tab.single], [*tab.cards, tab.single_card, tab.status]
    keeping.bring_back_texts(restored, rows, cards)


demo = build()


def log(line: str) -> None:
    """A line for whoever started the page."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def shared_address(address: str) -> str:
    """The page's address as other computers know it.

    Args:
        address: As Gradio tells it: of this computer alone where it listens at all
            addresses.
    """
    if os.environ.get("GRADIO_SERVER_NAME") not in ("0.0.0.0", "::"):
        return address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only finds the way out
            name = probe.getsockname()[0]
        except OSError:
            name = socket.gethostname()
    parts = urlsplit(address)
    return parts._replace(netloc=f"{name}:{parts.port}").geturl()


def living_runs() -> list[str]:
    """What goes on after the page has ended, and how to stop it."""
    live = [entry for entry in listing.list_runs() if entry.state in LIVE]
    return [
        f"{entry.record.title} goes on: stop it with "
        f"`{program()} stop {entry.model_id}`"
        for entry in live
    ]


@asynccontextmanager
async def lifespan(application: App) -> AsyncIterator[None]:
    """Before the first request: keep no session, and check every request."""
    sessions.keep_nothing(application)
    threads.bound_pages()
    async with doors.lifespan(doors.Rules.of())(application):
        yield


def collect_seldom() -> None:
    """Look for garbage after more objects, and not among those of the page itself.

    By its own settings Python spends most of the time that a request of millions of
    values takes, 8 s of everybody's for 7 MB, on looking through them again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def main() -> None:
    """Open the page and stay until Ctrl-C."""
    give_back_large_arrays()
    collect_seldom()
    template.use()
    application, address, _ = demo.launch(
        prevent_thread_lock=True,
        quiet=True,
        share=SHARE,  # asked for by name, never guessed from the surroundings
        app_kwargs={
            "lifespan": lifespan,
            "routes": [polling.route(), next_character.route()],
            "exception_handlers": border.answers(),
        },
        i18n=i18n,
        theme=theme(),
        css_paths=[HERE / f"{name}.css" for name in ("page", "generate", "inside")],
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        max_threads=CONCURRENCY + 32,  # each who writes waits in one
        max_file_size=doors.upload_bytes(policy()),
        footer_links=["api"],
    )
    if not doors.are_closed(application):  # a server may pass over a failed lifespan
        demo.close(verbose=False)
        raise SystemExit("The page's doors could not be closed: it is not opened.")
    housekeeping.start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    address = shared_address(address)
    log(f"charrnn is at {address} (Ctrl-C ends the page, not its trainings)")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        for line in living_runs():
            log(line)
    finally:
        _end()


def _end() -> None:
    """Close the page; a text that is still written then is cut off after a moment."""
    if demo.server:
        demo.server.config.timeout_graceful_shutdown = GRACE
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # no error
    demo.close(verbose=False)


if __name__ == "__main__":
    main()
