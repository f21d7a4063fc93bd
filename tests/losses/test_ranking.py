import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from jaxemb.losses.parts.in_batch import NOTHING
from jaxemb.losses.ranking import RANKING, paired_angle_similarity
from support import loss_checks as checks
from support import numpy_reference as reference
from support.loss_checks import normal

BOTH = {"cosent": "CoSENTLoss", "angle": "AnglELoss"}
SCORES = np.array([0.1, 0.9, 0.5, 0.5, 0.0, 0.9, 0.3, 1.0], np.float32)
seeds = st.integers(0, 2**31)


def similarity(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """In float64, with complex numbers for AnglE."""
    x, y = reference.unit(a), reference.unit(b)
    if name == "cosent":
        return np.sum(x * y, axis=1)
    if x.shape[1] % 2:
        x, y = (np.pad(z, ((0, 0), (0, 1))) for z in (x, y))
    half = x.shape[1] // 2
    products = np.sum((x[:, :half] + 1j * x[:, half:]) * np.conj(y[:, :half] + 1j * y[:, half:]), axis=1)
    return np.abs(products.real + products.imag)


def ranking(sims: np.ndarray, scores: np.ndarray, scale: float) -> float:
    pairs = [(i, j) for i in range(len(sims)) for j in range(len(sims)) if scores[i] < scores[j]]
    return np.log1p(sum(np.exp(scale * (sims[i] - sims[j])) for i, j in pairs))


def test_by_hand():
    a, b = jnp.array([[3.0, 4.0], [0.0, 1.0], [2.0, 0.0]]), jnp.array([[5.0, 0.0]] * 3)
    # cosines 0.6, 0, 1; the third is rightly above the first, the second wrongly below it
    terms = np.exp(5 * (0.6 - 0.0)) + np.exp(5 * (0.6 - 1.0))
    loss = losses.cosent(a, b, jnp.array([1, 2, 2]), scale=5.0)
    np.testing.assert_allclose(loss, np.log(1 + terms), rtol=1e-6)
    # x'' y' - x' y'': 0.8, 1, 0; added to the cosines and made positive: 1.4, 1, 1
    np.testing.assert_allclose(paired_angle_similarity(a, b), [1.4, 1.0, 1.0], rtol=1e-6)
    loss = losses.angle(a, b, jnp.array([1, 2, 2]), scale=5.0)
    np.testing.assert_allclose(loss, np.log(1 + 2 * np.exp(5 * 0.4)), rtol=1e-6)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_equals_sentence_transformers(name, width, scale):
    torch = pytest.importorskip("torch")
    st_losses = pytest.importorskip("sentence_transformers.losses")
    theirs = getattr(st_losses, BOTH[name])(model=None, scale=scale)
    checks.equal_to_torch(
        lambda a, b: getattr(losses, name)(a, b, jnp.array(SCORES), scale=scale),
        lambda *t: theirs.compute_loss_from_embeddings(t, torch.tensor(SCORES)),
        [normal(0, 8, width), normal(1, 8, width)],
    )


def test_the_default_scale_is_that_of_sentence_transformers():
    torch = pytest.importorskip("torch")
    st_losses = pytest.importorskip("sentence_transformers.losses")
    a, b = normal(0, 8, 6), normal(1, 8, 6)
    for name, theirs in BOTH.items():
        expected = getattr(st_losses, theirs)(model=None).compute_loss_from_embeddings(
            [torch.tensor(a), torch.tensor(b)], torch.tensor(SCORES)
        )
        np.testing.assert_allclose(
            getattr(losses, name)(jnp.array(a), jnp.array(b), jnp.array(SCORES)), expected, rtol=1e-6
        )


@given(seed=seeds, name=st.sampled_from(list(BOTH)), scale=st.sampled_from([1.0, 20.0, 100.0]))
@settings(max_examples=20, deadline=None)
def test_against_float64(seed, name, scale):
    a, b = normal(seed, 8, 6), normal(seed + 1, 8, 6)
    expected = ranking(similarity(name, a, b), SCORES, scale)
    loss = getattr(losses, name)(jnp.array(a), jnp.array(b), jnp.array(SCORES), scale=scale)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-6)


def test_a_tiny_loss_keeps_its_gradient():
    # Right order by far: exp(-30) is lost beside the 1, its gradient is not.
    a, b = jnp.array([[1.0, 1e-3], [-1.0, 1e-3]]), jnp.array([[1.0, 0.0]] * 2)
    gradient = jax.grad(lambda a: losses.cosent(a, b, jnp.array([1, 0]), scale=15.0))(a)
    slope = np.exp(-30) * 15 * 1e-3
    np.testing.assert_allclose(np.abs(gradient[:, 1]), slope, rtol=1e-3)


