"""LaBSE's translation ranking (Feng et al. 2022, arXiv 2007.01852, section 2.2): a dual encoder with shared towers."""

from collections.abc import Mapping
from typing import Any

from jax.sharding import Mesh
from jaxtyping import Array

from jaxemb.config import InfoNceObjective, LabseObjective, ModelConfig
from jaxemb.objectives.embedding import embed_texts
from jaxemb.objectives.objective import Objective
from jaxemb.parallel import bidirectional_in_batch_loss


def translation_ranking(config: LabseObjective | InfoNceObjective, model: ModelConfig, mesh: Mesh) -> Objective:
    """Bidirectional in-batch softmax, with LaBSE's additive margin, or without it (InfoNCE)."""

    def objective(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        anchors, positives = embed_texts(
            model, params, batch, key, mesh=mesh, chunk=config.chunk, chunk_tokens=config.chunk_tokens
        )
        return bidirectional_in_batch_loss(
            anchors,
            positives,
            mesh=mesh,
            scale=config.scale,
            margin=config.margin if isinstance(config, LabseObjective) else 0.0,
            directions=config.directions,
            negatives=config.negatives,
            chunk=config.ring_chunk,
            anchor_hashes=batch["anchor_hash"] if config.mask_duplicates else None,
            positive_hashes=batch["positive_hash"] if config.mask_duplicates else None,
            weights=batch["weight"],
        )

    return objective
