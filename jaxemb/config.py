"""Every setting of a training run: strict, typed, frozen, documented.

A YAML file is read into `TrainConfig` by `jaxemb.config_io`; flags such as `--optimizer.learning-rate 1e-5` override
it; the docstring under a field is its `--help`. This file imports neither jax nor flax, so that help stays instant.
"""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Size = Annotated[int, Field(ge=1, lt=2**31)]


class Settings(BaseModel):
    """Base of all settings: unknown keys and wrong types are errors, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


# ---------------------------------------------------------------------------------------------------------------- data


class GettextSource(Settings):
    """Translation catalogues (`.mo`, `.po`) that installed Python packages carry; English is the anchor."""

    kind: Literal["gettext"] = "gettext"
    packages: tuple[str, ...]
    """Names of installed distributions, as pip knows them."""
    languages: tuple[str, ...] | None = None
    """Only these languages (BCP 47, as in `de` or `pt-BR`); all when null."""


class TsvSource(Settings):
    """Tab-separated pairs, one a line, without a header, plain or `.gz`."""

    kind: Literal["tsv"] = "tsv"
    path: str
    """A file, or a pattern such as `bitext/en-*.tsv.gz`; relative to `data.root`."""
    anchor_column: NonNegativeInt = 0
    """Column of the anchor, counted from 0."""
    positive_column: NonNegativeInt = 1
    """Column of the positive (the translation), counted from 0."""
    anchor_lang: str = "en"
    """Language of the anchor."""
    positive_lang: str | None = None
    """Language of the positive; when null, taken from a file name such as `en-XX.tsv.gz`."""
    licence: str | None = None
    """Licence of the data, for the model card."""


class MosesSource(Settings):
    """Two aligned plain-text files (or `.gz`): line N of one translates line N of the other."""

    kind: Literal["moses"] = "moses"
    anchor_path: str
    """File of the anchors; relative to `data.root`."""
    positive_path: str
    """File of the positives; relative to `data.root`."""
    anchor_lang: str = "en"
    """Language of the anchors."""
    positive_lang: str
    """Language of the positives."""
    licence: str | None = None
    """Licence of the data, for the model card."""


Source = Annotated[GettextSource | TsvSource | MosesSource, Field(discriminator="kind")]


class FilterConfig(Settings):
    """What a pair must satisfy after Unicode NFC and whitespace normalisation."""

    min_chars: PositiveInt = 1
    """Fewest characters on either side."""
    max_chars: PositiveInt = 1000
    """Most characters on either side."""
    max_length_ratio: PositiveFloat = 9.0
    """Longest ratio of UTF-8 byte lengths, the longer side over the shorter; looked at from 20 bytes on."""
    drop_identical: bool = True
    """Drop pairs whose two sides are equal (an untranslated message, say)."""
    max_bad_line_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    """Refuse to start when more than this share of a file's lines is malformed."""

    @model_validator(mode="after")
    def _check(self) -> "FilterConfig":
        if self.min_chars > self.max_chars:
            raise ValueError(f"min_chars: {self.min_chars} is more than max_chars ({self.max_chars})")
        return self


class HoldoutConfig(Settings):
    """The evaluation split, cut off before training. No English side of it stays in training."""

    pairs_per_language: NonNegativeInt = 1000
    """Wanted pairs a language; 0 for no split."""
    max_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.15
    """At most this share of the distinct English sides is held out."""
    min_words: PositiveInt = 2
    """Shortest English side that is held out, in words: single words are ambiguous."""


