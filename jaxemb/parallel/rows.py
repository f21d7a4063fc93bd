"""A function of parameters and rows over the mesh: each device computes its rows, and gradients are summed in float32.

The compiler alone would sum the gradient of a kernel over devices right at the product that it comes from, in bfloat16
if the model computes in bfloat16. A `shard_map` has only the sums that we write: over `data` at its boundary, once per
step, and over `fsdp` where parameters are gathered.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from jaxemb.models.paths import is_stacked
from jaxemb.parallel.mesh import BATCH_AXES, partition

WHOLE = -1
"""Stands for the axis that an array is sharded along."""


def over_rows(
    function: Callable[..., Any], params: Any, batch: Any, key: Any, *, mesh: Mesh, layers_in: Any = None
) -> Any:
    """`function(params, batch, key, gather)` of each device's rows; no row may depend on another.

    Args:
      function: a pure function to a tree of arrays [b, ...].
      params: float32, sharded by `param_shardings`. Those that are sharded over `fsdp` are gathered in float32 before
        `function` runs.
      batch: a tree of arrays [B, ...]; the devices must divide B.
      key: JAX PRNG key, the same for all devices; None for no dropout.
      mesh: from `make_mesh`.
      layers_in: the compute type. If given, the encoder's layers are gathered one by one instead, their matrices in
        this type, by the `gather` that `function` passes to `models.apply`. `gather` is None if nothing is sharded.

    Returns: the outputs of all rows, [B, ...], sharded over the mesh.
    """
    specs = jax.tree.map(lambda leaf: partition(leaf.shape, mesh.shape["fsdp"]), params)
    axes = jax.tree.map(_split_axis, specs, is_leaf=lambda leaf: isinstance(leaf, PartitionSpec))
    split = any(axis != WHOLE for axis in jax.tree.leaves(axes))
    by_layer = layers_in is not None and split

    def gather(layer: Any) -> Any:
        """The specs for the variables of one layer, without the first axis of the stacked ones."""

        def whole(part: Array, axis: int) -> Array:
            dtype = layers_in if part.ndim > 1 else part.dtype  # norms and biases are small, and used in float32
            return part if axis < 1 else _gathered(part, axis - 1, dtype)

        return {**layer, "params": jax.tree.map(whole, layer["params"], axes["encoder"]["layers"])}

    def on_device(params: Any, batch: Any, key: Any) -> Any:
        def whole(path: Any, part: Array, axis: int) -> Array:
            later = by_layer and is_stacked(path) and axis > 0
            return part if axis == WHOLE or later else _gathered(part, axis, part.dtype)

        params = jax.tree_util.tree_map_with_path(whole, params, axes)
        return function(params, batch, key, gather if by_layer else None)

    rows, everywhere = PartitionSpec(BATCH_AXES), PartitionSpec()
    # Without the replication check, the gradient of an array that is replicated over an axis is summed over the axis at
    # the boundary. With the check it is summed where the array is used: in a loop, once per iteration. The check also
    # fails on erfc in jax 0.12.
    over_mesh = jax.shard_map(on_device, mesh=mesh, in_specs=(specs, rows, everywhere), out_specs=rows, check_vma=False)
    return over_mesh(params, batch, key)


def _split_axis(spec: PartitionSpec) -> int:
    return next((axis for axis, name in enumerate(spec) if name == "fsdp"), WHOLE)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _gathered(part: Array, axis: int, dtype: Any) -> Array:
    """The gathered array, in this type; its gradient is summed and scattered in float32."""
    return lax.all_gather(part.astype(dtype), "fsdp", axis=axis, tiled=True)


def _gathered_forward(part: Array, axis: int, dtype: Any) -> tuple[Array, None]:
    return _gathered(part, axis, dtype), None


def _gathered_backward(axis: int, _dtype: Any, _: None, cotangent: Array) -> tuple[Array]:
    return (lax.psum_scatter(cotangent.astype(jnp.float32), "fsdp", scatter_dimension=axis, tiled=True),)


_gathered.defvjp(_gathered_forward, _gathered_backward)
