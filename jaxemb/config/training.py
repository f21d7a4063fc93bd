"""Settings of the optimizer, the devices, the training loop, the evaluation and the export."""

import re
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Fraction, Settings, check_pattern


class OptimizerConfig(Settings):
    """The optimizer, with warmup and decay."""

    kind: Literal["adamw", "lamb", "adafactor"] = "adamw"
    """`adamw` (Loshchilov & Hutter 2019). `lamb`, for large batches (You et al. 2020): scales the update of each layer
    in proportion to its weights; biases and layer norms as in AdamW. `adafactor`, with very little state (Shazeer &
    Stern 2018): no first moment, and learning rates relative to the size of each parameter, so use 1e-3 to 1e-2."""
    learning_rate: PositiveFloat = 5e-5
    """Peak learning rate."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Learning rate after the warmup; linear and cosine end at 0."""
    warmup_steps: NonNegativeInt = 0
    """Steps of linear warmup: step n of W uses n / W of the peak, so the first step uses peak / W, not 0."""
    warmup_share: Fraction = 0.0
    """Length of the warmup as a share of all steps, instead of `warmup_steps` (Sentence-BERT: 0.1)."""
    beta1: Fraction = 0.9
    """Decay of the first moment; adafactor has none."""
    beta2: Fraction = 0.999
    """Decay of the second moment; not used by adafactor, whose decay grows with the steps (1 - step^-0.8)."""
    eps: PositiveFloat = 1e-8
    """Epsilon of AdamW and LAMB."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay, not applied to biases and layer norms."""
    clip_norm: PositiveFloat | None = 1.0
    """Clip the gradient to this global norm; null for no clipping."""


class MeshConfig(Settings):
    """The mesh of devices: two axes, and the global batch is split over both."""

    data: int = -1
    """Number of replicas; -1 uses all devices that `fsdp` leaves."""
    fsdp: PositiveInt = 1
    """Number of devices that parameters and optimizer state are sharded over."""

    @model_validator(mode="after")
    def _check(self) -> "MeshConfig":
        if self.data < 1 and self.data != -1:
            raise ValueError(f"data: {self.data} must be a positive number of replicas, or -1 (all that fsdp leaves)")
        return self


class Stage(Settings):
    """A part of a run in which the encoder has fewer layers."""

    layers: PositiveInt
    """Number of layers of the encoder in this stage."""
    steps: PositiveInt
    """Number of steps of this stage."""


class StackingConfig(Settings):
    """Progressive stacking (Gong et al. 2019; LaBSE: a quarter, half and all of the layers): a shallow encoder is
    trained, its layers are copied on top of themselves, and training continues. Turned on in YAML.
    """

    stages: tuple[Stage, ...]
    """The shallow stages (`{layers: 3, steps: 400000}`), ascending; the remaining steps of `training.steps` train all
    layers. Layer i of the next stage starts as a copy of layer i modulo the number of layers of this one."""
    optimizer_state: Literal["copy", "reset"] = "copy"
    """Copy the optimizer's moments with the layers, or reset them to zero at each stage. The learning rate schedule is
    not reset."""

    @model_validator(mode="after")
    def _check(self) -> "StackingConfig":
        if not self.stages:
            raise ValueError("stages: at least one is needed")
        return self


