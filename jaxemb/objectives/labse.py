"""LaBSE's translation ranking (Feng et al. 2022, arXiv 2007.01852, section 2.2): a dual encoder with shared towers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array

from jaxemb.config import InfoNceObjective, LabseObjective, ModelConfig
from jaxemb.models import apply
from jaxemb.models.packing import texts_per_row
from jaxemb.parallel import bidirectional_in_batch_loss

if TYPE_CHECKING:
    from jaxemb.objectives import Objective


def embed_pairs(model: ModelConfig, params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, Array]:
    """Embeds both sides in one call of the shared encoder, each with its own dropout mask.

    Args:
      model: the architecture.
      params: its parameters.
      batch: `anchor` and `positive`, as `models.Tokens`, and `id` [B].
      key: JAX PRNG key of this step; None for no dropout.

    Returns: embeddings of anchors and positives, [B, E] each.
    """
    anchor, positive = batch["anchor"], batch["positive"]
    # Both sides of a group lie on one device: a packed group, or a pair.
    groups = len(anchor.get("slots", batch["id"]))

    def beside(anchor: Array, positive: Array) -> Array:
        """[A, ...] and [P, ...] -> [A + P, ...], group by group."""
        both = [side.reshape(groups, -1, *side.shape[1:]) for side in (anchor, positive)]
        return jnp.concatenate(both, axis=1).reshape(-1, *anchor.shape[1:])

    tokens = {name: beside(anchor[name], positive[name]) for name in anchor if name != "slots"}
    tokens["ids"] = beside(2 * batch["id"], 2 * batch["id"] + 1)
    if "slots" in anchor:
        rows, length = anchor["input_ids"].shape
        after = rows // groups * texts_per_row(length)  # the slots of the anchors' rows
        tokens["slots"] = jnp.concatenate([anchor["slots"], positive["slots"] + after], axis=1)
    embeddings = apply(model, params, tokens, key)
    pairs = embeddings.reshape(groups, 2, -1, embeddings.shape[-1])
    return pairs[:, 0].reshape(-1, embeddings.shape[-1]), pairs[:, 1].reshape(-1, embeddings.shape[-1])


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
