import jax.numpy as jnp
import numpy as np

from jaxemb.models import pooling


def pool(tokens, mask, how):
    return pooling.pool(tokens, mask[:, None], how)[:, 0]


TOKENS = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 4)), jnp.float32)
RIGHT = jnp.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]], bool)


def test_mean_of_real_tokens():
    expected = [np.asarray(TOKENS[row, :length], np.float64).mean(0) for row, length in enumerate((5, 3, 1))]
    np.testing.assert_allclose(pool(TOKENS, RIGHT, "mean"), expected, rtol=1e-6)


def test_mean_of_no_token_is_zero():
    assert not np.any(pool(TOKENS, jnp.zeros((3, 5), bool), "mean"))


def test_bfloat16_adds_up_in_float32():
    tokens = jnp.full((1, 511, 2), 1.0078125, jnp.bfloat16)  # the sum, 515, is no bfloat16
    mean = pool(tokens, jnp.ones((1, 511), bool), "mean")
    np.testing.assert_allclose(mean, np.full((1, 2), 1.0078125), rtol=1e-6)
    assert mean.dtype == pool(tokens, jnp.ones((1, 511), bool), "cls").dtype == jnp.float32


def test_cls_is_the_first_real_token_on_either_side():
    np.testing.assert_array_equal(pool(TOKENS, RIGHT, "cls"), TOKENS[:, 0])
    np.testing.assert_array_equal(pool(TOKENS, RIGHT[:, ::-1], "cls"), TOKENS[jnp.arange(3), jnp.array([0, 2, 4])])


def test_texts_that_share_a_row():
    masks = jnp.array([[0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    mean, cls = (pooling.pool(TOKENS[:1], masks[None], how)[0] for how in ("mean", "cls"))
    np.testing.assert_allclose(mean[:2], [TOKENS[0, 1:3].mean(0), TOKENS[0, 3:].mean(0)], rtol=1e-6)
    assert not np.any(mean[2])
    np.testing.assert_array_equal(cls[:2], TOKENS[0, jnp.array([1, 3])])
