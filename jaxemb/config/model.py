"""Settings of the model."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, NonNegativeInt, PositiveFloat, PositiveInt, Tag, model_validator

from jaxemb.config.base import Settings, Size, check_pattern
from jaxemb.config.encoder import BertConfig, Encoder

PoolingMode = Literal[
    "cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", "first_last_mean"
]  # in the order in which sentence-transformers concatenates them; it does not know the last one
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]


class Prompt(Settings):
    """A text that can be put before inputs."""

    name: str
    """Name, such as `query` or `document`."""
    text: str
    """The text."""


class DenseConfig(Settings):
    """A dense layer after pooling."""

    out_features: PositiveInt | None = None
    """Width of the embedding; the pooled vector's when null."""
    activation: Literal["tanh", "identity", "gelu", "relu", "sigmoid", "silu"] = "tanh"
    """Activation (LaBSE: tanh); `gelu` is exact, not the tanh approximation."""
    bias: bool = True
    """Whether the layer adds a bias."""
    layer_norm: bool = False
    """Whether a layer norm follows the activation."""
    normalize: bool = False
    """Whether to L2-normalise the output before the next dense layer (`model.normalize` does it after the last)."""


ONE, SEVERAL = "one", "several"
"""Tags of the two forms of `model.dense`."""


def _count(value: Any) -> str:
    return SEVERAL if isinstance(value, list | tuple) else ONE


Dense = Annotated[
    Annotated[DenseConfig, Tag(ONE)] | Annotated[tuple[DenseConfig, ...], Tag(SEVERAL)], Discriminator(_count)
]
"""A dense layer, or several in their order."""


class LoraConfig(Settings):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): W + alpha / rank * A B, with the encoder's W frozen.

    Turned on in YAML: `lora: {}`.
    """

    rank: PositiveInt = 8
    """Columns of A and rows of B."""
    alpha: PositiveFloat = 16.0
    """The product A B is scaled by `alpha / rank`."""
    targets: str = r"encoder/layers/attention/(query|key|value|output)/kernel"
    """Regular expression that matches the whole path of each encoder kernel that gets an adapter. The kernels of the
    feed-forward layer are `encoder/layers/(intermediate|gate|output)/kernel`."""
    train_head: bool = True
    """Whether the layer norm and the dense layers after pooling are trained, too."""

    @model_validator(mode="after")
    def _check(self) -> "LoraConfig":
        check_pattern("targets", self.targets)
        return self


class ModelConfig(Settings):
    """From tokens to one embedding: encoder, pooling, layer norm, dense layers, L2 normalisation."""

    init_from: str | None = None
    """Start from MODEL: a run directory, a Hugging Face folder, or `owner/name` or `owner/name@revision` of the Hub,
    read from the Hub's cache or, with `HF_HUB_OFFLINE=0`, from the network. It determines the encoder, the head and the
    tokenizer: a setting of these that is given here must equal the model's. Settings given here replace the model's
    only for dropout rates, `prompt`, `prompts`, `max_seq_length`, `truncate_dim` and `similarity`. The run's
    config.yaml records the commit."""
    init_allow: str | None = None
    """With `init_from`: a regular expression. Tensors whose whole name matches may be missing from the model (they are
    initialized as in a new model) or unused; without it, every tensor must be there and be used."""
    new_head: bool = False
    """With `init_from`: take only its encoder, and start a new head with the pooling, dense layers and normalisation
    given here."""
    lora: LoraConfig | None = None
    """With `init_from`: train low-rank adapters (LoRA) instead of the encoder's weights; null for none."""
    towers: Literal["tied", "untied"] = "tied"
    """`tied`: one encoder for both sides of a pair. `untied`: one for each side, of the same architecture, when the
    sides differ, as queries and documents do. Both start from the same weights, random or from `init_from`; if
    `init_from` has two towers, each starts from its own."""
    encoder: Encoder = BertConfig()
    """The encoder; `model_type` in YAML chooses its family (bert, roberta, xlm-roberta, camembert, distilbert, mpnet,
    modernbert, qwen3)."""
    pooling: PoolingMode | tuple[PoolingMode, ...] = "cls"
    """`cls`: the first token's vector (LaBSE). `mean`: the mean over tokens, padding aside (Sentence-BERT). `max`: the
    maximum over them. `lasttoken`: the last token's vector (decoders). `mean_sqrt_len_tokens`: the sum divided by the
    square root of the number of tokens. `weightedmean`: the mean with weights 1, 2, 3, ... (SGPT). `first_last_mean`:
    the mean over tokens and over the first and last layer (SimCSE's baseline). Several are concatenated."""
    include_prompt: bool = True
    """Whether pooling includes the prompt's tokens."""
    prompt_tokens: NonNegativeInt = 0
    """Number of tokens at the start of a text that pooling leaves out; set from `prompt` if `include_prompt` is
    false."""
    training_mlp: bool = False
    """A dense layer with tanh after pooling, used in training only (unsupervised SimCSE)."""
    layer_norm: bool = False
    """Whether a layer norm follows pooling."""
    dense: Dense | None = DenseConfig()
    """Dense layer after pooling; null for none; in YAML also a list of several, one after the other."""
    normalize: bool = True
    """Whether to L2-normalise the embedding."""
    truncate_dim: PositiveInt | None = None
    """Number of leading dimensions that `encode` keeps of each embedding (Matryoshka), without normalising it again;
    null for all. Training uses all dimensions. Exported."""
    similarity: Similarity = "cosine"
    """How users of the export should compare embeddings (`similarity_fn_name` of sentence-transformers)."""
    max_seq_length: PositiveInt | None = None
    """Longest input in tokens when encoding, also for the exported model. Null: the longest input of training
    (`data.max_length`). If it is left out with `init_from`: that model's own, if longer."""
    prompt: str = ""
    """Text put before every input (E5: `query: `)."""
    prompts: tuple[Prompt, ...] = ()
    """Prompts (`name`, `text`) to choose from when encoding; chosen in YAML, and exported."""
    vocab_multiple: Size = 1
    """Pad the embedding table to a multiple of this number of rows, such as the number of devices of a mesh; the rows
    beyond `encoder.vocab_size` are never used, and the export leaves them out."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of activations; parameters stay float32. Use bfloat16 on TPU and GPU: they round float32 matrix products as
    well (to TF32, for example), unless JAX_DEFAULT_MATMUL_PRECISION is `highest`."""
    remat: Literal["none", "dots", "full"] = "none"
    """What a layer keeps for the backward pass. `none`: everything. `dots`: only matrix products (often best on a GPU).
    `full`: only its input."""
    scan_layers: bool | None = None
    """true compiles one layer and runs it in a loop; false compiles every layer separately, which takes longer to
    compile and runs 15 to 20 % faster on a CPU. null: false on a CPU, true elsewhere."""

    @property
    def poolings(self) -> tuple[PoolingMode, ...]:
        """The poolings that are concatenated, usually one."""
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
        """The length in tokens at which `encode` cuts texts."""
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
            raise ValueError("dense: the list is empty; set it to null for no dense layer")
        if isinstance(self.dense, tuple) and self.dense[-1].normalize:
            raise ValueError("dense: leave normalize out of the last layer; set model.normalize instead")
        if isinstance(self.dense, DenseConfig) and self.dense.normalize:
            raise ValueError("dense.normalize: leave it out of the only layer; set model.normalize instead")
        return self
