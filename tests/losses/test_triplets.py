import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from jaxemb.losses.triplets import MEGA_BATCH_MARGIN
from support.loss_checks import (
    computed_in_float32,
    embeddings,
    equal_to_torch,
    finite,
    finite_where_nothing_is_allowed,
    rows_are_blocks_and_padding_changes_nothing,
    sentence_transformers_losses,
)

DISTANCES = ["euclidean", "manhattan", "cosine"]
seeds = st.integers(0, 2**31)


def test_triplet_by_hand():
    anchors, positives = jnp.zeros((2, 2)), jnp.array([[3.0, 4.0], [0.0, 1.0]])
    negatives = jnp.array([[0.0, 2.0], [6.0, 8.0]])
    # 5 - 2 + 1; 1 - 10 + 1 < 0
    np.testing.assert_allclose(losses.triplet(anchors, positives, negatives, margin=1.0), [4.0, 0.0])
    # 7 - 2 + 1; 1 - 14 + 1 < 0
    manhattan = losses.triplet(anchors, positives, negatives, margin=1.0, distance="manhattan")
    np.testing.assert_allclose(manhattan, [6.0, 0.0])


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("margin", [0.1, 5.0])
def test_triplet_is_that_of_sentence_transformers(distance, margin):
    st_losses = sentence_transformers_losses()
    metric = getattr(st_losses.TripletDistanceMetric, distance.upper())
    oracle = st_losses.TripletLoss(model=None, distance_metric=metric, triplet_margin=margin)
    equal_to_torch(
        lambda *x: losses.triplet(*x, margin=margin, distance=distance).mean(),
        lambda *x: oracle.compute_loss_from_embeddings(list(x), None),
        [embeddings(k, 12) for k in range(3)],
    )


@pytest.mark.parametrize("positive_margin", [0.8, 0.1])
@pytest.mark.parametrize("negative_margin", [0.3, -0.5])
@pytest.mark.parametrize("mini_batched", [False, True])
def test_mega_batch_margin_is_that_of_sentence_transformers(positive_margin, negative_margin, mini_batched):
    st_losses = sentence_transformers_losses()
    torch = pytest.importorskip("torch")
    margins = {"positive_margin": positive_margin, "negative_margin": negative_margin}
    oracle = st_losses.MegaBatchMarginLoss(torch.nn.Sequential(torch.nn.Identity()), **margins, mini_batch_size=5)
    a = embeddings(0, 12)
    p = a + embeddings(1, 12)

    def theirs(x, y):
        if not mini_batched:
            return oracle.calculate_loss([[x], [y]])
        # Each block of 5 rows sends its gradient back on its own: the returned number has none.
        loss = oracle.calculate_loss([[x[:5], x[5:]], [y[:7], y[7:]]], with_backward=True)
        return loss + 0 * (x.sum() + y.sum())

    equal_to_torch(lambda x, y: losses.mega_batch_margin(x, y, **margins).mean(), theirs, [a, p])


def test_mega_batch_margin_by_hand():
    anchors, positives = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[0.0, 3.0], [3.0, 4.0]])
    # cosines [[0, 0.6], [1, 0.8]]: 0.8 - 0 + 0.6 - 0.3; 0 + 1 - 0.3
    np.testing.assert_allclose(losses.mega_batch_margin(anchors, positives), [1.1, 0.7], rtol=1e-6)


def test_mega_batch_margin_of_one_pair_has_no_negative():
    a, p = jnp.array([[1.0, 0.0]]), jnp.array([[3.0, 4.0]])
    loss = losses.mega_batch_margin(a, p, negative_margin=-5.0)
    np.testing.assert_allclose(loss, [0.2], rtol=1e-6)
    finite(losses.mega_batch_margin, a, p)


