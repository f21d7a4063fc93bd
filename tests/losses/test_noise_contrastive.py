import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from support import numpy_reference as reference

seeds = st.integers(0, 2**31)


def embeddings(seed: int, rows: int, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def test_textbook_case_by_hand():
    anchor = jnp.array([0.8109, -0.9391, 0.2519])
    positive = jnp.array([-1.2887, 1.5057, 0.4449])
    negative = jnp.array([2.1968, 0.4785, 1.5207])
    loss = losses.info_nce(anchor[None], jnp.stack([positive, negative]), scale=2.0)
    assert loss.shape == (1,)
    np.testing.assert_allclose(loss, [2.88112], atol=5e-6)


def test_margin_is_taken_off_the_positive_before_the_scale_by_hand():
    queries, candidates = jnp.array([[1.0, 0.0]]), jnp.array([[2.0, 0.0], [0.0, 5.0]])
    loss = losses.info_nce(queries, candidates, scale=4.0, margin=0.25)
    np.testing.assert_allclose(loss, [np.log(1 + np.exp(4 * (0 - (1 - 0.25))))], rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 20.0, 100.0])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_value_and_gradient_against_float64(scale, masked, margin):
    q, c = embeddings(0, 6), embeddings(1, 15)
    options = {"scale": scale, "margin": margin}
    if masked:
        options["positives"] = np.array([14, 3, 0, 0, 7, 9])
        options["excluded"] = np.random.default_rng(2).random((6, 15)) < 0.4
    cotangent = embeddings(3, 1, 6)[0]
    expected, dq, dc = reference.info_nce(q, c, cotangent=cotangent, **options)
    options = {k: jnp.array(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    loss, pull_back = jax.vjp(lambda a, b: losses.info_nce(a, b, **options), jnp.array(q), jnp.array(c))
    got_q, got_c = pull_back(jnp.array(cotangent))
    assert reference.distance(loss, expected) < 1e-6
    assert reference.distance(got_q, dq) < 2e-6
    assert reference.distance(got_c, dc) < 2e-6


@pytest.mark.parametrize("hard_negatives", [0, 2])
def test_equal_to_multiple_negatives_ranking_loss(hard_negatives):
    torch = pytest.importorskip("torch")
    st_losses = pytest.importorskip("sentence_transformers.losses")
    columns = [embeddings(10 + k, 6, 24) for k in range(2 + hard_negatives)]
    tensors = [torch.tensor(column, requires_grad=True) for column in columns]
    oracle = st_losses.MultipleNegativesRankingLoss(model=None, scale=20.0)
    expected = oracle.compute_loss_from_embeddings(tensors, torch.zeros(6))
    expected.backward()

    def mean_loss(query, *documents):
        return losses.info_nce(query, jnp.concatenate(documents), scale=20.0).mean()

    arguments = tuple(range(len(columns)))
    loss, gradients = jax.value_and_grad(mean_loss, arguments)(*map(jnp.array, columns))
    np.testing.assert_allclose(loss, expected.item(), atol=1e-5)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert np.abs(tensor.grad.numpy()).max() > 0.01
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-5)


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_permuting_queries_and_candidates_permutes_the_losses(seed):
    rng = np.random.default_rng(seed)
    q, c = embeddings(seed, 5), embeddings(seed + 1, 9)
    rows, columns = rng.permutation(5), rng.permutation(9)
    positives = rng.integers(0, 9, 5)
    excluded = rng.random((5, 9)) < 0.3
    plain = losses.info_nce(jnp.array(q), jnp.array(c), positives=jnp.array(positives), excluded=jnp.array(excluded))
    moved = losses.info_nce(
        jnp.array(q[rows]),
        jnp.array(c[columns]),
        positives=jnp.array(np.argsort(columns)[positives[rows]]),
        excluded=jnp.array(excluded[rows][:, columns]),
    )
    np.testing.assert_allclose(moved, plain[rows], rtol=1e-5, atol=1e-6)


@given(seed=seeds, exponents=st.lists(st.integers(-10, 10), min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_norms_of_embeddings_do_not_matter(seed, exponents):
    q, c = embeddings(seed, 4), embeddings(seed + 1, 6)
    factors = (2.0 ** np.array(exponents, np.float32))[:, None]
    plain = losses.info_nce(jnp.array(q), jnp.array(c))
    np.testing.assert_allclose(losses.info_nce(jnp.array(q * factors), jnp.array(c)), plain, rtol=1e-5, atol=1e-6)


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_a_batch_twice_with_its_duplicates_masked_counts_each_negative_twice(seed):
    q, c = embeddings(seed, 3), embeddings(seed + 1, 3)
    words = jnp.array([[row % 3, 0] for row in range(6)], jnp.uint32)
    options = {"scale": 3.0, "excluded": losses.duplicate_mask(words, words)}
    twice = losses.info_nce(jnp.array(np.r_[q, q]), jnp.array(np.r_[c, c]), **options)
    once = losses.info_nce(jnp.array(q), jnp.array(c), scale=3.0)
    np.testing.assert_allclose(twice[:3], twice[3:], rtol=1e-5)
    # exp(loss) - 1 is the sum over negatives, relative to the positive.
    np.testing.assert_allclose(np.expm1(twice[:3]), 2 * np.expm1(once), rtol=1e-4)


@given(seed=seeds, zero_query=st.booleans(), scale=st.sampled_from([1.0, 20.0, 100.0]))
@settings(max_examples=20, deadline=None)
def test_zero_rows_are_finite_in_value_and_gradient(seed, zero_query, scale):
    q, c = embeddings(seed, 3), embeddings(seed + 1, 5)
    (q if zero_query else c)[1] = 0.0
    loss = losses.info_nce(jnp.array(q), jnp.array(c), scale=scale)
    gradients = jax.grad(lambda a, b: losses.info_nce(a, b, scale=scale).sum(), (0, 1))(jnp.array(q), jnp.array(c))
    if zero_query:
        np.testing.assert_allclose(loss[1], np.log(5), rtol=1e-5)  # equally far from all five
    assert np.isfinite(loss).all()
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_a_query_without_negatives_has_loss_and_gradient_zero(margin):
    q, c = jnp.array(embeddings(0, 3)), jnp.array(embeddings(1, 3))
    excluded = jnp.zeros((3, 3), bool).at[1].set(True)  # its positive, too: that one counts in any case
    loss = losses.info_nce(q, c, margin=margin, excluded=excluded)
    gradient = jax.grad(lambda x: losses.info_nce(x, c, margin=margin, excluded=excluded).sum())(q)
    assert loss[1] == 0.0
    np.testing.assert_array_equal(gradient[1], 0.0)
    assert loss[0] > 0
    assert np.abs(gradient[0]).max() > 0


def test_an_excluded_candidate_has_no_gradient_even_where_its_logit_would_overflow():
    q = jnp.array([[1.0, 0.0]])
    c = jnp.array([[-1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])
    excluded = jnp.array([[False, True, False]])
    gradient = jax.grad(lambda x: losses.info_nce(q, x, scale=1000.0, excluded=excluded).sum())(c)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[1], 0.0)


def test_bfloat16_inputs_are_computed_in_float32():
    q, c = (jnp.array(embeddings(s, 4)).astype(jnp.bfloat16) for s in (0, 1))
    loss, gradient = jax.value_and_grad(lambda x: losses.info_nce(x, c, scale=100.0).mean())(q)
    assert (loss.dtype, gradient.dtype) == (jnp.float32, jnp.bfloat16)
    exact = losses.info_nce(q.astype(jnp.float32), c.astype(jnp.float32), scale=100.0).mean()
    assert loss == exact


def test_the_scale_may_be_learnt():
    q, c = jnp.array(embeddings(0, 4)), jnp.array(embeddings(1, 4))
    slope = jax.grad(lambda s: losses.info_nce(q, c, scale=s).mean())(jnp.float32(10.0))
    step = 1e-3
    up, down = (reference.info_nce(q, c, scale=10.0 + d)[0].mean() for d in (step, -step))
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-5)


def test_more_queries_than_candidates_need_their_positives():
    q, c = jnp.array(embeddings(0, 4)), jnp.array(embeddings(1, 2))
    with pytest.raises(ValueError, match="4 queries, 2 candidates"):
        losses.info_nce(q, c)
    assert losses.info_nce(q, c, positives=jnp.array([0, 1, 1, 0])).shape == (4,)


def test_other_widths_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        with pytest.raises(ValueError, match="width"):
            losses.info_nce(jnp.ones((2, 3)), jnp.ones((2, 4)))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
