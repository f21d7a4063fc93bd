"""Masked language modelling over the mesh: each device scores its own positions against the whole vocabulary."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxemb.losses import masked_lm
from jaxemb.parallel.mesh import BATCH_AXES


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
    """`losses.masked_lm` of positions that are split over the mesh; the devices divide N.

    The gradients of the embedding and the bias are added up on each device and over the devices once. Differentiate it
    from outside. At most `most` labels of a device are not negative, and only so many positions are computed; all when
    it is None.
    """

    def on_device(
        vectors: Float[Array, "N H"], labels: Int[Array, "N"], embedding: Float[Array, "V H"], bias: Float[Array, "V"]
    ) -> Float[Array, "N"]:
        chosen = jnp.argsort(labels < 0)[:most]
        losses = masked_lm(vectors[chosen], labels[chosen], embedding, bias, chunk=chunk, dtype=dtype)
        return jnp.zeros_like(losses, shape=labels.shape).at[chosen].set(losses, unique_indices=True)

    rows, whole = PartitionSpec(BATCH_AXES), PartitionSpec()
    over_mesh = jax.shard_map(on_device, mesh=mesh, in_specs=(rows, rows, whole, whole), out_specs=rows, check_vma=True)
    return over_mesh(vectors, labels, embedding, bias)
