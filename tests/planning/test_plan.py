"""What `jaxemb plan` counts, by hand, and what it says of the configs for pods."""

import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from functools import partial

import jax
import pytest

import jaxemb
from jaxemb.cli.plan import _QUIET
from jaxemb.config import LabseObjective, SbertRegression, StsSource
from jaxemb.config import files as config_files
from jaxemb.objectives.parameters import init_params
from jaxemb.planning import describe, make_plan
from support.plans import ROOT, config


@pytest.mark.parametrize("fsdp", [1, 4])
def test_bytes_and_traffic_of_simulated_devices(fsdp):
    one = config(LabseObjective())
    one = one.model_copy(update={"mesh": one.mesh.model_copy(update={"fsdp": fsdp})})
    plan = make_plan(one, jax.devices()[:4])
    whole = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(partial(init_params, one), jax.random.key(0))))
    table = 1000 * 8  # too small to be split
    assert plan.params == 4 * whole
    assert 8 * table < plan.optimizer < 8 * whole + 100
    assert (plan.devices, plan.mesh, plan.fits) == (4, {"data": 4 // fsdp, "fsdp": fsdp}, True)
    assert (plan.batch_size, plan.tokens) == (16, 320)
    reduced = sum(one.count * one.size for one in plan.collectives if one.kind == "all-reduce")
    assert reduced >= 4 * (whole - table), "the gradients"
    assert plan.chip is None
    assert plan.seconds == {}


def test_of_several_objectives_the_step_that_needs_most_memory_is_planned():
    one = config(LabseObjective())
    sts = StsSource(path="en.csv", objective="sts")
    several = one.model_copy(
        update={
            "data": one.data.model_copy(update={"sources": (*one.data.sources, sts)}),
            "objectives": {"sts": SbertRegression()},
        }
    )
    plan = make_plan(several, jax.devices()[:1])
    assert plan.objective == "main", "which scores all pairs of the batch"
    assert plan.peak >= make_plan(one, jax.devices()[:1]).peak
    assert any("the step of objective, which needs the most memory" in line for line in describe(plan, several))


def run(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "jaxemb", "plan", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code < 2 else done.stderr


needs_libtpu = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed")


@pytest.mark.slow
@needs_libtpu
def test_what_is_wrong_is_said():
    config = "labse_finetune"
    said = run("--config", config, "--topology", "v5e-256", "--model.encoder.vocab-size", 1000, code=2)
    assert "--topology: 'v5e-256' is not known (expected KIND:AxB); v5e:4x4" in said
    said = run("--config", config, "--topology", "h100:4x8", "--model.encoder.vocab-size", 1000, code=2)
    assert "'h100:4x8' is not known (it must give the GPUs of one node, as in h100:8; --slices gives the nodes)" in said
    for one, what in (
        (config, "model.init_from: not-read"),
        ("configs/labse_pretrain.yaml", "tokenizer.path: not-read"),
    ):
        said = run("--config", one, "--topology", "v5e:4x4", code=2)
        assert said.startswith(f"error: {what}")
        assert said.endswith("give the size of the vocabulary with --model.encoder.vocab-size\n")


@needs_libtpu
def test_parameters_are_split_inside_a_slice(tmp_path):
    """Devices of two slices, in a process of its own: libtpu is loaded once."""
    code = (
        "from jax.experimental import topologies\nfrom jaxemb.errors import UsageError\n"
        "from jaxemb.parallel import make_mesh\n"
        "devices = topologies.get_topology_desc(platform='tpu', topology_name='v5e:2x4', num_slices=2).devices\n"
        "for fsdp in (1, 4, 8):\n"
        "    mesh = make_mesh(-1, fsdp, devices)\n"
        "    rows = [sorted({device.slice_index for device in row}) for row in mesh.devices]\n"
        "    print(dict(mesh.shape), rows, len({device.id for device in mesh.devices.flat}))\n"
        "try:\n    make_mesh(1, 16, devices)\nexcept UsageError as error:\n    print(error)\n"
        "from jaxemb.planning import devices_of\n"
        "print(*(make_mesh(-1, 1, devices_of(name, 1)).size for name in ('v4:2x2x4', 'v5p:2x2x2')))"
    )
    environment = {**os.environ, **_QUIET, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.splitlines() == [
        f"{{'data': 16, 'fsdp': 1}} {[[0]] * 8 + [[1]] * 8} 16",
        f"{{'data': 4, 'fsdp': 4}} {[[0]] * 2 + [[1]] * 2} 16",
        f"{{'data': 2, 'fsdp': 8}} {[[0], [1]]} 16",
        "mesh.fsdp is 16, which does not divide the 8 devices of each of the 2 slices: parameters are split inside a "
        "slice and the batch across them",
        "16 8",
    ], done.stderr


def bfloat16_sums(plan):
    """Shapes of what is summed over devices in bfloat16, where gradients are to be summed in float32."""
    sums = [one["array"] for one in plan["collectives"] if "reduce" in one["kind"] and one["array"].startswith("bf16")]
    return [[int(size) for size in re.findall(r"\d+", array.removeprefix("bf16"))] for array in sums]


@pytest.mark.full
@pytest.mark.slow
@needs_libtpu
def test_the_configs_for_pods_fit_as_they_say(tmp_path):
    config, json_path = "configs/labse_pretrain.yaml", tmp_path / "plan.json"
    flags = ("--topology", "v5e:16x16", "--fast", "--json", json_path)
    said = run("--config", config, *flags, "--model.encoder.vocab-size", "501153")
    assert "  fits: " in said, said
    plan = json.loads(json_path.read_text())
    assert plan["peak"] / 2**30 == pytest.approx(9.9, abs=0.2)  # as its head says
    table = next(one for one in plan["collectives"] if one["array"] == "f32[501248,768]")
    assert (table["kind"], table["count"]) == ("all-reduce", 1)
    assert not bfloat16_sums(plan)
    # Split over fsdp the table is never whole on a chip: what is gathered are token ids, words and predictions.
    flags = ("--topology", "v5e:2x4", "--fast", "--json", json_path, "--mesh.fsdp", "8", "--training.batch-size", "512")
    run("--config", config, *flags, "--model.encoder.vocab-size", "501153")
    plan = json.loads(json_path.read_text())
    assert plan["params"] < 4 * 501248 * 768 / 4
    assert not re.findall(r"\[(?:501248|62656),", json.dumps(plan["collectives"])), "neither whole nor by the row"
    # The words of its own rows and zeros for the others': exact in any type.
    assert all(math.prod(shape) % (64 * 512 * 768) == 0 for shape in bfloat16_sums(plan))


@pytest.mark.full
@pytest.mark.slow
@needs_libtpu
def test_the_fine_tuning_of_a_host_fits_as_it_says(tmp_path):
    json_path = tmp_path / "plan.json"
    config = "configs/labse_finetune.yaml"
    flags = ("--topology", "v5e:2x4", "--fast", "--json", json_path, "--model.encoder.vocab-size")
    said = run("--config", config, *flags, "501153")  # one host with 8 accelerators of 16 GB, as its head says
    assert "  fits: " in said
    plan = json.loads(json_path.read_text())
    assert (plan["batch_size"], plan["devices"], plan["steps"]) == (4096, 8, 50000)
    assert not bfloat16_sums(plan)


@pytest.mark.full
@needs_libtpu
def test_what_does_not_fit_is_said():
    flags = ("--topology", "v5e:2x4", "--fast", "--model.encoder.vocab-size", "119547", "--model.remat", "none")
    assert "DOES NOT FIT" in run("--config", "configs/labse_finetune.yaml", *flags, code=1)


@pytest.mark.slow
@needs_libtpu
def test_what_crosses_two_slices(tmp_path):
    """A small model: each chip adds its part of the gradient up with a chip of the other slice."""
    json_path = tmp_path / "plan.json"
    flags = ("--topology", "v5e:2x2", "--slices", "2", "--fast", "--json", json_path)
    small = ("--model.encoder.vocab-size", 2**16, "--model.encoder.num-hidden-layers", 1, "--training.batch-size", 64)
    said = run("--config", "configs/labse_finetune.yaml", *flags, *small)
    assert "8 x TPU v5 lite in 2 slices or nodes" in said
    plan = json.loads(json_path.read_text())
    assert plan["slices"] == 2
    assert plan["seconds"]["between slices"] == pytest.approx(plan["crossing"] / plan["chip"]["between"])
    half = plan["params"] / 2
    assert half / 4 < plan["crossing"] < 1.5 * plan["params"] / 4
    assert plan["sent"] > 3 * plan["crossing"]


def test_the_step_that_is_planned_is_the_step_that_is_trained(tmp_path, monkeypatch):
    """Word for word: what is lowered for simulated devices, and what a run lowers."""
    from jaxemb.training.step import program

    (tmp_path / "en-de.tsv").write_text("".join(f"open {n} files\t{n} Dateien oeffnen\n" for n in range(64)))
    values = config(LabseObjective()).model_dump(mode="json")
    values["data"] |= {
        "root": str(tmp_path),
        "cache_dir": str(tmp_path / "cache"),
        "holdout": {"pairs_per_language": 0},
    }
    values["training"] |= {"skip_not_finite": 2}
    values["tokenizer"] = {"vocab_size": 60}
    values["model"]["encoder"] |= {"vocab_size": None}
    values["model"]["scan_layers"] = True  # which a plan takes for other devices
    values |= {"output_dir": str(tmp_path / "run"), "export": {"enabled": False}}
    lowered = []

    class Noted:
        """The jitted step, which notes its program."""

        __name__ = "train_step"

        def __init__(self, *arguments, **settings):
            self.step = make_train_step(*arguments, **settings)

        def lower(self, state, batch):
            lowered.append(self.step.lower(state, batch).as_text())
            return self.step.lower(state, batch)

        def __call__(self, state, batch):
            self.lower(state, batch)
            return self.step(state, batch)

    make_train_step = program.make_train_step
    monkeypatch.setattr(program, "make_train_step", Noted)
    result = jaxemb.train(values, quiet=True)
    resolved = config_files.load_config(result.run_dir / "config.yaml")
    make_plan(resolved, jax.devices())
    trained, planned = lowered
    assert trained == planned