class DataConfig(Settings):
    """Where pairs come from and how they become batches."""

    root: str | None = None
    """Folder that relative paths of sources start from. `${NAME}` in any string is the environment variable NAME."""
    sources: tuple[Source, ...]
    """Sources of pairs (`kind: gettext | tsv | moses`); chosen in YAML."""
    filters: FilterConfig = FilterConfig()
    """What a pair must satisfy."""
    exclude: tuple[str, ...] = ()
    """Files or patterns (relative to `root`) of test sentences, one a line: a pair with either side among them is
    dropped; case, digits and punctuation do not count."""
    holdout: HoldoutConfig = HoldoutConfig()
    """The evaluation split."""
    cache_dir: str | None = None
    """Folder of converted data, reused by later runs; `$XDG_CACHE_HOME/jaxemb` or `~/.cache/jaxemb` when null."""
    language_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    """Languages are drawn with probability proportional to (pairs ** exponent); 1 follows the data, 0 is uniform."""
    max_length: PositiveInt = 64
    """Longest sequence in tokens, special tokens included; what is longer is cut."""
    length_buckets: tuple[PositiveInt, ...] | None = None
    """null packs texts into rows of `max_length` tokens, several a row: hardly any padding, few shapes to compile.
    A list (`[16, 32, 64]`, ascending, `max_length` last) gives each text a row of its own; a batch is padded to the
    smallest that fits, and texts of about one length share a batch."""
    window: PositiveInt = 16
    """Batches drawn together, and dealt out (packed) or sorted (padded) by length."""
    workers: NonNegativeInt = 1
    """Threads that prepare batches ahead; 0 prepares them in the training loop."""

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        buckets = self.length_buckets
        if buckets is not None:
            if list(buckets) != sorted(set(buckets)) or not buckets:
                raise ValueError("length_buckets: must ascend without repetition")
            if buckets[-1] != self.max_length:
                raise ValueError(
                    f"length_buckets: the last bucket ({buckets[-1]}) must equal max_length ({self.max_length})"
                )
        if not self.sources:
            raise ValueError("sources: at least one is needed")
        return self


class TokenizerConfig(Settings):
    """A WordPiece vocabulary, trained on the training pairs; ignored when `model.init_from` brings a tokenizer."""

    vocab_size: PositiveInt = 16_000
    """Entries of the vocabulary, special tokens included."""
    language_exponent: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
    """Exponent of the language-smoothed sampling of the training text (LaBSE: 0.3)."""
    lowercase: bool = False
    """Lower-case and strip accents first; LaBSE is cased."""
    max_sentences: PositiveInt = 2_000_000
    """Sentences drawn in all to train on."""
    min_frequency: PositiveInt = 2
    """A word piece must occur this often."""


# --------------------------------------------------------------------------------------------------------------- model


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


# ----------------------------------------------------------------------------------------------------------- objective


class LabseObjective(Settings):
    """LaBSE's translation ranking: bidirectional additive-margin softmax over the global batch (eq. 1-3)."""

    kind: Literal["labse"] = "labse"
    scale: PositiveFloat = 20.0
    """Inverse temperature s: logits are s * (cosine - margin)."""
    margin: NonNegativeFloat = 0.3
    """Margin m taken off the positive's cosine before scaling, in training only."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum (LaBSE) of anchor->positive and positive->anchor."""
    negatives: Literal["gather", "local"] = "gather"
    """In-batch negatives from all devices, or from each device's own part of the batch."""
    mask_duplicates: bool = True
    """Pairs that share an anchor or positive text anywhere in the batch are no negatives of each other."""


class InfoNceObjective(Settings):
    """Symmetric InfoNCE over the global batch: the same without a margin."""

    kind: Literal["info_nce"] = "info_nce"
    scale: PositiveFloat = 20.0
    """Inverse temperature s: logits are s * cosine."""
    directions: Literal["mean", "sum"] = "mean"
    """Mean or sum of anchor->positive and positive->anchor."""
    negatives: Literal["gather", "local"] = "gather"
    """In-batch negatives from all devices, or from each device's own part of the batch."""
    mask_duplicates: bool = True
    """Pairs that share an anchor or positive text anywhere in the batch are no negatives of each other."""


Objective = Annotated[LabseObjective | InfoNceObjective, Field(discriminator="kind")]


# ------------------------------------------------------------------------------------------------------------ training


class OptimizerConfig(Settings):
    """AdamW with warmup and decay."""

    learning_rate: PositiveFloat = 5e-5
    """Peak learning rate."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Shape after the warmup; linear and cosine end at 0."""
    warmup_steps: NonNegativeInt = 0
    """Steps of linear warmup from 0."""
    beta1: Fraction = 0.9
    """Decay of the first moment."""
    beta2: Fraction = 0.999
    """Decay of the second moment."""
    eps: PositiveFloat = 1e-8
    """Adam's epsilon."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay; biases and layer norms are left out."""
    clip_norm: PositiveFloat | None = 1.0
    """Largest global norm of the gradient; null for no clipping."""


class MeshConfig(Settings):
    """Devices in two axes; the batch is split over both."""

    data: int = -1
    """Replicas; -1 takes all devices that `fsdp` leaves."""
    fsdp: PositiveInt = 1
    """Devices that parameters and optimizer state are split over."""

    @model_validator(mode="after")
    def _check(self) -> "MeshConfig":
        if self.data < 1 and self.data != -1:
            raise ValueError(f"data: {self.data} is neither a number of replicas nor -1 (all that fsdp leaves)")
        return self


