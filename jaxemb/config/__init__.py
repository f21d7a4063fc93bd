"""Every setting of a training run: strict, typed, frozen, documented.

A YAML file is read into `TrainConfig` by `jaxemb.config.files`; flags such as `--optimizer.learning-rate 1e-5` override
it; the docstring under a field is its `--help`. Nothing here imports jax or flax, so that help stays instant.
"""

import itertools

from pydantic import Field, model_validator

from jaxemb.config.assignment import MAIN, check_mixable, check_names, check_sources, objectives_of
from jaxemb.config.base import Settings
from jaxemb.config.data import (
    DataConfig,
    FilterConfig,
    HoldoutConfig,
    LanguageIdentification,
    NearDuplicates,
    NgramOverlap,
    TokenizerConfig,
)
from jaxemb.config.encoder import (
    BertConfig,
    DistilBertConfig,
    EncoderConfig,
    ModernBertConfig,
    MPNetConfig,
    Qwen3Config,
    RobertaConfig,
)
from jaxemb.config.model import Architecture, DenseConfig, ModelConfig
from jaxemb.config.objective import (
    CustomObjective,
    DistillationObjective,
    InfoNceObjective,
    LabseObjective,
    MaskingConfig,
    MlmObjective,
    Objective,
    SbertClassification,
    SbertRegression,
    SbertTriplet,
    SimcseObjective,
    SupervisedSimcse,
    check_maskable,
    check_views,
)
from jaxemb.config.options import LoraConfig, Prompt
from jaxemb.config.sources import (
    GettextSource,
    HfSource,
    JsonlSource,
    MosesSource,
    NliSource,
    ParquetSource,
    Source,
    StsSource,
    TextSource,
    TfdsSource,
    TmxSource,
    TsvSource,
)
from jaxemb.config.training import (
    EvaluationConfig,
    ExportConfig,
    MeshConfig,
    OptimizerConfig,
    StackingConfig,
    Stage,
    StsConfig,
    TrainingConfig,
)

__all__ = [
    "MAIN",
    "Architecture",
    "BertConfig",
    "CustomObjective",
    "DataConfig",
    "DenseConfig",
    "DistilBertConfig",
    "DistillationObjective",
    "EncoderConfig",
    "EvaluationConfig",
    "ExportConfig",
    "FilterConfig",
    "GettextSource",
    "HfSource",
    "HoldoutConfig",
    "InfoNceObjective",
    "JsonlSource",
    "LabseObjective",
    "LanguageIdentification",
    "LoraConfig",
    "MPNetConfig",
    "MaskingConfig",
    "MeshConfig",
    "MlmObjective",
    "ModelConfig",
    "ModernBertConfig",
    "MosesSource",
    "NearDuplicates",
    "NgramOverlap",
    "NliSource",
    "Objective",
    "OptimizerConfig",
    "ParquetSource",
    "Prompt",
    "Qwen3Config",
    "RobertaConfig",
    "SbertClassification",
    "SbertRegression",
    "SbertTriplet",
    "Settings",
    "SimcseObjective",
    "Source",
    "StackingConfig",
    "Stage",
    "StsConfig",
    "StsSource",
    "SupervisedSimcse",
    "TextSource",
    "TfdsSource",
    "TmxSource",
    "TokenizerConfig",
    "TrainConfig",
    "TrainingConfig",
    "TsvSource",
    "check_maskable",
    "check_views",
]


