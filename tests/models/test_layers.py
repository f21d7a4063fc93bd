import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.models.layers import layer_norm, look_up
from support.families import CONFIG


class Table(nn.Module):
    @nn.compact
    def __call__(self, ids):
        return look_up(CONFIG, 4, jnp.bfloat16, "table", ids)


def test_the_gradient_of_a_table_is_summed_in_float32():
    """Of a row that comes a thousand times; in bfloat16 a sum of ones ends at 256."""
    ids = jnp.full((10, 100), 2)
    params = Table().init(jax.random.key(0), ids)
    gradient = jax.grad(lambda params: jnp.sum(Table().apply(params, ids).astype(jnp.float32)))(params)
    np.testing.assert_array_equal(gradient["params"]["table"]["embedding"][:, 0], [0, 0, 1000, 0])


def test_norm_is_exact_far_from_zero():
    x = np.random.default_rng(0).normal(1000, 1, (4, 32)).astype(np.float32)
    norm = layer_norm(CONFIG, jnp.float32, "norm")
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(1, keepdims=True)) / exact.std(1, keepdims=True)
    ours = norm.apply({"params": {"scale": jnp.ones(32), "bias": jnp.zeros(32)}}, x)
    np.testing.assert_allclose(ours, exact, atol=1e-3)
