"""Settings of a model beside its architecture: how it begins, how it is used, how it is computed."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Settings, Size, check_pattern
from jaxemb.config.kinds import Function, Program, Start, Text, Training, Use

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]


class Prompt(Settings):
    """A text that can be put before inputs."""

    name: Use[str]
    """Name, such as `query` or `document`."""
    text: Use[str]
    """The text."""


class LoraConfig(Settings):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): W + alpha / rank * A B, with the encoder's W frozen.

    Turned on in YAML: `lora: {}`.
    """

    rank: Function[PositiveInt] = 8
    """Columns of A and rows of B."""
    alpha: Function[PositiveFloat] = 16.0
    """The product A B is scaled by `alpha / rank`."""
    targets: Function[str] = r"encoder/layers/attention/(query|key|value|output)/kernel"
    """Regular expression that matches the whole path of each encoder kernel that gets an adapter. The kernels of the
    feed-forward layer are `encoder/layers/(intermediate|gate|output)/kernel`."""
    train_head: Training[bool] = True
    """Whether the layer norm and the dense layers after pooling are trained, too."""

    @model_validator(mode="after")
    def _check(self) -> "LoraConfig":
        check_pattern("targets", self.targets)
        return self


class StartOptions(Settings):
    """What a run begins with, and which of its parameters it trains."""

    init_from: Start[str | None] = None
    """Start from MODEL: a run directory, a Hugging Face folder, or `owner/name` or `owner/name@revision` of the Hub,
    read from the Hub's cache or, with `HF_HUB_OFFLINE=0`, from the network. It determines the encoder, the head and the
    tokenizer: a setting of these that is given here must equal the model's. Settings given here replace the model's
    only for dropout rates, `prompt`, `prompts`, `max_seq_length`, `truncate_dim` and `similarity`. The run's
    config.yaml records the commit."""
    init_allow: Start[str | None] = None
    """With `init_from`: a regular expression. Tensors whose whole name matches may be missing from the model (they are
    initialized as in a new model) or unused; without it, every tensor must be there and be used."""
    new_head: Start[bool] = False
    """With `init_from`: take only its encoder, and start a new head with the pooling, dense layers and normalisation
    given here."""
    lora: Function[LoraConfig | None] = None
    """With `init_from`: train low-rank adapters (LoRA) instead of the encoder's weights; null for none."""
    towers: Training[Literal["tied", "untied"]] = "tied"
    """`tied`: one encoder for both sides of a pair. `untied`: one for each side, of the same architecture, when the
    sides differ, as queries and documents do. Both start from the same weights, random or from `init_from`; if
    `init_from` has two towers, each starts from its own."""

    @model_validator(mode="after")
    def _check_pattern(self) -> "StartOptions":
        if self.init_allow is not None:
            check_pattern("init_allow", self.init_allow)
        return self


class UseOptions(Settings):
    """How a trained model is used."""

    truncate_dim: Function[PositiveInt | None] = None
    """Number of leading dimensions that `encode` keeps of each embedding (Matryoshka), without normalising it again;
    null for all. Training uses all dimensions. Exported."""
    similarity: Use[Similarity] = "cosine"
    """How users of the export should compare embeddings (`similarity_fn_name` of sentence-transformers)."""
    max_seq_length: Text[PositiveInt | None] = None
    """Longest input in tokens when encoding, also for the exported model. Null: the longest input of training
    (`data.max_length`). If it is left out with `init_from`: that model's own, if longer."""
    prompt: Text[str] = ""
    """Text put before every input (E5: `query: `)."""
    prompts: Use[tuple[Prompt, ...]] = ()
    """Prompts (`name`, `text`) to choose from when encoding; chosen in YAML, and exported."""


class ComputeOptions(Settings):
    """How the model is computed."""

    vocab_multiple: Training[Size] = 1
    """Pad the embedding table to a multiple of this number of rows, such as the number of devices of a mesh; the rows
    beyond `encoder.vocab_size` are never used, and the export leaves them out."""
    compute_dtype: Function[Literal["float32", "bfloat16"]] = "float32"
    """Type of activations; parameters stay float32. Use bfloat16 on TPU and GPU: they round float32 matrix products as
    well (to TF32, for example), unless JAX_DEFAULT_MATMUL_PRECISION is `highest`."""
    remat: Training[Literal["none", "dots", "full"]] = "none"
    """What a layer keeps for the backward pass. `none`: everything. `dots`: only matrix products (often best on a GPU).
    `full`: only its input."""
    scan_layers: Program[bool | None] = None
    """true compiles one layer and runs it in a loop; false compiles every layer separately, which takes longer to
    compile and runs 15 to 20 % faster on a CPU. null: false on a CPU, true elsewhere."""
