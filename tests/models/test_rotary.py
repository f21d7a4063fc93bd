"""Rotary positions as the complex numbers that they are."""

import jax.numpy as jnp
import numpy as np

from jaxemb.models.rotary import frequencies, rotate, rotation

PLACES = np.array([[0, 1, 2, 3, 40], [7, 8, 9, 10, 47]])


def test_a_turn_is_a_product_of_complex_numbers():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 8)).astype(np.float32)
    turned = rotate(jnp.array(x), rotation(jnp.array(PLACES), jnp.array(frequencies(8, 10_000.0))))
    angles = PLACES[:, None, :, None] * 10_000.0 ** (-2 * np.arange(4) / 8)
    wanted = (x[..., :4] + 1j * x[..., 4:]) * np.exp(1j * angles)
    np.testing.assert_allclose(turned, np.concatenate([wanted.real, wanted.imag], axis=-1), atol=2e-5)


def test_a_score_depends_on_the_distance_alone():
    query, key = np.random.default_rng(1).normal(size=(2, 1, 1, 1, 8)).astype(np.float32)
    turns = rotation(jnp.array(PLACES), jnp.array(frequencies(8, 10_000.0)))
    queries, keys = (rotate(jnp.broadcast_to(x, (2, 1, 5, 8)), turns)[:, 0] for x in (query, key))
    scores = np.einsum("bqd,bkd->bqk", queries, keys)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)  # seven places on
    assert abs(scores[0, 0, 1] - scores[0, 1, 0]) > 0.01
