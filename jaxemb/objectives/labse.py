"""LaBSE's translation ranking (Feng et al. 2022, arXiv 2007.01852, section 2.2): a dual encoder with shared towers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array

from jaxemb.config import InfoNceObjective, LabseObjective, ModelConfig
from jaxemb.models import apply
from jaxemb.parallel import bidirectional_in_batch_loss

if TYPE_CHECKING:
    from jaxemb.objectives import Objective


def _interleave(anchor: Array, positive: Array) -> Array:
    """[B, ...] twice -> [2B, ...], each pair's rows side by side: they stay on the device that holds the pair."""
    return jnp.stack([anchor, positive], axis=1).reshape(2 * anchor.shape[0], *anchor.shape[1:])


def embed_pairs(model: ModelConfig, params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, Array]:
    """Embeds both sides in one call of the shared encoder, each with its own dropout mask.

    Args:
      model: the architecture.
      params: its parameters.
      batch: `anchor` and `positive`, each with `input_ids` and `attention_mask` [B, S], and `id` [B].
      key: JAX PRNG key of this step; None for no dropout.

    Returns: embeddings of anchors and positives, [B, E] each.
    """
    tokens = {name: _interleave(batch["anchor"][name], batch["positive"][name]) for name in batch["anchor"]}
    tokens["ids"] = _interleave(2 * batch["id"], 2 * batch["id"] + 1)
    embeddings = apply(model, params, tokens, key)
    pairs = embeddings.reshape(-1, 2, embeddings.shape[-1])
    return pairs[:, 0], pairs[:, 1]


def translation_ranking(config: LabseObjective | InfoNceObjective, model: ModelConfig, mesh: Mesh) -> "Objective":
    """Bidirectional in-batch softmax, with LaBSE's additive margin or (InfoNCE) without."""

    def objective(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        anchors, positives = embed_pairs(model, params, batch, key)
        return bidirectional_in_batch_loss(
            anchors,
            positives,
            mesh=mesh,
            scale=config.scale,
            margin=config.margin if isinstance(config, LabseObjective) else 0.0,
            directions=config.directions,
            negatives=config.negatives,
            anchor_hashes=batch["anchor_hash"] if config.mask_duplicates else None,
            positive_hashes=batch["positive_hash"] if config.mask_duplicates else None,
            weights=batch["weight"],
        )

    return objective
