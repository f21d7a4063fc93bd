"""Whole runs on a few generated pairs: resume, refusals, signals."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import jaxemb
from jaxemb import config_io, losses
from jaxemb.errors import UsageError, UserError
from jaxemb.training.metrics import MetricsWriter

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
ENGLISH = "one two three four five six seven eight nine ten red green blue house tree river".split()
GERMAN = "eins zwei drei vier fünf sechs sieben acht neun zehn rot grün blau Haus Baum Fluss".split()


@pytest.fixture
def values(tmp_path):
    """A config that trains a tiny model for four steps in a few seconds."""
    chosen = random.Random(0)
    rows = [[chosen.randrange(16) for _ in range(chosen.randint(2, 5))] for _ in range(200)]
    lines = ["\t".join(" ".join(words[i] for i in row) for words in (ENGLISH, GERMAN)) for row in rows]
    (tmp_path / "en-de.tsv").write_text("\n".join(lines) + "\n")
    return {
        "output_dir": str(tmp_path / "run"),
        "data": {
            "root": str(tmp_path),
            "sources": [{"kind": "tsv", "path": "en-de.tsv"}],
            "cache_dir": str(tmp_path / "cache"),
            "holdout": {"pairs_per_language": 20},
            "max_length": 16,
            "length_buckets": [16],
        },
        "tokenizer": {"vocab_size": 120},
        "model": {"encoder": TINY},
        "optimizer": {"schedule": "constant", "learning_rate": 1e-3},
        "training": {"steps": 4, "batch_size": 16, "log_every": 1, "checkpoint_every": 2},
        "export": {"verify": "jax"},
    }


def losses_of(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


def test_resume_continues_bit_for_bit(values, tmp_path):
    whole = jaxemb.train(values, quiet=True)
    killed = tmp_path / "killed"
    shutil.copytree(whole.run_dir, killed)
    shutil.rmtree(killed / "checkpoints" / "4")  # as if killed after step 2
    shutil.rmtree(killed / "export")
    (killed / "metrics.jsonl").unlink()
    resumed = jaxemb.train({**values, "output_dir": str(killed)}, resume=True, quiet=True)
    expected = losses_of(whole.run_dir)
    assert losses_of(killed) == {step: expected[step] for step in (3, 4)}
    for path, leaf in jax.tree_util.tree_leaves_with_path(resumed.embedder.params):
        wanted = whole.embedder.params
        for key in path:
            wanted = wanted[key.key]
        np.testing.assert_array_equal(leaf, wanted, err_msg=jax.tree_util.keystr(path))


def test_a_run_is_whole(values):
    result = jaxemb.train(values, quiet=True)
    names = {path.name for path in result.run_dir.iterdir()}
    assert names == {
        "config.yaml", "metrics.jsonl", "tensorboard", "tokenizer", "checkpoints", "export", "data_report.json",
        "results.json",
    }  # fmt: skip
    config = config_io.load_config(result.run_dir / "config.yaml")
    assert config.model.encoder.vocab_size == len(result.embedder.tokenizer)
    texts = ["one two", "", "drei"]
    for model in (result.run_dir, f"{result.run_dir}@4", result.export_dir):
        np.testing.assert_allclose(jaxemb.load(model).encode(texts), result.embedder.encode(texts), atol=1e-6)
    first = jaxemb.load(f"{result.run_dir}@2").encode(texts)
    assert np.abs(first - result.embedder.encode(texts)).max() > 1e-4
    with pytest.raises(UserError, match="no checkpoint of step 3; there are 2, 4"):
        jaxemb.load(f"{result.run_dir}@3")


def test_what_is_refused(values, tmp_path):
    with pytest.raises(UsageError, match="5 pairs do not divide by 8 devices; the nearest that does is 8"):
        jaxemb.train({**values, "training": {"steps": 1, "batch_size": 5}}, quiet=True)
    with pytest.raises(UsageError, match="output_dir: no run directory is given"):
        jaxemb.train({**values, "output_dir": None}, quiet=True)
    with pytest.raises(UserError, match=r"mesh.fsdp is 3"):
        jaxemb.train({**values, "mesh": {"fsdp": 3}}, quiet=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        jaxemb.train({**values, "output_dir": str(tmp_path / "other")}, quiet=True)
    jaxemb.train(values, quiet=True)
    with pytest.raises(UsageError, match="holds a run already: continue it with --resume"):
        jaxemb.train(values, quiet=True)
    changed = {**values, "model": {"encoder": {**TINY, "hidden_size": 32}}}
    with pytest.raises(UsageError, match=r"hidden_size: 16 in the run, 32 now"):
        jaxemb.train(changed, resume=True, quiet=True)


def test_an_objective_of_ones_own(values, tmp_path):
    built_in = jaxemb.train({**values, "objective": {"kind": "info_nce", "mask_duplicates": False}}, quiet=True)
    model = config_io.load_config(built_in.run_dir / "config.yaml").model
    seen = set()

    def objective(params, batch, key):
        seen.update(batch)
        ids = batch["id"]
        sides = [
            jaxemb.models.apply(model, params, {**batch[side], "ids": 2 * ids + i}, key)
            for i, side in enumerate(("anchor", "positive"))
        ]
        return losses.additive_margin_softmax(*sides, scale=20.0, margin=0.0).mean(), {
            "twice": 2 * batch["weight"].sum()
        }

    own = jaxemb.train({**values, "output_dir": str(tmp_path / "own")}, objective=objective, quiet=True)
    assert seen == {"anchor", "positive", "anchor_hash", "positive_hash", "id", "weight"}
    expected, found = losses_of(built_in.run_dir), losses_of(own.run_dir)
    assert found.keys() == expected.keys()
    for step, loss in found.items():
        assert loss == pytest.approx(expected[step], abs=2e-5), step
    line = json.loads((own.run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["train/twice"] == 32.0


def start(config, *flags):
    return subprocess.Popen(
        [sys.executable, "-m", "jaxemb", "train", "--config", str(config), *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
    )  # fmt: skip


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_leaves_a_checkpoint(values, tmp_path, number, code):
    values["training"].update(steps=100_000, checkpoint_every=100_000)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values))
    run = tmp_path / "run"
    process = start(config)
    wait_for(lambda: (run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_text().splitlines()) > 5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "Continue with the same command and --resume" in errors
    assert "Traceback" not in errors
    (step,) = [int(path.name) for path in (run / "checkpoints").iterdir()]
    again = start(config, "--resume", "--training.steps", str(step + 2))
    output, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert f"resuming after step {step}" in output
    assert max(losses_of(run)) == step + 2


def test_a_finished_run_has_nothing_left_to_do(values, capsys):
    whole = jaxemb.train(values, quiet=True)
    before = {path: path.stat().st_mtime_ns for path in whole.run_dir.rglob("*") if path.is_file()}
    again = jaxemb.train(values, resume=True)
    assert "nothing to do: all 4 steps are taken" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in whole.run_dir.rglob("*") if path.is_file()} == before
    np.testing.assert_array_equal(again.embedder.encode(["one"]), jaxemb.load(whole.run_dir).encode(["one"]))


def test_metrics_of_steps_that_are_taken_again_are_dropped(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        for step in range(1, 6):
            writer.write(step, "train", {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 6, "train/lo')  # killed while writing
    with MetricsWriter(tmp_path, start=3) as writer:
        writer.write(4, "train", {"loss": 44.0})
    assert losses_of(tmp_path) == {1: 1.0, 2: 2.0, 3: 3.0, 4: 44.0}
