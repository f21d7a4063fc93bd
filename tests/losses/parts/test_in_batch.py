import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.losses.parts.in_batch import (
    InBatch,
    batch_loss,
    combine_values,
    log_weighted_sum,
    masked_logsumexp,
    row_values,
    weighted_mean,
    weighted_sum,
)
from support.loss_checks import normal


def test_sums_over_rows_leave_out_those_of_weight_zero():
    values, weights = jnp.array([1.0, jnp.nan, 3.0]), jnp.array([2.0, 0.0, 1.0])
    for reduce, wanted, gradient in (
        (weighted_sum, 5.0, [2.0, 0.0, 1.0]),
        (weighted_mean, 5 / 3, [2 / 3, 0.0, 1 / 3]),
        (log_weighted_sum, np.log(2 * np.e + np.e**3), np.array([2 * np.e, 0.0, np.e**3]) / (2 * np.e + np.e**3)),
    ):
        found, by = jax.jit(jax.value_and_grad(reduce))(values, weights)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        np.testing.assert_allclose(by, gradient, rtol=1e-6)


def test_blocks_of_columns_join_to_the_values_of_all_columns():
    scores, mask = jnp.array(normal(0, 3, 7)), jnp.array(normal(1, 3, 7) > -0.5).at[1, :4].set(False)

    def values(block):
        some, there = scores[:, block], mask[:, block]
        return {
            "sum": jnp.sum(jnp.where(there, some, 0.0), axis=1),
            "log": masked_logsumexp(some, there),
            "most": jnp.max(jnp.where(there, some, -jnp.inf), axis=1),
        }

    combine = {"sum": "add", "log": "logsumexp", "most": "max"}
    joined = combine_values(combine, values(slice(0, 4)), values(slice(4, 7)))
    for name, whole in values(slice(0, 7)).items():
        np.testing.assert_allclose(joined[name], whole, rtol=1e-6)
    only = {"sum": scores[:, 0]}
    assert combine_values(combine, {}, only) == only, "what one of them alone has stays"


def test_where_nothing_counts_the_logarithm_is_finite_and_has_no_gradient():
    nothing = jnp.zeros((2, 3), bool)
    value, gradient = jax.value_and_grad(lambda x: masked_logsumexp(x, nothing).sum())(jnp.ones((2, 3)))
    assert np.isfinite(value)
    assert value < -1e29
    np.testing.assert_array_equal(gradient, 0.0)


def test_a_mask_has_no_place_across_devices():
    class Elsewhere:
        def values(self, loss, batch, hyper):
            return batch[0].sum(1)

        def weights_of(self, count):
            return jnp.arange(count, dtype=jnp.float32)

    x = jnp.array(normal(2, 4, 3))
    loss = InBatch(rows=lambda *_: None, reduce=weighted_sum)
    np.testing.assert_allclose(
        batch_loss(loss, (x,), across=Elsewhere()), (np.arange(4) * np.asarray(x).sum(1)).sum(), rtol=1e-6
    )
    with pytest.raises(
        ValueError, match=r"excluded: a \[B, B\] mask cannot be used across devices; give `ids` to `Across`"
    ):
        row_values(loss, (x,), across=Elsewhere(), allowed=jnp.ones((4, 4), bool))
