"""Two towers as two embedders; see `jaxemb.models.towers`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxemb.config import ModelConfig
from jaxemb.encoding.embedder import Embedder
from jaxemb.errors import UsageError
from jaxemb.models import SIDES, Params, tower_params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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


def towers_of(config: ModelConfig, params: Params, tokenizer: "PreTrainedTokenizerBase") -> Towers:
    """The embedders of a model's parameters; each is a model by itself."""
    anchor, positive = (
        Embedder(config.model_copy(update={"towers": "tied"}), tower_params(config, params, side), tokenizer)
        for side in SIDES
    )
    return as_towers(anchor) if config.towers == "tied" else Towers(anchor, positive)
