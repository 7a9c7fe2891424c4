"""How the page looks: a quiet theme, a style sheet, one small script.

Everything is local: system fonts, no address of another host. The script
answers the few clicks that need no server (copy, download, the link), by
delegation, so that what the page shows stays plain escaped HTML.
"""

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
        button_primary_background_fill_hover_dark="#13877e",
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


CSS: Final = """
.gradio-container { max-width: 1240px !important; margin: 0 auto !important;
  width: 100% !important; }
.group p { font-weight: 600; margin: 6px 0 0; }
.gradio-container > main { padding-top: 20px; }
#masthead { margin: 0 0 6px; }
#masthead h1 { font-size: 26px; font-weight: 650; letter-spacing: -.02em; margin: 0; }
#masthead p { margin: 2px 0 0; color: var(--body-text-color-subdued); }
:where(button, a, input, textarea, [tabindex]):focus-visible {
  outline: 2px solid #14a394; outline-offset: 2px; }

.card { display: flex; flex-direction: column; min-height: 11em;
  background: var(--block-background-fill);
  border: 1px solid var(--block-border-color); border-radius: 8px;
  padding: 8px 14px 14px; }
.card.wide { min-height: 14em; }
.card .tools { display: flex; gap: 12px; justify-content: flex-end;
  min-height: 24px; align-items: center; }
.tool { all: unset; cursor: pointer; font-size: 13px; line-height: 24px;
  color: var(--body-text-color-subdued); border-radius: 4px; }
.tool:hover { color: var(--body-text-color); text-decoration: underline; }
.tool:focus-visible { outline: 2px solid #14a394; outline-offset: 2px; }
.written { font-family: "Iowan Old Style", "Palatino Linotype", Palatino, Georgia,
    "Noto Serif", "DejaVu Serif", "Hiragino Mincho ProN", "Yu Mincho",
    "Noto Serif CJK JP", "Noto Naskh Arabic", "Apple Color Emoji", "Segoe UI Emoji",
    "Noto Color Emoji", serif;
  font-size: 15.5px; line-height: 1.58; white-space: pre-wrap;
  overflow-wrap: anywhere; color: var(--body-text-color); }
.written.code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas,
    "DejaVu Sans Mono", "Noto Sans Mono CJK JP", "Noto Color Emoji", monospace;
  font-size: 13px; line-height: 1.5; }
.written .prompt { color: #0f766e; font-weight: 600; }
.dark .written .prompt { color: #4fc0b4; }
.written mark { background: #fbe6b3; color: inherit; border-radius: 2px;
  border-bottom: 1.5px solid #c9a227; }
.dark .written mark { background: #4b3d15; }
.card .resting { color: var(--body-text-color-subdued); font-style: italic;
  margin: auto; text-align: center; }
.inline { padding: 4px 12px !important; min-width: 0 !important; }
.inline label { display: flex !important; align-items: center; gap: 10px; }
.inline label > span { margin: 0; white-space: nowrap; }
.inline label input { padding: 4px 8px; font-weight: 600; min-width: 3.2em; }
.offstage { display: none !important; }
.html-container { padding: 0 !important; }
.dark { --color-accent: #2fb5a5; }

.note { margin: 4px 0; font-size: 14px; color: var(--body-text-color-subdued); }
.note.warn { color: #a04a12; }
.dark .note.warn { color: #f0a873; }
.note a, .status a { color: #0f766e !important; text-decoration: underline; }
.dark .note a { color: #4fc0b4 !important; }
.dark .status a { color: #4fc0b4 !important; }
.status { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: center;
  margin: 4px 0; min-height: 26px; font-size: 14px;
  color: var(--body-text-color-subdued); }

.facts { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 14px;
  margin: 0 0 6px; color: var(--body-text-color); }
.excerpt { max-height: 8.2em; overflow: auto; padding: 8px 12px; border-radius: 6px;
  background: var(--background-fill-secondary);
  border: 1px solid var(--block-border-color); }
.excerpt.written { font-size: 13.5px; line-height: 1.45; }

.run-head { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; }
.run-head strong { font-size: 17px; overflow-wrap: anywhere; }
.badge { font-size: 12.5px; padding: 1px 9px; border-radius: 10px;
  background: var(--background-fill-secondary);
  border: 1px solid var(--block-border-color); color: var(--body-text-color); }
.badge.running, .badge.queued, .badge.stopping { background: #0f766e; color: white;
  border-color: #0f766e; }
.badge.failed, .badge.died { background: #b3402a; color: white; border-color: #b3402a; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 13px;
  list-style: none; margin: 0; padding: 0; color: var(--body-text-color-subdued);
  font-variant-numeric: tabular-nums; }
.legend li { display: flex; align-items: center; gap: 6px; margin: 0; }
.legend i { width: 16px; height: 3px; border-radius: 2px; flex: none; }
.bar { height: 8px; border-radius: 4px; overflow: hidden; margin: 6px 0;
  background: var(--border-color-primary); }
.bar i { display: block; height: 100%; background: #16877c; border-radius: 4px; }
.figures { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 14px;
  min-height: 1.5em; font-variant-numeric: tabular-nums;
  color: var(--body-text-color-subdued); }
.welcome { padding: 48px 16px; text-align: center; border-radius: 8px;
  border: 1px dashed var(--border-color-primary);
  color: var(--body-text-color-subdued); }

.samples { max-height: 520px; overflow: auto; display: grid; gap: 10px; }
.sample { border: 1px solid var(--block-border-color); border-radius: 8px;
  padding: 8px 14px 12px; background: var(--block-background-fill); }
.sample h4 { display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 4px;
  font-size: 13px; font-weight: 500; color: var(--body-text-color-subdued);
  font-variant-numeric: tabular-nums; }
.sample .written { font-size: 14.5px; line-height: 1.5; }

.table-scroll { overflow-x: auto; }
.runs { width: 100%; border-collapse: collapse; font-size: 14px; }
.runs th { text-align: left; font-weight: 500; white-space: nowrap;
  color: var(--body-text-color-subdued); }
.runs th, .runs td { padding: 6px 10px; vertical-align: top;
  border-bottom: 1px solid var(--block-border-color); }
.runs td { overflow-wrap: break-word; max-width: 16em; }
.command { font-family: var(--font-mono); font-size: 13px; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: 0; padding: 10px 12px; border-radius: 6px;
  background: var(--background-fill-secondary); color: var(--body-text-color); }
.wrong input, .wrong textarea { border-color: #b3402a !important; }
.wrong > label > div, .wrong .info-text { color: #b3402a !important; }
.dark .wrong input { border-color: #ff9b84 !important; }
.dark .wrong > label > div, .dark .wrong .info-text { color: #ff9b84 !important; }
.inline .info-text, .inline label > div { order: 3; margin: 0; }
.inline label { flex-wrap: wrap; }
.inline label input { flex: 1 1 3.2em; }
@media (max-width: 640px) {
  .card { min-height: 7em; }
  .gradio-container > main { padding-left: 12px; padding-right: 12px; }
}
"""
HEAD: Final = """
<script>
(() => {
  const flash = (button, word) => {
    const before = button.textContent;
    if (!word || before === word) return;
    button.textContent = word;
    setTimeout(() => { button.textContent = before; }, 1400);
  };
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return; } catch (_) {}
    const area = document.createElement("textarea");  // pages without https
    area.value = text;
    area.style.position = "fixed";
    document.body.appendChild(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  const save = (text, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-act]");
    if (!button) return;
    const card = button.closest(".card");
    const text = card?.querySelector(".written")?.textContent ?? "";
    if (button.dataset.act === "save") save(text, button.dataset.file);
    if (button.dataset.act === "copy") await copy(text);
    if (button.dataset.act === "link")
      await copy(new URL(button.dataset.href, location.href).href);
    flash(button, button.dataset.done);
  });
})();
</script>
"""
# on a phone the run stands below the form: bring it into view
SHOW_RUN: Final = """() => {
  if (innerWidth < 700)
    document.querySelector("#watch")?.scrollIntoView({ behavior: "smooth" });
}"""
SHOW_LINKED_RUN: Final = """() => {
  if (innerWidth < 700 && new URLSearchParams(location.search).has("run"))
    setTimeout(() => document.querySelector("#watch")?.scrollIntoView(), 300);
}"""
