"""A checkpoint is the same state on whatever mesh it is restored, and the examples that follow are the same, too."""

import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxemb
from jaxemb import models
from jaxemb.config import BertConfig, ModelConfig, OptimizerConfig
from jaxemb.parallel import make_mesh
from jaxemb.runs.checkpoints import Checkpoints
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.train_step import abstract_state, put_batch
from support.runs import ids_of_step

MODEL = ModelConfig(
    encoder=BertConfig(
        vocab_size=600, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512,
        max_position_embeddings=32,
    )
)  # fmt: skip
OPTIMIZER = optimizers.build(OptimizerConfig(), 10)
MESHES = [(1, 8), (2, 4), (1, 4), (4, 1), (1, 2), (1, 1), (2, 4)]
"""Sizes of `data` and `fsdp`: 8 devices, 4, 2 and 1, and 8 again."""


def abstract(data, fsdp):
    """Shapes and shardings of a small state, most of which `fsdp` splits."""
    shapes = jax.eval_shape(partial(models.init, MODEL), jax.random.key(0))
    return abstract_state(shapes, OPTIMIZER, make_mesh(data, fsdp, jax.devices()[: data * fsdp]))


def made(like):
    """A state of which no two numbers are likely to be the same, moments and counters included."""
    leaves, structure = jax.tree.flatten(like)

    def leaf(number, of):
        draw = np.random.default_rng(number)
        whole = draw.integers(1, 1000, of.shape) if of.dtype == np.int32 else draw.standard_normal(of.shape)
        whole = np.asarray(whole, of.dtype)
        return jax.make_array_from_callback(of.shape, of.sharding, lambda index: whole[index])

    return structure.unflatten([leaf(number, of) for number, of in enumerate(leaves)])


def assert_restored(checkpoints, expected, data, fsdp):
    """Restores on a mesh: each leaf is bit-equal, and lies as that mesh wants it."""
    like = abstract(data, fsdp)
    restored = checkpoints.restore(like)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(like)]
    leaves = zip(paths, *map(jax.tree.leaves, (restored, expected, like)), strict=True)
    for path, found, wanted, shape in leaves:
        assert found.dtype == wanted.dtype
        assert found.sharding == shape.sharding, path
        np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted), err_msg=path)
    return restored


def test_restored_bit_equal_on_fewer_devices_again_and_again(tmp_path):
    first = made(abstract(*MESHES[0]))
    split = sum(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves((first.params, first.opt_state)))
    assert split >= 9, "parameters and both moments of them"
    state = first
    for number, mesh in enumerate(MESHES):  # each is restored from what the one before it saved
        with Checkpoints(tmp_path / str(number) / "checkpoints", keep=1) as checkpoints:
            checkpoints.save(state, 0, {}, wait=True)
            state = assert_restored(checkpoints, first, *mesh)


def save_as_one_of_two(folder, port, number):
    """What each process of the test below runs: a state split over both."""
    jax.distributed.initialize(f"localhost:{port}", 2, int(number), initialization_timeout=120)
    state = made(abstract(1, 4))
    assert not all(leaf.is_fully_addressable for leaf in jax.tree.leaves(state))
    with Checkpoints(Path(folder), keep=1) as checkpoints:
        checkpoints.save(state, 0, {}, wait=True)


@pytest.mark.full
@pytest.mark.slow
def test_what_two_processes_saved_is_restored_bit_equal_in_one(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    folder = tmp_path / "checkpoints"
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), port, str(number)], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "JAX_NUM_CPU_DEVICES": "2", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for number in range(2)
    ]  # fmt: skip
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    with Checkpoints(folder) as checkpoints:
        for mesh in [(1, 8), (2, 1), (1, 1)]:
            assert_restored(checkpoints, made(abstract(*mesh)), *mesh)


@pytest.mark.slow
def test_the_next_examples_are_the_same_on_another_mesh(values, monkeypatch):
    """Two steps with parameters split over four devices, two more with the batch split over two."""
    values["export"] = {"enabled": False}
    values["data"]["holdout"] = {"pairs_per_language": 0}
    found = []

    def train(steps, data, fsdp):
        """Trains on, and notes the ids of each step's batch."""
        devices = jax.devices()[: data * fsdp]

        def noted(batch, mesh):
            assert mesh.size == len(devices)
            found.append(batch["id"].tolist())
            return put_batch(batch, mesh)

        monkeypatch.setattr("jaxemb.training.loop.stepping.put_batch", noted)
        values["mesh"] = {"data": data, "fsdp": fsdp}
        values["training"]["steps"] = steps
        jaxemb.train(values, resume=True, quiet=True, devices=devices)

    train(2, 1, 4)
    train(4, 2, 1)
    assert found == [ids_of_step(values, step) for step in range(4)]
    assert len(set(map(tuple, found))) == 4


if __name__ == "__main__":
    save_as_one_of_two(*sys.argv[1:])
