"""Settings of the encoders, a class for each family, in the words of BERT's `config.json`."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, NonNegativeInt, Tag, model_validator

from jaxemb.config.base import Fraction, Settings, Size, Width
from jaxemb.config.kinds import Function, Start, Training

Positive = Annotated[float, Field(gt=0.0, lt=1e12)]
Epsilon = Annotated[float, Field(gt=0.0, lt=1.0)]


class EncoderConfig(Settings):
    """Settings that all encoders have; the class of each family adds its own."""

    model_type: Function[str]
    """The family."""
    vocab_size: Function[Size | None] = None
    """Rows of the embedding table that belong to a token; the tokenizer's size when null."""
    hidden_size: Function[Width] = 768
    """Width of a token's vector."""
    num_hidden_layers: Function[Size] = 12
    """Number of layers."""
    num_attention_heads: Function[Size] = 12
    """Number of attention heads; must divide `hidden_size`."""
    intermediate_size: Function[Size] = 3072
    """Width of the feed-forward layer."""
    max_position_embeddings: Function[Size] = 512
    """Number of positions; a text has as many tokens, or fewer if its first token is not at position 0."""
    hidden_act: Function[Literal["gelu", "gelu_new", "relu", "silu"]] = "gelu"
    """Activation of the feed-forward layer; `gelu` is exact, `gelu_new` its tanh approximation."""
    hidden_dropout_prob: Training[Fraction] = 0.1
    """Dropout on embeddings and on the output of each sub-layer."""
    attention_probs_dropout_prob: Training[Fraction] = 0.1
    """Dropout on attention probabilities."""
    layer_norm_eps: Function[Epsilon] = 1e-12
    """Epsilon of the norms."""
    initializer_range: Start[Annotated[float, Field(gt=0.0, lt=10.0)]] = 0.02
    """Standard deviation of the initial weights."""
    pad_token_id: Function[NonNegativeInt] = 0
    """Id of the padding token."""

    @property
    def position_offset(self) -> int:
        """The position of the first token."""
        return 0

    @property
    def max_tokens(self) -> int:
        """The longest text in tokens."""
        return self.max_position_embeddings - self.position_offset

    @property
    def head_size(self) -> int:
        """Width of an attention head."""
        return self.hidden_size // self.num_attention_heads

    @model_validator(mode="after")
    def _check(self) -> "EncoderConfig":
        if "head_dim" not in type(self).model_fields and self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_attention_heads: {self.num_attention_heads} must divide hidden_size ({self.hidden_size})"
            )
        if self.max_tokens < 1:
            raise ValueError(
                f"max_position_embeddings: {self.max_position_embeddings} leave no room for a token, as the first one "
                f"is at position {self.position_offset}"
            )
        return self


class BertConfig(EncoderConfig):
    """BERT: LaBSE, multilingual BERT, MiniLM, E5, BGE."""

    model_type: Function[Literal["bert"]] = "bert"
    """The family."""
    type_vocab_size: Function[Size] = 2
    """Number of token types; every token has type 0."""


class RobertaConfig(EncoderConfig):
    """RoBERTa, XLM-R and CamemBERT: BERT with positions that begin at `pad_token_id + 1` and count real tokens only."""

    model_type: Function[Literal["roberta", "xlm-roberta", "camembert"]] = "roberta"
    """The family."""
    max_position_embeddings: Function[Size] = 514
    """Number of positions: 514 hold 512 tokens, because the first is `pad_token_id + 1`."""
    type_vocab_size: Function[Size] = 1
    """Number of token types; every token has type 0."""
    layer_norm_eps: Function[Epsilon] = 1e-5
    """Epsilon of the norms."""
    pad_token_id: Function[NonNegativeInt] = 1
    """Id of the padding token."""

    @property
    def position_offset(self) -> int:
        """The position of the first token."""
        return self.pad_token_id + 1


class DistilBertConfig(EncoderConfig):
    """DistilBERT: BERT without token types."""

    model_type: Function[Literal["distilbert"]] = "distilbert"
    """The family."""
    num_hidden_layers: Function[Size] = 6
    """Number of layers."""
    hidden_dropout_prob: Training[Fraction] = 0.1
    """Dropout on embeddings and on the output of the feed-forward layer (`dropout` in config.json)."""


class MPNetConfig(EncoderConfig):
    """MPNet: RoBERTa without token types, with a bias on attention scores that depends on the distance of tokens."""

    model_type: Function[Literal["mpnet"]] = "mpnet"
    """The family."""
    max_position_embeddings: Function[Size] = 514
    """Number of positions: 514 hold 512 tokens, because the first is `pad_token_id + 1`."""
    pad_token_id: Function[Literal[1]] = 1
    """Id of the padding token."""
    relative_attention_num_buckets: Function[Literal[32]] = 32
    """Buckets of distances, half for each direction; each has one bias for each head, and all layers share them."""

    @property
    def position_offset(self) -> int:
        """The position of the first token."""
        return self.pad_token_id + 1


