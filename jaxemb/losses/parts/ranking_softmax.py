"""Multiple-negatives ranking: the softmax family of InfoNCE with directions, hard negatives, guides and queues."""

import functools
import math
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxemb.losses.parts.duplicates import same_hash
from jaxemb.losses.parts.finite import keep, nan_unless
from jaxemb.losses.parts.in_batch import NOTHING, Combine, InBatch, combine_values, masked_logsumexp, weighted_mean
from jaxemb.losses.parts.paired import paired_cosine
from jaxemb.losses.parts.similarity import dot_similarity, normalize

Direction = Literal["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"]
DIRECTIONS: tuple[Direction, ...] = ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")
WITH_POSITIVE: frozenset[Direction] = frozenset({"query_to_doc", "doc_to_query"})
Scalar = float | Float[Array, ""]


class RankingBatch(NamedTuple):
    """The arrays of a batch, with one entry per row."""

    queries: Float[Array, "b D"]
    documents: Float[Array, "b D"]
    """The positive of each query."""
    hard_negatives: Float[Array, "b K D"] | None = None
    guide_queries: Float[Array, "b G"] | None = None
    """The guide's embeddings of the same texts (GIST)."""
    guide_documents: Float[Array, "b G"] | None = None
    guide_hard_negatives: Float[Array, "b K G"] | None = None
    has_hard_negative: Bool[Array, "b K"] | None = None
    """False where a query has fewer than K hard negatives; all True when None."""
    document_ids: UInt32[Array, "b 2"] | None = None
    """Hashes in two words: a query ignores a hard negative that is its own document."""
    hard_negative_ids: UInt32[Array, "b K 2"] | None = None


