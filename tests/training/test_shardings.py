"""How LaBSE's parameters and optimizer state lie on a mesh: shardings.json, which a change has to change, too.

JAXEMB_WRITE_SHARDINGS=1 python -m pytest tests/training/test_shardings.py   writes it anew.
"""

import json
import math
import os
from functools import partial
from pathlib import Path

import jax
import pytest

from jaxemb.config import files as config_files
from jaxemb.objectives.parameters import init_params
from jaxemb.parallel import make_mesh
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.train_step import abstract_state

GOLDEN = Path(__file__).with_name("shardings.json")
CONFIG = Path(__file__).parents[2] / "configs" / "labse_pretrain.yaml"


def state_of(kind, monkeypatch):
    """Of LaBSE's pre-training with all word pieces, over eight devices; shapes only."""
    for name in ("DATA", "TOKENIZER"):
        monkeypatch.setenv(f"JAXEMB_{name}", "not-read")
    flags = ["--model.encoder.vocab-size", "501153", "--tokenizer.vocab-size", "501153"]
    config = config_files.load_config(CONFIG, flags)
    optimizer = optimizers.build(config.optimizer.model_copy(update={"kind": kind}), 10)
    shapes = jax.eval_shape(partial(init_params, config), jax.random.key(0))
    return abstract_state(shapes, optimizer, make_mesh(1, 8, jax.devices()[:8]))


def told(tree):
    """Path -> shape and partition, such as "501248x768 fsdp,-"."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        shape = "x".join(map(str, leaf.shape)) or "scalar"
        spec = [*leaf.sharding.spec, *[None] * (len(leaf.shape) - len(leaf.sharding.spec))]
        names = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", "?")))) for key in path]
        split = any(spec)
        found["/".join(names)] = f"{shape} {','.join(axis or '-' for axis in spec)}" if split else f"{shape} whole"
    return found


@pytest.mark.parametrize("kind", ["adamw", "adafactor"])
def test_shardings_are_those_written_down(kind, monkeypatch):
    state = state_of(kind, monkeypatch)
    found = {"params": told(state.params), "opt_state": told(state.opt_state)}
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    if os.environ.get("JAXEMB_WRITE_SHARDINGS"):
        golden[kind] = found
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    assert found == golden[kind]
    # Next to everything is split: a device holds hardly more than an eighth.
    for tree in (state.params, *([state.opt_state] if kind == "adamw" else [])):
        whole = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
        one = sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) for leaf in jax.tree.leaves(tree))
        assert one < 1.01 * whole / 8
    table = state.params["encoder"]["word_embeddings"]["embedding"]
    assert table.sharding.spec == jax.sharding.PartitionSpec("fsdp", None), "by rows"
