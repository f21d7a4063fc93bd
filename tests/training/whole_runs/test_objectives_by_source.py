"""Runs with an objective per source: bitext, NLI and STS in one run, from batches of one source each."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors import safe_open

import jaxemb
from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import StoredData
from jaxemb.errors import UsageError
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics
from support import one_of_two_mixed_runs
from support.recipe_runs import config_of
from support.runs import leaves, losses_of

STEPS = 9


def mixed(folder, name="run", **training):
    values = config_of("sbert_regression", folder, name)
    values["data"]["sources"] = [
        {"kind": "tsv", "path": "en-de.tsv"},
        {"kind": "nli", "path": "nli.jsonl", "objective": "nli"},
        {"kind": "sts", "path": "en.train.csv", "objective": "sts"},
    ]
    values["data"] |= {"batches": "one_source", "length_buckets": [16], "source_exponent": 0.0}
    values["objective"] = {"kind": "labse", "margin": 0.1}
    values["objectives"] = {"nli": {"kind": "sbert_classification"}, "sts": {"kind": "sbert_regression"}}
    values["training"] |= {"steps": STEPS, "checkpoint_every": 4, "evaluate_every": None, "log_every": 3} | training
    return values


def turns(values):
    """The sources of the steps, from the same data pipeline."""
    config = config_files.validate(TrainConfig, values, "test")
    cache = Path(config.data.cache_dir)
    (place,) = cache.glob("prepared-*")
    order = StoredData(str(place), cache).order(config.data, config.training.batch_size, config.training.seed)
    return [order.source_of(step) for step in range(STEPS)]


@pytest.mark.slow
def test_three_objectives_train_in_one_run_and_resume_bit_for_bit(folder, capsys):
    values = mixed(folder) | {"export": {"verify": "jax"}}
    whole = jaxemb.train(values)
    expected = leaves(whole.run_dir)
    assert {path for path in expected if "objective" in path} == {
        f"['objective']['nli']['classifier']['{leaf}']" for leaf in ("kernel", "bias")
    }
    lines = [line for line in read_metrics(whole.run_dir / "metrics.jsonl") if "train/loss" in line]
    assert [line["step"] for line in lines] == [3, 6, 9]
    names = ["main", "nli", "sts"]
    for line in lines:  # each has one step in three
        assert {name for name in line if name.startswith("train/loss")} == {
            "train/loss", *(f"train/loss/{name}" for name in names)
        }  # fmt: skip
        last = names[turns(values)[line["step"] - 1]]
        assert line["train/loss"] == line[f"train/loss/{last}"]
        assert ("train/accuracy/nli" in line) == (last == "nli")
        assert line["train/examples_per_second"] > 0
    with safe_open(whole.export_dir / "model.safetensors", "np") as tensors:
        assert not any("classifier" in name or "objective" in name for name in tensors.keys())  # noqa: SIM118

    killed = folder / "killed"
    shutil.copytree(whole.run_dir, killed)
    for step in ("8", "9"):
        shutil.rmtree(killed / "checkpoints" / step)  # as if killed after step 4
    jaxemb.train({**values, "output_dir": str(killed)}, resume=True, quiet=True)
    assert "resuming" not in capsys.readouterr().out
    for path, leaf in leaves(killed).items():
        np.testing.assert_array_equal(leaf, expected[path], err_msg=path)
    again = {**values, "output_dir": str(killed)}
    again["objectives"] = {**again["objectives"], "nli": {"kind": "sbert_classification", "bias": False}}
    with pytest.raises(UsageError, match=r"objectives\.nli\.bias: True in the run, False now"):
        jaxemb.train(again, resume=True, quiet=True)


@pytest.mark.slow
def test_a_function_takes_the_place_of_the_main_objective_only(folder):
    values = mixed(folder, steps=3, log_every=1)
    seen = set()

    def objective(params, batch, key):
        seen.update(batch)
        return sum((leaf**2).sum() for leaf in jax.tree.leaves(params["encoder"])), {"mine": batch["id"].sum()}

    run = jaxemb.train(values, objective=objective, quiet=True).run_dir
    assert "anchor" in seen
    assert not {"label", "score"} & seen
    lines = [line for line in read_metrics(run / "metrics.jsonl") if "train/loss" in line]
    assert sum("train/mine/main" in line for line in lines) == 1
    values["data"]["sources"] = values["data"]["sources"][2:]
    del values["objectives"]["nli"]
    values["output_dir"] = str(folder / "other")
    with pytest.raises(UsageError, match="takes the place of the config's `objective`, which no source trains"):
        jaxemb.train(values, objective=objective, quiet=True)


def test_labels_are_those_of_the_objective_s_sources(folder):
    values = mixed(folder)
    values["objectives"]["nli"]["classes"] = 2
    with pytest.raises(UsageError, match=r"objectives\.nli\.classes: 2, but there is a label 2 .*set it to 3 or more"):
        jaxemb.train(values, quiet=True)


@pytest.mark.slow
def test_a_step_that_is_not_finite_names_its_objective(folder):
    from jaxemb.errors import NotFinite

    values = mixed(folder)
    values["optimizer"] = {"learning_rate": 1e30, "clip_norm": None, "schedule": "constant"}
    with pytest.raises(NotFinite):
        jaxemb.train(values, quiet=True)
    report = json.loads(RunDirectory(Path(values["output_dir"])).not_finite.read_text())
    name = ("main", "nli", "sts")[turns(values)[report["step"] - 1]]
    assert report.get("objective", "main") == name


@pytest.mark.full
@pytest.mark.slow
def test_two_processes_take_the_same_program_at_each_step(folder):
    values = mixed(folder, log_every=1)
    one = jaxemb.train({**values, "output_dir": str(folder / "one")}, devices=jax.devices()[:1], quiet=True)
    config = folder / "config.yaml"
    config.write_text(config_files.dump(config_files.validate_values(values, "test")))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    script, environment = Path(one_of_two_mixed_runs.__file__), one_of_two_mixed_runs.environment()
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(port), str(number), str(config)], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) for number in range(2)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    found, expected = losses_of(folder / "run"), losses_of(one.run_dir)
    assert list(found) == list(expected) == list(range(1, STEPS + 1))
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-5)
