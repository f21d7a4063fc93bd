"""Dense layer and norm behind an encoder, against float64."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.models.heads import apply_dense, apply_norm, init_dense, init_norm


def test_a_dense_layer_with_and_without_bias():
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    params = init_dense(jax.random.key(0), 6, 4, 0.5)
    assert not params["bias"].any()
    params["bias"] = jnp.arange(4.0)
    wanted = x.astype(np.float64) @ np.asarray(params["kernel"], np.float64)
    np.testing.assert_allclose(apply_dense(params, jnp.array(x)), wanted + np.arange(4), rtol=1e-4, atol=1e-5)
    bare = init_dense(jax.random.key(0), 6, 4, 0.5, bias=False)
    assert bare.keys() == {"kernel"}
    np.testing.assert_allclose(apply_dense(bare, jnp.array(x)), wanted, rtol=1e-4, atol=1e-5)
    assert abs(float(init_dense(jax.random.key(1), 60, 60, 0.5)["kernel"].std()) - 0.5) < 0.03


def test_a_norm_is_exact_far_from_zero():
    x = np.random.default_rng(0).normal(1000, 1, (4, 32)).astype(np.float32)
    params = init_norm(32) | {"bias": jnp.arange(32.0)}
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(1, keepdims=True)) / np.sqrt(exact.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(apply_norm(params, jnp.array(x), 1e-5), exact + np.arange(32), atol=1e-3)
