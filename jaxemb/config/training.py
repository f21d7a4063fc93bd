"""Settings of the loop and what surrounds it."""

import re
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from jaxemb.config.base import Fraction, Settings, check_pattern


class OptimizerConfig(Settings):
    """The optimizer, with warmup and decay."""

    kind: Literal["adamw", "lamb", "adafactor"] = "adamw"
    """`adamw` (Loshchilov & Hutter 2019); `lamb` for large batches (You et al. 2020: updates in proportion to the
    weights, layer by layer; biases and layer norms as in AdamW); `adafactor` with next to no state (Shazeer & Stern
    2018: no first moment, and learning rates relative to the size of each parameter, so 1e-3 to 1e-2)."""
    learning_rate: PositiveFloat = 5e-5
    """Peak learning rate."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Shape after the warmup; linear and cosine end at 0."""
    warmup_steps: NonNegativeInt = 0
    """Steps of linear warmup: step n of W has n / W of the peak, so the first one learns with peak / W, not with 0."""
    warmup_share: Fraction = 0.0
    """The same as a share of all steps, in place of `warmup_steps` (Sentence-BERT: 0.1)."""
    beta1: Fraction = 0.9
    """Decay of the first moment; not of adafactor."""
    beta2: Fraction = 0.999
    """Decay of the second moment; adafactor's grows with the steps (1 - step^-0.8)."""
    eps: PositiveFloat = 1e-8
    """Adam's epsilon, and LAMB's."""
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


class Stage(Settings):
    """Part of a run in which the encoder has fewer layers."""

    layers: PositiveInt
    """Layers of the encoder."""
    steps: PositiveInt
    """Steps of this part."""


class StackingConfig(Settings):
    """Progressive stacking (Gong et al. 2019; LaBSE: a quarter, half and all of the layers): a shallow encoder is
    trained, its layers are copied on top of themselves, and the training goes on. Turned on in YAML.
    """

    stages: tuple[Stage, ...]
    """The shallow stages (`{layers: 3, steps: 400000}`), ascending; what they leave of `training.steps` is trained with
    all layers. Layer i of the next stage begins as layer i modulo the layers of this one."""
    optimizer_state: Literal["copy", "reset"] = "copy"
    """Copy the optimizer's moments with the layers, or begin them at zero in each stage. The learning rate goes on."""

    @model_validator(mode="after")
    def _check(self) -> "StackingConfig":
        if not self.stages:
            raise ValueError("stages: at least one is needed")
        return self


class TrainingConfig(Settings):
    """The loop."""

    steps: NonNegativeInt = 0
    """Optimizer steps; 0 for those of `epochs`."""
    epochs: PositiveFloat | None = None
    """Times that the training examples are gone through, in place of `steps`; the last batch is a full one."""
    batch_size: PositiveInt = 128
    """Global examples per optimizer step, over all devices."""
    seed: NonNegativeInt = 0
    """Seed of the initial weights, the order of the data and dropout."""
    log_every: PositiveInt = 10
    """Steps between lines of `metrics.jsonl`."""
    evaluate_every: PositiveInt | None = None
    """Steps between evaluations on the held-out split and `evaluation.sts`, each with a checkpoint; null evaluates
    before and after only."""
    checkpoint_every: PositiveInt = 500
    """Steps between checkpoints; one is always written at the end."""
    keep_checkpoints: PositiveInt = 3
    """Newest checkpoints that are kept, beside the best one by `best_metric`."""
    best_metric: Literal["all_accuracy", "Latin_script_accuracy", "other_scripts_accuracy", "sts_spearman"] | None = (
        None
    )
    """Metric whose highest value makes a checkpoint the best one (`MODEL@best`); needs `evaluate_every`. null:
    `sts_spearman` with `evaluation.sts`, else the held-out `all_accuracy`."""
    skip_not_finite: NonNegativeInt = 0
    """Steps in a row that may be skipped because their loss or gradient is not finite: nothing changes by them, and
    they are counted. One more ends the run, as the first one does with 0."""
    stacking: StackingConfig | None = None
    """Progressive stacking of the encoder's layers; null for none."""
    freeze: tuple[str, ...] = ()
    """Regular expressions of parameters that stay as they are, by their whole paths: `encoder/word_embeddings/.*`,
    `encoder/.*` (all but the head). Paths of untied towers begin with `anchor/` or `positive/`."""

    @model_validator(mode="after")
    def _check(self) -> "TrainingConfig":
        for pattern in self.freeze:
            check_pattern("freeze", pattern)
        if not self.steps and self.epochs is None:
            raise ValueError("steps: how long to train is missing: set it, or epochs")
        return self


def split_language_pair(key: str, pair: str) -> tuple[str, str]:
    """The two languages of `en-de`; raises ValueError, which begins with the key, where there are not two."""
    if not re.fullmatch("[^-]+-[^-]+", pair):
        raise ValueError(f"{key}: {pair!r} is no pair of languages with a hyphen between, such as en-de")
    first, second = pair.split("-")
    return first, second


class StsConfig(Settings):
    """Does the cosine of two sentences rise with how alike people find them? Scored while training."""

    paths: tuple[str, ...]
    """Files, or folders of which those of `split` are taken, as `jaxemb evaluate --suite sts` reads them; relative to
    `data.root`."""
    split: Literal["train", "dev", "test"] = "dev"
    """Which files of folders are taken."""
    language_pairs: tuple[str, ...] = ()
    """Cross-lingual sets (`en-de`: sentence 1 in English, sentence 2 in German) in place of those of one language."""
    alignment: bool = False
    """Also log alignment (over pairs with at least 4 of 5 points) and uniformity of the sentences of the first file
    (SimCSE, section 3), and draw their path to `plots/` (needs matplotlib)."""

    @model_validator(mode="after")
    def _check(self) -> "StsConfig":
        for pair in self.language_pairs:
            split_language_pair("language_pairs", pair)
        if not self.paths:
            raise ValueError("paths: at least one is needed")
        return self


class EvaluationConfig(Settings):
    """Retrieval on the held-out split: for each English sentence the right translation, and back; and STS."""

    pool_size: PositiveInt = 1000
    """Sentences a language among which the right one must be found; fewer where there are fewer."""
    mask_placeholders: bool = True
    """Mask placeholders such as `%(name)s`, markup, numbers and brand names, which give the answer away."""
    baselines: bool = False
    """Also score character-n-gram TF-IDF (needs scikit-learn) on the same pool."""
    sts: StsConfig | None = None
    """Semantic textual similarity; turned on in YAML."""


class ExportConfig(Settings):
    """The Hugging Face folder written at the end."""

    enabled: bool = True
    """Write `export/` when training ends."""
    verify: Literal["auto", "jax", "torch"] = "auto"
    """Compare the reloaded export through our loader (`jax`), and through sentence-transformers too (`torch`);
    `auto` takes `torch` where it is installed."""
    licence: str | None = None
    """Licence of the model, for the model card, as the Hub names it (`apache-2.0`)."""