@given(seed=seeds, distance=st.sampled_from(DISTANCES))
@settings(max_examples=15, deadline=None)
def test_permuting_rows_permutes_losses(seed, distance):
    batch = [jnp.array(embeddings(seed + k, 6)) for k in range(3)]
    order = np.random.default_rng(seed).permutation(6)
    for loss, count in ((lambda *x: losses.triplet(*x, distance=distance), 3), (losses.mega_batch_margin, 2)):
        plain, moved = loss(*batch[:count]), loss(*(x[order] for x in batch[:count]))
        np.testing.assert_allclose(moved, plain[order], rtol=1e-5, atol=1e-6)


@given(seed=seeds, exponents=st.lists(st.integers(-10, 10), min_size=6, max_size=6))
@settings(max_examples=15, deadline=None)
def test_norms_do_not_matter_where_cosines_are_compared(seed, exponents):
    batch = [embeddings(seed + k, 6) for k in range(3)]
    factors = (2.0 ** np.array(exponents, np.float32))[:, None]
    for loss, count in (
        (lambda *x: losses.triplet(*x, margin=1.0, distance="cosine"), 3),
        (losses.mega_batch_margin, 2),
    ):
        plain = loss(*map(jnp.array, batch[:count]))
        scaled = loss(*(jnp.array(x * factors) for x in batch[:count]))
        np.testing.assert_allclose(scaled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_zero_and_equal_rows_are_finite(distance):
    a, p, n = embeddings(0, 5), embeddings(1, 5), embeddings(2, 5)
    a[1] = p[1] = 0.0
    p[2] = a[2]
    n[3] = p[3] = a[3]
    p[4] = p[0]
    finite(lambda *x: losses.triplet(*x, distance=distance), a, p, n)
    finite(losses.mega_batch_margin, a, p)


def test_mega_batch_margin_in_blocks_and_with_padding():
    margins = {"positive_margin": 0.8, "negative_margin": -0.2}
    rows_are_blocks_and_padding_changes_nothing(MEGA_BATCH_MARGIN, embeddings(0, 7), embeddings(1, 7), **margins)
    finite_where_nothing_is_allowed(MEGA_BATCH_MARGIN, embeddings(0, 7), embeddings(1, 7), **margins)


def test_a_hidden_column_is_no_negative():
    a = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    allowed = jnp.array([[True, True, False]] * 3)
    options = {"positive_margin": 0.8, "negative_margin": -1.0}
    loss = MEGA_BATCH_MARGIN.rows((a, a), (a, a), jnp.arange(3), allowed, **options)
    np.testing.assert_allclose(loss, [1.0, 1.0, 1 + np.sqrt(0.5)], rtol=1e-6)


def test_bfloat16_inputs_are_computed_in_float32():
    batch = [embeddings(k, 6) for k in range(3)]
    for distance in DISTANCES:
        computed_in_float32(lambda *x, d=distance: losses.triplet(*x, distance=d), *batch)
    computed_in_float32(losses.mega_batch_margin, *batch[:2])


def test_margins_may_be_arrays_under_jit():
    a, p = jnp.array(embeddings(0, 4)), jnp.array(embeddings(1, 4))
    jitted = jax.jit(lambda m: losses.mega_batch_margin(a, p, positive_margin=m))(jnp.float32(0.5))
    np.testing.assert_allclose(jitted, losses.mega_batch_margin(a, p, positive_margin=0.5), rtol=1e-5, atol=1e-6)


def test_unequal_shapes_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        with pytest.raises(ValueError, match="both sides of the pairs must have the same shape"):
            losses.triplet(jnp.ones((2, 3)), jnp.ones((2, 3)), jnp.ones((3, 3)))
        with pytest.raises(ValueError, match="'dot' is not one of"):
            losses.triplet(*[jnp.ones((2, 3))] * 3, distance="dot")
        with pytest.raises(ValueError, match="need positives of the same shape"):
            losses.mega_batch_margin(jnp.ones((2, 3)), jnp.ones((3, 3)))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
