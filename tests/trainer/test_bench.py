"""The bench's own arithmetic, and that it runs."""

import dataclasses

import pytest

from charrnn.config import ModelConfig
from charrnn.errors import ConfigError
from charrnn.trainer import bench


def test_the_tutorials_step_costs_24_million_operations_a_character() -> None:
    assert bench.flops_per_character(1024) == pytest.approx(24.0e6, rel=1e-3)


def test_both_sides_are_timed_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ROUND_SECONDS", 0.01)
    monkeypatch.setattr(bench, "ROUNDS", 3)
    told: list[str] = []
    (row,) = bench.steps((8,), log=told.append)
    assert told == ["timing 8 units ..."]
    config = ModelConfig(embedding_dim=256, rnn_units=8, vocab_size=66)
    assert row.parameters == config.num_parameters()
    assert min(row.chars_per_second, row.stock_chars_per_second, row.ratio) > 0
    share = row.chars_per_second * bench.flops_per_character(8) / 1e9
    assert row.share_of_fp32 == pytest.approx(share / row.matmul_fp32_gflops)
    assert 100 < row.peak_mb < 3000
    content = bench.as_json([row])
    assert content["rows"] == [dataclasses.asdict(row)]
    assert int(content["machine"]["cores"]) >= 1


def test_quality_refuses_what_train_would() -> None:
    with pytest.raises(ConfigError, match="no preset"):
        bench.quality("fast")
    with pytest.raises(ConfigError, match="rnn_units"):
        bench.quality("quick", settings={"rnn_units": 0})
