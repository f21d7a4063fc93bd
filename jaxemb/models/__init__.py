"""Encoders, pooling and heads: pure functions of parameters. Flax Linen is imported nowhere else."""

from jaxemb.models.embedding import (
    Params,
    Tokens,
    apply,
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
from jaxemb.models.towers import SIDES, Side, init_towers, tower_params

__all__ = [
    "SIDES",
    "Params",
    "Side",
    "Tokens",
    "apply",
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
]
