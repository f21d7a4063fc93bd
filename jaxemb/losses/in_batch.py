"""In-batch losses as rows against columns: one form for one device, for blocks and for a mesh."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class InBatch(NamedTuple):
    """A loss whose rows look at other rows of the batch, in two parts."""

    rows: Callable[..., Any]
    """`(rows, columns, own, allowed, **hyper) -> values`: what b rows get out of M columns.

    `rows` and `columns` are tuples of the same arrays, [b, ...] and [M, ...]; `own`, int32 [b], is the column in which
    each row itself lies; `allowed`, bool [b, M], is False where a column must not be looked at (padding, a duplicate of
    the row, another device's). A row's own column may be either: the function knows whether it counts. The values, an
    array [b] or a tree of them, must be finite in value and gradient when nothing is allowed.
    """
    reduce: Callable[[Any, Float[Array, "B"]], Float[Array, ""]]
    """`(values, weights) -> loss`: the values of all B rows to one number; a row of weight 0 (padding) adds nothing."""


def whole_batch(loss: InBatch, *batch: Array, **hyper: Any) -> Any:
    """The values of all rows against all rows, on one device."""
    count = len(batch[0])
    return loss.rows(batch, batch, jnp.arange(count), jnp.ones((count, count), bool), **hyper)


def weighted_mean(values: Float[Array, "B"], weights: Float[Array, "B"]) -> Float[Array, ""]:
    """sum_i w_i v_i / sum_i w_i; 0 where all weights are 0."""
    total = jnp.sum(weights)
    return jnp.where(total > 0, jnp.sum(weights * values) / jnp.where(total > 0, total, 1.0), 0.0)
