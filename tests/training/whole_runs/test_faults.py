"""What happens to a run that is killed, diverges or finds the disk full."""

import contextlib
import json
import math
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxemb
from jaxemb.encoding import encode_file
from jaxemb.errors import NotFinite, UserError
from jaxemb.files import is_partial
from jaxemb.huggingface import export
from jaxemb.runs.checkpoints import _NewestAndBest
from jaxemb.runs.directory import RunDirectory, best_of
from jaxemb.runs.metrics import read_metrics
from support.runs import TINY, fill, ids_of_step, losses_of, run_to_the_end, start, wait_for
from support.tiers import sampled
from support.tiny_models import tiny_embedder


def unfinished(run):
    return [path for path in (run / "checkpoints").glob("*") if not path.name.isdigit()]


@pytest.mark.full
@pytest.mark.slow
def test_kill_9_then_resume_is_bit_equal(values, tmp_path):
    values["training"].update(steps=700, checkpoint_every=20, log_every=1)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values))
    whole, run = tmp_path / "whole", tmp_path / "run"
    run_to_the_end(config, "--output-dir", str(whole))
    expected = losses_of(whole)
    assert len(expected) == 700
    chosen, kills, inside = random.Random(0), 0, 0
    while kills < 4 or inside < 3:
        assert kills < 15, f"only {inside} of {kills} kills fell inside a checkpoint write"
        before = max(RunDirectory(run).steps, default=0)
        process = start(config, "--resume", "--quiet")
        wait_for(lambda before=before: max(RunDirectory(run).steps, default=0) > before + chosen.randrange(40))
        if kills % 2 == 0:
            with contextlib.suppress(AssertionError):
                wait_for(lambda: unfinished(run), seconds=3)
        process.kill()
        process.communicate()
        kills, inside = kills + 1, inside + bool(unfinished(run))
    assert max(RunDirectory(run).steps) < 700, "every kill came before the end"
    run_to_the_end(config, "--resume")
    assert losses_of(run) == expected
    assert not unfinished(run)
    texts = ["one two", "Haus"]
    np.testing.assert_array_equal(jaxemb.load(run).encode(texts), jaxemb.load(whole).encode(texts))


@pytest.mark.slow
@pytest.mark.parametrize("number", sampled([signal.SIGTERM], [signal.SIGINT]))
def test_a_second_signal_corrupts_nothing(values, tmp_path, number):
    values["training"].update(steps=100_000, checkpoint_every=100_000)
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values))
    run = tmp_path / "run"
    process = start(config)
    wait_for(lambda: (run / "metrics.jsonl").exists() and len(losses_of(run)) > 5)
    for _ in range(3):
        process.send_signal(number)
        time.sleep(0.02)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 75}[number], errors
    if RunDirectory(run).steps:  # none if the second Ctrl-C came before the write
        assert np.isfinite(jaxemb.load(run).encode(["one two"])).all()
    values["training"]["steps"] = max(RunDirectory(run).steps, default=0) + 2
    assert max(losses_of(jaxemb.train(values, resume=True, quiet=True).run_dir)) == values["training"]["steps"]


@pytest.mark.slow
def test_the_best_checkpoint_is_kept(values):
    assert best_of([10, 20, 30, 40], {10: 5.0, 30: 7.0, 20: 7.0, 50: 9.0}) == 30
    assert best_of([10], {}) is None
    checkpoints = [SimpleNamespace(step=step) for step in (10, 20, 30, 40)]
    policy = _NewestAndBest(2, lambda: {10: 1.0, 20: 3.0, 30: 2.0})
    assert policy.should_preserve(checkpoints, context=None) == [False, True, True, True]
    assert _NewestAndBest(1, dict).should_preserve(checkpoints, context=None) == [False, False, False, True]

    values["export"] = {"enabled": False}
    values["training"].update(steps=8, evaluate_every=2, checkpoint_every=100, keep_checkpoints=1)
    values["optimizer"]["learning_rate"] = 1e-2
    result = jaxemb.train(values, quiet=True)
    run = RunDirectory(result.run_dir)
    scores = run.scores("all_accuracy")
    assert scores.keys() == {0, 2, 4, 6, 8}
    # The last checkpoint is written before its score is known: the best one before it stays.
    assert set(run.steps) == {8, best_of([2, 4, 6], scores)}
    # Whichever checkpoint has the highest score is what MODEL@best names.
    with run.metrics.open("a") as lines:
        lines.write(json.dumps({"step": min(run.steps), "evaluation/all_accuracy": 101.0}) + "\n")
    best = jaxemb.load(f"{run.path}@best").encode(["one two"])
    np.testing.assert_array_equal(best, jaxemb.load(f"{run.path}@{min(run.steps)}").encode(["one two"]))
    values["training"].update(steps=2, evaluate_every=None)
    values["data"]["holdout"] = {"pairs_per_language": 0}
    values["output_dir"] += "2"
    with pytest.raises(UserError, match=r"so none is the best; set training.evaluate_every"):
        jaxemb.load(f"{jaxemb.train(values, quiet=True).run_dir}@best")


