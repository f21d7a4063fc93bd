"""Settings of a model beside its architecture: how it begins, how it is used, how it is computed."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Settings, Size, check_pattern
from jaxemb.config.kinds import Function, Program, Start, Text, Training, Use

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]


class Prompt(Settings):
    """A text that may be put before inputs."""

    name: Use[str]
    """Name, such as `query` or `document`."""
    text: Use[str]
    """The text."""


class LoraConfig(Settings):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): W + alpha / rank * A B, the encoder itself frozen.

    Turned on in YAML: `lora: {}`.
    """

    rank: Function[PositiveInt] = 8
    """Columns of A and rows of B."""
    alpha: Function[PositiveFloat] = 16.0
    """Scale of the product, times `rank`."""
    targets: Function[str] = r"encoder/layers/attention/(query|key|value|output)/kernel"
    """Regular expression of the encoder's kernels that get an adapter, by their whole paths; those of the feed-forward
    layer are `encoder/layers/(intermediate|gate|output)/kernel`."""
    train_head: Training[bool] = True
    """Whether the layer norm and dense layer after pooling are trained, too."""

    @model_validator(mode="after")
    def _check(self) -> "LoraConfig":
        check_pattern("targets", self.targets)
        return self


class StartOptions(Settings):
    """What a run begins with, and which of its parameters it trains."""

    init_from: Start[str | None] = None
    """Start from MODEL (a run directory, a Hugging Face folder, or `owner/name` or `owner/name@revision` of the Hub,
    from its cache or, with `HF_HUB_OFFLINE=0`, the network): it decides on encoder, head and tokenizer. A
    setting that is given here must be the same there. These replace its own: dropout rates, `prompt`, `prompts`,
    `max_seq_length`, `truncate_dim`, `similarity`. The run's config.yaml records the commit."""
    init_allow: Start[str | None] = None
    """With `init_from`: a regular expression. Tensors whose whole name matches may be missing there (and are drawn as
    in a new model) or left over; without it every tensor must be used."""
    new_head: Start[bool] = False
    """With `init_from`: take the encoder only, and begin the pooling, dense layer and normalisation given here."""
    lora: Function[LoraConfig | None] = None
    """With `init_from`: train low-rank adapters (LoRA) in place of the encoder's own weights; null for none."""
    towers: Training[Literal["tied", "untied"]] = "tied"
    """One encoder for both sides of a pair, or one of the same architecture for each: `untied`, for sides that are
    unlike, such as queries and documents. Both start alike, from random weights or `init_from`, or each from its own
    where `init_from` has two."""

    @model_validator(mode="after")
    def _check_pattern(self) -> "StartOptions":
        if self.init_allow is not None:
            check_pattern("init_allow", self.init_allow)
        return self


class UseOptions(Settings):
    """How a trained model is used."""

    truncate_dim: Function[PositiveInt | None] = None
    """Dimensions that `encode` keeps of each embedding, the first ones (Matryoshka), without normalising it again; null
    for all. Training sees them all. Exported."""
    similarity: Use[Similarity] = "cosine"
    """How readers of the export compare embeddings (`similarity_fn_name` of sentence-transformers)."""
    max_seq_length: Text[PositiveInt | None] = None
    """Longest input in tokens when encoding, also of the exported model. Null: the longest trained on
    (`data.max_length`). Left out with `init_from`: that model's own, if it is longer."""
    prompt: Text[str] = ""
    """Text put before every input (E5: `query: `)."""
    prompts: Use[tuple[Prompt, ...]] = ()
    """Prompts (`name`, `text`) to choose from when encoding; chosen in YAML, and exported."""


class ComputeOptions(Settings):
    """How the model is computed."""

    vocab_multiple: Training[Size] = 1
    """Rows of the embedding table are padded to a multiple of this, the devices of a mesh, say; the rows beyond
    `encoder.vocab_size` are inert, and cut off on export."""
    compute_dtype: Function[Literal["float32", "bfloat16"]] = "float32"
    """Type of activations; parameters stay float32. bfloat16 on TPU and GPU, whose float32 products are rounded, too
    (to TF32, say), unless JAX_DEFAULT_MATMUL_PRECISION is `highest`."""
    remat: Training[Literal["none", "dots", "full"]] = "none"
    """What a layer keeps for the backward pass: everything, matrix products only (often best on a GPU), or nothing but
    its input."""
    scan_layers: Program[bool | None] = None
    """Compile one layer and run it in a loop, or every layer by itself: longer to compile, and 15 to 20 % faster on a
    CPU. null: the loop, save on a CPU."""
