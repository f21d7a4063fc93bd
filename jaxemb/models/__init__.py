"""Encoders, pooling and heads: pure functions of parameters. Flax Linen is imported nowhere else."""

from jaxemb.models.embedder import (
    Embedder,
    Params,
    Tokens,
    apply,
    count_prompt_tokens,
    embedding_size,
    in_float32,
    init,
    pad_vocabulary,
    token_vectors,
)

__all__ = [
    "Embedder",
    "Params",
    "Tokens",
    "apply",
    "count_prompt_tokens",
    "embedding_size",
    "in_float32",
    "init",
    "pad_vocabulary",
    "token_vectors",
]
