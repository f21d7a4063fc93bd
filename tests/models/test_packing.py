"""Packed texts give what the same texts give each in a row of its own."""

import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config.model import PoolingMode
from jaxemb.parallel import batch_sharding, make_mesh, replicated
from support.packed import packed
from support.tiers import sampled
from support.tiny_models import BOTH_WAYS, ENCODERS, embed, tiny_embedder

KEY = jax.random.key(5)


def batch(texts=24, length=24):
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, length + 1, (texts, 1))
    lengths[:2] = [[1], [length]]
    mask = np.arange(length)[None] < lengths
    return {
        "input_ids": np.where(mask, rng.integers(1, 60, (texts, length)), 0).astype(np.int32),
        "attention_mask": mask.astype(np.int32),
        "ids": rng.integers(0, 2**32, texts).astype(np.uint32),
    }


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradient(config, params, tokens, key):
    def loss(params):
        out = embed(config, params, tokens, key)
        return jnp.sum(out * jnp.sin(jnp.arange(out.size).reshape(out.shape))), out

    (_, out), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return out, gradient


ALL_POOLINGS = get_args(PoolingMode)


CASES = [
    ("bert", "cls", 1, 24), ("modernbert", ALL_POOLINGS, 1, 32), ("qwen3", "lasttoken", 4, 32),
    ("bert", "mean", 4, 32), ("roberta", ALL_POOLINGS, 1, 32), ("distilbert", "max", 1, 24),
    ("mpnet", "mean", 1, 32), ("modernbert", "weightedmean", 1, 32),
    ("qwen3, both ways", ("mean", "lasttoken"), 1, 32),
]  # fmt: skip
WITH_DROPOUT = [(*case, dropout) for case in CASES for dropout in (True, False)]


@pytest.mark.parametrize(
    ("family", "pooling", "devices", "length", "dropout"),
    sampled(WITH_DROPOUT[2:6:2] + WITH_DROPOUT[-1:], WITH_DROPOUT[:2] + WITH_DROPOUT[3:6:2] + WITH_DROPOUT[6:-1]),
)
def test_packed_equals_padded(family, pooling, devices, length, dropout):
    key = KEY if dropout else None
    encoder = BOTH_WAYS if family == "qwen3, both ways" else ENCODERS[family]
    model = tiny_embedder(encoder=encoder, pooling=pooling)
    tokens = batch()
    tokens["input_ids"] += encoder.pad_token_id * (tokens["attention_mask"] == 0)
    rows = packed(tokens, devices, length)
    assert rows["input_ids"].size < tokens["input_ids"].size
    wanted, wanted_gradient = value_and_gradient(model.config, model.params, tokens, key)
    found, gradient = value_and_gradient(model.config, model.params, rows, key)
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(wanted_gradient))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6 * scale), gradient, wanted_gradient)


def test_what_lies_beside_a_text_does_not_matter():
    model, tokens = tiny_embedder(), batch()
    rows = packed(tokens)
    first = rows["segment_ids"] == 1
    changed = rows | {"input_ids": np.where(first, rows["input_ids"], 59 - rows["input_ids"])}
    out, other = (np.asarray(embed(model.config, model.params, tokens, KEY)) for tokens in (rows, changed))
    is_first = rows["slots"].ravel() % 6 == 0  # 6 texts a row of 24
    assert 2 < is_first.sum() < 20
    np.testing.assert_allclose(other[is_first], out[is_first], atol=1e-6)
    assert np.abs(other - out)[~is_first].max(axis=1).min() > 1e-3


def test_row_number_stands_in_for_ids():
    model, tokens = tiny_embedder(), batch()
    numbered = tokens | {"ids": np.arange(24, dtype=np.uint32)}
    unnumbered = {key: value for key, value in tokens.items() if key != "ids"}
    out = [np.asarray(embed(model.config, model.params, packed(side), KEY)) for side in (numbered, unnumbered)]
    np.testing.assert_array_equal(*out)


@pytest.mark.parametrize(("data", "fsdp"), sampled([(2, 4)], [(8, 1)]))
def test_mesh_does_not_matter_and_no_token_moves(data, fsdp):
    model, tokens = tiny_embedder(), batch()
    wanted, wanted_gradient = value_and_gradient(model.config, model.params, tokens, KEY)
    mesh = make_mesh(data, fsdp, jax.devices()[: data * fsdp])
    placed = jax.device_put(packed(tokens, mesh.size), batch_sharding(mesh))
    params = jax.device_put(model.params, replicated(mesh))
    found, gradient = value_and_gradient(model.config, params, placed, KEY)
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), gradient, wanted_gradient)
    program = value_and_gradient.lower(model.config, params, placed, KEY).compile().as_text()
    assert "all-reduce" in program  # of the gradient
    for moving in ("all-gather", "all-to-all", "collective-permute"):
        assert f" {moving}(" not in program
