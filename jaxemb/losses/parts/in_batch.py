"""In-batch losses as rows against columns: the same form for one device, for blocks and for a mesh."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxemb.losses.parts.finite import keep

Combine = Literal["add", "logsumexp", "max"]
"""How the values that a row gets from two blocks of columns are combined."""

NOTHING = -1e30
"""The logarithm of nothing: finite, so that gradients through a row without columns are 0 and not NaN."""


@dataclass(frozen=True, eq=False)
class InBatch:
    """A loss that compares each row with other rows of the batch, in two parts: `rows` and `reduce`."""

    rows: Callable[..., Any]
    """`(rows, columns, own, allowed, **hyper) -> values`: the values that b rows get from M columns.

    `rows` and `columns` are tuples of the same arrays, [b, ...] and [M, ...]. `own`, int32 [b], is the column of the
    row itself (outside 0 to M-1 if it is not among the columns). `allowed`, bool [b, M], is False for columns that the
    row must ignore (padding, a duplicate of the row, rows of another device); it may be either for a row's own column,
    because the function knows whether that counts. The values, an array [b] or a tree of such arrays, must be finite in
    value and gradient even if no column is allowed.
    """
    reduce: Callable[[Any, Float[Array, "B"]], Float[Array, ""]]
    """`(values, weights) -> loss`: reduces the values of all B rows to one number; a row of weight 0 (padding) adds
    nothing."""
    combine: Mapping[str, Combine] | None = None
    """For each value of `rows`, how to combine the results of two blocks of columns. None if `rows` needs all columns
    at once."""
    alone: Callable[..., Any] | None = None
    """`(rows, **hyper) -> values` that do not depend on the columns. Only with `combine`: they are combined with values
    of the same name from the columns, or added to them under their own names."""


def combine_values(combine: Mapping[str, Combine], some: Mapping[str, Array], more: Mapping[str, Array]) -> Any:
    """Combines the values of rows from two blocks of columns; values that only one of them has are kept as they are."""
    both = {"add": jnp.add, "logsumexp": jnp.logaddexp, "max": jnp.maximum}
    joined = {name: both[combine[name]](some[name], more[name]) for name in some.keys() & more.keys()}
    return {**some, **more, **joined}


@runtime_checkable
class Across(Protocol):
    """How the rows of a batch are spread over devices, and how they are exchanged: `jaxemb.parallel.Across`."""

    def values(self, loss: InBatch, batch: tuple[Any, ...], hyper: Mapping[str, Any]) -> Any:
        """The values that each row gets from the rows it is compared with."""

    def weights_of(self, count: int) -> Float[Array, "B"]:
        """The weight of each of `count` rows."""


def row_values(
    loss: InBatch,
    batch: tuple[Any, ...],
    *,
    across: Across | None = None,
    allowed: Bool[Array, "B B"] | None = None,
    **hyper: Any,
) -> Any:
    """The values of all rows against all rows, or those `allowed`; on one device, unless `across` is given."""
    if across is not None:
        if allowed is not None:
            raise ValueError("excluded: a [B, B] mask cannot be used across devices; give `ids` to `Across`")
        return across.values(loss, batch, hyper)
    count = len(jax.tree.leaves(batch)[0])
    allowed = jnp.ones((count, count), bool) if allowed is None else allowed
    values = loss.rows(batch, batch, jnp.arange(count), allowed, **hyper)
    if loss.alone is None or loss.combine is None:
        return values
    return combine_values(loss.combine, loss.alone(batch, **hyper), values)


def batch_loss(loss: InBatch, batch: tuple[Any, ...], *, across: Across | None = None, **hyper: Any) -> Any:
    """The loss of all rows."""
    count = len(jax.tree.leaves(batch)[0])
    weights = jnp.ones(count, jnp.float32) if across is None else across.weights_of(count)
    return loss.reduce(row_values(loss, batch, across=across, **hyper), weights)


def weighted_sum(values: Float[Array, "B"], weights: Float[Array, "B"]) -> Float[Array, ""]:
    """sum_i w_i v_i over the rows of positive weight; the other rows add nothing, not even NaN."""
    return jnp.sum(weights * keep(values, weights > 0))


def weighted_mean(values: Float[Array, "B"], weights: Float[Array, "B"]) -> Float[Array, ""]:
    """sum_i w_i v_i / sum_i w_i over the rows of positive weight; 0 where there are none."""
    total = jnp.sum(weights)
    return jnp.where(total > 0, weighted_sum(values, weights) / jnp.where(total > 0, total, 1.0), 0.0)


def log_weighted_sum(values: Float[Array, "B"], weights: Float[Array, "B"]) -> Float[Array, ""]:
    """The logarithm of sum_i w_i exp(v_i) over the rows of positive weight.

    It is about -1e30, with gradient 0, where there are none.
    """
    counts = weights > 0
    return jax.nn.logsumexp(jnp.where(counts, values + jnp.log(jnp.where(counts, weights, 1.0)), NOTHING))


def masked_logsumexp(logits: Float[Array, "b M"], mask: Bool[Array, "b M"]) -> Float[Array, "b"]:
    """Logarithm of sum_j exp(logit_ij) over the mask; about -1e30, with gradient 0, where it is empty."""
    return jax.nn.logsumexp(jnp.where(mask, logits, NOTHING), axis=1)