@given(seed=seeds, name=st.sampled_from(list(BOTH)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_pairs_the_norms_and_the_unit_of_the_scores_do_not_matter(seed, name):
    rng = np.random.default_rng(seed)
    a, b, order = normal(seed, 8, 6), normal(seed + 1, 8, 6), rng.permutation(8)
    loss = getattr(losses, name)
    plain = loss(jnp.array(a), jnp.array(b), jnp.array(SCORES))
    moved = loss(jnp.array(a[order]), jnp.array(b[order]), jnp.array(SCORES[order]))
    np.testing.assert_allclose(moved, plain, rtol=1e-5, atol=1e-6)
    factors = 2.0 ** rng.integers(-8, 8, (8, 1))
    scaled = loss(jnp.array((a * factors).astype(np.float32)), jnp.array(b), jnp.array(np.exp(SCORES)))
    np.testing.assert_allclose(scaled, plain, rtol=1e-5, atol=1e-6)


@given(seed=seeds, name=st.sampled_from(list(BOTH)), equal_scores=st.booleans())
@settings(max_examples=20, deadline=None)
def test_zero_rows_equal_sides_and_equal_scores_are_finite(seed, name, equal_scores):
    a, b = normal(seed, 8, 5), normal(seed + 1, 8, 5)
    a[0] = b[0] = a[1] = b[2] = 0.0
    a[4:6] = b[4:6] = a[3]
    scores = jnp.array(SCORES * 0 if equal_scores else SCORES)
    value, gradients = checks.finite(lambda a, b: getattr(losses, name)(a, b, scores, scale=100.0), a, b)
    if equal_scores:
        assert value == 0.0
        np.testing.assert_array_equal(gradients, 0.0)


def test_a_zero_row_has_no_angle_and_no_gradient():
    a, b = normal(0, 2, 6), normal(1, 2, 6)
    a[0] = b[1] = 0.0
    value, gradients = checks.finite(paired_angle_similarity, a, b)
    np.testing.assert_array_equal(value, 0.0)
    np.testing.assert_array_equal(gradients, 0.0)


@pytest.mark.parametrize("name", BOTH)
def test_a_batch_of_one_has_no_order(name):
    value, gradients = checks.finite(
        lambda a, b: getattr(losses, name)(a, b, jnp.ones(1)), normal(0, 1, 4), normal(1, 1, 4)
    )
    assert value == 0.0
    np.testing.assert_array_equal(gradients, 0.0)


def test_by_rows_and_with_padding():
    sims = np.tanh(normal(2, 8))
    checks.rows_are_blocks_and_padding_changes_nothing(RANKING, sims, SCORES, scale=5.0)


def test_rows_with_nothing_allowed_are_finite_and_add_nothing():
    batch = (jnp.array([0.1, 0.4, 0.9]), jnp.array([3.0, 2.0, 1.0]))

    def values(sims):
        return RANKING.rows((sims, batch[1]), (sims, batch[1]), jnp.arange(3), jnp.zeros((3, 3), bool))

    rows, (gradient,) = checks.finite(values, np.asarray(batch[0]))
    assert (rows <= NOTHING / 2).all()
    np.testing.assert_array_equal(gradient, 0.0)
    for weights in (jnp.ones(3), jnp.zeros(3)):
        value, (gradient,) = checks.finite(lambda s, w=weights: RANKING.reduce(values(s), w), np.asarray(batch[0]))
        assert value == 0.0
        np.testing.assert_array_equal(gradient, 0.0)


def test_weights_multiply_the_terms_of_a_row():
    values = jnp.array([0.3, -1.0, 2.0])
    expected = np.log(1 + 2 * np.exp(0.3) + 0.5 * np.exp(2.0))
    np.testing.assert_allclose(RANKING.reduce(values, jnp.array([2.0, 0.0, 0.5])), expected, rtol=1e-6)


@pytest.mark.parametrize("name", BOTH)
def test_bfloat16_inputs_are_computed_in_float32(name):
    checks.computed_in_float32(
        lambda a, b: getattr(losses, name)(a, b, jnp.array(SCORES)), normal(0, 8, 6), normal(1, 8, 6)
    )


@pytest.mark.parametrize("name", BOTH)
def test_the_scale_may_be_learnt(name):
    a, b = normal(0, 8, 6), normal(1, 8, 6)
    slope = jax.grad(lambda s: getattr(losses, name)(jnp.array(a), jnp.array(b), jnp.array(SCORES), scale=s))(3.0)
    sims, step = similarity(name, a, b), 1e-4
    expected = (ranking(sims, SCORES, 3.0 + step) - ranking(sims, SCORES, 3.0 - step)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


@pytest.mark.parametrize("name", BOTH)
def test_unequal_shapes_are_refused(name):
    with checks.unchecked_shapes():
        with pytest.raises(ValueError, match="both sides of the pairs must have the same shape"):
            getattr(losses, name)(jnp.ones((2, 3)), jnp.ones((2, 4)), jnp.ones(2))
        with pytest.raises(ValueError, match=r"2 pairs need `scores` of shape \(2,\), not \(3,\)"):
            getattr(losses, name)(jnp.ones((2, 3)), jnp.ones((2, 3)), jnp.ones(3))
