"""A table of words that is split over the mesh by rows."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.parallel import batch_sharding, make_mesh, param_shardings

ROWS, WIDTH, BATCH, LENGTH = 2048, 8, 16, 5

MESHES = [(1, 2), (2, 4), (1, 8), (4, 2)]


def placed(mesh, table, *batch):
    sharding = param_shardings(mesh, table)
    assert sharding.spec == jax.sharding.PartitionSpec("fsdp", None)
    return jax.device_put(table, sharding), *(jax.device_put(x, batch_sharding(mesh)) for x in batch)


def mesh_of(shape):
    return make_mesh(*shape, jax.devices()[: shape[0] * shape[1]])


def arrays():
    """A table that is large enough to be split, ids and weights of what is found."""
    rng = np.random.default_rng(0)
    table = jnp.asarray(rng.normal(size=(ROWS, WIDTH)), jnp.float32)
    ids = jnp.asarray(rng.integers(0, ROWS, (BATCH, LENGTH)), jnp.int32).at[0].set(7)  # one that comes often
    weights = jnp.asarray(rng.normal(size=(BATCH, LENGTH, WIDTH)), jnp.float32)
    return table, ids, weights
