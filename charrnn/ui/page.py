"""The page: what a visitor sees, from top to bottom.

    pip install -r requirements.txt && python app.py

builds it and opens it at http://127.0.0.1:7860, or the next free port. It is
the same on a Space. The page's process only shows and asks: a training is a
process of its own with a folder of its own, and outlives this one.
"""

import ipaddress
import os
import signal
import sys
import threading
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "200")
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

import gradio as gr  # noqa: E402  reads the variables above when imported

from charrnn.hosting import policy  # noqa: E402
from charrnn.machine import program  # noqa: E402
from charrnn.runs import listing  # noqa: E402
from charrnn.runs.status import LIVE  # noqa: E402
from charrnn.ui import (  # noqa: E402
    api,
    doors,
    form,
    generate_tab,
    hub_tab,
    theme,
    train_tab,
    watch_panel,
)
from charrnn.ui.shared import NEW_BROWSER, STORAGE_KEY, STORAGE_SECRET  # noqa: E402
from charrnn.ui.texts import ENGLISH, i18n, language  # noqa: E402

# Gradio looks for work every 1 and 10 ms, which costs 4 % of a core while idle
QUEUE_SLEEP, PROGRESS_SLEEP = 0.03, 0.1  # seconds


def language_of(request: gr.Request) -> str:
    """The visitor's language, for the sentences that are written here."""
    return language(request)


def first_tab(request: gr.Request) -> Any:
    """The Train tab if the address names a run; else none that was not chosen."""
    if request.query_params.get("run"):
        return gr.update(selected="train")
    return gr.skip()


with gr.Blocks(title=ENGLISH["title"], delete_cache=(3600, 86_400)) as demo:
    api.publish()  # first, so that their names are theirs
    browser = gr.BrowserState(
        NEW_BROWSER, storage_key=STORAGE_KEY, secret=STORAGE_SECRET
    )
    lang = gr.Textbox("en", visible=False)
    followed = gr.Textbox("", visible=False)
    gr.HTML(i18n("masthead"), elem_id="masthead", apply_default_css=False)
    with gr.Tabs(selected="generate") as tabs:
        with gr.Tab(i18n("generate.tab"), id="generate") as generate_view:
            generating = generate_tab.build(lang)
        with gr.Tab(i18n("train.tab"), id="train") as train_view, gr.Row():
            with gr.Column(scale=2, min_width=300):
                training = train_tab.build(train_view, lang, followed, browser)
            with gr.Column(scale=3, min_width=300, elem_id="watch"):
                watching = watch_panel.build(lang, followed, browser)
        with gr.Tab(i18n("hub.tab"), id="hub") as hub_view:
            sharing = hub_tab.build(lang, browser, generating.model)

    quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    demo.load(language_of, None, lang, **quiet)
    demo.load(first_tab, None, tabs, **quiet)
    demo.load(generate_tab.opened, browser, generating.filled, **quiet)
    demo.load(watch_panel.opened, browser, [*watching.outputs, browser], **quiet).then(
        None, None, None, js=theme.SHOW_LINKED_RUN, **quiet
    )
    demo.load(form.values_of, training.preset, training.settings, **quiet)
    training.started.success(
        watch_panel.follow,
        [lang, followed, browser],
        [*watching.outputs, browser],
        **quiet,
    ).then(None, None, None, js=theme.SHOW_RUN, **quiet)
    generate_view.select(
        generate_tab.refresh,
        [lang, generating.model, browser],
        generating.model,
        **quiet,
    )
    hub_view.select(
        hub_tab.refresh, [lang, sharing.model, browser], sharing.model, **quiet
    )

demo.queue(max_size=200, default_concurrency_limit=8)
demo._queue.sleep_when_free = QUEUE_SLEEP  # there is no public way
demo._queue.progress_update_sleep_when_free = PROGRESS_SLEEP


def say(line: str) -> None:
    """A line for whoever started the page."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def living_runs() -> list[str]:
    """What goes on after the page has ended, and how to stop it."""
    live = [entry for entry in listing.list_runs() if entry.state in LIVE]
    return [
        f"{entry.record.title} goes on: stop it with "
        f"`{program()} stop {entry.model_id}`"
        for entry in live
    ]


def main() -> None:
    """Open the page and stay until Ctrl-C."""
    application, address, _ = demo.launch(
        prevent_thread_lock=True,
        quiet=True,
        share=SHARE,  # asked for by name, never guessed from the surroundings
        app_kwargs={"lifespan": doors.lifespan(doors.Rules.of())},
        i18n=i18n,
        theme=theme.theme(),
        css=theme.CSS,
        head=theme.HEAD,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        max_file_size=policy().max_text_bytes,
        footer_links=["api", "gradio", "settings"],
        state_session_capacity=1000,
    )
    if not doors.are_closed(application):  # a server may pass over a failed lifespan
        demo.close(verbose=False)
        raise SystemExit("The page's doors could not be closed: it is not opened.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    say(f"charrnn is at {address} (Ctrl-C ends the page, not its trainings)")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        for line in living_runs():
            say(line)
    finally:
        demo.close(verbose=False)


if __name__ == "__main__":
    main()
