"""Masked language modelling over the mesh: each device scores its own positions against the whole vocabulary."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxemb.losses import masked_lm
from jaxemb.losses.vocabulary import labelled, log_sums, losses_of
from jaxemb.parallel.mesh import BATCH_AXES
from jaxemb.parallel.table import is_split_by_rows


def masked_lm_over_mesh(
    vectors: Float[Array, "N H"],
    labels: Int[Array, "N"],
    embedding: Float[Array, "V H"],
    bias: Float[Array, "V"],
    *,
    mesh: Mesh,
    chunk: int = 8192,
    dtype: Any = jnp.float32,
    most: int | None = None,
) -> Float[Array, "N"]:
    """`losses.masked_lm` of positions that are sharded over the mesh; the devices must divide N.

    The gradients of the embedding and the bias are summed on each device, and over the devices once. An embedding that
    is sharded over `fsdp` by rows is not gathered: each device scores the positions of its whole group against its own
    rows; a label beyond all rows gives NaN. Differentiate the function from outside. `most` is an upper bound of the
    labels on a device that are not negative: only that many positions are computed, or all when it is None.
    """
    by_rows = is_split_by_rows(mesh, embedding)

    def on_device(
        vectors: Float[Array, "N H"], labels: Int[Array, "N"], embedding: Float[Array, "v H"], bias: Float[Array, "v"]
    ) -> Float[Array, "N"]:
        chosen = jnp.argsort(labels < 0)[:most]
        score = _of_group if by_rows else masked_lm
        losses = score(vectors[chosen], labels[chosen], embedding, bias, chunk=chunk, dtype=dtype)
        return jnp.zeros_like(losses, shape=labels.shape).at[chosen].set(losses, unique_indices=True)

    rows, words = PartitionSpec(BATCH_AXES), PartitionSpec("fsdp" if by_rows else None)
    over_mesh = jax.shard_map(on_device, mesh=mesh, in_specs=(rows, rows, words, words), out_specs=rows, check_vma=True)
    return over_mesh(vectors, labels, embedding, bias)


def _of_group(
    vectors: Float[Array, "n H"],
    labels: Int[Array, "n"],
    embedding: Float[Array, "v H"],
    bias: Float[Array, "v"],
    *,
    chunk: int,
    dtype: Any,
) -> Float[Array, "n"]:
    """`masked_lm` of a device's positions if each device of its `fsdp` group has different rows of the embedding."""
    shard = lax.axis_index("fsdp")
    everyone_s = lax.all_gather(jnp.asarray(labelled(vectors, labels), jnp.float32), "fsdp", tiled=True)
    wanted = lax.all_gather(labels, "fsdp", tiled=True) - shard * len(embedding)
    wanted = jnp.where((wanted >= 0) & (wanted < len(embedding)), wanted, -1)
    total, own = log_sums(everyone_s, wanted, embedding, bias, chunk=chunk, dtype=dtype)
    largest = lax.pmax(lax.stop_gradient(total), "fsdp")
    total = largest + jnp.log(lax.psum(jnp.exp(total - largest), "fsdp"))
    total, own = (lax.dynamic_slice_in_dim(x, shard * len(labels), len(labels)) for x in (total, lax.psum(own, "fsdp")))
    return losses_of(total, own, labels, len(embedding) * lax.axis_size("fsdp"))
