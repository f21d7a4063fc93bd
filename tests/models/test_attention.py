"""Attention block by block is attention at once, in less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.models import attention
from support.families import FAMILIES, assert_trees_close, run
from support.tiers import sampled
from support.tiny_models import tiny_embedder


@pytest.mark.parametrize("key", sampled([jax.random.key(3)], [None]))
@pytest.mark.parametrize("family", sampled(["modernbert"], ["qwen3", "mpnet"], draw=1))
def test_attention_in_blocks_equals_attention_at_once(monkeypatch, family, key):
    config = FAMILIES[family].model_copy(update={"attention_probs_dropout_prob": 0.2, "num_hidden_layers": 2})
    params = tiny_embedder(encoder=config).params["encoder"]
    whole = run(params, key, config)
    monkeypatch.setattr(attention, "WHOLE", 7)
    monkeypatch.setattr(attention, "BLOCK", 8)  # does not divide the length
    blocks = run(params, key, config)
    np.testing.assert_allclose(blocks[0], whole[0], rtol=1e-5)
    assert_trees_close(blocks[1], whole[1])


def test_blocks_need_memory_in_the_length_not_in_its_square():
    def temporary(length):
        x = jax.ShapeDtypeStruct((1, 2, length, 8), jnp.float32)
        mask, positions = jax.ShapeDtypeStruct((1, 1, length), bool), jax.ShapeDtypeStruct((1, length), jnp.int32)

        def loss(x, mask, positions):
            return attention.attend(x, x, x, mask=mask, positions=positions).sum()

        return jax.jit(jax.grad(loss)).lower(x, mask, positions).compile().memory_analysis().temp_size_in_bytes

    assert temporary(8192) < 4.5 * temporary(2048)  # 16 times, if the scores were whole
