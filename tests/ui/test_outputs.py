"""What skipping an output costs."""

import asyncio

import gradio as gr
from gradio.state_holder import SessionState

from charrnn.ui import outputs


def test_skipped_outputs_are_not_made_anew(monkeypatch):
    with outputs.Blocks() as blocks:
        shown = [gr.HTML() for _ in range(3)]
        gr.Button().click(lambda: None, None, shown)
    function = next(iter(blocks.fns.values()))
    made = []
    init = gr.HTML.__init__
    monkeypatch.setattr(
        gr.HTML, "__init__", lambda *a, **k: made.append(1) or init(*a, **k)
    )

    def sent(values):
        state = SessionState(blocks)
        return asyncio.run(blocks.postprocess_data(function, values, state))

    skip = gr.skip()
    assert sent((skip, "a", skip)) == [skip, "a", skip]
    assert sent(("a", "b", "c")) == ["a", "b", "c"]
    assert sent((skip, skip, skip)) == [skip] * 3
    assert not made
    hidden = gr.update(visible=False)
    first, changed, last = sent((skip, hidden, "b"))
    assert (first, changed["visible"], last) == (skip, False, "b")
    assert len(made) == 1
    function.outputs = shown[:1]
    assert sent("a") == ["a"]
