"""Gradio's theme for this page: colours, spacing, and fonts of the system alone."""

from typing import Final

import gradio as gr

SANS: Final = (
    "ui-sans-serif",
    "system-ui",
    "Segoe UI",
    "Hiragino Sans",
    "Noto Sans CJK JP",
    "sans-serif",
)
MONO: Final = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Teal on cool greys, generous spacing, no shadows."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_md,
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="#f7f8f9",
        body_background_fill_dark="#10151c",
        body_text_color_subdued="#586575",
        body_text_color_subdued_dark="#9aa7b8",
        block_background_fill="white",
        block_background_fill_dark="#18202a",
        block_border_color="#e3e7ec",
        block_border_color_dark="#28323f",
        block_label_text_color="#586575",
        block_label_text_color_dark="#9aa7b8",
        block_info_text_color="#586575",
        block_info_text_color_dark="#9aa7b8",
        block_title_text_weight="500",
        input_background_fill="#fbfcfd",
        input_background_fill_dark="#131a23",
        input_border_width="1px",
        input_border_color="#cfd6de",
        input_border_color_dark="#37455a",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#0b5f58",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#0b5f58",
        button_primary_text_color="white",
        button_secondary_background_fill="#eceff3",
        button_secondary_background_fill_hover="#e0e5eb",
        button_secondary_background_fill_dark="#243040",
        button_secondary_background_fill_hover_dark="#2d3b4e",
        background_fill_secondary="#f3f5f7",
        background_fill_secondary_dark="#131a23",
        slider_color="#0f766e",
        color_accent="#0f766e",
        checkbox_background_color_selected="#0f766e",
        checkbox_border_color_selected="#0f766e",
    )
