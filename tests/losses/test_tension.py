import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from support.loss_checks import (
    computed_in_float32,
    embeddings,
    equal_to_torch,
    finite,
    sentence_transformers_losses,
)

LABELS = np.array([1, 0, 0, 1, 0, 0, 0], np.int32)
labelled = lambda a, b: losses.contrastive_tension(a, b, jnp.array(LABELS[: len(a)]))  # noqa: E731


def two_encoders(oracle, a, b):
    """The oracle copies its model and calls both: let them give these embeddings, gradients and all."""
    torch = pytest.importorskip("torch")

    class Gives(torch.nn.Module):
        def __init__(self, embeddings):
            super().__init__()
            self.embeddings = embeddings

        def forward(self, _):
            return {"sentence_embedding": self.embeddings}

    oracle.model1, oracle.model2 = Gives(a), Gives(b)
    return oracle


def stub():
    return pytest.importorskip("torch").nn.Identity()


def test_by_hand():
    a, b = jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([[1.0, 0.5], [1.0, 9.0]])  # dot products 2, 3
    loss = losses.contrastive_tension(a, b, jnp.array([True, False]))
    np.testing.assert_allclose(loss, [np.log(1 + np.exp(-2)), np.log(1 + np.exp(3))], rtol=1e-6)
    # cosines of both ways: a0 with b0 and b1, b0 with a0 and a1, and so on
    a, b = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[3.0, 0.0], [3.0, 4.0]])  # [[1, 0.6], [0, 0.8]]
    forward = [np.log(1 + np.exp(5 * (0.6 - 1))), np.log(1 + np.exp(5 * (0 - 0.8)))]
    backward = [np.log(1 + np.exp(5 * (0 - 1))), np.log(1 + np.exp(5 * (0.6 - 0.8)))]
    expected = np.add(forward, backward) / 2
    np.testing.assert_allclose(losses.contrastive_tension_in_batch(a, b, scale=5.0), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.int32, np.float32, bool])
def test_pairs_equal_to_sentence_transformers(dtype):
    torch = pytest.importorskip("torch")
    oracle = sentence_transformers_losses().ContrastiveTensionLoss(stub())
    labels = LABELS.astype(dtype)
    equal_to_torch(
        lambda a, b: losses.contrastive_tension(a, b, jnp.array(labels)).sum(),
        lambda a, b: two_encoders(oracle, a, b)([{}, {}], torch.tensor(labels)),
        [embeddings(0, 7), embeddings(1, 7)],
    )


def test_in_batch_equal_to_sentence_transformers_with_its_learnt_scale():
    oracle = sentence_transformers_losses().ContrastiveTensionLossInBatchNegatives(stub(), scale=7.0)
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(oracle.logit_scale.item(), np.log(7.0), rtol=1e-6)

    def theirs(a, b, log_scale):
        del oracle.logit_scale
        oracle.logit_scale = log_scale
        return two_encoders(oracle, a, b)([{}], torch.tensor([]))

    a = embeddings(0, 7)
    arrays = [a, a + 2 * embeddings(1, 7), np.array(np.log(7.0), np.float32)]
    equal_to_torch(
        lambda a, b, log_scale: losses.contrastive_tension_in_batch(a, b, scale=jnp.exp(log_scale)).mean(),
        theirs,
        arrays,
    )


def test_large_dot_products_do_not_overflow():
    a = jnp.array([[200.0], [200.0], [-200.0]])
    loss, gradient = jax.value_and_grad(lambda x: losses.contrastive_tension(x, a, jnp.array([1, 0, 0])).sum())(a)
    np.testing.assert_allclose(loss, 80000.0)
    np.testing.assert_allclose(gradient[:, 0], [0.0, 200.0, -200.0], atol=1e-6)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_permuting_rows_permutes_losses_and_swapping_encoders_changes_nothing(seed):
    a, b, order = embeddings(seed, 7), embeddings(seed + 1, 7), np.random.default_rng(seed).permutation(7)
    plain = losses.contrastive_tension(jnp.array(a), jnp.array(b), jnp.array(LABELS))
    moved = losses.contrastive_tension(jnp.array(b[order]), jnp.array(a[order]), jnp.array(LABELS[order]))
    np.testing.assert_allclose(moved, plain[order], rtol=1e-5, atol=1e-5)
    plain = losses.contrastive_tension_in_batch(jnp.array(a), jnp.array(b))
    moved = losses.contrastive_tension_in_batch(jnp.array(4 * b[order]), jnp.array(a[order] / 8))
    np.testing.assert_allclose(moved, plain[order], rtol=1e-5, atol=1e-5)


def test_zero_and_equal_rows_are_finite():
    a, b = embeddings(0, 6), embeddings(1, 6)
    a[0] = b[0] = b[1] = 0.0
    a[3] = b[3] = a[2]
    finite(labelled, a, b)
    finite(losses.contrastive_tension_in_batch, a, b)


def test_bfloat16_inputs_are_computed_in_float32():
    computed_in_float32(labelled, embeddings(0, 6), embeddings(1, 6))
    computed_in_float32(losses.contrastive_tension_in_batch, embeddings(0, 6), embeddings(1, 6))


def test_unequal_shapes_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        x = jnp.ones((2, 3))
        with pytest.raises(ValueError, match="pairs need"):
            losses.contrastive_tension(x, x, jnp.ones(3))
        with pytest.raises(ValueError, match="both sides of the pairs must have the same shape"):
            losses.contrastive_tension_in_batch(x, jnp.ones((3, 3)))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
