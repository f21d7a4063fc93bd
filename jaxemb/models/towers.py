"""Two towers: one encoder for both sides of a pair (tied), or one of the same architecture for each (untied, as in DPR,
Karpukhin et al. 2020, arXiv 2004.04906).

The parameters of untied towers are `{"anchor": ..., "positive": ...}`, each as of one model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray, UInt32

from jaxemb.config import ModelConfig
from jaxemb.errors import UsageError
from jaxemb.models.embedder import Embedder, Params, init
from jaxemb.models.lora import merge

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Side = Literal["anchor", "positive"]
SIDES: tuple[Side, Side] = ("anchor", "positive")


@dataclass(frozen=True)
class Towers:
    """What embeds the anchors (queries) and what embeds the positives (documents)."""

    anchor: Embedder
    positive: Embedder
    """The same object as `anchor` where the towers are tied."""

    @property
    def tied(self) -> bool:
        """Whether there is one model only."""
        return self.anchor is self.positive

    @property
    def embedders(self) -> tuple[Embedder, ...]:
        """Each once: one where they are tied."""
        return (self.anchor,) if self.tied else (self.anchor, self.positive)

    @property
    def alike(self) -> bool:
        """Whether they differ in their weights alone."""
        anchor, positive = self.anchor, self.positive
        return self.tied or (
            anchor.config == positive.config and anchor.tokenizer.get_vocab() == positive.tokenizer.get_vocab()
        )

    def map(self, function: Callable[[Embedder], Embedder]) -> "Towers":
        """`function` of each tower, once where they are tied."""
        anchor = function(self.anchor)
        return Towers(anchor, anchor if self.tied else function(self.positive))


def as_towers(model: Embedder | Towers) -> Towers:
    """One embedder as that of both sides; towers as they are."""
    return model if isinstance(model, Towers) else Towers(model, model)


def unchosen(model: object) -> UsageError:
    """The error for a model of two towers of which none is chosen."""
    return UsageError(
        f"{model}: has two towers: choose that of the anchors (queries) or that of the positives (documents), by "
        "`--tower anchor` or `--tower positive` (in Python `tower=`)"
    )


def init_towers(config: ModelConfig, key: PRNGKeyArray | UInt32[Array, "W"]) -> Params:
    """Draws initial parameters as `init`; two untied towers start alike, as two that start from one checkpoint do.

    Raises: as `init`.
    """
    params = init(config, key)
    return each_tower(config, lambda side: params if side == "anchor" else copied(params))


def copied(params: Params) -> Params:
    """The same in memory of its own: a step gives up its buffers, each once."""
    return jax.tree.map(jnp.copy, params)


def each_tower(config: ModelConfig, make: Callable[[Side], Params]) -> Params:
    """The parameters of what `config.towers` says: `make` of each side, or of one for both."""
    return make("anchor") if config.towers == "tied" else {side: make(side) for side in SIDES}


def tower_params(config: ModelConfig, params: Params, side: Side) -> Params:
    """The parameters that embed one side of the pairs."""
    return params if config.towers == "tied" else params[side]


def merge_towers(config: ModelConfig, params: Params) -> Params:
    """`lora.merge` in each tower."""
    return each_tower(config, lambda side: merge(config, tower_params(config, params, side)))


def towers_of(config: ModelConfig, params: Params, tokenizer: "PreTrainedTokenizerBase") -> Towers:
    """The embedders of a model's parameters; each is a model by itself."""
    anchor, positive = (
        Embedder(config.model_copy(update={"towers": "tied"}), tower_params(config, params, side), tokenizer)
        for side in SIDES
    )
    return as_towers(anchor) if config.towers == "tied" else Towers(anchor, positive)
