"""Any in-batch loss over the mesh, exact in value and gradient: with the negatives of one device, or of all.

Differentiate these functions from outside, as in `jax.grad(lambda p: loss_of(p, ...))`. The sums over devices lie
outside the `shard_map`, whose replication check is on, so that the gradient is the one of the whole batch; a gradient
taken inside a `shard_map` is not.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxemb.losses.duplicates import same_hash
from jaxemb.losses.in_batch import InBatch, combine_values
from jaxemb.parallel.mesh import BATCH_AXES
from jaxemb.parallel.ring import ring

Negatives = Literal["local", "gather", "ring"]
NEGATIVES: tuple[Negatives, ...] = ("local", "gather", "ring")


class Rows(NamedTuple):
    """What travels between devices: the rows of a batch, and what decides which rows may look at them."""

    batch: tuple[Any, ...]
    weight: Float[Array, "b"]
    ids: tuple[UInt32[Array, "b 2"], ...]


def in_batch_values(
    loss: InBatch,
    batch: tuple[Any, ...],
    *,
    mesh: Mesh,
    negatives: Negatives = "gather",
    ids: Sequence[UInt32[Array, "B 2"]] = (),
    weights: Float[Array, "B"] | None = None,
    chunk: int = 1024,
    **hyper: Any,
) -> dict[str, Any]:
    """What each row of the global batch gets out of `loss.rows`, the rows being spread over the mesh.

    Args:
      loss: an in-batch loss.
      batch: its arrays, [B, ...] each, sharded or not; None for those that are missing.
      mesh: from `make_mesh`; its number of devices must divide B.
      negatives: "gather": rows look at all rows of the global batch, gathered on every device; "local": at those on the
        same device; "ring": at all rows, which travel from device to device.
      ids: hashes in two words; rows that share one are hidden from each other, wherever in the global batch they lie.
      weights: of the rows; one of weight 0 (padding) is seen by no other. All 1 when None.
      chunk: "ring": rows that are scored against the B / devices rows of another device at a time.
      hyper: keyword arguments of the loss; numbers and arrays may be traced and have gradients.

    Returns: `values`, those of the loss, and `hidden`, the number of live rows hidden from each row as duplicates.
    Raises: ValueError when B does not divide by the number of devices, a choice is unknown, or "ring" is asked of a
      loss that must see all columns at once.
    """
    devices = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    count = len(jax.tree.leaves(batch)[0])
    if count % devices:
        raise ValueError(f"{count} rows do not divide by {devices} devices: pad them with rows of weight 0")
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives: {negatives!r} is none of {', '.join(NEGATIVES)}")
    if negatives == "ring" and loss.combine is None:
        raise ValueError("negatives: 'ring' is for losses that sum over columns; this one must see all: take 'gather'")
    weights = jnp.ones(count, jnp.float32) if weights is None else jnp.asarray(weights, jnp.float32)
    choices = {name: value for name, value in hyper.items() if isinstance(value, (str, bool, tuple)) or value is None}
    numbers = {name: jnp.asarray(value, jnp.float32) for name, value in hyper.items() if name not in choices}
    over_mesh = _over_mesh(loss, mesh, negatives, chunk, tuple(sorted(choices.items())))
    return over_mesh(Rows(tuple(batch), weights, tuple(ids)), numbers)


def in_batch_loss(loss: InBatch, batch: tuple[Any, ...], **options: Any) -> Float[Array, ""]:
    """The loss of the global batch: `loss.reduce` of `in_batch_values`, which has the arguments.

    >>> from jaxemb.losses.ranking_softmax import RankingForm, ranking
    >>> from jaxemb.parallel import make_mesh
    >>> x = jnp.eye(2)
    >>> mesh = make_mesh(devices=jax.devices()[:1])
    >>> round(float(in_batch_loss(ranking(RankingForm()), (x, x), mesh=mesh, scale=2.0)), 6)  # log(1 + exp(-2))
    0.126928
    """
    values = in_batch_values(loss, batch, **options)["values"]
    weights = options.get("weights")
    return loss.reduce(values, jnp.ones(len(batch[0]), jnp.float32) if weights is None else weights)


@cache
def _over_mesh(
    loss: InBatch, mesh: Mesh, negatives: Negatives, chunk: int, choices: tuple[tuple[str, Any], ...]
) -> Callable[..., dict[str, Any]]:
    """The function of the sharded rows; cached and jitted, so that a call outside jit compiles once."""
    over_mesh = jax.shard_map(
        partial(_on_shard, loss=loss, negatives=negatives, chunk=chunk, choices=dict(choices)),
        mesh=mesh,
        in_specs=(PartitionSpec(BATCH_AXES), PartitionSpec()),
        out_specs=PartitionSpec(BATCH_AXES),
        check_vma=True,
    )
    return jax.jit(over_mesh)


def _on_shard(
    rows: Rows, hyper: dict[str, Array], *, loss: InBatch, negatives: Negatives, chunk: int, choices: dict[str, Any]
) -> dict[str, Any]:
    """What one device does: its own rows, against each other or those of all devices."""

    def block(rows: Rows, columns: Rows, own: Int[Array, "b"], hyper: dict[str, Array]) -> tuple[Any, Array]:
        allowed, hidden = _masks(rows, columns, own)
        return loss.rows(rows.batch, columns.batch, own, allowed, **hyper, **choices), hidden

    def named_block(*arguments: Any) -> dict[str, Array]:
        values, hidden = block(*arguments)
        return {**values, "hidden": hidden}

    if negatives == "ring":
        values: Any = ring(rows, hyper, named_block, {**(loss.combine or {}), "hidden": "add"}, chunk)
        hidden = values.pop("hidden")
    else:
        columns, own = rows, jnp.arange(len(rows.weight))
        if negatives == "gather":
            columns = jax.tree.map(lambda x: lax.all_gather(x, BATCH_AXES, tiled=True), rows)
            own += lax.axis_index(BATCH_AXES) * len(own)
        values, hidden = block(rows, columns, own, hyper)
    if loss.alone is not None and loss.combine is not None:
        values = combine_values(loss.combine, loss.alone(rows.batch, **hyper, **choices), values)
    return {"values": values, "hidden": hidden}


def _masks(rows: Rows, columns: Rows, own: Int[Array, "b"]) -> tuple[Bool[Array, "b M"], Float[Array, "b"]]:
    """Which columns each row may look at, and how many live ones are hidden from it as duplicates."""
    is_own = jnp.arange(len(columns.weight))[None, :] == own[:, None]
    live = (columns.weight > 0)[None, :] | is_own
    same = jnp.zeros_like(live)
    for mine, theirs in zip(rows.ids, columns.ids, strict=True):
        same |= same_hash(mine, theirs)
    same &= live & ~is_own
    return live & ~same, jnp.sum(same, axis=1, dtype=jnp.float32)
