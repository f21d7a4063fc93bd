"""A function over the mesh's rows: its gradients are summed in float32, whatever type it computes in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxemb.parallel import batch_sharding, make_mesh, over_rows, param_shardings

WIDTH, OUT, LAYERS, ROWS = 16, 1024, 2, 64  # kernels that are large enough to be split


def function(params, rows, key, gather):
    """rows times the kernels of two layers and of a head, in bfloat16, and one vector; all added up."""
    del key

    def layer(total, variables):
        if gather is not None:
            variables = gather(variables)
        kernel = variables["params"]["dense"]["kernel"].astype(jnp.bfloat16)
        return total + rows @ kernel * variables["params"]["scale"][None].astype(jnp.bfloat16), None

    start = rows @ params["dense"]["kernel"].astype(jnp.bfloat16)
    return lax.scan(layer, start, {"params": params["encoder"]["layers"]})[0].astype(jnp.float32)


@pytest.mark.parametrize("layers_in", [None, "bfloat16"])
@pytest.mark.parametrize("shape", [(1, 1), (8, 1), (2, 4), (1, 8), (4, 2)])
def test_gradients_are_summed_in_float32(shape, layers_in):
    """In whole numbers: those of each device are exact in bfloat16, their sum is not."""
    rng = np.random.default_rng(0)
    kernels = rng.integers(-1, 2, (LAYERS, WIDTH, OUT)).astype(np.float32)
    layers = {"dense": {"kernel": kernels}, "scale": np.ones((LAYERS, OUT), np.float32)}
    params = {"encoder": {"layers": layers}, "dense": {"kernel": kernels[0, :, ::-1].copy()}}
    rows, weights = (rng.integers(3, 6, (ROWS, size)).astype(np.float32) for size in (WIDTH, OUT))
    mesh = make_mesh(*shape, jax.devices()[: shape[0] * shape[1]])
    shardings = param_shardings(mesh, params)
    assert ("fsdp" in shardings["encoder"]["layers"]["dense"]["kernel"].spec) == (shape[1] > 1)

    def loss(params, rows, weights):
        found = over_rows(function, params, rows.astype(jnp.bfloat16), None, mesh=mesh, layers_in=layers_in)
        return jnp.sum(found * weights), found

    split = [jax.device_put(x, batch_sharding(mesh)) for x in (rows, weights)]
    (_, found), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(jax.device_put(params, shardings), *split)
    np.testing.assert_array_equal(found, rows @ (kernels.sum(0) + kernels[0, :, ::-1]))
    for ours, sharding in zip(jax.tree.leaves(gradient), jax.tree.leaves(shardings), strict=True):
        assert ours.sharding.is_equivalent_to(sharding, ours.ndim)
    by_device = [one.T @ other for one, other in zip(*(np.split(x, mesh.size) for x in (rows, weights)), strict=True)]
    if mesh.size > 1:
        assert all(np.array_equal(one, jnp.bfloat16(one).astype(np.float32)) for one in by_device)
        wanted = np.sum(by_device, axis=0)
        assert not np.array_equal(wanted, jnp.bfloat16(wanted).astype(np.float32))
        np.testing.assert_array_equal(gradient["dense"]["kernel"], wanted)
        for ours in gradient["encoder"]["layers"]["dense"]["kernel"]:
            np.testing.assert_array_equal(ours, wanted)
