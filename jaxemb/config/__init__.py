"""Every setting of a training run: strict, typed, frozen, documented.

A YAML file is read into `TrainConfig` by `jaxemb.config.files`; flags such as `--optimizer.learning-rate 1e-5` override
it; the docstring under a field is its `--help`. Nothing here imports jax or flax, so that help stays instant.
"""

from pydantic import model_validator

from jaxemb.config.base import Settings
from jaxemb.config.data import (
    DataConfig,
    FilterConfig,
    GettextSource,
    HoldoutConfig,
    MosesSource,
    Source,
    TokenizerConfig,
    TsvSource,
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
from jaxemb.config.model import DenseConfig, LoraConfig, ModelConfig, Prompt
from jaxemb.config.objective import InfoNceObjective, LabseObjective, Objective
from jaxemb.config.training import EvaluationConfig, ExportConfig, MeshConfig, OptimizerConfig, TrainingConfig

__all__ = [
    "BertConfig",
    "DataConfig",
    "DenseConfig",
    "DistilBertConfig",
    "EncoderConfig",
    "EvaluationConfig",
    "ExportConfig",
    "FilterConfig",
    "GettextSource",
    "HoldoutConfig",
    "InfoNceObjective",
    "LabseObjective",
    "LoraConfig",
    "MPNetConfig",
    "MeshConfig",
    "ModelConfig",
    "ModernBertConfig",
    "MosesSource",
    "Objective",
    "OptimizerConfig",
    "Prompt",
    "Qwen3Config",
    "RobertaConfig",
    "Settings",
    "Source",
    "TokenizerConfig",
    "TrainConfig",
    "TrainingConfig",
    "TsvSource",
]


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
        if self.model.lora is not None and self.model.init_from is None:
            raise ValueError("model.lora: adapters need a model to adapt (model.init_from); without one leave it out")
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
