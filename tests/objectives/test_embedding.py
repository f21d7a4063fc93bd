"""Both sides of the pairs in one call of the encoder."""

import functools
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import models
from jaxemb.config import BertConfig, DenseConfig, LoraConfig, ModelConfig
from jaxemb.objectives.embedding import embed, embed_texts
from jaxemb.parallel import batch_sharding, make_mesh, param_shardings
from support.packed import packed
from support.tiers import sampled
from support.tiny_models import ENCODERS

ENCODER = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
MODEL = ModelConfig(encoder=BertConfig(**ENCODER, num_hidden_layers=1, max_position_embeddings=8))
TOKENS = {"input_ids": np.tile(np.arange(5, 10, dtype=np.int32), (4, 1)), "attention_mask": np.ones((4, 5), np.int32)}


@functools.cache
def parameters():
    return jax.tree.map(lambda leaf: 3.0 * leaf, models.init(MODEL, jax.random.key(0)))


@pytest.mark.parametrize("pack", [False, True])
def test_each_text_has_dropout_of_its_own_on_either_side(pack):
    """Eight times the same text: with one mask for both sides SimCSE would collapse without an error."""
    side = jax.tree.map(jnp.asarray, packed(TOKENS, length=8) if pack else TOKENS)
    batch = {"anchor": side, "positive": side, "id": jnp.arange(4, dtype=jnp.uint32)}
    mesh = make_mesh(1, 1, jax.devices()[:1])
    of_both = jax.jit(partial(embed_texts, MODEL, mesh=mesh))
    both = jnp.concatenate(of_both(parameters(), batch, jax.random.key(0)))
    apart = np.linalg.norm(both[:, None] - both[None], axis=2)
    assert apart[~np.eye(8, dtype=bool)].min() > 0.05
    without = jnp.concatenate(of_both(parameters(), batch, None))
    np.testing.assert_allclose(without, jnp.tile(without[:1], (8, 1)), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "remat", "lora"),
    sampled(
        [("bert", "dots", True)],
        [
            ("bert", "none", False),
            ("mpnet", "dots", True),
            ("qwen3", "full", False),
            ("modernbert", "none", False),
            ("roberta", "full", True),
            ("distilbert", "dots", False),
        ],
    ),
)
def test_over_a_mesh_with_layers_gathered_one_by_one(family, remat, lora):
    """Is `models.apply` on one device, in value and gradient."""
    wide = {"hidden_size": 128, "intermediate_size": 128}  # so that fsdp splits it
    wide |= {"head_dim": 32} if family == "qwen3" else {}
    model = ModelConfig(
        encoder=ENCODERS[family].model_copy(update=wide),
        remat=remat,
        dense=DenseConfig(),
        lora=LoraConfig(targets=".*") if lora else None,
    )
    params = models.init(model, jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf + 0.02 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), params)
    ids = np.random.default_rng(0).integers(5, 60, (8, 7)).astype(np.int32)
    tokens = {
        "input_ids": ids,
        "attention_mask": (np.arange(7)[None] < np.arange(2, 10)[:, None]).astype(np.int32),
        "ids": np.arange(8, dtype=np.uint32),
    }
    weights = jax.random.normal(jax.random.key(1), (8, models.embedding_size(model)))
    mesh, key = make_mesh(2, 4, jax.devices()[:8]), jax.random.key(2)

    def loss(params, tokens, weights, embed_texts):
        found = embed_texts(params, tokens)
        return jnp.sum(found * weights), found

    step = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=3)
    (_, wanted), wanted_gradient = step(params, tokens, weights, lambda *rest: models.apply(model, *rest, key))
    there = jax.device_put(params, param_shardings(mesh, params))
    assert "fsdp" in there["encoder"]["layers"]["attention"]["query"]["kernel"].sharding.spec
    split = jax.device_put((tokens, weights), batch_sharding(mesh))
    (_, found), gradient = step(there, *split, lambda *rest: embed(model, *rest, key, mesh=mesh))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(wanted_gradient))
    assert largest > 0.1
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(wanted_gradient), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=5e-6 * largest)


def test_gathered_layers_are_not_kept_for_the_way_back():
    mesh = make_mesh(2, 4, jax.devices()[:8])
    tokens = {**jax.tree.map(lambda x: np.tile(x, (2, 1)), TOKENS), "ids": np.arange(8, dtype=np.uint32)}
    wide = MODEL.encoder.model_copy(update={"hidden_size": 128, "intermediate_size": 128})
    params = models.init(MODEL.model_copy(update={"encoder": wide}), jax.random.key(0))

    def gathered(remat):
        model = MODEL.model_copy(update={"encoder": wide, "remat": remat, "dense": None})
        step = jax.grad(lambda params: embed(model, params, tokens, None, mesh=mesh).sum())
        return len(re.findall(r":f32\[\d+,\d+\] = all_gather\[", str(jax.make_jaxpr(step)(params))))

    kernels = sum(leaf.ndim == 3 for leaf in jax.tree.leaves(params["encoder"]["layers"]))
    assert kernels == 6
    assert gathered("none") == gathered("full") >= 2 * kernels
