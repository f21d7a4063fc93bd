import jax
import jax.numpy as jnp
import numpy as np

from support.tiny_models import embed, tiny_embedder

TOKENS = {
    "input_ids": jnp.array([[2, 9, 8, 7, 3], [2, 11, 3, 0, 0]]),
    "attention_mask": jnp.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
}


def test_method_is_the_function():
    embedder = tiny_embedder()
    out = jax.jit(embedder.apply)(embedder.params, TOKENS)
    np.testing.assert_array_equal(out, embed(embedder.config, embedder.params, TOKENS))