@pytest.mark.parametrize("bad", sampled(["gradient"], ["loss"]))
def test_what_is_not_finite_ends_the_run(values, bad):
    values["export"] = {"enabled": False}
    values["training"].update(steps=8, checkpoint_every=2)
    model = jaxemb.config.ModelConfig.model_validate({"encoder": TINY})
    fine = jaxemb.models.apply

    def objective(params, batch, key):
        loss = (fine(model, params, batch["anchor"]) ** 2 * jnp.arange(16.0)[None]).sum()
        # Step 5 is told by its ids, which are the same in every run.
        wrong = (batch["id"] == fifth[0]).any()
        if bad == "loss":
            return jnp.where(wrong, jnp.inf, loss), {}
        return loss + jnp.sqrt(jnp.where(wrong, jnp.abs(loss - jax.lax.stop_gradient(loss)), 1.0)), {}

    fifth = [ids_of_step(values, 4)[0]]
    with pytest.raises(NotFinite, match=r"step 5: the loss is .* The last good checkpoint is that of step 4"):
        jaxemb.train(values, objective=objective, quiet=True)
    run = RunDirectory(Path(values["output_dir"]))
    assert run.steps == [2, 4]
    written = json.loads((run.path / "not_finite.json").read_text())
    assert (written["step"], written["last_good_checkpoint"]) == (5, 4)
    assert fifth[0] in written["batch_ids"]
    assert len(written["batch_ids"]) == 16
    assert not math.isfinite(written["metrics"]["loss" if bad == "loss" else "gradient_norm"])
    assert max(losses_of(run.path)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("allowed", sampled([1], [2]))
def test_steps_that_are_not_finite_are_skipped(values, allowed, capsys):
    values["export"] = {"enabled": False}
    values["training"].update(steps=5, checkpoint_every=1, keep_checkpoints=9, skip_not_finite=allowed)
    values["data"]["holdout"] = {"pairs_per_language": 0}
    model = jaxemb.config.ModelConfig.model_validate({"encoder": TINY})
    ids = [set(ids_of_step(values, step)) for step in range(5)]
    wrong = [min(ids[step].difference(*ids[:step], *ids[step + 1 :])) for step in (1, 2)]  # in no other step

    def objective(params, batch, key):
        out = jaxemb.models.apply(model, params, batch["anchor"])
        loss = (out**2 * jnp.arange(16.0)[None]).sum()
        return jnp.where((batch["id"][:, None] == jnp.array(wrong)[None]).any(), jnp.nan, loss), {}

    run = RunDirectory(Path(values["output_dir"]))
    if allowed == 1:
        with pytest.raises(NotFinite, match=r"step 3: the loss is nan, .* The last good checkpoint is that of step 2"):
            jaxemb.train(values, objective=objective, quiet=True)
        values["training"]["skip_not_finite"] = 2  # may change, so that the run goes on
        jaxemb.train(values, objective=objective, resume=True)
    else:
        jaxemb.train(values, objective=objective)
    shown = capsys.readouterr().out
    assert ("step 2 is skipped" in shown, "step 3 is skipped" in shown) == (allowed == 2, True)
    assert losses_of(run.path).keys() == {1, 4, 5}
    last = [line for line in read_metrics(run.metrics) if "train/skipped" in line][-1]
    assert last["train/skipped"] == (2 if allowed == 2 else 1)
    kernels = [
        jaxemb.load(f"{run.path}@{step}").params["encoder"]["layers"]["output"]["kernel"] for step in (1, 2, 3, 4)
    ]
    np.testing.assert_array_equal(kernels[1], kernels[0])
    np.testing.assert_array_equal(kernels[2], kernels[0])
    assert np.abs(kernels[3] - kernels[0]).max() > 0


def test_a_full_disk_during_encode_and_export(small_disk, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"number {n}\n" for n in range(2000)))
    fill(small_disk, leave=64 << 10)
    for name in ("out.npy", "out.parquet"):
        with pytest.raises(UserError, match=rf"{name}: cannot be written .*No space left on device"):
            encode_file(tiny_embedder(), texts, small_disk / name)
    with pytest.raises(UserError, match=r"model: cannot be written .*No space left on device"):
        export(tiny_embedder(), small_disk / "model", verify="jax")
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


@pytest.mark.parametrize("leave", sampled([8 << 10, 100000], [0, 24 << 10, 60000, 200000]))
def test_a_full_disk_while_the_data_are_prepared(values, small_disk, leave):
    values["data"]["cache_dir"] = str(small_disk / "cache")
    fill(small_disk, leave)
    with pytest.raises(UserError, match=r"cache.* cannot be written .*data\.cache_dir chooses another folder"):
        jaxemb.train(values, quiet=True)
    assert not [path for path in small_disk.rglob("*") if is_partial(path)]  # what is whole may stay
    (small_disk / "ballast").unlink()
    values["training"]["steps"] = 1
    assert (jaxemb.train(values, resume=True, quiet=True).run_dir / "results.json").is_file()


@pytest.mark.slow
def test_a_full_disk_during_a_checkpoint(values, small_disk, tmp_path, capsys):
    values["training"].update(steps=100_000, checkpoint_every=50, keep_checkpoints=1)
    run = small_disk / "run"
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({**values, "output_dir": str(run)}))
    process = start(config, "--quiet")
    wait_for(lambda: len(RunDirectory(run).steps) >= 1)
    fill(small_disk, leave=0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "No space left on device" in errors
    assert "Traceback" not in errors
    (small_disk / "ballast").unlink()
    step = RunDirectory(run).steps[-1]
    values["training"]["steps"] = step + 5
    jaxemb.train({**values, "output_dir": str(run)}, resume=True)
    assert f"resuming after step {step}" in capsys.readouterr().out
