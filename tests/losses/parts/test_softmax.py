"""The softmax over cosines against float64, and rows that hold NaN."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.losses.parts.softmax import margin_softmax
from support.loss_checks import normal

POSITIVES = np.array([2, 0, 6, 1])
COSINES = np.tanh(normal(0, 4, 7))
EXCLUDED = normal(1, 4, 7) > 0.8


def reference(scale=10.0, margin=0.2):
    logits = COSINES.astype(np.float64)
    logits[np.arange(4), POSITIVES] -= margin
    there = ~EXCLUDED
    there[np.arange(4), POSITIVES] = True  # the positive counts in any case
    return np.log((np.exp(scale * logits) * there).sum(1)) - scale * logits[np.arange(4), POSITIVES]


def loss(cosines, scale=10.0, margin=0.2):
    return margin_softmax(cosines, jnp.array(POSITIVES), scale=scale, margin=margin, excluded=jnp.array(EXCLUDED))


def test_value_and_gradients_against_float64():
    assert EXCLUDED.any()
    np.testing.assert_allclose(loss(jnp.array(COSINES)), reference(), rtol=1e-5)
    by_scale, by_margin = jax.grad(lambda *numbers: loss(jnp.array(COSINES), *numbers).sum(), (0, 1))(10.0, 0.2)
    np.testing.assert_allclose(by_scale, (reference(10.001) - reference(9.999)).sum() / 0.002, rtol=1e-4)
    np.testing.assert_allclose(by_margin, (reference(10.0, 0.201) - reference(10.0, 0.199)).sum() / 0.002, rtol=1e-4)


def test_a_positive_that_is_nan_or_not_there_makes_its_own_row_nan_alone():
    cosines = jnp.array(COSINES).at[1, 0].set(jnp.nan)
    value, gradient = jax.value_and_grad(lambda x: jnp.nansum(loss(x)))(cosines)
    np.testing.assert_array_equal(np.isnan(loss(cosines)), [False, True, False, False])
    np.testing.assert_allclose(value, np.delete(reference(), 1).sum(), rtol=1e-5)
    np.testing.assert_array_equal(gradient[1], 0.0)
    assert np.abs(gradient[0]).max() > 0.01
    assert np.isnan(margin_softmax(jnp.array(COSINES), jnp.full(4, 7), scale=1.0)).all()
