"""GradCache: a batch of any size in the memory of the activations of one chunk."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from jaxemb.parallel.mesh import BATCH_AXES
from jaxemb.parallel.rows import over_rows

Embed = Callable[[Any, Any, Any], Any]
"""`(params, batch, key) -> embeddings`, row by row."""


def chunked_embed(embed: Embed, params: Any, batch: Any, key: Any, chunk: int, *, mesh: Mesh | None = None) -> Any:
    """`embed(params, batch, key)`, at most `chunk` rows at a time on each device.

    Only the embeddings of a chunk are kept: the backward pass embeds the chunk again. The gradient of the parameters
    is summed over the chunks on each device, and over the devices once. Value and gradient are those of `embed` itself,
    provided that it treats rows independently, dropout included (one mask per example, as in `models.apply`). It costs
    a third more work, and memory for one chunk.

    Source: GradCache (Gao et al. 2021, arXiv 2101.06983), section 3; the representation gradients that it caches are
    the cotangents of this function.

    Args:
      embed: a pure function of parameters, rows and key to a tree of arrays [b, ...].
      params: its parameters, float32; sharded ones are gathered first.
      batch: a tree of arrays [B, ...]; the devices of the mesh divide B.
      key: JAX PRNG key, the same for all chunks; None for no dropout.
      chunk: most rows that a device embeds at a time; `rows_of_tokens` gives it for a number of tokens.
      mesh: from `make_mesh`; None for arrays that are on one device.

    Returns: embeddings of all rows, [B, ...], sharded over the mesh.
    Raises: ValueError if the chunk is not positive or the devices do not divide the rows.

    >>> import jax
    >>> embed = lambda kernel, texts, key: jnp.tanh(texts @ kernel)
    >>> texts, kernel = jnp.ones((5, 3)), jnp.ones((3, 2))
    >>> chunked = jax.grad(lambda kernel: chunked_embed(embed, kernel, texts, None, 2).sum())(kernel)
    >>> bool(jnp.allclose(chunked, jax.grad(lambda kernel: embed(kernel, texts, None).sum())(kernel)))
    True
    """
    devices = 1 if mesh is None else math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    count = len(jax.tree.leaves(batch)[0])
    if chunk < 1:
        raise ValueError(f"chunk: {chunk} rows at a time: it must be 1 or more")
    if count % devices:
        raise ValueError(f"{count} rows are not divisible by {devices} devices: pad them")

    def on_shard(params: Any, batch: Any, key: Any, _: None = None) -> Any:
        rows = count // devices
        size = min(chunk, rows)
        again = jax.checkpoint(lambda some: embed(params, some, key))
        chunks = jax.tree.map(
            # Padded with the last row: `embed` might make NaN from zeros, and NaN would spoil the gradient.
            lambda x: jnp.pad(x, [(0, -rows % size)] + [(0, 0)] * (x.ndim - 1), "edge").reshape(-1, size, *x.shape[1:]),
            batch,
        )
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:rows], lax.map(again, chunks))

    return on_shard(params, batch, key) if mesh is None else over_rows(on_shard, params, batch, key, mesh=mesh)


def rows_of_tokens(tokens: int, length: int) -> int:
    """The number of rows of this length that fit `tokens` tokens, padding included; at least one. For `chunk`.

    >>> rows_of_tokens(2048, length=64), rows_of_tokens(2048, length=512), rows_of_tokens(100, length=512)
    (32, 4, 1)
    """
    return max(1, tokens // length)
