"""Masked language modelling of sentences and of translation pairs, as in the pre-training of LaBSE's encoder.

Devlin et al. 2019 (BERT, arXiv 1810.04805, section 3.1), Conneau & Lample 2019 (TLM, arXiv 1901.07291) and Feng et al.
2022 (LaBSE, arXiv 2007.01852).
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxemb.config import MaskingConfig, MlmObjective, ModelConfig
from jaxemb.losses import gather_positions
from jaxemb.losses.parts.in_batch import weighted_mean
from jaxemb.models import Tokens, token_outputs
from jaxemb.models.lora import merge
from jaxemb.models.mlm import decoder_of, mlm_vectors
from jaxemb.models.packing import spread_to_tokens
from jaxemb.objectives.embedding import with_words
from jaxemb.objectives.masking import TokenKinds, mask_tokens, most_predictions
from jaxemb.objectives.objective import Objective
from jaxemb.parallel import masked_lm_over_mesh, over_rows


def masked_lm_loss(
    config: MaskingConfig,
    kinds: TokenKinds,
    model: ModelConfig,
    params: Any,
    tokens: Tokens,
    weights: Float[Array, "B"],
    key: Any,
    *,
    mesh: Mesh,
) -> tuple[Array, Array]:
    """Masks tokens and predicts them, with the head `params["objective"]["mlm"]` and the encoder's embedding table.

    Args:
      config: which tokens are masked.
      kinds: from `token_kinds`.
      model: the architecture; pooling and the embedding head are not used.
      params: its parameters, and the head.
      tokens: of B texts with their `ids`, padded or packed.
      weights: of the texts; texts of weight 0 are left out.
      key: JAX PRNG key of this step, for masks and dropout.
      mesh: the devices.

    Returns: the mean over all predicted tokens of the global batch, in nats; and their number.
    """
    masked = mask_tokens(tokens, key, kinds, config)
    head = params["objective"]["mlm"]
    encoder, hidden = with_words(model, merge(model, params), {**tokens, "input_ids": masked.input_ids}, mesh)
    rows = {"tokens": hidden, "positions": masked.positions}

    def predicted_from(params: Any, rows: Any, key: Any, gather: Any) -> Float[Array, "n H"]:
        vectors = token_outputs(model, params, rows["tokens"], key, gather=gather).last
        return mlm_vectors(model, params["head"], gather_positions(vectors, rows["positions"]))

    own = {"encoder": encoder["encoder"], "head": {name: head[name] for name in ("dense", "norm")}}
    vectors = over_rows(predicted_from, own, rows, key, mesh=mesh, layers_in=model.compute_dtype)
    most = None  # padded rows use nearly all their slots for predictions; packed rows use fewer, so bound their sum
    if "slots" in tokens:
        devices, texts = tokens["slots"].shape
        most = most_predictions(config, tokens["input_ids"].size // devices, kinds.special, texts)
    by_token = weights[:, None]
    if "slots" in tokens:
        by_token = jnp.take_along_axis(
            spread_to_tokens(weights, tokens["slots"], tokens["segment_ids"]), masked.positions, axis=1
        )
    by_token = jnp.broadcast_to(by_token, masked.labels.shape).reshape(-1)
    labels = jnp.where(by_token > 0, masked.labels.reshape(-1), -100)
    losses = masked_lm_over_mesh(
        vectors,
        labels,
        *decoder_of(model, params, head),
        mesh=mesh,
        chunk=config.vocabulary_chunk,
        dtype=model.compute_dtype,
        most=most,
    )
    live = by_token * (labels >= 0)
    return weighted_mean(losses, live), jnp.sum(live)


def pretraining(config: MlmObjective, model: ModelConfig, mesh: Mesh, kinds: TokenKinds) -> Objective:
    """Masked language modelling of `text`: a sentence, or a sentence and its translation."""

    def objective(params: Any, batch: Mapping[str, Any], key: Any) -> tuple[Array, dict[str, Array]]:
        tokens = {**batch["text"], "ids": batch["id"]}
        loss, count = masked_lm_loss(config.masking, kinds, model, params, tokens, batch["weight"], key, mesh=mesh)
        return loss, {"predictions": count}

    return objective
