"""Pushing a model to the Hugging Face Hub, and pulling one from it.

A token is used for one call and never kept. On a hosted page it is the
visitor's own login, never the page's; where the page has no login, the
visitor gives a token. What is pulled there gets an id, and a key that only the
visitor's browser holds.
"""

import dataclasses
import html
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import gradio as gr

from charrnn.card import check_license
from charrnn.errors import CharrnnError, HubError
from charrnn.hosting import policy
from charrnn.hub import transfer
from charrnn.hub.names import endpoint_of
from charrnn.hub.pull import Pulled, pull_model
from charrnn.hub.push import Pushed, push_model, push_space
from charrnn.model import checkpoint
from charrnn.runs import store
from charrnn.runs.owner import check_owner, new_owner
from charrnn.runs.queue import check_disk, check_kept
from charrnn.ui.sentences import say
from charrnn.ui.shared import (
    Browser,
    model_choices,
    model_folder,
    note,
    own_model_choices,
    relisted,
)
from charrnn.ui.texts import language, translate
from charrnn.ui.visitors import visitor_of
from charrnn.ui.wiring import SKIP, Form, Update
from charrnn.web import bundle

KINDS: Final = ("model", "space")  # what a push makes: its files, or its web page


def has_login() -> bool:
    """Whether visitors can sign in here: on a Space with OAuth.

    Elsewhere Gradio's login button would not let the page start.
    """
    return policy().space and bool(os.environ.get("OAUTH_CLIENT_ID"))


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
            raise HubError(translate(lang, "hub.login_first"))
        return login.token
    # the computer's own token is its owner's, and a hosted page has no owner here
    return transfer.local_token()


def reporter(progress: gr.Progress | None) -> transfer.OnProgress | None:
    """What shows on the page how far a transfer is."""
    if progress is None:
        return None

    def report(stage: str, done: int, total: int) -> None:
        share = done / total if total else None
        progress(share or 0.0, desc=stage)

    return report


def pushed_html(lang: str, pushed: Pushed) -> str:
    """What was pushed: commit and link."""
    result = translate(lang, "hub.unchanged" if pushed.unchanged else "hub.pushed")
    commit = f"{translate(lang, 'hub.commit')} {pushed.commit[:12]}"
    url = html.escape(pushed.url)
    return (
        f'<p class="note" role="status">{html.escape(result)} '
        f'<a href="{url}" target="_blank" rel="noopener">{html.escape(pushed.repo_id)}'
        f"</a> · {html.escape(commit)}</p>"
    )


def pulled_html(lang: str, pulled: Pulled, title: str) -> str:
    """What was pulled: where it is now, and its commit."""
    sentence = translate(lang, "hub.pulled", repo=pulled.repo, title=title)
    commit = translate(lang, "hub.commit")
    return (
        f'<p class="note" role="status">{html.escape(sentence)} {html.escape(commit)} '
        f"<code>{html.escape(pulled.revision[:12])}</code></p>"
        + "".join(note(notice, "warn") for notice in pulled.notices)
    )


def no_token_html(lang: str) -> str:
    """That a token is needed, and a link to where one is made.

    Raises:
        HubError: If the Hub's address is none.
    """
    sentence = html.escape(translate(lang, "hub.no_token"))
    page = html.escape(f"{endpoint_of()}/settings/tokens")
    name = html.escape(translate(lang, "hub.token_page"))
    return (
        f'<p class="note warn">{sentence} '
        f'<a href="{page}" target="_blank" rel="noopener">{name}</a></p>'
    )


@dataclass(frozen=True)
class PushRequest(Form):
    """What the Push button sends."""

    model: str | None
    kind: str
    repo: str
    public: bool
    license: str
    push_token: str
    browser: object  # as `Browser.of` takes it


class PushUpdate(NamedTuple):
    """What a push changes."""

    pushed: str  # HTML
    push_token: str | Update  # emptied when it went well


def _push_files(
    path: Path, asked: PushRequest, connection: transfer.Connection
) -> Pushed:
    return push_model(
        path,
        asked.repo,
        connection,
        private=not asked.public,
        license=asked.license or None,
        keep_card=not store.is_shipped(path),
    )


