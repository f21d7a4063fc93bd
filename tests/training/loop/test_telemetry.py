"""Rates of a run: by hand, and in the files of a run."""

import types

import jax
import numpy as np
import pytest

import jaxemb
from jaxemb.config import DataConfig, LabseObjective, TrainConfig, TrainingConfig, TsvSource
from jaxemb.objectives.flops import model_flops
from jaxemb.objectives.parameters import init_params
from jaxemb.parallel import make_mesh
from jaxemb.parallel.chips import CHIPS, Chip
from jaxemb.runs.metrics import read_metrics
from jaxemb.training.loop import telemetry
from support.runs import TINY


def test_rates_by_hand(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(telemetry, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    kind = jax.devices()[0].device_kind
    monkeypatch.setitem(CHIPS, kind, Chip(flops=1e9, memory=1.0, memory_bandwidth=1.0, network=1.0, between=1.0))
    config = TrainConfig(
        data=DataConfig(sources=(TsvSource(path="x"),)),
        model={"encoder": {**TINY, "vocab_size": 50}},
        tokenizer={"vocab_size": 50},
        objective=LabseObjective(),
        training=TrainingConfig(steps=4, batch_size=6),
    )
    params = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
    told = telemetry.Telemetry(config, params, make_mesh(2, 1, jax.devices()[:2]))

    def batches():
        for _ in range(2):
            now[0] += 1.5  # reading
            yield {}

    for _ in told.timed(batches()):
        now[0] += 0.5  # the step
        told.count(tokens=30.0, positions=40)
    assert told.rates() == pytest.approx(
        {
            "examples_per_second": 12 / 4.0,
            "tokens_per_second": 60 / 4.0,
            "padding": 0.25,
            "waiting_for_input": 0.75,
            "model_flops_utilization": 2 * model_flops(config, params, 30.0) / 4.0 / 2 / 1e9,
        }
    )
    now[0] += 9.0
    told.restart()
    now[0] += 2.0
    told.count(tokens=10.0, positions=10)
    assert told.rates()["tokens_per_second"] == 5.0
    assert told.rates() == {}


def test_a_run_tells_and_is_traced(values, capsys):
    result = jaxemb.train(values, profile=1)
    lines = [line for line in read_metrics(result.run_dir / "metrics.jsonl") if "train/loss" in line]
    assert len(lines) == values["training"]["steps"]
    for line in lines[1:]:
        whole = line["train/gradient_norm"]
        groups = {name: value for name, value in line.items() if name.startswith("train/gradient_norm/")}
        assert groups.keys() == {f"train/gradient_norm/{name}" for name in ("embeddings", "layers", "dense")}
        assert np.sqrt(sum(value**2 for value in groups.values())) == pytest.approx(whole, rel=1e-5)
        assert 0 < line["train/update_norm/layers"] < line["train/parameter_norm/layers"]
        assert line["train/tokens_per_second"] > line["train/examples_per_second"] > 0
        assert 0 <= line["train/padding"] < 1
        assert 0 <= line["train/waiting_for_input"] < 1
        assert "train/tokens" not in line
    assert "1 step traced to" in capsys.readouterr().out
    assert list((result.run_dir / "profile").rglob("*.xplane.pb"))