class TrainingConfig(Settings):
    """The loop."""

    steps: PositiveInt
    """Optimizer steps."""
    batch_size: PositiveInt = 128
    """Global pairs per optimizer step, over all devices."""
    seed: NonNegativeInt = 0
    """Seed of the initial weights, the order of the data and dropout."""
    log_every: PositiveInt = 10
    """Steps between lines of `metrics.jsonl`."""
    evaluate_every: PositiveInt | None = None
    """Steps between evaluations on the held-out split, each with a checkpoint; null evaluates before and after only."""
    checkpoint_every: PositiveInt = 500
    """Steps between checkpoints; one is always written at the end."""
    keep_checkpoints: PositiveInt = 3
    """Newest checkpoints that are kept, beside the best one by `best_metric`."""
    best_metric: Literal["all_accuracy", "Latin_script_accuracy", "other_scripts_accuracy"] = "all_accuracy"
    """Held-out metric whose highest value makes a checkpoint the best one (`MODEL@best`); needs `evaluate_every`."""


class EvaluationConfig(Settings):
    """Retrieval on the held-out split: for each English sentence the right translation, and back."""

    pool_size: PositiveInt = 1000
    """Sentences a language among which the right one must be found; fewer where there are fewer."""
    mask_placeholders: bool = True
    """Mask placeholders such as `%(name)s`, markup, numbers and brand names, which give the answer away."""
    baselines: bool = False
    """Also score character-n-gram TF-IDF (needs scikit-learn) on the same pool."""


class ExportConfig(Settings):
    """The Hugging Face folder written at the end."""

    enabled: bool = True
    """Write `export/` when training ends."""
    verify: Literal["auto", "jax", "torch"] = "auto"
    """Compare the reloaded export through our loader (`jax`), and through sentence-transformers too (`torch`);
    `auto` takes `torch` where it is installed."""
    licence: str | None = None
    """Licence of the model, for the model card, as the Hub names it (`apache-2.0`)."""


class TrainConfig(Settings):
    """One training run."""

    output_dir: str | None = None
    """Run directory; also `--output-dir`."""
    data: DataConfig
    """Where pairs come from and how they become batches."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """The vocabulary."""
    model: ModelConfig = ModelConfig()
    """The embedder."""
    objective: Objective = LabseObjective()
    """The loss (`kind: labse | info_nce`); chosen in YAML."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """AdamW."""
    training: TrainingConfig
    """The loop."""
    mesh: MeshConfig = MeshConfig()
    """Devices."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Retrieval on the held-out split."""
    export: ExportConfig = ExportConfig()
    """The Hugging Face folder."""

    @model_validator(mode="after")
    def _check(self) -> "TrainConfig":
        positions = self.model.encoder.max_position_embeddings
        if self.model.init_from is None and self.data.max_length > positions:
            raise ValueError(
                f"data.max_length: {self.data.max_length} tokens do not fit "
                f"model.encoder.max_position_embeddings ({positions})"
            )
        if (
            self.model.max_seq_length is not None
            and self.model.init_from is None
            and self.model.max_seq_length > positions
        ):
            raise ValueError(
                f"model.max_seq_length: {self.model.max_seq_length} tokens do not fit "
                f"model.encoder.max_position_embeddings ({positions})"
            )
        vocabulary, rows = self.tokenizer.vocab_size, self.model.encoder.vocab_size
        if self.model.init_from is None and rows is not None and rows < vocabulary:
            raise ValueError(
                f"model.encoder.vocab_size: {rows} rows do not hold tokenizer.vocab_size = {vocabulary} entries; "
                "leave it out"
            )
        if not self.data.holdout.pairs_per_language:
            for name, wanted in (
                ("training.evaluate_every", self.training.evaluate_every),
                ("evaluation.baselines", self.evaluation.baselines),
            ):
                if wanted:
                    raise ValueError(f"{name}: nothing is held out (data.holdout.pairs_per_language is 0)")
        if self.optimizer.warmup_steps > self.training.steps:
            raise ValueError(
                f"optimizer.warmup_steps: {self.optimizer.warmup_steps} is more than "
                f"training.steps ({self.training.steps})"
            )
        if self.mesh.data > 0 and self.training.batch_size % (self.mesh.data * self.mesh.fsdp):
            raise ValueError(
                f"training.batch_size: {self.training.batch_size} pairs do not divide by "
                f"mesh.data * mesh.fsdp = {self.mesh.data * self.mesh.fsdp} devices"
            )
        return self
