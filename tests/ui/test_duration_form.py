import gradio as gr
import pytest

from charrnn.runs import listing
from charrnn.ui import duration_form
from charrnn.ui.duration_form import default_epochs, default_minutes, max_minutes


def test_epochs_follow_the_text():
    # 7 million characters, and 9 in ten minutes, of a training part of nine tenths
    assert default_epochs("quick", 1_115_394) == 7
    assert default_epochs("balanced", 1_115_394) == 9
    assert default_epochs("quick", 20_000_000) == 1
    assert default_epochs("quick", 5_000) == 40  # as many as the preset has
    assert default_epochs("tutorial", 5_000) == default_epochs("tutorial", 10**7) == 20


def test_epochs_follow_the_speed_that_is_known_here(monkeypatch):
    monkeypatch.setattr(listing, "expected_speed", lambda model, training: 100_000.0)
    assert default_epochs("quick", 1_115_394) == 12  # 12 million in two minutes


def test_minutes_are_the_presets_as_far_as_the_page_allows(monkeypatch):
    assert [default_minutes(name) for name in ("quick", "balanced", "tutorial")] == [
        *(2.0, 10.0, 10.0)
    ]
    assert max_minutes() == 30
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    monkeypatch.setenv("CHARRNN_MAX_MINUTES", "5")
    assert default_minutes("balanced") == max_minutes() == 5


@pytest.mark.parametrize("limit", ["0.5", "1", "1.5", "90"])
def test_any_limit_of_a_page_makes_a_slider(limit, monkeypatch):
    monkeypatch.setenv("CHARRNN_HOSTED", "1")
    monkeypatch.setenv("CHARRNN_MAX_MINUTES", limit)
    with gr.Blocks():
        slider = duration_form.build("quick", 1_115_394).minutes_slider
    assert slider.minimum < slider.maximum
    assert slider.minimum <= slider.value <= slider.maximum <= 30
