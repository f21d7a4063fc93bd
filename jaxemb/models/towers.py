"""Two towers: one encoder for both sides of a pair (tied), or one of the same architecture for each (untied, as in DPR,
Karpukhin et al. 2020, arXiv 2004.04906).

The parameters of untied towers are `{"anchor": ..., "positive": ...}`, each like those of one model.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, UInt32

from jaxemb.config import ModelConfig
from jaxemb.models.embedding import Params, init
from jaxemb.models.lora import merge

Side = Literal["anchor", "positive"]
SIDES: tuple[Side, Side] = ("anchor", "positive")


def init_towers(config: ModelConfig, key: PRNGKeyArray | UInt32[Array, "W"]) -> Params:
    """Draws initial parameters as `init`; two untied towers start with the same values, as from one checkpoint.

    Raises: as `init`.
    """
    params = init(config, key)
    return each_tower(config, lambda side: params if side == "anchor" else copied(params))


def copied(params: Params) -> Params:
    """A copy in separate memory: a training step donates its buffers, and each can be donated only once."""
    return jax.tree.map(jnp.copy, params)


def each_tower(config: ModelConfig, make: Callable[[Side], Params]) -> Params:
    """The parameters of the towers of a config: `make` for each side if untied, else once for both."""
    return make("anchor") if config.towers == "tied" else {side: make(side) for side in SIDES}


def tower_params(config: ModelConfig, params: Params, side: Side) -> Params:
    """The parameters that embed one side of the pairs."""
    return params if config.towers == "tied" else params[side]


def merge_towers(config: ModelConfig, params: Params) -> Params:
    """Applies `lora.merge` to each tower."""
    return each_tower(config, lambda side: merge(config, tower_params(config, params, side)))
