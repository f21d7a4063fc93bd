import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from support import numpy_reference as reference


def pairs(seed: int, rows: int = 6, width: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    anchors = rng.normal(size=(rows, width)).astype(np.float32)
    return anchors, (anchors + rng.normal(size=(rows, width))).astype(np.float32)


def test_by_hand():
    anchors, positives = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[3.0, 0.0], [3.0, 4.0]])
    # cosines: [[1, 0.6], [0, 0.8]]; scale 10, margin 0.3
    forward = [np.log(1 + np.exp(10 * (0.6 - 0.7))), np.log(1 + np.exp(10 * (0.0 - 0.5)))]
    backward = [np.log(1 + np.exp(10 * (0.0 - 0.7))), np.log(1 + np.exp(10 * (0.6 - 0.5)))]
    both = np.add(forward, backward)
    options = {"scale": 10.0, "margin": 0.3}
    summed = losses.additive_margin_softmax(anchors, positives, directions="sum", **options)
    np.testing.assert_allclose(summed, both, rtol=2e-6)
    np.testing.assert_allclose(losses.additive_margin_softmax(anchors, positives, **options), both / 2, rtol=2e-6)


@pytest.mark.parametrize("directions", ["mean", "sum"])
@pytest.mark.parametrize("margin", [0.0, 0.3])
@pytest.mark.parametrize("duplicates", [False, True])
def test_value_and_gradient_against_float64(directions, margin, duplicates):
    a, p = pairs(0)
    words = np.array([[k % 4, 7] for k in range(6)], np.uint32) if duplicates else None
    unlike = np.array([[k, 8] for k in range(6)], np.uint32)
    options = {"scale": 20.0, "margin": margin, "directions": directions}
    expected = reference.bidirectional(a, p, anchor_hashes=words, **options)
    excluded = losses.duplicate_mask(jnp.array(words), jnp.array(unlike)) if duplicates else None

    def mean_loss(a, p):
        return losses.additive_margin_softmax(a, p, excluded=excluded, **options).mean()

    loss, (da, dp) = jax.value_and_grad(mean_loss, (0, 1))(jnp.array(a), jnp.array(p))
    assert reference.distance(loss, expected.loss) < 1e-6
    assert reference.distance(da, expected.anchor_gradient) < 1e-6
    assert reference.distance(dp, expected.positive_gradient) < 1e-6


@pytest.mark.filterwarnings("ignore:The MultipleNegativesSymmetricRankingLoss:DeprecationWarning")
@pytest.mark.parametrize("name", ["MultipleNegativesSymmetricRankingLoss", "MultipleNegativesRankingLoss"])
def test_equal_to_symmetric_loss_of_sentence_transformers(name):
    torch = pytest.importorskip("torch")
    st_losses = pytest.importorskip("sentence_transformers.losses")
    a, p = pairs(1, 12, 6)
    tensors = [torch.tensor(a, requires_grad=True), torch.tensor(p, requires_grad=True)]
    options = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
    options = {} if "Symmetric" in name else options
    oracle = getattr(st_losses, name)(model=None, scale=20.0, **options)
    expected = oracle.compute_loss_from_embeddings(tensors, torch.zeros(12))
    expected.backward()

    def mean_loss(a, p):
        return losses.additive_margin_softmax(a, p, scale=20.0, margin=0.0).mean()

    loss, gradients = jax.value_and_grad(mean_loss, (0, 1))(jnp.array(a), jnp.array(p))
    np.testing.assert_allclose(loss, expected.item(), atol=1e-5)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert np.abs(tensor.grad.numpy()).max() > 0.01
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-5)


def test_is_info_nce_both_ways_with_the_mask_read_transposed():
    a, p = (jnp.array(x) for x in pairs(2))
    excluded = jnp.array(np.triu(np.ones((6, 6), bool), 3))  # not symmetric
    forward = losses.info_nce(a, p, margin=0.3, excluded=excluded)
    backward = losses.info_nce(p, a, margin=0.3, excluded=excluded.T)
    both = losses.additive_margin_softmax(a, p, excluded=excluded, directions="sum")
    np.testing.assert_allclose(both, forward + backward, rtol=1e-5, atol=1e-6)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_permuting_pairs_permutes_losses_and_swapping_sides_changes_nothing(seed):
    a, p = pairs(seed)
    order = np.random.default_rng(seed).permutation(6)
    plain = losses.additive_margin_softmax(jnp.array(a), jnp.array(p))
    moved = losses.additive_margin_softmax(jnp.array(a[order]), jnp.array(p[order]))
    np.testing.assert_allclose(moved, plain[order], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses.additive_margin_softmax(jnp.array(p), jnp.array(a)), plain, rtol=1e-5, atol=1e-6)


@given(seed=st.integers(0, 2**31), row=st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_zero_rows_and_rows_without_negatives_are_finite(seed, row):
    a, p = pairs(seed)
    a[row] = 0.0
    excluded = jnp.ones((6, 6), bool)
    for mask in (None, excluded):
        loss, gradient = jax.value_and_grad(
            lambda x, mask=mask: losses.additive_margin_softmax(x, jnp.array(p), excluded=mask).sum()
        )(jnp.array(a))
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()
    assert loss == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


def test_bfloat16_inputs_are_computed_in_float32():
    a, p = (jnp.array(x).astype(jnp.bfloat16) for x in pairs(3))
    loss = losses.additive_margin_softmax(a, p, scale=100.0)
    assert loss.dtype == jnp.float32
    exact = losses.additive_margin_softmax(a.astype(jnp.float32), p.astype(jnp.float32), scale=100.0)
    np.testing.assert_array_equal(loss, exact)


def test_unknown_directions_and_unequal_shapes_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        with pytest.raises(ValueError, match="neither 'mean' nor 'sum'"):
            losses.additive_margin_softmax(jnp.ones((2, 3)), jnp.ones((2, 3)), directions="both")
        with pytest.raises(ValueError, match="need positives of the same shape"):
            losses.additive_margin_softmax(jnp.ones((2, 3)), jnp.ones((3, 3)))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
