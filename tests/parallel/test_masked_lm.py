"""Masked language modelling over a mesh is that of the whole table of words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.losses import masked_lm
from jaxemb.parallel import masked_lm_over_mesh
from support.split_table import BATCH, MESHES, ROWS, WIDTH, arrays, mesh_of, placed


@pytest.mark.parametrize("most", [None, 3])
@pytest.mark.parametrize("shape", MESHES)
def test_masked_lm_is_that_of_the_whole_table(shape, most):
    table, ids, weights = arrays()
    vectors = 3.0 * weights[:, 0]
    labels = jnp.where(jnp.arange(BATCH) % 2 == 0, ids[:, 1], -100)
    if most is not None:  # so many of each device's
        labels = jnp.where(jnp.arange(BATCH) % (BATCH // np.prod(shape)) < most, labels, -100)
    bias = jnp.linspace(-1.0, 1.0, ROWS).at[-1].set(-1e30)
    mesh = mesh_of(shape)

    def ours(vectors, table, bias):
        losses = masked_lm_over_mesh(vectors, labels, table, bias, mesh=mesh, chunk=300, most=most)
        return jnp.sum(losses * jnp.arange(1.0, BATCH + 1)), losses

    def theirs(vectors, table, bias):
        losses = masked_lm(vectors, labels, table, bias, chunk=300)
        return jnp.sum(losses * jnp.arange(1.0, BATCH + 1)), losses

    table_there, vectors_there = placed(mesh, table, vectors)
    step = jax.jit(jax.value_and_grad(ours, (0, 1, 2), has_aux=True))
    (_, losses), gradients = step(vectors_there, table_there, bias)
    (_, wanted), wanted_gradients = jax.value_and_grad(theirs, (0, 1, 2), has_aux=True)(vectors, table, bias)
    logits = np.asarray(vectors, np.float64) @ np.asarray(table, np.float64).T + np.asarray(bias, np.float64)
    by_hand = np.log(np.exp(logits).sum(1)) - logits[np.arange(BATCH), np.maximum(labels, 0)]
    np.testing.assert_allclose(losses, np.where(labels >= 0, by_hand, 0.0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5, atol=1e-6)
    for one, other in zip(gradients, wanted_gradients, strict=True):
        largest = np.abs(other).max()
        assert largest > 0.1
        np.testing.assert_allclose(one, other, rtol=0, atol=3e-6 * largest)
    text = step.lower(vectors_there, table_there, bias).compile().as_text()
    assert f"[{ROWS},{WIDTH}]" not in text, "no device has the whole table"
