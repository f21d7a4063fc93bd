"""An embedding table that is sharded over `fsdp` by rows: looked up where the rows are, and never gathered.

The devices of one `fsdp` group exchange their token ids. Each looks up the rows that it has, with zeros for the others;
the results are summed and returned to the device that asked. In the backward pass, the cotangents are gathered, and
each device sums the gradient of its own rows, in float32; this gradient is then summed over `data` only.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxemb.parallel.mesh import BATCH_AXES, partition


def is_split_by_rows(mesh: Mesh, table: Any) -> bool:
    """Whether `param_shardings` shards a table [V, H] by its rows."""
    return partition(table.shape, mesh.shape["fsdp"])[:1] == ("fsdp",)


def lookup(
    table: Float[Array, "V H"], ids: Int[Array, "B S"], *, mesh: Mesh, dtype: Any = jnp.float32
) -> Float[Array, "B S H"]:
    """`table[ids]` of a table that is sharded by rows; ids beyond it give NaN, as in a table that is not sharded.

    Args:
      table: sharded over `fsdp`, which must divide V.
      ids: of the global batch; the devices must divide B.
      mesh: from `make_mesh`.
      dtype: of the result; the gradient of the table is always float32.
    """

    def on_device(table: Float[Array, "v H"], ids: Int[Array, "b S"]) -> Float[Array, "b S H"]:
        own = lax.all_gather(ids, "fsdp", tiled=True) - lax.axis_index("fsdp") * len(table)
        here = (own >= 0) & (own < len(table))
        rows = jnp.where(here[..., None], table[jnp.where(here, own, 0)], jnp.zeros((), table.dtype)).astype(dtype)
        found = lax.psum_scatter(rows, "fsdp", scatter_dimension=0, tiled=True)
        return jnp.where(((ids >= 0) & (ids < len(table) * lax.axis_size("fsdp")))[..., None], found, jnp.nan)

    rows = PartitionSpec(BATCH_AXES)
    over_mesh = jax.shard_map(on_device, mesh=mesh, in_specs=(PartitionSpec("fsdp"), rows), out_specs=rows)
    return over_mesh(table, ids)
