"""The Hub tab: push a model to the Hugging Face Hub, pull one from it.

A token is used for one call and never kept. On a hosted page it is the
visitor's own login, never the page's; where the page has no login, the
visitor gives a token. What is pulled there gets an id that only the visitor's
browser holds.
"""

import html
import os
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import gradio as gr

from charrnn import card
from charrnn.errors import CharrnnError, HubError
from charrnn.hosting import policy
from charrnn.hub import transfer
from charrnn.hub.pull import pull_model
from charrnn.hub.push import Pushed, push_model
from charrnn.model import checkpoint
from charrnn.runs import store
from charrnn.runs.queue import check_disk
from charrnn.ui.shared import Browser, model_choices, note, reach
from charrnn.ui.texts import i18n, known, say

SKIP: Final[Any] = gr.skip()


def has_login() -> bool:
    """Whether visitors can sign in here: on a Space with OAuth.

    Elsewhere Gradio's login button would not let the page start.
    """
    on_space = os.environ.get("SYSTEM") == "spaces"
    return on_space and bool(os.environ.get("OAUTH_CLIENT_ID"))


def token_for(lang: str, given: str, login: gr.OAuthToken | None) -> str | None:
    """The token of whoever asks, and of nobody else.

    Args:
        lang: Language of the sentence.
        given: From the password field.
        login: The visitor's sign-in, where there is one.

    Raises:
        HubError: If a sign-in is needed first.
    """
    if given.strip():
        return given.strip()
    if has_login():
        if login is None:
            raise HubError(say(lang, "hub.login_first"))
        return login.token
    # the computer's own token is its owner's, and a hosted page has no owner here
    return transfer.local_token()


def _told(progress: gr.Progress | None) -> Any:
    if progress is None:
        return None

    def tell(stage: str, done: int, total: int) -> None:
        share = done / total if total else None
        progress(share or 0.0, desc=stage)

    return tell


def pushed_html(lang: str, pushed: Pushed) -> str:
    """What was pushed: commit and link."""
    said = say(lang, "hub.unchanged" if pushed.unchanged else "hub.pushed")
    commit = f"{say(lang, 'hub.commit')} {pushed.commit[:12]}"
    url = html.escape(pushed.url)
    return (
        f'<p class="note" role="status">{html.escape(said)} '
        f'<a href="{url}" target="_blank" rel="noopener">{html.escape(pushed.repo_id)}'
        f"</a> · {html.escape(commit)}</p>"
    )


def push(
    lang: str,
    model: str | None,
    repo: str,
    public: bool,
    license_id: str,
    token: str,
    login: gr.OAuthToken | None,
    progress: gr.Progress | None = gr.Progress(),  # noqa: B008  Gradio's own way
) -> tuple[str, Any]:
    """Push a model; when that went well, the token's field is emptied.

    Returns:
        What happened, as HTML, and the new value of the token's field.
    """
    lang = known(lang)
    try:
        if not model:
            raise HubError(say(lang, "generate.no_model"))
        key = token_for(lang, token, login)
        if key is None:
            raise HubError(say(lang, "hub.no_token"))
        path = reach(model)
        pushed = push_model(
            path,
            repo,
            token=key,
            private=not public,
            license=license_id or None,
            keep_card=not store.is_shipped(path),
            progress=_told(progress),
        )
    except CharrnnError as error:  # in place, where it stays to be read
        return note(str(error), "warn"), SKIP
    return pushed_html(lang, pushed), ""


class PulledShown(NamedTuple):
    """What a pull changes."""

    said: str
    token: Any
    browser: Any
    model: Any  # the Generate tab's list


