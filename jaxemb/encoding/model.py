"""The protocol of a model that embeds texts."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jaxemb.config import ModelConfig
from jaxemb.models import Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@runtime_checkable
class Model(Protocol):
    """An architecture with its parameters and its tokenizer, such as an `Embedder`."""

    @property
    def config(self) -> ModelConfig:
        """The architecture."""

    @property
    def params(self) -> Params:
        """The parameters, as from `models.init`."""

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """A fast tokenizer."""
