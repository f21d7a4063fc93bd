"""In-batch negatives over the mesh: the loss of the global batch, exact in value and gradient on any mesh.

Differentiate these functions from outside, as in `jax.grad(lambda p: loss_of(p, ...))`. The sums over devices lie
inside the `shard_map`, with its replication check on, so that the gradient is the one of the whole batch; a gradient
taken inside a `shard_map` is not.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxemb.losses.additive_margin import Directions, combine_directions
from jaxemb.losses.duplicates import same_hash
from jaxemb.losses.similarity import dot_similarity, normalize
from jaxemb.losses.softmax import margin_softmax
from jaxemb.parallel.mesh import BATCH_AXES

Negatives = Literal["gather", "local"]


def bidirectional_in_batch_loss(
    anchors: Float[Array, "B D"],
    positives: Float[Array, "B D"],
    *,
    mesh: Mesh,
    scale: float | Float[Array, ""] = 20.0,
    margin: float | Float[Array, ""] = 0.0,
    directions: Directions = "mean",
    negatives: Negatives = "gather",
    anchor_hashes: UInt32[Array, "B 2"] | None = None,
    positive_hashes: UInt32[Array, "B 2"] | None = None,
    weights: Float[Array, "B"] | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`losses.additive_margin_softmax` of the global batch, its rows spread over the mesh.

        loss = sum_i w_i * loss_i / sum_i w_i

    Rows that share the hash of their anchor or of their positive are no negatives of each other, wherever in the
    global batch they lie. The masks are made on each device from the hashes, [B / devices, B] at most.

    Args:
      anchors: one embedding a row, any norm, sharded or not.
      positives: the positive of each anchor, row by row.
      mesh: from `make_mesh`; its number of devices must divide B.
      scale: s, the inverse temperature (1/T).
      margin: m, in cosine units, taken off the true pair before scaling, in both directions.
      directions: "mean" or "sum" of anchor->positive and positive->anchor.
      negatives: "gather": all other rows of the global batch; "local": those on the same device.
      anchor_hashes: 64 bits of a hash of each anchor's text, in two words; None masks no equal anchors.
      positive_hashes: likewise of the positives.
      weights: w, not negative; a row of weight 0 (padding) is neither query nor candidate. All 1 when None.

    Returns: the loss in nats, and metrics of the global batch without gradient. Rows count in them once, whatever
      their positive weight:
        accuracy: share of rows whose positive is closer than each negative (no margin, ties count as wrong), mean of
          both directions;
        positive_similarity: mean cosine of the true pairs;
        hardest_negative_similarity: mean cosine of the closest negative, over both directions and the rows that have
          one;
        duplicate_rate: share of rows from which at least one other row is hidden as a duplicate;
        negatives_per_query: mean number of negatives a row.
    Raises: ValueError when B does not divide by the number of devices, or a choice is unknown.

    >>> from jaxemb.parallel import make_mesh
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> mesh = make_mesh(devices=jax.devices()[:1])
    >>> loss, metrics = bidirectional_in_batch_loss(x, x, mesh=mesh, scale=10.0, margin=0.3, directions="sum")
    >>> round(float(loss), 6), float(metrics["accuracy"])
    (0.001823, 1.0)
    """
    shards = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    if len(anchors) % shards:
        raise ValueError(f"{len(anchors)} rows do not divide by {shards} devices: pad them with rows of weight 0")
    if negatives not in ("gather", "local"):
        raise ValueError(f"negatives: {negatives!r} is neither 'gather' nor 'local'")
    rows = {
        "anchor": anchors,
        "positive": positives,
        "weight": jnp.ones(len(anchors), jnp.float32) if weights is None else jnp.asarray(weights, jnp.float32),
    }
    if anchor_hashes is not None:
        rows["anchor_hash"] = anchor_hashes
    if positive_hashes is not None:
        rows["positive_hash"] = positive_hashes
    over_mesh = _over_mesh(mesh, directions, negatives == "gather")
    return over_mesh(rows, jnp.asarray(scale, jnp.float32), jnp.asarray(margin, jnp.float32))


