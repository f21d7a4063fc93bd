"""Floating-point operations of a training step, counted from its shapes."""

import math
from typing import Any

import jax

from jaxemb.config import MlmObjective, TrainConfig
from jaxemb.models import embedding_size
from jaxemb.objectives.masking import most_predictions

SPECIAL_TOKENS = 2
"""Special tokens of a text, for masked language modelling."""


def model_flops(config: TrainConfig, params: Any, tokens: int | float) -> float:
    """Operations of a training step over the global batch (a multiply-add counts as two): three times those of the
    forward pass, without recomputation (Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix B).

    Args:
      config: of the run.
      params: shapes of its parameters.
      tokens: number of tokens of the batch, with padding or without.
    """
    model, rows = config.model, config.training.batch_size
    layers = params["encoder"]["layers"] if "encoder" in params else params["anchor"]["encoder"]["layers"]
    kernels = [leaf for leaf in jax.tree.leaves(layers) if len(leaf.shape) == 3]  # [layers, in, out]
    weights = sum(math.prod(leaf.shape) for leaf in kernels)
    width = model.encoder.head_size * model.encoder.num_attention_heads
    attention = 4 * model.encoder.num_hidden_layers * config.data.max_length * width
    forward = tokens * (2.0 * weights + attention)
    if isinstance(config.objective, MlmObjective):
        predictions = most_predictions(config.objective.masking, config.data.max_length, SPECIAL_TOKENS)
        hidden = model.encoder.hidden_size
        forward += 2.0 * rows * predictions * hidden * (hidden + model.table_rows)
    else:
        forward += 2.0 * 2 * rows * rows * embedding_size(model)
    return 3 * forward
