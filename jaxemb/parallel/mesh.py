"""The mesh of devices, and how batches and parameters are sharded over it."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxemb.errors import UsageError

BATCH_AXES = ("data", "fsdp")
"""The global batch is sharded over both axes; parameters and optimizer state over `fsdp` only."""

MIN_SHARDED_ELEMENTS = 2**14
"""Smaller parameters are replicated: gathering them would cost more than the memory they take."""


def make_mesh(data: int = -1, fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh of `data` x `fsdp` devices. Each group of `fsdp` devices is within one TPU slice or GPU node.

    Args:
      data: number of replicas; -1 for all devices that `fsdp` leaves.
      fsdp: number of devices that parameters and optimizer state are sharded over.
      devices: the devices, all of which are used; every device of every process when None.

    Returns: a mesh with the axes `data` and `fsdp`, both `Auto` (stock Linen fails on explicit ones).
    Raises: UsageError if data * fsdp is not the number of devices, or fsdp does not divide a TPU slice.

    >>> dict(make_mesh(devices=jax.devices()[:1]).shape)
    {'data': 1, 'fsdp': 1}
    """
    devices = list(jax.devices() if devices is None else devices)
    there = f"{len(devices)} {devices[0].platform} device{'s' if len(devices) != 1 else ''}" if devices else "no device"
    if fsdp < 1 or (data < 1 and data != -1):
        raise UsageError(
            f"mesh.data is {data} and mesh.fsdp is {fsdp}: both must be 1 or more "
            "(mesh.data may be -1 for all devices that mesh.fsdp leaves)"
        )
    if data == -1:
        if not devices or len(devices) % fsdp:
            divisors = ", ".join(str(n) for n in range(1, len(devices) + 1) if len(devices) % n == 0)
            raise UsageError(
                f"mesh.fsdp is {fsdp}, which does not divide the number of devices ({there}): set mesh.fsdp to one of "
                f"{divisors}"
            )
        data = len(devices) // fsdp
    if data * fsdp != len(devices):
        raise UsageError(
            f"mesh.data * mesh.fsdp is {data} * {fsdp} = {data * fsdp} devices, but this run has {there}; "
            f"set mesh.data to -1 (all that mesh.fsdp leaves), or choose a product of {len(devices)}"
        )
    types = (AxisType.Auto,) * 2
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if slices == 1 or (data % slices and devices[0].platform != "tpu"):
        return jax.make_mesh((data, fsdp), BATCH_AXES, axis_types=types, devices=devices)
    if data % slices:
        raise UsageError(
            f"mesh.fsdp is {fsdp}, which does not divide the {len(devices) // slices} devices of each of the {slices} "
            "slices: parameters are split inside a slice and the batch across them"
        )
    inside, across = (data // slices, fsdp), (slices, 1)
    return Mesh(mesh_utils.create_hybrid_device_mesh(inside, across, devices), BATCH_AXES, axis_types=types)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Splits the leading axis of an array over all devices, in the order of the mesh."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """Puts the whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def param_shardings(mesh: Mesh, params: Any) -> Any:
    """The sharding of parameters: each is split over `fsdp` along its largest divisible axis, or else replicated.

    Parameters of fewer than `MIN_SHARDED_ELEMENTS` elements are replicated, too.

    Args:
      mesh: from `make_mesh`.
      params: a tree of arrays or `jax.ShapeDtypeStruct`s.

    Returns: a tree of `NamedSharding`s of the same structure.
    """
    return jax.tree.map(lambda leaf: NamedSharding(mesh, partition(leaf.shape, mesh.shape["fsdp"])), params)


def partition(shape: tuple[int, ...], fsdp: int) -> PartitionSpec:
    """The sharding of a parameter of this shape."""
    divisible = [axis for axis, size in enumerate(shape) if size % fsdp == 0]
    if fsdp == 1 or not divisible or np.prod(shape) < MIN_SHARDED_ELEMENTS:
        return PartitionSpec()
    largest = max(divisible, key=lambda axis: shape[axis])
    return PartitionSpec(*(["fsdp" if axis == largest else None for axis in range(len(shape))]))
