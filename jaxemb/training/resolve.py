"""What is checked before any work, and what the tokenizer or the model to start from decide of a config."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from jaxemb.config import EncoderConfig, ModelConfig, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError
from jaxemb.huggingface import verify_with_torch

DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")
"""Settings of training, not of the weights that `model.init_from` brings."""


def read_config(config: TrainConfig | Mapping[str, Any] | str | Path) -> TrainConfig:
    """A config, its values (`${NAME}` is replaced) or its file as a `TrainConfig`."""
    if isinstance(config, TrainConfig):
        return config
    if isinstance(config, str | Path):
        return config_files.load_config(Path(config))
    return config_files.validate(TrainConfig, config_files.resolve_environment(dict(config)), "config")


def preflight(config: TrainConfig) -> None:
    """Refuses what would fail later.

    Raises:
      UsageError: if no run directory on this machine is given, a package is missing, or there are several processes.
    """
    if config.output_dir is None:
        raise UsageError("output_dir: no run directory is given (--output-dir RUN, or `output_dir:` in the config)")
    if "://" in config.output_dir:
        raise UsageError(f"output_dir: {config.output_dir} is not on this machine, which is not supported yet")
    if jax.process_count() > 1:
        raise UsageError(
            f"jax runs in {jax.process_count()} processes: training over several hosts is not supported yet"
        )
    if config.export.enabled:
        verify_with_torch(config.export.verify)
    if config.evaluation.baselines and importlib.util.find_spec("sklearn") is None:
        raise UsageError(
            "evaluation.baselines needs scikit-learn: pip install 'jaxemb[quickstart]', or set it to false"
        )


def check_batch(config: TrainConfig, devices: int) -> None:
    """Raises UsageError where the batch does not divide by the devices."""
    if config.training.batch_size % devices:
        raise UsageError(
            f"training.batch_size: {config.training.batch_size} pairs do not divide by {devices} devices; "
            f"the nearest that does is {max(1, round(config.training.batch_size / devices)) * devices}"
        )


def resolve(config: TrainConfig, base: ModelConfig | None, tokenizer: Any) -> TrainConfig:
    """Fills in what the tokenizer or the model to start from decide, and checks the whole again.

    Args:
      config: the run's config.
      base: the architecture of `model.init_from`; None without one.
      tokenizer: the run's tokenizer.

    Raises:
      UsageError: if lengths do not fit the positions, or a setting contradicts `model.init_from`.
    """
    model = config.model
    if base is not None:
        own = {"init_from", "new_head", "compute_dtype", "remat", "scan_layers", "max_seq_length"}
        own |= {"prompt"} if model.prompt else set()
        own |= {"pooling", "dense", "normalize"} if model.new_head else set()
        dropout = {name: getattr(model.encoder, name) for name in DROPOUT}
        _check_contradictions(model, base, own)
        model = base.model_copy(update={name: getattr(model, name) for name in own})
        model = model.model_copy(update={"encoder": model.encoder.model_copy(update=dropout)})
    positions = model.encoder.max_position_embeddings
    for name, length in (("data.max_length", config.data.max_length), ("model.max_seq_length", model.max_seq_length)):
        if length is not None and length > positions:
            raise UsageError(f"{name}: {length} tokens do not fit the model's {positions} positions")
    rows = model.encoder.vocab_size
    if rows is not None and rows < len(tokenizer):
        raise UsageError(f"model.encoder.vocab_size: {rows} rows do not hold the tokenizer's {len(tokenizer)} tokens")
    encoder = model.encoder.model_copy(
        update={"vocab_size": rows or len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    )
    length = model.max_seq_length or config.data.max_length
    # The vocabulary may have come out smaller than asked for.
    vocabulary = min(config.tokenizer.vocab_size, len(tokenizer)) if base is None else config.tokenizer.vocab_size
    return config.model_copy(
        update={
            "model": model.model_copy(update={"encoder": encoder, "max_seq_length": length}),
            "tokenizer": config.tokenizer.model_copy(update={"vocab_size": vocabulary}),
        }
    )


def _check_contradictions(model: ModelConfig, base: ModelConfig, own: set[str]) -> None:
    """A setting that `init_from` overrules must be left out, or be the same."""
    default = ModelConfig()
    head = {"pooling", "dense", "normalize"}
    for name in (ModelConfig.model_fields.keys() | EncoderConfig.model_fields.keys()) - own - {"encoder", *DROPOUT}:
        part = name in EncoderConfig.model_fields
        wanted, there, unset = (getattr(m.encoder if part else m, name) for m in (model, base, default))
        if wanted not in (there, unset):
            raise UsageError(
                f"model.{'encoder.' * part}{name}: {wanted!r} here, but {there!r} in model.init_from "
                f"({model.init_from}), which decides; leave it out" + (", or set model.new_head" * (name in head))
            )
