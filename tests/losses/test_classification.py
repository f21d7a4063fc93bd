import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from support import loss_checks as checks
from support.loss_checks import normal

ORDER = ("u", "v", "|u-v|", "u*v")
LABELS = np.array([2, 0, 1, 1, 2, 0, 0])
seeds = st.integers(0, 2**31)


def batch(seed: int, features=ORDER[:3], rows: int = 7, width: int = 4, classes: int = 3) -> list[np.ndarray]:
    kernel = normal(seed + 2, losses.classifier_width(width, features), classes)
    return [normal(seed, rows, width), normal(seed + 1, rows, width), kernel, normal(seed + 3, classes)]


def test_by_hand():
    u, v = jnp.array([[1.0, 2.0], [0.0, -1.0]]), jnp.array([[3.0, -1.0], [0.0, 1.0]])
    kernel = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0], [0.0, 0.5], [1.0, -1.0], [0.0, 2.0]])
    # |u-v| = [2, 3], [0, 2]; outputs [1 + 1.5 + 2, 2 - 0.5 - 2 + 6], [0, -1 + 0.5 + 4]
    loss = losses.softmax_classification(u, v, jnp.array([0, 1]), kernel)
    np.testing.assert_allclose(loss, [np.log(1 + np.exp(5.5 - 4.5)), np.log(1 + np.exp(0 - 3.5))], rtol=1e-6)
    loss = losses.softmax_classification(u, v, jnp.array([0, 1]), kernel, jnp.array([3.0, 1.0]))
    np.testing.assert_allclose(loss, [np.log(1 + np.exp(6.5 - 7.5)), np.log(1 + np.exp(3 - 4.5))], rtol=1e-6)
    products = losses.softmax_classification(u, v, jnp.array([0, 1]), kernel[:2], features=("u*v",))
    # u*v = [3, -2], [0, -1]
    np.testing.assert_allclose(products, [np.log(1 + np.exp(-2 - 3)), np.log(1 + np.exp(0 + 1))], rtol=1e-5)


@pytest.mark.parametrize("features", [ORDER[:3], ORDER, ("|u-v|",), ("u", "v"), ("|u-v|", "u*v"), ("u", "v", "u*v")])
@pytest.mark.parametrize("probabilities", [False, True])
def test_equals_sentence_transformers(features, probabilities):
    torch = pytest.importorskip("torch")
    st_losses = pytest.importorskip("sentence_transformers.losses")

    class Embedded(torch.nn.Module):
        device = None

        def forward(self, features):
            return {"sentence_embedding": features["embedding"]}

    arrays = batch(0, features)
    labels = np.random.default_rng(9).dirichlet(np.ones(3), 7).astype(np.float32) if probabilities else LABELS

    def oracle(*tensors):
        u, v, kernel, bias = tensors
        loss = st_losses.SoftmaxLoss(
            Embedded(),
            4,
            3,
            concatenation_sent_rep="u" in features,
            concatenation_sent_difference="|u-v|" in features,
            concatenation_sent_multiplication="u*v" in features,
        )
        parameters = {"classifier.weight": kernel.T, "classifier.bias": bias}
        inputs = ([{"embedding": u}, {"embedding": v}], torch.tensor(labels))
        return torch.func.functional_call(loss, parameters, inputs)

    def ours(u, v, kernel, bias):
        return losses.softmax_classification(u, v, jnp.array(labels), kernel, bias, features=features).mean()

    checks.equal_to_torch(ours, oracle, arrays)


