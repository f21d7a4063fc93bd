"""SimCSE (Gao, Yao & Chen 2021, arXiv 2104.08821): dropout as the only augmentation, or NLI with hard negatives."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array

from jaxemb.config import ModelConfig, SimcseObjective, SupervisedSimcse
from jaxemb.losses.parts.ranking_softmax import RankingBatch, RankingForm, both_ways
from jaxemb.objectives.embedding import embed_texts, first_of_its_row, sides_of
from jaxemb.objectives.masking import TokenKinds
from jaxemb.objectives.objective import Objective
from jaxemb.objectives.pretraining import masked_lm_loss
from jaxemb.parallel import ranking_loss


def contrastive(
    config: SimcseObjective | SupervisedSimcse, model: ModelConfig, mesh: Mesh, kinds: TokenKinds | None = None
) -> Objective:
    """Softmax of cosines over a temperature: each sentence against the positives (and hard negatives) of the global
    batch.

    Unsupervised (eq. 4): the positive is the sentence itself, embedded under another dropout mask. Supervised (eq. 5):
    it is an entailed sentence, and the sentence's own hard negative has the weight alpha (eq. 8). With `kinds`
    (`token_kinds`), masked language modelling of the anchors is added, in a separate pass that `chunk` does not divide.
    """
    alpha = config.hard_negative_weight if isinstance(config, SupervisedSimcse) else 1.0
    same_dropout = isinstance(config, SimcseObjective) and config.ablation == "shared_dropout"
    form = RankingForm() if config.directions == "one_way" else both_ways(config.directions)

    def objective(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        sides = sides_of(batch)
        anchors, positives, *negatives = embed_texts(
            model,
            params,
            batch,
            key,
            mesh=mesh,
            sides=sides,
            same_dropout=same_dropout,
            chunk=config.chunk,
            chunk_tokens=config.chunk_tokens,
        )
        rows = RankingBatch(anchors, positives)
        if negatives:
            hashes = [batch[f"{side}_hash"] for side in sides[2:]]
            rows = rows._replace(hard_negatives=jnp.stack(negatives, axis=1))
            if len(negatives) > 1:
                rows = rows._replace(has_hard_negative=first_of_its_row(hashes))
            if config.mask_duplicates:
                rows = rows._replace(document_ids=batch["positive_hash"], hard_negative_ids=jnp.stack(hashes, axis=1))
        loss, metrics = ranking_loss(
            rows,
            form,
            mesh=mesh,
            negatives=config.negatives,
            ids=(batch["anchor_hash"], batch["positive_hash"]) if config.mask_duplicates else (),
            weights=batch["weight"],
            chunk=config.ring_chunk,
            scale=config.scale,
            hard_negative_weight=alpha,
        )
        if kinds is None:
            return loss, metrics
        tokens = {**batch["anchor"], "ids": batch["id"]}
        mlm, _ = masked_lm_loss(config.masking, kinds, model, params, tokens, batch["weight"], key, mesh=mesh)
        return loss + config.mlm_weight * mlm, {**metrics, "mlm_loss": mlm}

    return objective