class RankingForm(NamedTuple):
    """The choices that distinguish the losses of the family; see `multiple_negatives_ranking`."""

    directions: tuple[Direction, ...] = ("query_to_doc",)
    partition: Literal["joint", "per_direction"] = "joint"
    combine_directions: Literal["mean", "sum"] = "mean"
    hardness_mode: Literal["in_batch_negatives", "hard_negatives", "all_negatives"] = "hard_negatives"
    guide_strategy: Literal["absolute", "relative"] = "absolute"
    decoupled: bool = False
    doc_to_hard_negatives: bool = True

    def check(self) -> None:
        """Raises a ValueError for an unknown choice, or choices that do not go together."""
        if not self.directions or not set(self.directions) <= set(DIRECTIONS):
            raise ValueError(f"directions: {self.directions!r} must be some of {', '.join(DIRECTIONS)}")
        if len(set(self.directions)) < len(self.directions):
            raise ValueError(f"directions: {self.directions!r} names one of them twice")
        if "query_to_doc" not in self.directions:
            raise ValueError("directions: 'query_to_doc' must be among them, as it holds the positive")
        for name, allowed in (
            ("partition", ("joint", "per_direction")),
            ("combine_directions", ("mean", "sum")),
            ("hardness_mode", ("in_batch_negatives", "hard_negatives", "all_negatives")),
            ("guide_strategy", ("absolute", "relative")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not one of {', '.join(allowed)}")
        if self.partition == "per_direction" and not set(self.directions) <= WITH_POSITIVE:
            raise ValueError(
                "partition: a separate softmax for query_to_query or doc_to_doc has no positive; use 'joint'"
            )


def both_ways(directions: Literal["mean", "sum"]) -> RankingForm:
    """The form of `additive_margin_softmax`: query to document and back, a softmax for each."""
    return RankingForm(("query_to_doc", "doc_to_query"), "per_direction", directions)


class _Block(NamedTuple):
    """Cosines of the rows with some columns, which columns are negatives, and what is added to their logits."""

    direction: Direction
    cosines: Float[Array, "b n"]
    mask: Bool[Array, "b n"]
    bonus: Float[Array, "b n"] | None


def _unit(batch: RankingBatch, guide: bool) -> dict[str, Float[Array, "n D"]]:
    """Normalised embeddings of queries, documents and hard negatives, one per row."""
    arrays = batch[3:6] if guide else batch[:3]
    flat = [None if array is None else array.reshape(-1, array.shape[-1]) for array in arrays]
    return {name: normalize(x) for name, x in zip(("query", "doc", "hard"), flat, strict=True) if x is not None}


def _blocks(
    rows: RankingBatch,
    columns: RankingBatch,
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    form: RankingForm,
    hard_negative_weight: Scalar,
    hardness: Scalar,
    guide_margin: Scalar,
) -> Iterator[_Block]:
    """For each direction, all columns that the positive is compared with."""
    is_own = jnp.arange(allowed.shape[1])[None, :] == own[:, None]
    others = allowed & ~is_own
    unit_rows, unit_columns = _unit(rows, guide=False), _unit(columns, guide=False)
    guided = rows.guide_queries is not None
    if guided:
        guide_rows, guide_columns = _unit(rows, guide=True), _unit(columns, guide=True)
        threshold = jnp.sum(guide_rows["query"] * guide_rows["doc"], axis=1, keepdims=True)
        threshold -= guide_margin * (jnp.abs(threshold) if form.guide_strategy == "relative" else 1.0)
    for direction in form.directions:
        side, _, target = direction.partition("_to_")
        for name in ("doc", "hard") if target == "doc" else ("query",):
            if name not in unit_columns or (
                direction == "doc_to_doc" and name == "hard" and not form.doc_to_hard_negatives
            ):
                continue
            mask, is_own_hard = others, jnp.zeros_like(is_own)
            if name == "hard":
                each = len(unit_columns["hard"]) // len(unit_columns["doc"])
                # A query's own hard negatives always count, even if they are similar to its document.
                mask = jnp.repeat(others | is_own if side == "query" else others, each, axis=1)
                is_own_hard = jnp.repeat(is_own, each, axis=1)
                if columns.has_hard_negative is not None:
                    mask &= columns.has_hard_negative.reshape(1, -1)
                if rows.document_ids is not None and columns.hard_negative_ids is not None:
                    mask &= ~same_hash(rows.document_ids, columns.hard_negative_ids.reshape(-1, 2))
            if guided:
                mask &= dot_similarity(guide_rows[side], guide_columns[name]) <= threshold
            # NaN in a column that does not count would reach the gradients of the numbers it is multiplied by.
            cosines = jnp.where(mask, dot_similarity(unit_rows[side], unit_columns[name]), 0.0)
            bonus = None
            if direction == "query_to_doc":
                weighted = {
                    "in_batch_negatives": ~is_own_hard,
                    "hard_negatives": is_own_hard,
                    "all_negatives": jnp.ones_like(is_own_hard),
                }[form.hardness_mode]
                bonus = jnp.where(weighted, hardness * lax.stop_gradient(cosines), 0.0)
                bonus += jnp.where(is_own_hard, jnp.log(hard_negative_weight), 0.0)
            yield _Block(direction, cosines, mask, bonus)


COMBINE: dict[str, Combine] = {}
for _direction in DIRECTIONS:
    COMBINE |= {_direction: "logsumexp", f"hardest_{_direction}": "max", f"negatives_{_direction}": "add"}


def _positive(rows: RankingBatch) -> tuple[Float[Array, "b"], Bool[Array, "b"]]:
    """The positive's cosine, 0 in rows that are not finite, and which rows are finite."""
    cosines = paired_cosine(rows.queries, rows.documents)
    finite = jnp.isfinite(cosines)
    return keep(cosines, finite), finite


def _rows(
    rows: tuple[Any, ...],
    columns: tuple[Any, ...],
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    form: RankingForm,
    scale: Scalar = 20.0,
    margin: Scalar = 0.0,
    hard_negative_weight: Scalar = 1.0,
    hardness: Scalar = 0.0,
    guide_margin: Scalar = 0.0,
    queue: Float[Array, "Q D"] | None = None,
) -> dict[str, Float[Array, "b"]]:
    """For each direction, the logsumexp of the negatives' logits minus the positive's, and the largest cosine."""
    del queue  # it adds no columns of the batch
    r, c = RankingBatch(*rows), RankingBatch(*columns)
    positive, finite = _positive(r)
    own, allowed = jnp.where(finite, own, -1), allowed & finite[:, None]  # rows that are not finite ignore all columns
    values: dict[str, Array] = {}
    for block in _blocks(r, c, own, allowed, form, hard_negative_weight, hardness, guide_margin):
        logits = scale * (block.cosines - (positive[:, None] - margin))
        if block.bonus is not None:
            logits += block.bonus
        values = combine_values(COMBINE, values, _values(block.direction, logits, block.cosines, block.mask))
    return _nan_unless(finite, values)


def _nan_unless(finite: Bool[Array, "b"], values: dict[str, Float[Array, "b"]]) -> dict[str, Float[Array, "b"]]:
    """The values, with NaN for the loss of rows that are not finite."""
    return {name: nan_unless(finite, one) if name in DIRECTIONS else one for name, one in values.items()}


def _values(
    direction: Direction, logits: Float[Array, "b n"], cosines: Float[Array, "b n"], mask: Bool[Array, "b n"]
) -> dict[str, Float[Array, "b"]]:
    hardest = jnp.max(jnp.where(mask, lax.stop_gradient(cosines), -2.0), axis=1)
    return {
        direction: masked_logsumexp(logits, mask),
        f"hardest_{direction}": hardest,
        f"negatives_{direction}": jnp.sum(mask, axis=1, dtype=jnp.float32),
    }


def _alone(
    rows: tuple[Any, ...],
    *,
    scale: Scalar = 20.0,
    margin: Scalar = 0.0,
    queue: Float[Array, "Q D"] | None = None,
    **_: Any,
) -> dict[str, Float[Array, "b"]]:
    """The positive's cosine, and what the queue's embeddings add to the negatives of a query."""
    r = RankingBatch(*rows)
    positive, finite = _positive(r)
    values = {"positive": lax.stop_gradient(nan_unless(finite, positive))}
    if queue is not None:
        cosines = dot_similarity(normalize(r.queries), lax.stop_gradient(normalize(queue)))
        cosines = keep(cosines, finite)
        logits = scale * (cosines - (positive[:, None] - margin))
        values |= _values("query_to_doc", logits, cosines, jnp.ones_like(cosines, bool))
    return _nan_unless(finite, values)


def row_losses(values: Mapping[str, Float[Array, "B"]], form: RankingForm) -> Float[Array, "B"]:
    """The loss of each row, from its values."""
    negatives = [values[direction] for direction in form.directions]
    if form.partition == "joint":
        # As in GTE's eq. 4, the sum contains the positive once for each direction that has it.
        positives = len(WITH_POSITIVE.intersection(form.directions))
        groups = [(functools.reduce(jnp.logaddexp, negatives), math.log(positives))]
    else:
        groups = [(one, 0.0) for one in negatives]
    losses = [
        jnp.where(one < NOTHING / 2, 0.0, one) if form.decoupled else jnp.logaddexp(one, positives)
        for one, positives in groups
    ]
    total = functools.reduce(jnp.add, losses)
    return total / len(losses) if form.combine_directions == "mean" else total


@cache
def ranking(form: RankingForm) -> InBatch:
    """The in-batch form of the loss that makes these choices.

    Raises: ValueError for an unknown choice, or choices that do not go together.
    """
    form.check()
    return InBatch(
        rows=partial(_rows, form=form),
        reduce=lambda values, weights: weighted_mean(row_losses(values, form), weights),
        combine=COMBINE,
        alone=partial(_alone, form=form),
    )