@given(seed=seeds, order=st.permutations(ORDER), count=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_features_lie_in_the_order_given(seed, order, count):
    u, v, *_ = map(jnp.array, batch(seed))
    expected = {"u": u, "v": v, "|u-v|": np.abs(u - v), "u*v": u * v}
    inputs = losses.pair_features(u, v, tuple(order[:count]))
    assert inputs.shape == (7, losses.classifier_width(4, order[:count]))
    np.testing.assert_array_equal(inputs, np.concatenate([expected[f] for f in order[:count]], axis=1))


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_permuting_pairs_permutes_losses_and_classes_may_be_given_as_probabilities(seed):
    u, v, kernel, bias = batch(seed)
    order = np.random.default_rng(seed).permutation(7)
    plain, moved = (
        losses.softmax_classification(*map(jnp.array, (u[o], v[o], LABELS[o], kernel, bias)))
        for o in (np.arange(7), order)
    )
    np.testing.assert_allclose(moved, plain[order], rtol=1e-5, atol=1e-6)
    certain = losses.softmax_classification(*map(jnp.array, (u, v, np.eye(3, dtype=np.float32)[LABELS], kernel, bias)))
    np.testing.assert_array_equal(certain, plain)


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_zero_rows_equal_sides_and_large_outputs_are_finite(seed):
    u, v, kernel, bias = batch(seed, ORDER)
    u[0] = v[0] = u[1] = 0.0
    u[2:4] = v[2:4] = u[4]
    u[5] *= 1e4

    def loss(u, v, kernel, bias):
        return losses.softmax_classification(u, v, jnp.array(LABELS), kernel, bias, features=ORDER)

    assert checks.finite(loss, u, v, kernel * 100, bias)[0].shape == (7,)


def test_the_gradient_of_a_difference_of_zero_is_zero():
    _, (du, dv, _) = checks.finite(
        lambda u, v, kernel: losses.softmax_classification(u, v, jnp.array([0]), kernel, features=("|u-v|",)),
        *(np.ones((1, 4), np.float32), np.ones((1, 4), np.float32), normal(0, 4, 3)),
    )
    np.testing.assert_array_equal(du, 0.0)
    np.testing.assert_array_equal(dv, 0.0)


def test_bfloat16_inputs_are_computed_in_float32():
    checks.computed_in_float32(
        lambda u, v, k, b: losses.softmax_classification(u, v, jnp.array(LABELS), k, b, features=ORDER),
        *batch(3, ORDER),
    )


def test_products_are_at_highest_precision_forward_and_backward():
    checks.multiplied_at_highest_precision(
        lambda u, v, k, b: losses.softmax_classification(u, v, jnp.array(LABELS), k, b), *batch(4)
    )


def test_a_class_that_does_not_exist_is_nan():
    """And changes nothing else."""
    arrays = [jnp.array(x) for x in batch(6)]
    labels = jnp.array(LABELS).at[jnp.array([1, 4, 5])].set(jnp.array([3, -1, -100]))
    wrong = np.isin(np.arange(7), (1, 4, 5))

    def loss(arrays, labels, kept):
        each = losses.softmax_classification(arrays[0], arrays[1], labels, *arrays[2:])
        return jnp.where(kept, each, 0.0).sum(), each

    by = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, each), found = by(arrays, labels, ~jnp.array(wrong))
    np.testing.assert_array_equal(np.isnan(each), wrong)
    (wanted, _), gradient = by([*(x[~wrong] for x in arrays[:2]), *arrays[2:]], labels[~wrong], True)
    checks.close((value, found[2:]), (wanted, gradient[2:]))
    for ours, theirs in zip(found[:2], gradient[:2], strict=True):
        checks.close(ours[~wrong], theirs)
        assert not np.any(ours[wrong])


def test_what_does_not_fit_is_refused():
    u, v, kernel, bias = map(jnp.array, batch(5))
    labels = jnp.array(LABELS)
    with checks.unchecked_shapes():
        with pytest.raises(
            ValueError, match=r"features: \('u', 'v-u'\) needs one or more of 'u', 'v', '\|u-v\|', 'u\*v'"
        ):
            losses.softmax_classification(u, v, labels, kernel, features=("u", "v-u"))
        with pytest.raises(ValueError, match="needs one or more of"):
            losses.classifier_width(4, ())
        with pytest.raises(ValueError, match="both sides of the pairs must have the same shape"):
            losses.pair_features(u, v[:3])
        with pytest.raises(ValueError, match="u, v of width 4 need a kernel of 8 rows, not 12"):
            losses.softmax_classification(u, v, labels, kernel, features=("u", "v"))
        with pytest.raises(ValueError, match=r"3 classes need a bias of shape \(3,\), not \(1,\)"):
            losses.softmax_classification(u, v, labels, kernel, bias[:1])
        with pytest.raises(ValueError, match=r"7 pairs need `labels` of shape \(7,\) or \(7, 3\), not \(6,\)"):
            losses.softmax_classification(u, v, labels[:6], kernel)
