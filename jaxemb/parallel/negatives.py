"""Losses with in-batch negatives of the global batch, exact in value and gradient, with metrics."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt32

from jaxemb.losses.additive_margin import Directions
from jaxemb.losses.parts.in_batch import weighted_mean
from jaxemb.losses.parts.ranking_softmax import RankingBatch, RankingForm, both_ways, ranking, row_losses
from jaxemb.parallel.in_batch import Across, Negatives


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
    chunk: int = 1024,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`losses.additive_margin_softmax` of the global batch, whose rows are sharded over the mesh.

        loss = sum_i w_i * loss_i / sum_i w_i

    Rows of the global batch that share the hash of their anchor or of their positive are not negatives of each other.

    Args:
      anchors: one embedding per row, any norm, sharded or not.
      positives: the positive of each anchor, row by row.
      mesh: from `make_mesh`; its number of devices must divide B.
      scale: s, the inverse temperature (1/T).
      margin: m, in cosine units, subtracted from the true pair before scaling, in both directions.
      directions: "mean" or "sum" of anchor->positive and positive->anchor.
      negatives: "gather" or "ring": all other rows of the global batch; "local": those on the same device.
      anchor_hashes: 64 bits of a hash of each anchor's text, in two words; None masks no equal anchors.
      positive_hashes: the same for the positives.
      weights: w, not negative; a row of weight 0 (padding) is neither query nor candidate. All 1 when None.
      chunk: "ring": rows that are scored at a time against the rows of one device.

    Returns: the loss in nats, and metrics of the global batch, without gradient, in which every row of positive weight
      counts once:
        accuracy: share of rows whose positive is closer than each negative (no margin, ties count as wrong), mean of
          both directions;
        positive_similarity: mean cosine of the true pairs;
        hardest_negative_similarity: mean cosine of the closest negative, over both directions and the rows that have
          one;
        duplicate_rate: share of rows that ignore at least one other row as a duplicate;
        negatives_per_query: mean number of negatives per row.
    Raises: ValueError if B is not divisible by the number of devices, or a choice is unknown.

    >>> import jax
    >>> from jaxemb.parallel import make_mesh
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> mesh = make_mesh(devices=jax.devices()[:1])
    >>> loss, metrics = bidirectional_in_batch_loss(x, x, mesh=mesh, scale=10.0, margin=0.3, directions="sum")
    >>> round(float(loss), 6), float(metrics["accuracy"])
    (0.001823, 1.0)
    """
    return ranking_loss(
        RankingBatch(anchors, positives),
        both_ways(directions),
        mesh=mesh,
        negatives=negatives,
        ids=tuple(hashes for hashes in (anchor_hashes, positive_hashes) if hashes is not None),
        weights=weights,
        chunk=chunk,
        scale=scale,
        margin=margin,
    )


def ranking_loss(
    batch: RankingBatch,
    form: RankingForm,
    *,
    mesh: Mesh,
    negatives: Negatives = "gather",
    ids: Sequence[UInt32[Array, "_ 2"]] = (),
    weights: Float[Array, "_"] | None = None,
    chunk: int = 1024,
    **hyper: float | Float[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`losses.multiple_negatives_ranking` of the global batch, in any of its forms, with metrics.

    Args:
      batch: embeddings, [B, ...] each, sharded or not.
      form: directions, and the other choices that distinguish the losses of the family.
      mesh: from `make_mesh`; its number of devices must divide B.
      negatives: as in `bidirectional_in_batch_loss`.
      ids: hashes in two words; rows that share one are not negatives of each other.
      weights: w, not negative; a row of weight 0 (padding) is neither query nor candidate. All 1 when None.
      chunk: "ring": rows that are scored at a time against the rows of one device.
      hyper: `scale`, `margin`, `hard_negative_weight`, `hardness`.

    Returns: the loss in nats, and the metrics of `bidirectional_in_batch_loss`, over the directions of `form`.
    """
    across = Across(mesh, negatives, ids, weights, chunk)
    values, hidden = across.values_and_hidden(ranking(form), batch, hyper)
    weights = across.weights_of(len(batch.queries))
    return weighted_mean(row_losses(values, form), weights), _metrics(values, hidden, weights, form)


def _metrics(
    values: dict[str, Float[Array, "B"]], hidden: Float[Array, "B"], weights: Float[Array, "B"], form: RankingForm
) -> dict[str, Float[Array, ""]]:
    """Means over the rows of positive weight."""
    live = jnp.asarray(weights > 0, jnp.float32)
    negatives = values["negatives_query_to_doc"]
    hardest = [values[f"hardest_{direction}"] for direction in form.directions]
    hits = [jnp.asarray(values["positive"] > one, jnp.float32) for one in hardest]
    return {
        "accuracy": weighted_mean(jnp.mean(jnp.stack(hits), axis=0), live),
        "positive_similarity": weighted_mean(values["positive"], live),
        "hardest_negative_similarity": weighted_mean(
            jnp.mean(jnp.stack(hardest), axis=0), jnp.where(negatives > 0, live, 0.0)
        ),
        "duplicate_rate": weighted_mean(jnp.asarray(hidden > 0, jnp.float32), live),
        "negatives_per_query": weighted_mean(negatives, live),
    }
