"""Settings of the model."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, NonNegativeInt, PositiveFloat, PositiveInt, Tag, model_validator

from jaxemb.config.base import Settings, Size, check_pattern
from jaxemb.config.encoder import BertConfig, Encoder

PoolingMode = Literal[
    "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", "first_last_mean"
]  # in the order in which sentence-transformers concatenates them; the last is unknown to it
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]


class Prompt(Settings):
    """A text that may be put before inputs."""

    name: str
    """Name, such as `query` or `document`."""
    text: str
    """The text."""


class DenseConfig(Settings):
    """A dense layer after pooling."""

    out_features: PositiveInt | None = None
    """Width of the embedding; the pooled vector's when null."""
    activation: Literal["tanh", "identity", "gelu", "relu", "sigmoid", "silu"] = "tanh"
    """Activation (LaBSE: tanh); `gelu` is the exact one."""
    bias: bool = True
    """Whether a bias is added."""
    layer_norm: bool = False
    """Layer norm after the activation."""
    normalize: bool = False
    """L2-normalise what comes out, before the next dense layer (`model.normalize` is for the last)."""


ONE, SEVERAL = "one", "several"
"""Tags of the two forms of `model.dense`."""


def _count(value: Any) -> str:
    return SEVERAL if isinstance(value, list | tuple) else ONE


Dense = Annotated[
    Annotated[DenseConfig, Tag(ONE)] | Annotated[tuple[DenseConfig, ...], Tag(SEVERAL)], Discriminator(_count)
]
"""A dense layer, or several in their order."""


class LoraConfig(Settings):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): W + alpha / rank * A B, the encoder itself frozen.

    Turned on in YAML: `lora: {}`.
    """

    rank: PositiveInt = 8
    """Columns of A and rows of B."""
    alpha: PositiveFloat = 16.0
    """Scale of the product, times `rank`."""
    targets: str = r"encoder/layers/attention/(query|key|value|output)/kernel"
    """Regular expression of the encoder's kernels that get an adapter, by their whole paths; those of the feed-forward
    layer are `encoder/layers/(intermediate|gate|output)/kernel`."""
    train_head: bool = True
    """Whether the layer norm and dense layer after pooling are trained, too."""

    @model_validator(mode="after")
    def _check(self) -> "LoraConfig":
        check_pattern("targets", self.targets)
        return self


class ModelConfig(Settings):
    """From tokens to one embedding: encoder, pooling, layer norm, dense layer, L2 normalisation."""

    init_from: str | None = None
    """Start from MODEL (a run directory, a Hugging Face folder, or `owner/name` or `owner/name@revision` of the Hub,
    from its cache or, with `HF_HUB_OFFLINE=0`, the network): it decides on encoder, head and tokenizer. A
    setting that is given here must be the same there. These replace its own: dropout rates, `prompt`, `prompts`,
    `max_seq_length`, `truncate_dim`, `similarity`. The run's config.yaml records the commit."""
    init_allow: str | None = None
    """With `init_from`: a regular expression. Tensors whose whole name matches may be missing there (and are drawn as
    in a new model) or left over; without it every tensor must be used."""
    new_head: bool = False
    """With `init_from`: take the encoder only, and begin the pooling, dense layer and normalisation given here."""
    lora: LoraConfig | None = None
    """With `init_from`: train low-rank adapters (LoRA) in place of the encoder's own weights; null for none."""
    towers: Literal["tied", "untied"] = "tied"
    """One encoder for both sides of a pair, or one of the same architecture for each: `untied`, for sides that are
    unlike, such as queries and documents. Both start alike, from random weights or `init_from`, or each from its own
    where `init_from` has two."""
    encoder: Encoder = BertConfig()
    """The encoder; its `model_type` chooses the family (bert, roberta, xlm-roberta, camembert, distilbert, mpnet,
    modernbert, qwen3), in YAML."""
    pooling: PoolingMode | tuple[PoolingMode, ...] = "cls"
    """`cls`: the first token's vector (LaBSE). `mean`: the mean over real tokens (Sentence-BERT). `max`, `lasttoken`
    (decoders), `mean_sqrt_len_tokens`: the sum over the root of the number of tokens. `weightedmean`: weights 1, 2, 3,
    ... (SGPT). `first_last_mean`: the mean over tokens and over the first and last layer (SimCSE's baseline). Several
    are concatenated."""
    include_prompt: bool = True
    """Whether the prompt's tokens count in pooling."""
    prompt_tokens: NonNegativeInt = 0
    """First tokens of a text that pooling leaves out; set from `prompt` where `include_prompt` is false."""
    training_mlp: bool = False
    """A dense layer with tanh after pooling that only training has (SimCSE, unsupervised)."""
    layer_norm: bool = False
    """Layer norm after pooling."""
    dense: Dense | None = DenseConfig()
    """Dense layer after pooling; null for none; in YAML also a list of several, one after the other."""
    normalize: bool = True
    """L2-normalise the embedding."""
    truncate_dim: PositiveInt | None = None
    """Dimensions that `encode` keeps of each embedding, the first ones (Matryoshka), without normalising it again; null
    for all. Training sees them all. Exported."""
    similarity: Similarity = "cosine"
    """How readers of the export compare embeddings (`similarity_fn_name` of sentence-transformers)."""
    max_seq_length: PositiveInt | None = None
    """Longest input in tokens when encoding, also of the exported model. Null: the longest trained on
    (`data.max_length`). Left out with `init_from`: that model's own, if it is longer."""
    prompt: str = ""
    """Text put before every input (E5: `query: `)."""
    prompts: tuple[Prompt, ...] = ()
    """Prompts (`name`, `text`) to choose from when encoding; chosen in YAML, and exported."""
    vocab_multiple: Size = 1
    """Rows of the embedding table are padded to a multiple of this, the devices of a mesh, say; the rows beyond
    `encoder.vocab_size` are inert, and cut off on export."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of activations; parameters stay float32. bfloat16 on TPU and GPU, whose float32 products are rounded, too
    (to TF32, say), unless JAX_DEFAULT_MATMUL_PRECISION is `highest`."""
    remat: Literal["none", "dots", "full"] = "none"
    """What a layer keeps for the backward pass: everything, matrix products only (often best on a GPU), or nothing but
    its input."""
    scan_layers: bool | None = None
    """Compile one layer and run it in a loop, or every layer by itself: longer to compile, and 15 to 20 % faster on a
    CPU. null: the loop, save on a CPU."""

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

    @property
    def longest_input(self) -> int:
        """Where texts are cut when encoding, in tokens."""
        return self.max_seq_length or self.encoder.max_tokens

    @property
    def table_rows(self) -> int:
        """Rows of the embedding table, padding included; `encoder.vocab_size` must be set."""
        return -(-(self.encoder.vocab_size or 0) // self.vocab_multiple) * self.vocab_multiple

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        order = [mode for mode in get_args(PoolingMode) if mode in self.poolings]
        if list(self.poolings) != order or not order:
            raise ValueError(
                f"pooling: {list(self.poolings)}: name each once, in the order of sentence-transformers: "
                f"{', '.join(order or get_args(PoolingMode))}"
            )
        if self.init_allow is not None:
            check_pattern("init_allow", self.init_allow)
        if self.dense == ():
            raise ValueError("dense: a list without a layer: set it to null for none")
        if isinstance(self.dense, tuple) and self.dense[-1].normalize:
            raise ValueError("dense: normalize of the last layer is model.normalize: set that")
        if isinstance(self.dense, DenseConfig) and self.dense.normalize:
            raise ValueError("dense.normalize: of the only layer it is model.normalize: set that")
        return self
