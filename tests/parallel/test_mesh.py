import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxemb.errors import UserError
from jaxemb.parallel import BATCH_AXES, batch_sharding, make_mesh, param_shardings, replicated


@pytest.mark.parametrize(
    ("asked", "shape"), [((), (8, 1)), ((-1, 4), (2, 4)), ((1, 8), (1, 8)), ((4, 2), (4, 2)), ((8, 1), (8, 1))]
)
def test_shape_and_axes(asked, shape):
    mesh = make_mesh(*asked)
    assert mesh.axis_names == BATCH_AXES
    assert mesh.devices.shape == shape
    assert mesh.axis_types == (AxisType.Auto, AxisType.Auto)
    assert {d.id for d in mesh.devices.flat} == {d.id for d in jax.devices()}


def test_some_devices_only():
    assert list(make_mesh(devices=jax.devices()[2:4]).devices.flat) == jax.devices()[2:4]


@pytest.mark.parametrize(
    ("data", "fsdp", "message"),
    [
        (4, 1, "mesh.data * mesh.fsdp is 4 * 1 = 4 devices, but this run has 8 cpu devices; set mesh.data to -1"),
        (8, 2, "is 8 * 2 = 16 devices, but this run has 8 cpu devices"),
        (
            -1,
            3,
            "mesh.fsdp is 3, which does not divide the number of devices (8 cpu devices): set mesh.fsdp to one of "
            "1, 2, 4, 8",
        ),
        (-1, 16, "set mesh.fsdp to one of 1, 2, 4, 8"),
        (0, 1, "mesh.data is 0 and mesh.fsdp is 1: both must be 1 or more"),
        (-1, 0, "mesh.data is -1 and mesh.fsdp is 0: both must be 1 or more"),
        (-2, 1, "mesh.data is -2"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(data, fsdp, message):
    with pytest.raises(UserError, match=re.escape(message)):
        make_mesh(data, fsdp)


def test_batches_are_split_over_all_devices_in_the_order_of_the_mesh():
    mesh = make_mesh(4, 2)
    x = jax.device_put(np.arange(16), batch_sharding(mesh))
    by_device = {shard.device: shard.data.tolist() for shard in x.addressable_shards}
    assert [by_device[device] for device in mesh.devices.flat] == [[2 * k, 2 * k + 1] for k in range(8)]
    assert replicated(mesh).is_fully_replicated


def test_parameters_are_split_along_their_largest_axis_that_divides():
    params = {
        "kernel": jnp.zeros((128, 512)),
        "stacked": jnp.zeros((8, 64, 64)),
        "odd_vocabulary": jax.ShapeDtypeStruct((50_001, 64), jnp.float32),
        "indivisible": jnp.zeros((129, 255)),
        "small": jnp.zeros((64, 64)),
        "scalar": jnp.zeros(()),
    }
    specs = jax.tree.map(lambda sharding: sharding.spec, param_shardings(make_mesh(2, 4), params))
    assert specs == {
        "kernel": PartitionSpec(None, "fsdp"),
        "stacked": PartitionSpec(None, "fsdp", None),
        "odd_vocabulary": PartitionSpec(None, "fsdp"),
        "indivisible": PartitionSpec(),
        "small": PartitionSpec(),
        "scalar": PartitionSpec(),
    }
    kernel = jax.device_put(params["kernel"], param_shardings(make_mesh(2, 4), params)["kernel"])
    assert kernel.addressable_shards[0].data.shape == (128, 128)


def test_without_fsdp_parameters_are_replicated():
    shardings = param_shardings(make_mesh(8, 1), {"kernel": jnp.zeros((128, 512))})
    assert shardings["kernel"].is_fully_replicated
