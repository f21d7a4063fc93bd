import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb import losses
from support import numpy_reference as reference


def test_cosines_of_the_textbook_case():
    anchor = jnp.array([[0.8109, -0.9391, 0.2519]])
    others = jnp.array([[-1.2887, 1.5057, 0.4449], [2.1968, 0.4785, 1.5207]])
    np.testing.assert_allclose(losses.cosine_similarity(anchor, others), [[-0.91262, 0.49908]], atol=5e-6)


def test_equal_to_sentence_transformers():
    torch = pytest.importorskip("torch")
    util = pytest.importorskip("sentence_transformers.util")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 33)).astype(np.float32), rng.normal(size=(5, 33)).astype(np.float32)
    expected = util.cos_sim(torch.tensor(a), torch.tensor(b)).numpy()
    np.testing.assert_allclose(losses.cosine_similarity(jnp.array(a), jnp.array(b)), expected, atol=1e-6)


def test_value_and_gradient_of_normalize_against_float64():
    rng = np.random.default_rng(1)
    x, g = rng.normal(size=(9, 17)).astype(np.float32), rng.normal(size=(9, 17)).astype(np.float32)
    x[3] = 0.0
    value, pull_back = jax.vjp(losses.normalize, jnp.array(x))
    np.testing.assert_allclose(value, reference.unit(x), atol=2e-7)
    np.testing.assert_allclose(pull_back(jnp.array(g))[0], reference.unit_gradient(x, g), rtol=2e-6, atol=1e-6)


@given(exponent=st.integers(-60, 60))
@settings(max_examples=30, deadline=None)
def test_gradients_are_finite_at_any_norm(exponent: int):
    x = jnp.array([[3.0, -4.0, 0.0]]) * jnp.float32(2.0**exponent)
    value, gradient = jax.value_and_grad(lambda y: losses.normalize(y)[0, 0])(x)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if exponent > -19:
        np.testing.assert_allclose(value, 0.6, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_short_types_are_computed_in_float32(dtype):
    x = jax.random.normal(jax.random.key(0), (4, 8)).astype(dtype)
    out = losses.cosine_similarity(x, x)
    assert out.dtype == jnp.float32
    np.testing.assert_array_equal(out, losses.cosine_similarity(x.astype(jnp.float32), x.astype(jnp.float32)))


def test_scores_are_multiplied_at_highest_precision_forward_and_backward():
    x = jnp.ones((3, 4))
    both = jax.make_jaxpr(jax.value_and_grad(lambda a, b: losses.cosine_similarity(a, b).sum(), (0, 1)))(x, x)
    products = [e.params["precision"] for e in both.jaxpr.eqns if e.primitive.name == "dot_general"]
    assert len(products) == 3
    assert set(products) == {(jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)}


def test_other_widths_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        with pytest.raises(ValueError, match="vectors must have the same width for a cosine, not 3 and 4"):
            losses.cosine_similarity(jnp.ones((2, 3)), jnp.ones((2, 4)))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
