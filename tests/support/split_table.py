"""A table of words that is split over the mesh by rows."""

import jax

from jaxemb.parallel import batch_sharding, make_mesh, param_shardings

ROWS, WIDTH, BATCH, LENGTH = 48, 6, 16, 5

MESHES = [(1, 2), (2, 4), (1, 8), (4, 2)]


def placed(mesh, table, *batch):
    sharding = param_shardings(mesh, table)
    assert sharding.spec == jax.sharding.PartitionSpec("fsdp", None)
    return jax.device_put(table, sharding), *(jax.device_put(x, batch_sharding(mesh)) for x in batch)


def mesh_of(shape):
    return make_mesh(*shape, jax.devices()[: shape[0] * shape[1]])
