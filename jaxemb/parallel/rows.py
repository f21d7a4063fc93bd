"""A function of parameters and rows over the mesh: each device computes its rows, and gradients are summed in float32.

Left to the compiler, the gradient of a kernel is summed over devices where the product is that it comes from, in
bfloat16 if that is what the model computes in. Inside a `shard_map` nothing is summed but what is written down: over
`data` at its boundary, once a step, and over `fsdp` where parameters are gathered.
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
"""In place of the axis that an array is split along."""


def over_rows(
    function: Callable[..., Any], params: Any, batch: Any, key: Any, *, mesh: Mesh, layers_in: Any = None
) -> Any:
    """`function(params, batch, key, gather)` of each device's rows, without dependence of a row on another.

    Args:
      function: a pure function to a tree of arrays [b, ...].
      params: float32, lying as `param_shardings` says. Those that are split over `fsdp` are gathered before `function`
        runs, in float32.
      batch: a tree of arrays [B, ...]; the devices divide B.
      key: JAX PRNG key, the same for all devices; None for no dropout.
      mesh: from `make_mesh`.
      layers_in: gathers the encoder's layers one by one instead, by the `gather` that `function` gets for
        `models.apply`: their matrices in this type, the compute type. `gather` is None where nothing is split.

    Returns: the outputs of all rows, [B, ...], split over the mesh.
    """
    specs = jax.tree.map(lambda leaf: partition(leaf.shape, mesh.shape["fsdp"]), params)
    axes = jax.tree.map(_split_axis, specs, is_leaf=lambda leaf: isinstance(leaf, PartitionSpec))
    split = any(axis != WHOLE for axis in jax.tree.leaves(axes))
    by_layer = layers_in is not None and split

    def gather(layer: Any) -> Any:
        """The variables of one layer, where the first axis of the stacked ones is gone."""

        def whole(part: Array, axis: int) -> Array:
            dtype = layers_in if part.ndim > 1 else part.dtype  # norms and biases are little, and used in float32
            return part if axis < 1 else _gathered(part, axis - 1, dtype)

        return {**layer, "params": jax.tree.map(whole, layer["params"], axes["encoder"]["layers"])}

    def on_device(params: Any, batch: Any, key: Any) -> Any:
        def whole(path: Any, part: Array, axis: int) -> Array:
            later = by_layer and is_stacked(path) and axis > 0
            return part if axis == WHOLE or later else _gathered(part, axis, part.dtype)

        params = jax.tree_util.tree_map_with_path(whole, params, axes)
        return function(params, batch, key, gather if by_layer else None)

    rows, everywhere = PartitionSpec(BATCH_AXES), PartitionSpec()
    # Without the replication check the gradient of what is not split over an axis is summed over it at the boundary;
    # with it, where the parameter is used: in a loop, once a turn. The check also fails on erfc in jax 0.12.
    over_mesh = jax.shard_map(on_device, mesh=mesh, in_specs=(specs, rows, everywhere), out_specs=rows, check_vma=False)
    return over_mesh(params, batch, key)


def _split_axis(spec: PartitionSpec) -> int:
    return next((axis for axis, name in enumerate(spec) if name == "fsdp"), WHOLE)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _gathered(part: Array, axis: int, dtype: Any) -> Array:
    """The whole array, in this type; its gradient is summed in float32, and split again by that."""
    return lax.all_gather(part.astype(dtype), "fsdp", axis=axis, tiled=True)


def _gathered_forward(part: Array, axis: int, dtype: Any) -> tuple[Array, None]:
    return _gathered(part, axis, dtype), None


def _gathered_backward(axis: int, _dtype: Any, _: None, cotangent: Array) -> tuple[Array]:
    return (lax.psum_scatter(cotangent.astype(jnp.float32), "fsdp", scatter_dimension=axis, tiled=True),)


_gathered.defvjp(_gathered_forward, _gathered_backward)