def pull(
    lang: str,
    source: str,
    revision: str,
    token: str,
    browser: Any,
    login: gr.OAuthToken | None,
    progress: gr.Progress | None = gr.Progress(),  # noqa: B008  Gradio's own way
) -> PulledShown:
    """Pull a model and choose it in the Generate tab."""
    lang = known(lang)
    try:
        check_disk()
        key = _reading_token(lang, token, login)
        pulled = pull_model(
            source,
            destination=store.folder(),
            revision=revision.strip() or None,
            token=key,
            progress=_told(progress),
            max_bytes=policy().max_pull_bytes,
        )
        title = checkpoint.read_record(pulled.path).title
    except CharrnnError as error:
        return PulledShown(note(str(error), "warn"), SKIP, SKIP, SKIP)
    mind = Browser.of(browser).holding(pulled.model_id)
    said = say(lang, "hub.pulled", repo=pulled.repo, title=title)
    commit = say(lang, "hub.commit")
    text = (
        f'<p class="note" role="status">{html.escape(said)} {html.escape(commit)} '
        f"<code>{html.escape(pulled.revision[:12])}</code></p>"
    )
    choices = model_choices(lang, mind, pulled.model_id)
    dropdown = gr.update(choices=choices, value=pulled.model_id)
    return PulledShown(text, "", mind.store(), dropdown)


def _reading_token(lang: str, given: str, login: gr.OAuthToken | None) -> str | None:
    """Public models need nobody's token: without a sign-in, ask anonymously."""
    if not given.strip() and has_login() and login is None:
        return None
    return token_for(lang, given, login)


def refresh(lang: str, model: str | None, browser: Any) -> Any:
    """The models that can be pushed, as they are now."""
    choices = model_choices(known(lang), Browser.of(browser))
    ids = [value for _, value in choices]
    return gr.update(choices=choices, value=model if model in ids else None)


@dataclass(frozen=True)
class HubTab:
    """What other parts of the page reach into."""

    model: gr.Dropdown


def _token(info: str) -> gr.Textbox:
    return gr.Textbox(
        "",
        label=i18n("hub.token"),
        info=i18n(info),
        placeholder=None if policy().secret_ids else i18n("hub.token_local"),
        type="password",
        max_length=500,
        visible=not has_login(),
    )


def build(
    lang: gr.Textbox, browser: gr.BrowserState, generate_model: gr.Dropdown
) -> HubTab:
    """Lay the tab out and connect it."""
    if has_login():
        gr.LoginButton()
        gr.Markdown(i18n("hub.private_scope"))
    with gr.Row(equal_height=False):
        with gr.Column(min_width=300):
            gr.Markdown(i18n("hub.push"), elem_classes="group")
            gr.Markdown(i18n("hub.push_lead"))
            model = gr.Dropdown([], label=i18n("generate.model"), elem_id="push-model")
            repo = gr.Textbox(
                "",
                label=i18n("hub.repo"),
                placeholder=i18n("hub.repo_hint"),
                max_length=200,
                elem_id="push-repo",
            )
            license_id = gr.Dropdown(
                [(i18n("hub.license_none"), ""), *card.LICENSES],
                value="",
                label=i18n("hub.license"),
                elem_id="push-license",
            )
            public = gr.Checkbox(False, label=i18n("hub.public"), elem_id="push-public")
            push_token = _token("hub.token_info")
            push_button = gr.Button(
                i18n("hub.push_go"), variant="primary", elem_id="push"
            )
            pushed = gr.HTML(elem_id="pushed", apply_default_css=False)
        with gr.Column(min_width=300):
            gr.Markdown(i18n("hub.pull"), elem_classes="group")
            gr.Markdown(i18n("hub.pull_lead"))
            source = gr.Textbox(
                "",
                label=i18n("hub.source"),
                placeholder=i18n("hub.source_hint"),
                max_length=500,
                elem_id="pull-source",
            )
            revision = gr.Textbox(
                "",
                label=i18n("hub.revision"),
                info=i18n("hub.revision_info"),
                max_length=200,
                elem_id="pull-revision",
            )
            pull_token = _token("hub.pull_token")
            pull_button = gr.Button(
                i18n("hub.pull_go"), variant="primary", elem_id="pull"
            )
            pulled = gr.HTML(elem_id="pulled", apply_default_css=False)
    private: dict[str, Any] = {
        "api_visibility": "private",
        "concurrency_id": "hub",
        "concurrency_limit": 4,
    }
    push_button.click(
        push,
        [lang, model, repo, public, license_id, push_token],
        [pushed, push_token],
        show_progress_on=pushed,
        **private,
    )
    pull_button.click(
        pull,
        [lang, source, revision, pull_token, browser],
        [pulled, pull_token, browser, generate_model],
        show_progress_on=pulled,
        **private,
    )
    return HubTab(model)
