import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from jaxemb.losses.regularizers import GLOBAL_ORTHOGONAL, UNIFORMITY
from support.loss_checks import (
    computed_in_float32,
    embeddings,
    equal_to_torch,
    finite,
    finite_where_nothing_is_allowed,
    rows_are_blocks_and_padding_changes_nothing,
    sentence_transformers_losses,
)

BATCH_SCALARS = [losses.uniformity, losses.global_orthogonal]


def test_by_hand():
    a, b = jnp.array([[2.0, 0.0], [0.0, 1.0]]), jnp.array([[3.0, 4.0], [0.0, -7.0]])
    # (0.4, -0.8): 0.8; opposite: 4
    np.testing.assert_allclose(losses.alignment(a, b), [0.8, 4.0], rtol=1e-6)
    np.testing.assert_allclose(losses.alignment(a, b, alpha=1.0), [np.sqrt(0.8), 2.0], rtol=1e-6)
    x = jnp.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])  # squared distances 2, 4, 2; cosines 0, -1, 0
    expected = np.log((2 * np.exp(-2.0) + np.exp(-4.0)) / 3)
    np.testing.assert_allclose(losses.uniformity(x, t=1.0), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.global_orthogonal(x, mean_weight=3.0), 3 / 9, rtol=1e-6)  # 1/3 < 1/2
    line = jnp.array([[1.0, 0.0], [2.0, 0.0], [-3.0, 0.0]])  # cosines 1, -1, -1
    np.testing.assert_allclose(losses.global_orthogonal(line, second_moment_weight=4.0), 1 / 9 + 4 / 2, rtol=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_alignment_is_that_of_the_paper_in_float64(alpha):
    torch = pytest.importorskip("torch")
    unit = torch.nn.functional.normalize
    equal_to_torch(
        lambda a, b: losses.alignment(a, b, alpha=alpha).mean(),
        lambda a, b: (unit(a.double()) - unit(b.double())).norm(p=2, dim=1).pow(alpha).mean(),
        [embeddings(0, 9), embeddings(1, 9)],
    )


@pytest.mark.parametrize("t", [0.5, 2.0, 100.0])
def test_uniformity_is_that_of_the_paper_in_float64(t):
    torch = pytest.importorskip("torch")

    def theirs(x):
        return torch.pdist(torch.nn.functional.normalize(x.double())).pow(2).mul(-t).exp().mean().log()

    equal_to_torch(lambda x: losses.uniformity(x, t=t) / t, lambda x: theirs(x) / t, [embeddings(0, 9)])


@pytest.mark.parametrize("width", [3, 8])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.0, 2.0), (3.0, 0.0), (0.5, 0.25)])
def test_global_orthogonal_is_that_of_sentence_transformers(width, weights):
    names = dict(zip(("mean_weight", "second_moment_weight"), weights, strict=True))
    oracle = sentence_transformers_losses().GlobalOrthogonalRegularizationLoss(None, **names, aggregation="sum")
    both = [embeddings(0, 9, width) + 1.0, embeddings(1, 9, width) + 1.0]
    equal_to_torch(
        lambda a, b: losses.global_orthogonal(a, **names) + losses.global_orthogonal(b, **names),
        lambda a, b: sum(oracle.compute_loss_from_embeddings([a, b]).values()),
        both,
    )


def test_cosines_spread_like_random_ones_cost_nothing():
    x = jnp.eye(6)
    assert losses.global_orthogonal(x) == 0.0
    np.testing.assert_array_equal(jax.grad(lambda y: losses.global_orthogonal(y, mean_weight=0.0))(x), 0.0)


@given(seed=st.integers(0, 2**31), exponents=st.lists(st.integers(-10, 10), min_size=6, max_size=6))
@settings(max_examples=10, deadline=None)
def test_order_and_norms_do_not_matter(seed, exponents):
    x, y = embeddings(seed, 6, 3), embeddings(seed + 1, 6, 3)
    factors = (2.0 ** np.array(exponents, np.float32))[:, None]
    order = np.random.default_rng(seed).permutation(6)
    for loss in BATCH_SCALARS:
        moved = loss(jnp.array((x * factors)[order]))
        np.testing.assert_allclose(moved, loss(jnp.array(x)), rtol=1e-4, atol=1e-5)
    plain = losses.alignment(jnp.array(x), jnp.array(y))
    moved = losses.alignment(jnp.array((y * factors)[order]), jnp.array(x[order]))
    np.testing.assert_allclose(moved, plain[order], rtol=1e-4, atol=1e-5)


def test_in_blocks_and_with_padding():
    weights = {"mean_weight": 2.0, "second_moment_weight": 0.5}
    for loss, options in ((UNIFORMITY, {"t": 2.0}), (GLOBAL_ORTHOGONAL, weights)):
        rows_are_blocks_and_padding_changes_nothing(loss, embeddings(0, 7, 4) + 1.0, **options)
        finite_where_nothing_is_allowed(loss, embeddings(0, 7, 4), **options)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_zero_and_equal_rows_are_finite(alpha):
    x, y = embeddings(0, 6), embeddings(1, 6)
    x[0] = y[0] = x[1] = 0.0
    y[2] = 3 * x[2]
    x[4] = x[3]
    finite(lambda a, b: losses.alignment(a, b, alpha=alpha), x, y)
    for loss in BATCH_SCALARS:
        for rows in (x, np.ones((4, 3), np.float32), np.zeros((4, 3), np.float32)):
            finite(loss, rows)
        assert loss(jnp.array(x[3:4])) == 0.0
        finite(loss, x[3:4])


def test_a_wide_potential_does_not_underflow():
    x = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(losses.uniformity(x, t=1000.0), -4000.0)


def test_bfloat16_inputs_are_computed_in_float32():
    computed_in_float32(losses.alignment, embeddings(0, 6), embeddings(1, 6))
    for loss in BATCH_SCALARS:
        computed_in_float32(loss, embeddings(0, 6))


def test_bad_arguments_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        with pytest.raises(ValueError, match="both sides of the pairs must have the same shape"):
            losses.alignment(jnp.ones((2, 3)), jnp.ones((3, 3)))
        for weights in ((0.0, 0.0), (-1.0, 1.0)):
            with pytest.raises(ValueError, match="neither may be negative, and one must be above 0"):
                losses.global_orthogonal(jnp.ones((2, 3)), mean_weight=weights[0], second_moment_weight=weights[1])
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