@cache
def _over_mesh(mesh: Mesh, directions: Directions, gather: bool) -> Callable[..., tuple[Array, dict[str, Array]]]:
    """The loss as a function of the sharded rows; cached and jitted, so that a call outside jit compiles once."""
    over_mesh = jax.shard_map(
        partial(_loss_on_shard, directions=directions, gather=gather),
        mesh=mesh,
        in_specs=(PartitionSpec(BATCH_AXES), PartitionSpec(), PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=True,
    )
    return jax.jit(over_mesh)


def _loss_on_shard(
    rows: dict[str, Array], scale: Array, margin: Array, *, directions: Directions, gather: bool
) -> tuple[Array, dict[str, Array]]:
    """What one device does: its own rows, as queries, against the columns of all devices or its own."""
    rows = rows | {name: normalize(rows[name]) for name in ("anchor", "positive")}
    columns = {name: lax.all_gather(value, BATCH_AXES, tiled=True) for name, value in rows.items()} if gather else rows
    own = jnp.arange(len(rows["anchor"]))  # the column in which each row's own pair lies
    if gather:
        own += lax.axis_index(BATCH_AXES) * len(own)
    hidden, is_negative = _masks(rows, columns, own)

    both_ways = [
        dot_similarity(rows["anchor"], columns["positive"]),
        dot_similarity(rows["positive"], columns["anchor"]),
    ]
    losses = [margin_softmax(c, own, scale=scale, margin=margin, excluded=~is_negative) for c in both_ways]
    weighted = rows["weight"] * combine_directions(losses[0], losses[1], directions)
    sums = {"loss": jnp.sum(weighted), "weight": jnp.sum(rows["weight"])}
    sums |= _metric_sums(lax.stop_gradient(both_ways), own, rows["weight"] > 0, hidden, is_negative)
    return _ratios(lax.psum(sums, BATCH_AXES))


def _masks(
    rows: dict[str, Array], columns: dict[str, Array], own: Int[Array, "b"]
) -> tuple[Bool[Array, "b M"], Bool[Array, "b M"]]:
    """Which live columns are hidden from each row as duplicates of it, and which ones are its negatives."""
    others = jnp.arange(len(columns["anchor"]))[None, :] != own[:, None]
    live_others = others & (columns["weight"] > 0)[None, :]
    same = jnp.zeros_like(live_others)
    for name in ("anchor_hash", "positive_hash"):
        if name in rows:
            same |= same_hash(rows[name], columns[name])
    return live_others & same, live_others & ~same


def _metric_sums(
    both_ways: list[Float[Array, "b M"]],
    own: Int[Array, "b"],
    live: Bool[Array, "b"],
    hidden: Bool[Array, "b M"],
    is_negative: Bool[Array, "b M"],
) -> dict[str, Array]:
    """Sums over this device's live rows, from which `_ratios` makes the metrics."""
    is_own = jnp.arange(is_negative.shape[1])[None, :] == own[:, None]
    has_negative = live & jnp.any(is_negative, axis=1)
    hits, hardest_sum = jnp.float32(0), jnp.float32(0)
    for cosines in both_ways:
        positive = jnp.sum(jnp.where(is_own, cosines, 0.0), axis=1)
        hardest = jnp.max(jnp.where(is_negative, cosines, -jnp.inf), axis=1)
        hits += _count(live & (positive > hardest)) / 2
        hardest_sum += jnp.sum(jnp.where(has_negative, hardest, 0.0)) / 2
    return {
        "live": _count(live),
        "with_negative": _count(has_negative),
        "hits": hits,
        "hardest": hardest_sum,
        "positive": jnp.sum(jnp.where(live, positive, 0.0)),
        "duplicated": _count(live & jnp.any(hidden, axis=1)),
        "negatives": jnp.sum(jnp.where(live[:, None], is_negative, False), dtype=jnp.float32),
    }


def _ratios(sums: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """The loss and the metrics out of sums over the global batch; 0 where nothing was summed."""

    def ratio(name: str, count: str) -> Array:
        return jnp.where(sums[count] > 0, sums[name] / jnp.where(sums[count] > 0, sums[count], 1.0), 0.0)

    return ratio("loss", "weight"), {
        "accuracy": ratio("hits", "live"),
        "positive_similarity": ratio("positive", "live"),
        "hardest_negative_similarity": ratio("hardest", "with_negative"),
        "duplicate_rate": ratio("duplicated", "live"),
        "negatives_per_query": ratio("negatives", "live"),
    }


def _count(mask: Bool[Array, "b"]) -> Float[Array, ""]:
    return jnp.sum(mask, dtype=jnp.float32)
