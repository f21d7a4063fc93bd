"""Ranking each query's document above the others of the batch, with hard negatives, guides and queues."""

from typing import Literal

from jaxtyping import Array, Bool, Float, UInt32

from jaxemb.losses.parts.checks import check_pairs
from jaxemb.losses.parts.in_batch import Across, row_values
from jaxemb.losses.parts.ranking_softmax import Direction, RankingBatch, RankingForm, Scalar, ranking, row_losses


def multiple_negatives_ranking(
    queries: Float[Array, "B D"],
    documents: Float[Array, "B D"],
    hard_negatives: Float[Array, "B K D"] | None = None,
    *,
    scale: Scalar = 20.0,
    margin: Scalar = 0.0,
    directions: tuple[Direction, ...] = ("query_to_doc",),
    partition: Literal["joint", "per_direction"] = "joint",
    combine_directions: Literal["mean", "sum"] = "mean",
    has_hard_negative: Bool[Array, "B K"] | None = None,
    hard_negative_weight: Scalar = 1.0,
    hardness: Scalar = 0.0,
    hardness_mode: Literal["in_batch_negatives", "hard_negatives", "all_negatives"] = "hard_negatives",
    document_ids: UInt32[Array, "B 2"] | None = None,
    hard_negative_ids: UInt32[Array, "B K 2"] | None = None,
    queue: Float[Array, "Q D"] | None = None,
    decoupled: bool = False,
    excluded: Bool[Array, "B B"] | None = None,
    across: Across | None = None,
) -> Float[Array, "B"]:
    """Cross-entropy of each query's document among the documents, queries and hard negatives of the batch.

        loss_i = log(n e^{s (cos(q_i, d_i) - m)} + sum_{j in N_i} w_ij e^{s cos_ij}) - s (cos(q_i, d_i) - m)

    N_i are the documents of other rows and all hard negatives ("query_to_doc"), other queries compared with the query
    ("query_to_query"), other queries compared with the document ("doc_to_query"), other rows' documents and hard
    negatives compared with the document ("doc_to_doc"). "joint": one sum over all directions; it contains the positive
    n times, once for "query_to_doc" and once for "doc_to_query". "per_direction": a loss for each direction,
    with n = 1, and their mean or sum. w_ij is 1, unless `hard_negative_weight` or `hardness` changes it.

    Source: InfoNCE (arXiv 1807.03748), eq. 4; joint over four directions GTE (arXiv 2308.03281), eq. 4;
    `hard_negative_weight` SimCSE (arXiv 2104.08821), eq. 8; `hardness` LLaVE (arXiv 2503.04812), eq. 5, and
    EmbeddingGemma (arXiv 2509.20354), eq. 2; `queue` MoCo (arXiv 1911.05722); `decoupled` DCL
    (arXiv 2110.06848), eq. 5.
    Its mean equals sentence-transformers' `MultipleNegativesRankingLoss` with the same `scale`, `directions`,
    `partition_mode=partition`, `hardness_mode` and `hardness_strength=hardness`.

    Args:
      queries: one embedding per row, any norm.
      documents: the positive of each query, any norm.
      hard_negatives: K of each query; in "query_to_doc" they are negatives of all queries.
      scale: s, the inverse temperature (1/T).
      margin: m, in cosine units, subtracted from the positive before scaling.
      directions: what the positive is compared with; must include "query_to_doc". A repeated direction counts once.
      partition: "joint" or "per_direction"; the latter only with the two directions that contain the positive.
      combine_directions: "mean" or "sum" of "per_direction" losses.
      has_hard_negative: False where a row has fewer than K hard negatives; those count nowhere.
      hard_negative_weight: alpha > 0, the weight w of a query's own hard negatives in its sum; those of others have 1.
      hardness: a in w = e^{a cos}, whose cosine has no gradient; 9 in LLaVE, 5 in EmbeddingGemma, 0 for none.
      hardness_mode: the negatives of "query_to_doc" that `hardness` weights: other rows', the own hard ones, or all.
      document_ids: 64 bits of a hash of each document's text, in two words. With `hard_negative_ids`, a hard negative
        of any row is ignored by each row whose document it is.
      hard_negative_ids: the same for the hard negatives.
      queue: past embeddings of documents, used as more negatives of each query; no gradient.
      decoupled: leave the positive out of the sum (n = 0); the loss may then be negative.
      excluded: True where row i must ignore row j (a duplicate, see `duplicate_mask`); own hard negatives still count.
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: the loss of each row in nats, float32. A row without negatives has loss and gradient 0.
    Raises: ValueError for an unknown choice, or choices that cannot be combined.

    >>> import jax.numpy as jnp
    >>> queries = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> loss = multiple_negatives_ranking(queries, queries, jnp.array([[[0.0, 1.0]], [[0.0, -1.0]]]), scale=2.0)
    >>> [round(float(x), 4) for x in loss]  # log(e^2 + e^0 + e^0 + e^0) - 2, and log(e^2 + e^0 + e^2 + e^-2) - 2
    [0.3408, 0.7672]
    """
    check_pairs(queries, documents)
    form = RankingForm(
        tuple(dict.fromkeys(directions)), partition, combine_directions, hardness_mode, decoupled=decoupled
    )
    batch = RankingBatch(
        queries,
        documents,
        hard_negatives,
        has_hard_negative=has_hard_negative,
        document_ids=document_ids,
        hard_negative_ids=hard_negative_ids,
    )
    values = row_values(
        ranking(form),
        batch,
        across=across,
        allowed=None if excluded is None else ~excluded,
        scale=scale,
        margin=margin,
        hard_negative_weight=hard_negative_weight,
        hardness=hardness,
        queue=queue,
    )
    return row_losses(values, form)


