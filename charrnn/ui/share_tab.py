"""The Share tab: push a model to the Hub, pull one from it, take a zip in."""

from dataclasses import dataclass

import gradio as gr
from gradio.events import Dependency
from gradio.i18n import I18nData

from charrnn import card
from charrnn.hosting import policy
from charrnn.ui import sharing, web_pages, zips
from charrnn.ui.generate_tab import GenerateTab
from charrnn.ui.labels import i18n
from charrnn.ui.sessions import id_dropdown
from charrnn.ui.shared import PageState
from charrnn.ui.sharing import PullRequest, PullUpdate, PushRequest, PushUpdate
from charrnn.ui.wiring import FROM_OUTSIDE, inputs, outputs


@dataclass(frozen=True)
class PushColumn:
    """Where a model goes, named as the request and the update name it."""

    model: gr.Dropdown
    kind: gr.Radio
    repo: gr.Textbox
    license: gr.Dropdown
    public: gr.Checkbox
    push_token: gr.Textbox
    push: gr.Button
    pushed: gr.HTML
    web: gr.Button


@dataclass(frozen=True)
class PullColumn:
    """Where a model comes from, named as the request and the update name it."""

    source: gr.Textbox
    revision: gr.Textbox
    pull_token: gr.Textbox
    pull: gr.Button
    pulled: gr.HTML


def _token(info: I18nData) -> gr.Textbox:
    return gr.Textbox(
        "",
        label=i18n("hub.token"),
        info=info,
        placeholder=None if policy().secret_ids else i18n("hub.token_local"),
        type="password",
        max_length=500,
        visible=not sharing.has_login(),
    )


def _web_button() -> gr.Button:
    gr.Markdown(i18n("hub.web"), elem_classes="group")
    gr.Markdown(i18n("hub.web_lead"))
    return gr.Button(i18n("train.web"), size="md", elem_id="model-web-page")


def _push_column() -> PushColumn:
    with gr.Column(min_width=300):
        gr.Markdown(i18n("hub.push"), elem_classes="group")
        gr.Markdown(i18n("hub.push_lead"))
        return PushColumn(
            model=id_dropdown(label=i18n("generate.model"), elem_id="push-model"),
            kind=gr.Radio(
                [(i18n(f"hub.kind.{kind}"), kind) for kind in sharing.KINDS],
                value=sharing.KINDS[0],
                label=i18n("hub.kind"),
                info=i18n("hub.kind_info"),
                elem_id="push-kind",
            ),
            repo=gr.Textbox(
                "",
                label=i18n("hub.repo"),
                placeholder=i18n("hub.repo_hint"),
                max_length=200,
                elem_id="push-repo",
            ),
            license=gr.Dropdown(
                [(i18n("hub.license_none"), ""), *card.LICENSES],
                value="",
                label=i18n("hub.license"),
                elem_id="push-license",
            ),
            public=gr.Checkbox(False, label=i18n("hub.public"), elem_id="push-public"),
            push_token=_token(i18n("hub.token_info")),
            push=gr.Button(i18n("hub.push_go"), variant="primary", elem_id="push"),
            pushed=gr.HTML(elem_id="pushed", apply_default_css=False),
            web=_web_button(),
        )


def _pull_column() -> PullColumn:
    gr.Markdown(i18n("hub.pull"), elem_classes="group")
    gr.Markdown(i18n("hub.pull_lead"))
    return PullColumn(
        source=gr.Textbox(
            "",
            label=i18n("hub.source"),
            placeholder=i18n("hub.source_hint"),
            max_length=500,
            elem_id="pull-source",
        ),
        revision=gr.Textbox(
            "",
            label=i18n("hub.revision"),
            info=i18n("hub.revision_info"),
            max_length=200,
            elem_id="pull-revision",
        ),
        pull_token=_token(i18n("hub.pull_token")),
        pull=gr.Button(i18n("hub.pull_go"), variant="primary", elem_id="pull"),
        pulled=gr.HTML(elem_id="pulled", apply_default_css=False),
    )


def build(page: PageState, generating: GenerateTab) -> tuple[gr.Dropdown, Dependency]:
    """Lay the tab out and connect it.

    Args:
        page: What the page keeps.
        generating: The Generate tab, where a pulled model is chosen.

    Returns:
        This tab's own list of models, and the event that takes a zip in.
    """
    if sharing.has_login():
        gr.LoginButton()
        gr.Markdown(i18n("hub.private_scope"))
    with gr.Row(equal_height=False):
        pushing = _push_column()
        with gr.Column(min_width=300):
            pulling = _pull_column()
            taken = zips.build(page, generating, **FROM_OUTSIDE)
    pushing.push.click(
        sharing.push,
        inputs(PushRequest, pushing, page),
        outputs(PushUpdate, pushing),
        show_progress_on=pushing.pushed,
        **FROM_OUTSIDE,
    )
    web_pages.connect(pushing.web, pushing.model, page.browser, **FROM_OUTSIDE)
    pulling.pull.click(
        sharing.pull,
        inputs(PullRequest, pulling, page),
        outputs(PullUpdate, pulling, page, generating),
        show_progress_on=pulling.pulled,
        **FROM_OUTSIDE,
    )
    return pushing.model, taken