class TrainConfig(Settings):
    """One training run."""

    output_dir: str | None = None
    """Run directory, or a URL: gs://BUCKET/RUN, s3://BUCKET/RUN (pip install 'jaxemb[remote]') or
    any other that fsspec can write to. With a URL, the run trains in a local mirror below `data.cache_dir` and commits
    its checkpoints to the URL."""
    data: DataConfig
    """Where examples come from and how they become batches."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """The vocabulary."""
    model: ModelConfig = ModelConfig()
    """The embedder."""
    objective: Objective = LabseObjective()
    """The loss (`kind: labse | info_nce | sbert_classification | sbert_regression | sbert_triplet | simcse |
    supervised_simcse | distillation | mlm | custom`); chosen in YAML."""
    objectives: dict[str, Objective] = Field(default_factory=dict)
    """More losses by name, for the sources that name one (`objective: NAME`); `objective` is that of the others. Each
    step trains one of them, on a batch of one source. Chosen in YAML."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """AdamW, LAMB or Adafactor."""
    training: TrainingConfig
    """The training loop."""
    mesh: MeshConfig = MeshConfig()
    """The number of replicas, and the number of devices that share the parameters of a replica."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Retrieval on the held-out split, and STS."""
    export: ExportConfig = ExportConfig()
    """The Hugging Face folder."""

    @model_validator(mode="after")
    def _check(self) -> "TrainConfig":
        if self.tokenizer.path is not None and self.model.init_from is not None:
            raise ValueError("tokenizer.path: model.init_from has its own tokenizer; leave one of the two out")
        if self.model.lora is not None and self.model.init_from is None:
            raise ValueError("model.lora: adapters need a pretrained model (model.init_from); without one leave it out")
        positions = self.model.encoder.max_tokens
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
        if self.model.init_from is None and self.tokenizer.path is None and rows is not None and rows < vocabulary:
            raise ValueError(
                f"model.encoder.vocab_size: {rows} rows are fewer than tokenizer.vocab_size ({vocabulary}); "
                "leave it out"
            )
        self._check_objectives()
        self._check_scores()
        self._check_warmup()
        self._check_stacking()
        if self.mesh.data > 0 and self.training.batch_size % (self.mesh.data * self.mesh.fsdp):
            raise ValueError(
                f"training.batch_size: {self.training.batch_size} is not divisible by "
                f"mesh.data * mesh.fsdp = {self.mesh.data * self.mesh.fsdp} devices"
            )
        return self

    @property
    def best_metric(self) -> str:
        """`training.best_metric`, or the metric that null means."""
        return self.training.best_metric or ("all_accuracy" if self.evaluation.sts is None else "sts_spearman")

    @property
    def trained_objectives(self) -> dict[str, Objective]:
        """The objectives of the run by name; `main` is `objective`, which sources without a name train."""
        return objectives_of(self.objective, self.objectives, self.data.sources)

    def objective_of(self, source: int) -> str:
        """The name of the objective that a source trains."""
        return self.data.sources[source].objective or MAIN

    def sources_of(self, name: str) -> dict[int, Source]:
        """The sources that train an objective, by their position in `data.sources`."""
        return {number: one for number, one in enumerate(self.data.sources) if (one.objective or MAIN) == name}

    def _check_objectives(self) -> None:
        """Checks that every source gives what its objective learns from."""
        check_names(self.objectives, self.data.sources)
        objectives = self.trained_objectives
        if self.objectives:
            check_mixable({MAIN: self.objective, **self.objectives})
            if self.data.batches != "one_source":
                raise ValueError(
                    "data.batches: a batch trains one objective, so with `objectives` it has examples of one source: "
                    "set it to one_source"
                )
        for name, objective in objectives.items():
            check_sources(name, objective, self.sources_of(name))
            if isinstance(objective, SimcseObjective) and self.model.init_from is None:
                check_views(objective, self.model.encoder)
            if objective.masks_tokens:
                self._check_masking(objective)
        if self.data.holdout.pairs_per_language and not any(
            objective.retrieval and "twin" not in source.gives
            for name, objective in objectives.items()
            for source in self.sources_of(name).values()
        ):
            kinds = " and ".join(objective.kind for objective in objectives.values())
            raise ValueError(
                f"data.holdout.pairs_per_language: {kinds} has no translation pairs to hold out; set it to 0; "
                "evaluation.sts scores the model during training"
            )
        for key in ("anchor_prompt", "positive_prompt"):
            if isinstance(objectives.get(MAIN), MlmObjective) and getattr(self.data, key) is not None:
                raise ValueError(f"data.{key}: {self.objective.kind} joins the sides to one text; set it to null")

    def _check_masking(self, objective: Objective) -> None:
        """Masked language modelling needs a single encoder, with bidirectional attention."""
        if self.model.towers == "untied":
            raise ValueError(
                f"model.towers: {objective.kind} with masked language modelling trains one encoder: set it to tied"
            )
        if self.model.init_from is None:
            check_maskable(objective, self.model.encoder)

    @property
    def stages(self) -> tuple[tuple[int, int], ...]:
        """The number of encoder layers in each stage of the run, and the last step of the stage."""
        stacking = self.training.stacking
        shallow = () if stacking is None else stacking.stages
        ends = itertools.accumulate(stage.steps for stage in shallow)
        return *((stage.layers, end) for stage, end in zip(shallow, ends, strict=True)), (
            self.model.encoder.num_hidden_layers,
            self.training.steps,
        )

    def at_step(self, step: int) -> "TrainConfig":
        """The config with the encoder's depth after `step` steps; the last step of a stage still has its depth."""
        layers = next((layers for layers, end in self.stages if step <= end), self.model.encoder.num_hidden_layers)
        encoder = self.model.encoder.model_copy(update={"num_hidden_layers": layers})
        return self.model_copy(update={"model": self.model.model_copy(update={"encoder": encoder})})

    def _check_stacking(self) -> None:
        """Checks that each stage has a multiple of the layers of the one before."""
        if self.training.stacking is None:
            return
        key = "training.stacking"
        if self.model.init_from is not None:
            raise ValueError(f"{key}: model.init_from already has all layers; leave one of the two out")
        if self.training.epochs is not None:
            raise ValueError(f"{key}: stages are counted in steps: set training.steps instead of epochs")
        stages = self.stages
        for (layers, end), (deeper, after) in itertools.pairwise(stages):
            if deeper % layers or deeper == layers:
                raise ValueError(
                    f"{key}.stages: {layers} layers cannot be stacked to {deeper}, which is not a multiple of {layers} "
                    "(the last stage has model.encoder.num_hidden_layers)"
                )
            if end >= after:
                raise ValueError(f"{key}.stages: the stages take {end} steps, so training.steps ({after}) must be more")

    def _check_scores(self) -> None:
        """Checks that the held-out set or the STS files that the evaluation needs are configured."""
        held_out, sts = bool(self.data.holdout.pairs_per_language), self.evaluation.sts is not None
        nothing = "nothing is held out (data.holdout.pairs_per_language is 0)"
        if self.training.evaluate_every and not (held_out or sts):
            raise ValueError(f"training.evaluate_every: {nothing}, and evaluation.sts is not set")
        if self.evaluation.baselines and not held_out:
            raise ValueError(f"evaluation.baselines: {nothing}")
        metric = self.training.best_metric
        if metric is not None and not (sts if metric == "sts_spearman" else held_out):
            raise ValueError(f"training.best_metric: {metric} is not scored in this run")

    def _check_warmup(self) -> None:
        """Checks that the warmup ends before the run does."""
        warmup, share, steps = self.optimizer.warmup_steps, self.optimizer.warmup_share, self.training.steps
        if warmup and share:
            raise ValueError(f"optimizer.warmup_share: {share} or {warmup} steps (`warmup_steps`): set one of the two")
        if steps and warmup > steps:
            raise ValueError(f"optimizer.warmup_steps: {warmup} is more than training.steps ({steps})")