def gist(
    queries: Float[Array, "B D"],
    documents: Float[Array, "B D"],
    hard_negatives: Float[Array, "B K D"] | None = None,
    *,
    guide_queries: Float[Array, "B G"],
    guide_documents: Float[Array, "B G"],
    guide_hard_negatives: Float[Array, "B K G"] | None = None,
    scale: Scalar = 100.0,
    guide_strategy: Literal["absolute", "relative"] = "absolute",
    guide_margin: Scalar = 0.0,
    contrast_queries: bool = True,
    contrast_documents: bool = True,
    has_hard_negative: Bool[Array, "B K"] | None = None,
    excluded: Bool[Array, "B B"] | None = None,
    across: Across | None = None,
) -> Float[Array, "B"]:
    """Ranking without the negatives that a guide model rates closer than the positive: they are probably false.

        loss_i = log(e^{s cos(q_i, d_i)} + sum_{j in N_i, guide cos_ij <= t_i} e^{s cos_ij}) - s cos(q_i, d_i)
        t_i    = g_i - m ("absolute") or g_i - m |g_i| ("relative"), where g_i = guide cos(q_i, d_i)

    N_i are other rows' documents, all hard negatives, and (if they are contrasted) other queries compared with the
    query and other documents compared with the document.

    Source: GISTEmbed (arXiv 2402.16829), eq. 6; margins as in NV-Retriever (arXiv 2407.15831), section 3. Its mean
    equals sentence-transformers' `GISTEmbedLoss` with `temperature=1/scale`, `margin_strategy=guide_strategy` and
    `margin=guide_margin`, except for a text against itself, which is never a negative there. To let the model guide
    itself, pass its own embeddings as the guide's; these get no gradient.

    Args:
      queries: one embedding per row, any norm.
      documents: the positive of each query.
      hard_negatives: K of each query; they are negatives of all queries.
      guide_queries: the guide's embeddings of the queries, of any width and norm.
      guide_documents: the same for the documents.
      guide_hard_negatives: the same for the hard negatives; needed if there are any.
      scale: s, the inverse temperature (1/T).
      guide_strategy: how the margin is subtracted from the threshold.
      guide_margin: m, in cosine units, or as a share of the positive's cosine.
      contrast_queries: compare queries with each other.
      contrast_documents: compare documents with each other.
      has_hard_negative: False where a row has fewer than K hard negatives.
      excluded: True where row i must ignore row j.
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: the loss of each row in nats, float32.
    Raises: ValueError for an unknown strategy, or hard negatives without the guide's.

    >>> import jax.numpy as jnp
    >>> queries, documents = jnp.eye(2), jnp.eye(2)
    >>> guide = jnp.array([[1.0, 0.0], [1.0, 0.1]])  # to the guide all texts are nearly the same
    >>> loss = gist(queries, documents, guide_queries=guide, guide_documents=guide, guide_margin=0.1)
    >>> loss.tolist()
    [0.0, 0.0]
    """
    check_pairs(queries, documents)
    if (hard_negatives is None) != (guide_hard_negatives is None):
        raise ValueError("guide_hard_negatives: pass it if, and only if, hard_negatives are passed")
    directions: list[Direction] = ["query_to_doc"]
    if contrast_queries:
        directions.append("query_to_query")
    if contrast_documents:
        directions.append("doc_to_doc")
    form = RankingForm(tuple(directions), guide_strategy=guide_strategy, doc_to_hard_negatives=False)
    batch = RankingBatch(
        queries,
        documents,
        hard_negatives,
        guide_queries,
        guide_documents,
        guide_hard_negatives,
        has_hard_negative,
    )
    values = row_values(
        ranking(form),
        batch,
        across=across,
        allowed=None if excluded is None else ~excluded,
        scale=scale,
        guide_margin=guide_margin,
    )
    return row_losses(values, form)
