"""Encoders, pooling and heads: pure functions of parameters. Flax Linen is imported nowhere else."""

from jaxemb.models.embedder import (
    Embedder,
    Params,
    Tokens,
    apply,
    count_prompt_tokens,
    dense_params,
    embedding_size,
    encoded_size,
    in_float32,
    init,
    pad_vocabulary,
    params_of_dense,
    token_outputs,
    token_vectors,
)
from jaxemb.models.towers import SIDES, Side, Towers, init_towers, tower_params, towers_of

__all__ = [
    "SIDES",
    "Embedder",
    "Params",
    "Side",
    "Tokens",
    "Towers",
    "apply",
    "count_prompt_tokens",
    "dense_params",
    "embedding_size",
    "encoded_size",
    "in_float32",
    "init",
    "init_towers",
    "pad_vocabulary",
    "params_of_dense",
    "token_outputs",
    "token_vectors",
    "tower_params",
    "towers_of",
]
