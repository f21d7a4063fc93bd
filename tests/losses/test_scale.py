import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.losses import learned_scale


def slope(log_scale, sign):
    return float(jax.grad(lambda x: sign * learned_scale(x, smallest=2.0, largest=50.0))(jnp.float32(log_scale)))


def test_within_the_bounds_it_is_the_exponential():
    for x in (1.0, 2.5):
        np.testing.assert_allclose(learned_scale(jnp.float32(x)), np.exp(x), rtol=1e-6)
        np.testing.assert_allclose(slope(x, 1.0), np.exp(x), rtol=1e-6)


@pytest.mark.parametrize(("log_scale", "bound", "inwards"), [(9.0, 50.0, 1.0), (-3.0, 2.0, -1.0)])
def test_at_a_bound_only_the_way_back_has_a_gradient(log_scale, bound, inwards):
    """A descent step goes against the gradient: down from the upper bound where it is positive."""
    np.testing.assert_allclose(learned_scale(jnp.float32(log_scale), smallest=2.0, largest=50.0), bound, rtol=1e-6)
    np.testing.assert_allclose(slope(log_scale, inwards), inwards * bound, rtol=1e-6)
    assert slope(log_scale, -inwards) == 0.0


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (5.0, 5.0), (-1.0, 4.0)])
def test_bounds_that_do_not_ascend_are_refused(bounds):
    with pytest.raises(ValueError, match="must be positive and ascending"):
        learned_scale(jnp.float32(1.0), smallest=bounds[0], largest=bounds[1])
