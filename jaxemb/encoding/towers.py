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
    """The embedders of the anchors (queries) and of the positives (documents)."""

    anchor: Embedder
    positive: Embedder
    """The same object as `anchor` if the towers are tied."""

    @property
    def tied(self) -> bool:
        """Whether both towers are the same model."""
        return self.anchor is self.positive

    @property
    def embedders(self) -> tuple[Embedder, ...]:
        """The distinct towers: a single one if they are tied."""
        return (self.anchor,) if self.tied else (self.anchor, self.positive)

    @property
    def alike(self) -> bool:
        """Whether they differ only in their weights."""
        anchor, positive = self.anchor, self.positive
        return self.tied or (
            anchor.config == positive.config and anchor.tokenizer.get_vocab() == positive.tokenizer.get_vocab()
        )

    def map(self, function: Callable[[Embedder], Embedder]) -> "Towers":
        """`function` of each tower; called once if they are tied."""
        anchor = function(self.anchor)
        return Towers(anchor, anchor if self.tied else function(self.positive))


def as_towers(model: Embedder | Towers) -> Towers:
    """A single embedder as tied towers; towers unchanged."""
    return model if isinstance(model, Towers) else Towers(model, model)


def unchosen(model: object) -> UsageError:
    """The error for a model with two towers if none is chosen."""
    return UsageError(
        f"{model}: has two towers: choose the one for anchors (queries) with `--tower anchor` or the one for positives "
        "(documents) with `--tower positive` (in Python `tower=`)"
    )


def towers_of(config: ModelConfig, params: Params, tokenizer: "PreTrainedTokenizerBase") -> Towers:
    """The embedders of a model's parameters, each a separate model."""
    anchor, positive = (
        Embedder(config.model_copy(update={"towers": "tied"}), tower_params(config, params, side), tokenizer)
        for side in SIDES
    )
    return as_towers(anchor) if config.towers == "tied" else Towers(anchor, positive)
