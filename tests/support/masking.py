"""Texts to be masked, of the tiny tokenizer."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxemb import models, objectives
from jaxemb.objectives.masking import token_kinds
from support.tiny_models import TOKENIZER

V, LENGTH, ROWS = len(TOKENIZER), 40, 16

KINDS = token_kinds(TOKENIZER)

FIRST, CLS, SEP, MASK = 5, TOKENIZER.cls_token_id, TOKENIZER.sep_token_id, TOKENIZER.mask_token_id


def texts(rows=ROWS, longest=LENGTH, seed=0):
    """Token ids from [CLS] to [SEP], of all lengths from one real token on."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, longest + 1, (rows, 1))
    lengths[:2, 0] = 3, longest
    ids, places = rng.integers(FIRST, V, (rows, longest)), np.arange(longest)[None]
    ids = np.where(places == 0, CLS, np.where(places == lengths - 1, SEP, ids))
    mask = (places < lengths).astype(np.int32)
    return {
        "input_ids": jnp.asarray(ids * mask, jnp.int32),
        "attention_mask": jnp.asarray(mask),
        "ids": jnp.arange(rows, dtype=jnp.uint32) + 100 * seed,
    }


def masked_places(tokens, masked):
    """For each row its predicted places, from the gathered positions."""
    live = np.asarray(masked.labels) >= 0
    return [sorted(np.asarray(row)[own].tolist()) for row, own in zip(masked.positions, live, strict=True)]


def parameters(model, objective):
    params = models.init(model, jax.random.key(0)) | objectives.init_params(objective, model, jax.random.key(1))
    rng = np.random.default_rng(0)  # biases and norms, too
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(rng.normal(0, 0.1, leaf.shape), leaf.dtype), params)
