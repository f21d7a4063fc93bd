import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.losses.parts.distances import pairwise_distance
from jaxemb.losses.parts.paired import paired_distance
from support.loss_checks import embeddings


@pytest.mark.parametrize("how", ["euclidean", "manhattan", "cosine"])
def test_rows_are_the_diagonal(how):
    a, b = embeddings(0, 6), embeddings(1, 6)
    expected = {
        "euclidean": np.linalg.norm(a - b, axis=1),
        "manhattan": np.abs(a - b).sum(axis=1),
        "cosine": 1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1),
    }[how]
    np.testing.assert_allclose(paired_distance(jnp.array(a), jnp.array(b), how), expected, rtol=2e-6, atol=1e-6)
    if how != "manhattan":
        pairwise = pairwise_distance(jnp.array(a), jnp.array(b), how)
        np.testing.assert_allclose(jnp.diagonal(pairwise), expected, rtol=1e-5)


@pytest.mark.parametrize("how", ["euclidean", "manhattan", "cosine"])
@pytest.mark.parametrize("row", [0.0, 1.0])
def test_equal_rows_have_distance_and_gradient_zero(how, row):
    x = jnp.full((2, 4), row)
    distance, gradient = jax.value_and_grad(lambda y: paired_distance(y, x, how).sum())(x)
    np.testing.assert_allclose(distance, 0.0 if row or how != "cosine" else 2.0, atol=1e-6)  # two zero rows: cosine 0
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)
