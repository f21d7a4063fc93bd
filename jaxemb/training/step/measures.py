"""Measurements of a training step besides its loss: tokens, and norms by group of parameters."""

import collections
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxemb.models import SIDES


def real_tokens(batch: Mapping[str, Any]) -> Array:
    """Number of tokens of all texts of a batch, without padding."""
    masks = [side.get("segment_ids", side.get("attention_mask")) for side in _texts(batch)]
    return sum((jnp.sum(mask != 0) for mask in masks), start=jnp.zeros((), jnp.int32))


def token_positions(batch: Mapping[str, Any]) -> int:
    """Number of token positions in the arrays of a batch, padding included."""
    return sum(side["input_ids"].size for side in _texts(batch))


def _texts(batch: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [values for values in batch.values() if isinstance(values, Mapping) and "input_ids" in values]


def group_norms(name: str, tree: Any) -> dict[str, Array]:
    """L2 norms of groups of leaves: `NAME/embeddings`, `NAME/layers`, `NAME/dense`, ...; separately for each tower."""
    squares: dict[str, list[Array]] = collections.defaultdict(list)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        squares[_group([key.key for key in path])].append(jnp.sum(jnp.square(leaf.astype(jnp.float32))))
    return {f"{name}/{group}": jnp.sqrt(sum(each[1:], start=each[0])) for group, each in squares.items()}


def _group(path: list[str]) -> str:
    """The group of a leaf.

    >>> _group(["encoder", "word_embeddings", "embedding"]), _group(["positive", "encoder", "layers", "kernel"])
    ('embeddings', 'positive/layers')
    >>> _group(["dense", "bias"])
    'dense'
    """
    if path[0] in SIDES:
        return f"{path[0]}/{_group(path[1:])}"
    if path[0] != "encoder":
        return path[0]
    return "embeddings" if "embedding" in path[1] else path[1]
