"""The architecture of a model, and with the options of a run all settings of the model."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, NonNegativeInt, PositiveInt, Tag, model_validator

from jaxemb.config.base import Settings
from jaxemb.config.encoder import BertConfig, Encoder
from jaxemb.config.kinds import Function, Text, Training
from jaxemb.config.options import ComputeOptions, StartOptions, UseOptions

PoolingMode = Literal[
    "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", "first_last_mean"
]  # in the order in which sentence-transformers concatenates them; the last is unknown to it


class DenseConfig(Settings):
    """A dense layer after pooling."""

    out_features: Function[PositiveInt | None] = None
    """Width of the embedding; the pooled vector's when null."""
    activation: Function[Literal["tanh", "identity", "gelu", "relu", "sigmoid", "silu"]] = "tanh"
    """Activation (LaBSE: tanh); `gelu` is the exact one."""
    bias: Function[bool] = True
    """Whether a bias is added."""
    layer_norm: Function[bool] = False
    """Layer norm after the activation."""
    normalize: Function[bool] = False
    """L2-normalise what comes out, before the next dense layer (`model.normalize` is for the last)."""


ONE, SEVERAL = "one", "several"
"""Tags of the two forms of `model.dense`."""


def _count(value: Any) -> str:
    return SEVERAL if isinstance(value, list | tuple) else ONE


Dense = Annotated[
    Annotated[DenseConfig, Tag(ONE)] | Annotated[tuple[DenseConfig, ...], Tag(SEVERAL)], Discriminator(_count)
]
"""A dense layer, or several in their order."""


class Architecture(Settings):
    """From tokens to one embedding: encoder, pooling, layer norm, dense layers, L2 normalisation."""

    encoder: Function[Encoder] = BertConfig()
    """The encoder; its `model_type` chooses the family (bert, roberta, xlm-roberta, camembert, distilbert, mpnet,
    modernbert, qwen3), in YAML."""
    pooling: Function[PoolingMode | tuple[PoolingMode, ...]] = "cls"
    """`cls`: the first token's vector (LaBSE). `mean`: the mean over real tokens (Sentence-BERT). `max`, `lasttoken`
    (decoders), `mean_sqrt_len_tokens`: the sum over the root of the number of tokens. `weightedmean`: weights 1, 2, 3,
    ... (SGPT). `first_last_mean`: the mean over tokens and over the first and last layer (SimCSE's baseline). Several
    are concatenated."""
    include_prompt: Text[bool] = True
    """Whether the prompt's tokens count in pooling."""
    prompt_tokens: Function[NonNegativeInt] = 0
    """First tokens of a text that pooling leaves out; set from `prompt` where `include_prompt` is false."""
    training_mlp: Training[bool] = False
    """A dense layer with tanh after pooling that only training has (SimCSE, unsupervised)."""
    layer_norm: Function[bool] = False
    """Layer norm after pooling."""
    dense: Function[Dense | None] = DenseConfig()
    """Dense layer after pooling; null for none; in YAML also a list of several, one after the other."""
    normalize: Function[bool] = True
    """L2-normalise the embedding."""

    @property
    def poolings(self) -> tuple[PoolingMode, ...]:
        """The poolings that are concatenated, one mostly."""
        return (self.pooling,) if isinstance(self.pooling, str) else self.pooling

    @property
    def pooled_size(self) -> int:
        """Width of the pooled vector."""
        return self.encoder.hidden_size * len(self.poolings)

    @property
    def dense_layers(self) -> tuple[DenseConfig, ...]:
        """The dense layers, in their order; the width of each is filled in."""
        layers: tuple[DenseConfig, ...] = ()
        width = self.pooled_size
        for dense in self.dense if isinstance(self.dense, tuple) else filter(None, [self.dense]):
            width = dense.out_features or width
            layers += (dense.model_copy(update={"out_features": width}),)
        return layers

    @model_validator(mode="after")
    def _check(self) -> "Architecture":
        order = [mode for mode in get_args(PoolingMode) if mode in self.poolings]
        if list(self.poolings) != order or not order:
            raise ValueError(
                f"pooling: {list(self.poolings)}: name each once, in the order of sentence-transformers: "
                f"{', '.join(order or get_args(PoolingMode))}"
            )
        if self.dense == ():
            raise ValueError("dense: a list without a layer: set it to null for none")
        if isinstance(self.dense, tuple) and self.dense[-1].normalize:
            raise ValueError("dense: normalize of the last layer is model.normalize: set that")
        if isinstance(self.dense, DenseConfig) and self.dense.normalize:
            raise ValueError("dense.normalize: of the only layer it is model.normalize: set that")
        return self


# From right to left, the bases give the order of the keys in config.yaml.
class ModelConfig(ComputeOptions, UseOptions, Architecture, StartOptions):
    """From tokens to one embedding: encoder, pooling, layer norm, dense layer, L2 normalisation."""

    @property
    def longest_input(self) -> int:
        """Where texts are cut when encoding, in tokens."""
        return self.max_seq_length or self.encoder.max_tokens

    @property
    def table_rows(self) -> int:
        """Rows of the embedding table, padding included; `encoder.vocab_size` must be set."""
        return -(-(self.encoder.vocab_size or 0) // self.vocab_multiple) * self.vocab_multiple