class ModernBertConfig(EncoderConfig):
    """ModernBERT: norms before sub-layers, rotary positions, local and global attention, GeGLU, no biases."""

    model_type: Function[Literal["modernbert"]] = "modernbert"
    """The family."""
    num_hidden_layers: Function[Size] = 22
    """Number of layers."""
    intermediate_size: Function[Size] = 1152
    """Width of the feed-forward layer's gate, and of its values."""
    max_position_embeddings: Function[Size] = 8192
    """The longest text in tokens."""
    hidden_dropout_prob: Training[Fraction] = 0.0
    """Dropout inside the feed-forward layer, before its last matrix product (`mlp_dropout` in config.json)."""
    embedding_dropout: Training[Fraction | None] = None
    """Dropout on embeddings; `hidden_dropout_prob` when null."""
    attention_probs_dropout_prob: Training[Fraction] = 0.0
    """Dropout on attention probabilities and on the output of attention (`attention_dropout` in config.json)."""
    layer_norm_eps: Function[Epsilon] = 1e-5
    """Epsilon of the norms."""
    global_attn_every_n_layers: Function[Size] = 3
    """Layers 0, n, 2n, ... attend to the whole text, the others to `local_attention` tokens."""
    local_attention: Function[Annotated[int, Field(ge=2, lt=2**31)]] = 128
    """Tokens that a token attends to in a local layer, half of them on either side."""
    global_rope_theta: Function[Positive] = 160_000.0
    """Base of the rotary frequencies in global layers."""
    local_rope_theta: Function[Positive] = 10_000.0
    """Base of the rotary frequencies in local layers."""

    @model_validator(mode="after")
    def _check_heads(self) -> "ModernBertConfig":
        if self.head_size % 2:
            raise ValueError(f"num_attention_heads: rotary positions need heads of an even width, not {self.head_size}")
        return self


class Qwen3Config(EncoderConfig):
    """Qwen3 (Qwen3-Embedding), a decoder: RMSNorm, grouped queries, rotary positions, SwiGLU, no biases."""

    model_type: Function[Literal["qwen3"]] = "qwen3"
    """The family."""
    hidden_size: Function[Width] = 1024
    """Width of a token's vector."""
    num_hidden_layers: Function[Size] = 28
    """Number of layers."""
    num_attention_heads: Function[Size] = 16
    """Number of attention heads."""
    num_key_value_heads: Function[Size] = 8
    """Number of key and value heads, each shared by several query heads; must divide `num_attention_heads`."""
    head_dim: Function[Width] = 128
    """Width of an attention head."""
    max_position_embeddings: Function[Size] = 32_768
    """The longest text in tokens."""
    hidden_act: Function[Literal["gelu", "gelu_new", "relu", "silu"]] = "silu"
    """Activation of the feed-forward layer's gate."""
    hidden_dropout_prob: Training[Fraction] = 0.0
    """Dropout on embeddings and on the output of each sub-layer; config.json has no key for it."""
    attention_probs_dropout_prob: Training[Fraction] = 0.0
    """Dropout on attention probabilities."""
    layer_norm_eps: Function[Epsilon] = 1e-6
    """Epsilon of the norms."""
    rope_theta: Function[Positive] = 1_000_000.0
    """Base of the rotary frequencies."""
    causal: Function[bool] = True
    """A token attends only to itself and to earlier tokens; false makes attention bidirectional (`is_causal` in
    config.json)."""

    @property
    def head_size(self) -> int:
        """Width of an attention head."""
        return self.head_dim

    @model_validator(mode="after")
    def _check_heads(self) -> "Qwen3Config":
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads: {self.num_key_value_heads} must divide num_attention_heads "
                f"({self.num_attention_heads})"
            )
        if self.head_dim % 2:
            raise ValueError(f"head_dim: rotary positions need heads of an even width, not {self.head_dim}")
        return self


def _family(values: Any) -> str:
    name = values.get("model_type", "bert") if isinstance(values, dict) else values.model_type
    return "roberta" if name in get_args(RobertaConfig.model_fields["model_type"].annotation) else str(name)


Family = BertConfig | RobertaConfig | DistilBertConfig | MPNetConfig | ModernBertConfig | Qwen3Config
MODEL_TYPES = tuple(name for one in get_args(Family) for name in get_args(one.model_fields["model_type"].annotation))
Encoder = Annotated[
    Annotated[BertConfig, Tag("bert")]
    | Annotated[RobertaConfig, Tag("roberta")]
    | Annotated[DistilBertConfig, Tag("distilbert")]
    | Annotated[MPNetConfig, Tag("mpnet")]
    | Annotated[ModernBertConfig, Tag("modernbert")]
    | Annotated[Qwen3Config, Tag("qwen3")],
    Discriminator(_family),
]
"""One of them, by `model_type`; BERT without."""
