"""The architecture of a model, and with the options of a run all settings of the model."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, NonNegativeInt, PositiveInt, Tag, model_validator

from jaxemb.config.base import Settings
from jaxemb.config.encoder import BertConfig, Encoder
from jaxemb.config.kinds import Function, Text, Training
from jaxemb.config.options import ComputeOptions, StartOptions, UseOptions

PoolingMode = Literal[
    "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", "first_last_mean"
]  # in the order in which sentence-transformers concatenates them; it does not know the last one


class DenseConfig(Settings):
    """A dense layer after pooling."""

    out_features: Function[PositiveInt | None] = None
    """Width of the embedding; the pooled vector's when null."""
    activation: Function[Literal["tanh", "identity", "gelu", "relu", "sigmoid", "silu"]] = "tanh"
    """Activation (LaBSE: tanh); `gelu` is exact, not the tanh approximation."""
    bias: Function[bool] = True
    """Whether the layer adds a bias."""
    layer_norm: Function[bool] = False
    """Whether a layer norm follows the activation."""
    normalize: Function[bool] = False
    """Whether to L2-normalise the output before the next dense layer (`model.normalize` does it after the last)."""


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
    """The encoder; `model_type` in YAML chooses its family (bert, roberta, xlm-roberta, camembert, distilbert, mpnet,
    modernbert, qwen3)."""
    pooling: Function[PoolingMode | tuple[PoolingMode, ...]] = "cls"
    """`cls`: the first token's vector (LaBSE). `mean`: the mean over tokens, padding aside (Sentence-BERT). `max`: the
    maximum over them. `lasttoken`: the last token's vector (decoders). `mean_sqrt_len_tokens`: the sum divided by the
    square root of the number of tokens. `weightedmean`: the mean with weights 1, 2, 3, ... (SGPT). `first_last_mean`:
    the mean over tokens and over the first and last layer (SimCSE's baseline). Several are concatenated."""
    include_prompt: Text[bool] = True
    """Whether pooling includes the prompt's tokens."""
    prompt_tokens: Function[NonNegativeInt] = 0
    """Number of tokens at the start of a text that pooling leaves out; set from `prompt` if `include_prompt` is
    false."""
    training_mlp: Training[bool] = False
    """A dense layer with tanh after pooling, used in training only (unsupervised SimCSE)."""
    layer_norm: Function[bool] = False
    """Whether a layer norm follows pooling."""
    dense: Function[Dense | None] = DenseConfig()
    """Dense layer after pooling; null for none; in YAML also a list of several, one after the other."""
    normalize: Function[bool] = True
    """Whether to L2-normalise the embedding."""

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
            raise ValueError("dense: the list is empty; set it to null for no dense layer")
        if isinstance(self.dense, tuple) and self.dense[-1].normalize:
            raise ValueError("dense: leave normalize out of the last layer; set model.normalize instead")
        if isinstance(self.dense, DenseConfig) and self.dense.normalize:
            raise ValueError("dense.normalize: leave it out of the only layer; set model.normalize instead")
        return self


# From right to left, the bases give the order of the keys in config.yaml.
class ModelConfig(ComputeOptions, UseOptions, Architecture, StartOptions):
    """From tokens to one embedding: encoder, pooling, layer norm, dense layers, L2 normalisation."""

    @property
    def longest_input(self) -> int:
        """Where texts are cut when encoding, in tokens."""
        return self.max_seq_length or self.encoder.max_tokens

    @property
    def table_rows(self) -> int:
        """Rows of the embedding table, padding included; `encoder.vocab_size` must be set."""
        return -(-(self.encoder.vocab_size or 0) // self.vocab_multiple) * self.vocab_multiple
