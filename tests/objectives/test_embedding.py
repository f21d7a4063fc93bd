"""Both sides of the pairs in one call of the encoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from packed import packed

from jaxemb import models
from jaxemb.config import BertConfig, ModelConfig
from jaxemb.objectives.embedding import embed_texts
from jaxemb.parallel import make_mesh

ENCODER = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
MODEL = ModelConfig(encoder=BertConfig(**ENCODER, num_hidden_layers=1, max_position_embeddings=8))
PARAMS = jax.tree.map(lambda leaf: 3.0 * leaf, models.init(MODEL, jax.random.key(0)))
TOKENS = {"input_ids": np.tile(np.arange(5, 10, dtype=np.int32), (4, 1)), "attention_mask": np.ones((4, 5), np.int32)}


@pytest.mark.parametrize("pack", [False, True])
def test_each_text_has_dropout_of_its_own_on_either_side(pack):
    """Eight times the same text: with one mask for both sides SimCSE would collapse without an error."""
    side = jax.tree.map(jnp.asarray, packed(TOKENS, length=8) if pack else TOKENS)
    batch = {"anchor": side, "positive": side, "id": jnp.arange(4, dtype=jnp.uint32)}
    mesh = make_mesh(1, 1, jax.devices()[:1])
    both = jnp.concatenate(embed_texts(MODEL, PARAMS, batch, jax.random.key(0), mesh=mesh))
    apart = np.linalg.norm(both[:, None] - both[None], axis=2)
    assert apart[~np.eye(8, dtype=bool)].min() > 0.05
    without = jnp.concatenate(embed_texts(MODEL, PARAMS, batch, None, mesh=mesh))
    np.testing.assert_allclose(without, jnp.tile(without[:1], (8, 1)), atol=1e-6)
