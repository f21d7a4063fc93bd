"""Settings of the model."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from jaxemb.config.base import Fraction, Settings, Size


class EncoderConfig(Settings):
    """A BERT encoder, in the words of Hugging Face's `config.json`."""

    vocab_size: Size | None = None
    """Rows of the embedding table; the tokenizer's size when null."""
    hidden_size: Size = 768
    """Width."""
    num_hidden_layers: Size = 12
    """Layers."""
    num_attention_heads: Size = 12
    """Attention heads; must divide the width."""
    intermediate_size: Size = 3072
    """Width of the feed-forward layer."""
    max_position_embeddings: Size = 512
    """Positions: the longest sequence in tokens."""
    type_vocab_size: Size = 2
    """Token types; type 0 is added to every token."""
    hidden_act: Literal["gelu", "gelu_new", "relu"] = "gelu"
    """Activation of the feed-forward layer; `gelu` is the exact one, `gelu_new` the tanh approximation."""
    hidden_dropout_prob: Fraction = 0.1
    """Dropout on embeddings and on the output of each sub-layer."""
    attention_probs_dropout_prob: Fraction = 0.1
    """Dropout on attention probabilities."""
    layer_norm_eps: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-12
    """Epsilon of the layer norms."""
    initializer_range: Annotated[float, Field(gt=0.0, lt=10.0)] = 0.02
    """Standard deviation of the initial weights."""
    pad_token_id: NonNegativeInt = 0
    """Id of the padding token."""

    @model_validator(mode="after")
    def _check(self) -> "EncoderConfig":
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads: {self.num_attention_heads} must divide hidden_size ({self.hidden_size})"
            )
        return self


class DenseConfig(Settings):
    """A dense layer after pooling."""

    out_features: PositiveInt | None = None
    """Width of the embedding; the encoder's when null."""
    activation: Literal["tanh", "identity"] = "tanh"
    """Activation (LaBSE: tanh)."""


class ModelConfig(Settings):
    """From tokens to one embedding: encoder, pooling, dense layer, normalisation."""

    init_from: str | None = None
    """Start from MODEL (a run directory or a Hugging Face folder): its encoder, head and tokenizer replace what is
    given here, dropout rates, `prompt` and `max_seq_length` aside."""
    new_head: bool = False
    """With `init_from`: take the encoder only, and begin the pooling, dense layer and normalisation given here."""
    encoder: EncoderConfig = EncoderConfig()
    """The encoder."""
    pooling: Literal["cls", "mean"] = "cls"
    """`cls`: the first token's vector (LaBSE). `mean`: the mean over real tokens (Sentence-BERT)."""
    dense: DenseConfig | None = DenseConfig()
    """Dense layer after pooling; null for none."""
    normalize: bool = True
    """L2-normalise the embedding."""
    max_seq_length: PositiveInt | None = None
    """Longest input in tokens when encoding; the longest trained on (`data.max_length`) when null."""
    prompt: str = ""
    """Text put before every input (E5: `query: `)."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of activations; parameters stay float32. bfloat16 on TPU and GPU."""
    remat: Literal["none", "dots", "full"] = "none"
    """What a layer keeps for the backward pass: everything, matrix products only, or nothing but its input."""
    scan_layers: bool | None = None
    """Compile one layer and run it in a loop, or every layer by itself: longer to compile, and 15 to 20 % faster on a
    CPU. null: the loop, save on a CPU."""