def _push_space(
    path: Path, asked: PushRequest, connection: transfer.Connection
) -> Pushed:
    """The model's web page, with the licence that was chosen, else the model's own."""
    model = checkpoint.load(path)
    chosen = check_license(asked.license or None) or model.record.license
    record = dataclasses.replace(model.record, license=chosen)
    page = bundle.page(dataclasses.replace(model, record=record))
    return push_space(page, record, asked.repo, connection, private=not asked.public)


def push(
    request: gr.Request,
    login: gr.OAuthToken | None,
    progress: gr.Progress | None = gr.Progress(),  # noqa: B008  Gradio's own way
    *values: object,
) -> PushUpdate:
    """Push a model; when that went well, the token's field is emptied."""
    lang, asked = language(request), PushRequest.read(values)
    try:
        if not asked.model:
            raise HubError(translate(lang, "generate.no_model"))
        if not asked.repo.strip():  # told before a token is asked for
            raise HubError(translate(lang, "hub.no_repo"))
        token = token_for(lang, asked.push_token, login)
        if token is None:
            return PushUpdate(no_token_html(lang), SKIP)
        path = model_folder(asked.model)
        key = Browser.of(asked.browser).keys.get(asked.model, "")
        check_owner(path, key)
        connection = transfer.Connection(token=token, on_progress=reporter(progress))
        pushed = (_push_space if asked.kind == "space" else _push_files)(
            path, asked, connection
        )
    except CharrnnError as error:  # in place, where it stays to be read
        return PushUpdate(note(say(lang, str(error)), "warn"), SKIP)
    return PushUpdate(pushed_html(lang, pushed), "")


@dataclass(frozen=True)
class PullRequest(Form):
    """What the Pull button sends."""

    source: str
    revision: str
    pull_token: str
    browser: object  # as `Browser.of` takes it


class PullUpdate(NamedTuple):
    """What a pull changes."""

    pulled: str  # HTML
    pull_token: str | Update = SKIP
    browser: dict[str, object] | Update = SKIP
    model: Update = SKIP  # the Generate tab's list


def pull(
    request: gr.Request,
    login: gr.OAuthToken | None,
    progress: gr.Progress | None = gr.Progress(),  # noqa: B008  Gradio's own way
    *values: object,
) -> PullUpdate:
    """Pull a model and choose it in the Generate tab."""
    lang, asked = language(request), PullRequest.read(values)
    try:
        check_disk()
        who = new_owner(visitor_of(request), page=True)
        if who is not None:
            check_kept(who)
        token = reading_token(lang, asked.pull_token, login)
        pulled = pull_model(
            asked.source,
            transfer.Connection(token=token, on_progress=reporter(progress)),
            destination=store.folder(),
            revision=asked.revision.strip() or None,
            owner=who,
        )
        title = checkpoint.read_record(pulled.path).title
    except CharrnnError as error:
        return PullUpdate(note(say(lang, str(error)), "warn"))
    browser = Browser.of(asked.browser).owning(pulled.model_id, who)
    choices = model_choices(lang, browser, pulled.model_id)
    return PullUpdate(
        pulled=pulled_html(lang, pulled, title),
        pull_token="",
        browser=browser.store(),
        model=gr.update(choices=choices, value=pulled.model_id),
    )


def reading_token(lang: str, given: str, login: gr.OAuthToken | None) -> str | None:
    """Public models need nobody's token: without a sign-in, ask anonymously."""
    if not given.strip() and has_login() and login is None:
        return None
    return token_for(lang, given, login)


def refresh(
    request: gr.Request, model: str | None, browser: object, writing: str | None
) -> Update:
    """The models that can be pushed, as they are now.

    Args:
        request: Tells the language.
        model: What is chosen here.
        browser: As `Browser.of` takes it.
        writing: What is chosen on the Generate tab: it is proposed, else the run that
            is followed, until another one is chosen here.
    """
    held = Browser.of(browser)
    choices = own_model_choices(language(request), held)
    ids = [value for _, value in choices]
    wanted = [one for one in (model, writing, held.run) if one in ids]
    return relisted(choices, model, wanted[0] if wanted else None)