class TrainingConfig(Settings):
    """The training loop."""

    steps: NonNegativeInt = 0
    """Number of optimizer steps; 0 to set `epochs` instead."""
    epochs: PositiveFloat | None = None
    """Number of passes over the training examples, instead of `steps`; the last batch is filled up."""
    batch_size: PositiveInt = 128
    """Size of the global batch: examples per optimizer step, over all devices."""
    seed: NonNegativeInt = 0
    """Seed of the initial weights, the data order and dropout."""
    log_every: PositiveInt = 10
    """Steps between lines of `metrics.jsonl`."""
    evaluate_every: PositiveInt | None = None
    """Steps between evaluations on the held-out split and `evaluation.sts`; each also writes a checkpoint. null
    evaluates only before and after training."""
    checkpoint_every: PositiveInt = 500
    """Steps between checkpoints; one is always written at the end."""
    keep_checkpoints: PositiveInt = 3
    """Number of newest checkpoints to keep, in addition to the best one by `best_metric`."""
    best_metric: Literal["all_accuracy", "Latin_script_accuracy", "other_scripts_accuracy", "sts_spearman"] | None = (
        None
    )
    """The checkpoint with the highest value of this metric is the best one (`MODEL@best`); needs `evaluate_every`.
    null: `sts_spearman` with `evaluation.sts`, else the held-out `all_accuracy`."""
    skip_not_finite: NonNegativeInt = 0
    """Most steps in a row that are skipped because their loss or gradient is not finite. A skipped step counts, but
    changes no parameter. One more such step ends the run; with 0, the first one does."""
    stacking: StackingConfig | None = None
    """Progressive stacking of the encoder's layers; null for none."""
    freeze: tuple[str, ...] = ()
    """Regular expressions that match the whole paths of parameters to freeze: `encoder/word_embeddings/.*`, or
    `encoder/.*` (all but the head). Paths of untied towers begin with `anchor/` or `positive/`."""

    @model_validator(mode="after")
    def _check(self) -> "TrainingConfig":
        for pattern in self.freeze:
            check_pattern("freeze", pattern)
        if not self.steps and self.epochs is None:
            raise ValueError("steps: set steps or epochs, one of them is needed")
        return self


def split_language_pair(key: str, pair: str) -> tuple[str, str]:
    """The two languages of a pair such as `en-de`; raises ValueError, whose message begins with the key."""
    if not re.fullmatch("[^-]+-[^-]+", pair):
        raise ValueError(f"{key}: {pair!r} is not a pair of languages joined by a hyphen, such as en-de")
    first, second = pair.split("-")
    return first, second


class StsConfig(Settings):
    """Semantic textual similarity, scored during training: do cosines agree with human scores?"""

    paths: tuple[str, ...]
    """Files, or folders, whose files of the `split` are read, in the formats of `jaxemb evaluate --suite sts`; relative
    to `data.root`."""
    split: Literal["train", "dev", "test"] = "dev"
    """Which files of a folder are read."""
    language_pairs: tuple[str, ...] = ()
    """Score cross-lingual sets (`en-de`: sentence 1 in English, sentence 2 in German) instead of monolingual ones."""
    alignment: bool = False
    """Also log alignment (over pairs with a score of at least 4 of 5) and uniformity of the sentences of the first file
    (SimCSE, section 3), and plot their course to `plots/` (needs matplotlib)."""

    @model_validator(mode="after")
    def _check(self) -> "StsConfig":
        for pair in self.language_pairs:
            split_language_pair("language_pairs", pair)
        if not self.paths:
            raise ValueError("paths: at least one is needed")
        return self


class EvaluationConfig(Settings):
    """Retrieval on the held-out split, from each English sentence to its translation and back; and STS."""

    pool_size: PositiveInt = 1000
    """Most candidate sentences for each language, among which the right one must be found."""
    mask_placeholders: bool = True
    """Mask placeholders such as `%(name)s`, markup, numbers and brand names, which give the answer away."""
    baselines: bool = False
    """Also score character n-gram TF-IDF (needs scikit-learn) on the same candidates."""
    sts: StsConfig | None = None
    """Semantic textual similarity; turned on in YAML."""


class ExportConfig(Settings):
    """The Hugging Face folder written at the end."""

    enabled: bool = True
    """Write `export/` when training ends."""
    verify: Literal["auto", "jax", "torch"] = "auto"
    """Verify the export by reloading it with jaxemb's own loader (`jax`), and with sentence-transformers too
    (`torch`); `auto` means `torch` if it is installed."""
    licence: str | None = None
    """Licence of the model, for the model card, as the Hub names it (`apache-2.0`)."""
