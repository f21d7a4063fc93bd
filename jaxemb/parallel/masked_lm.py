"""Masked language modelling over the mesh: each device scores its own positions against the whole vocabulary."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxemb.losses import masked_lm
from jaxemb.losses.vocabulary import log_sums
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
    """`losses.masked_lm` of positions that are split over the mesh; the devices divide N.

    The gradients of the embedding and the bias are added up on each device and over the devices once. Where the
    embedding is split over `fsdp` by rows it is not gathered: each device scores the positions of its whole group
    against its own rows. Differentiate it from outside. At most `most` labels of a device are not negative, and only so
    many positions are computed; all when it is None.
    """

    def on_device(
        vectors: Float[Array, "N H"], labels: Int[Array, "N"], embedding: Float[Array, "V H"], bias: Float[Array, "V"]
    ) -> Float[Array, "N"]:
        chosen = jnp.argsort(labels < 0)[:most]
        losses = masked_lm(vectors[chosen], labels[chosen], embedding, bias, chunk=chunk, dtype=dtype)
        return jnp.zeros_like(losses, shape=labels.shape).at[chosen].set(losses, unique_indices=True)

    def on_group(
        vectors: Float[Array, "N H"], labels: Int[Array, "N"], embedding: Float[Array, "v H"], bias: Float[Array, "v"]
    ) -> Float[Array, "N"]:
        chosen = jnp.argsort(labels < 0)[:most]
        own_vectors, own_labels = vectors[chosen].astype(jnp.float32), labels[chosen]
        of_group = jax.lax.all_gather(own_vectors, "fsdp", tiled=True)
        wanted = jax.lax.all_gather(own_labels, "fsdp", tiled=True) - jax.lax.axis_index("fsdp") * len(embedding)
        wanted = jnp.where((wanted >= 0) & (wanted < len(embedding)), wanted, -1)
        chunks = -(-len(embedding) // chunk)
        total, logit = log_sums(-(-len(embedding) // chunks), jnp.dtype(dtype), of_group, wanted, embedding, bias)
        largest = jax.lax.pmax(jax.lax.stop_gradient(total), "fsdp")
        total = largest + jnp.log(jax.lax.psum(jnp.exp(total - largest), "fsdp"))
        first = jax.lax.axis_index("fsdp") * len(own_labels)
        losses = jax.lax.dynamic_slice_in_dim(total - jax.lax.psum(logit, "fsdp"), first, len(own_labels))
        losses = jnp.where(own_labels >= 0, losses, 0.0)
        return jnp.zeros_like(losses, shape=labels.shape).at[chosen].set(losses, unique_indices=True)

    rows, whole, split = PartitionSpec(BATCH_AXES), PartitionSpec(), PartitionSpec("fsdp")
    by_rows = is_split_by_rows(mesh, embedding)
    over_mesh = jax.shard_map(
        on_group if by_rows else on_device,
        mesh=mesh,
        in_specs=(rows, rows, *((split, split) if by_rows else (whole, whole))),
        out_specs=rows,
        check_vma=True,
    )
    return over_mesh(vectors, labels, embedding, bias)
