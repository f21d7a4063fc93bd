"""What is checked before any work, and what the tokenizer or the model to start from decide of a config."""

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from jaxemb.config import (
    Architecture,
    DataConfig,
    DenseConfig,
    DistillationObjective,
    EncoderConfig,
    ModelConfig,
    MPNetConfig,
    Prompt,
    SbertClassification,
    SimcseObjective,
    TrainConfig,
    check_maskable,
    check_views,
)
from jaxemb.config import files as config_files
from jaxemb.config.assignment import key_of
from jaxemb.config.explicit import given_paths, with_given
from jaxemb.config.kinds import Kind, fields_of
from jaxemb.config.options import ComputeOptions, StartOptions, UseOptions
from jaxemb.encoding import Towers, count_prompt_tokens
from jaxemb.errors import UsageError
from jaxemb.huggingface import check_exportable, verify_with_torch
from jaxemb.models import embedding_size
from jaxemb.objectives.masking import token_kinds
from jaxemb.runs.storage.store import check_protocol
from jaxemb.runs.storage.urls import is_remote
from jaxemb.training.step.freezing import select_trained
from jaxemb.training.suites import check_suites

FILLED_IN = {"prompt_tokens"}
"""Settings that follow from others; one that is given is checked against what it must be."""
OF_RUN = StartOptions.model_fields.keys() | ComputeOptions.model_fields.keys()
"""Settings of the run: `model.init_from` has no say in them."""
OF_USE = UseOptions.model_fields.keys()
"""Settings of how a model is used: what is given here counts, else what `model.init_from` says."""
HEAD = Architecture.model_fields.keys() - FILLED_IN - {"encoder"}
"""What follows the encoder."""


def read_config(config: TrainConfig | Mapping[str, Any] | str | Path) -> TrainConfig:
    """A config, its values (`${NAME}` is replaced) or its file as a `TrainConfig`."""
    if isinstance(config, TrainConfig):
        return config
    if isinstance(config, str | Path):
        return config_files.load_config(Path(config))
    return config_files.validate_values(config_files.resolve_environment(dict(config)), "config")


def preflight(config: TrainConfig) -> None:
    """Refuses what would fail later.

    Raises:
      UsageError: if no run directory is given, nothing here can open its URL, a package is missing, or
        `training.freeze` does not fit the model.
    """
    if config.output_dir is None:
        raise UsageError("output_dir: no run directory is given (--output-dir RUN, or `output_dir:` in the config)")
    if is_remote(config.output_dir):
        check_protocol(config.output_dir)
    if config.export.enabled:
        verify_with_torch(config.export.verify)
        check_exportable(config.model)
    if config.model.init_from is None:
        select_trained(config)
    if config.data.prepared is not None and isinstance(config.objective, DistillationObjective):
        raise UsageError(
            "data.prepared: prepared data have token ids only, and the teacher (objective.kind: distillation) embeds "
            "texts; set data.prepared to null"
        )
    check_suites(config)
    if config.evaluation.baselines and importlib.util.find_spec("sklearn") is None:
        raise UsageError(
            "evaluation.baselines needs scikit-learn: pip install 'jaxemb[quickstart]', or set it to false"
        )


def check_batch(config: TrainConfig, devices: int) -> None:
    """Raises UsageError where the batch does not divide by the devices."""
    if config.training.batch_size % devices:
        raise UsageError(
            f"training.batch_size: {config.training.batch_size} is not divisible by {devices} devices; "
            f"the nearest that is: {max(1, round(config.training.batch_size / devices)) * devices}"
        )


def check_init_from(model: ModelConfig, base: Towers) -> None:
    """Raises UsageError where `model.init_from` has two towers, and the run is to have one, or they are not alike."""
    if base.tied:
        return
    if model.towers == "tied":
        raise UsageError(
            f"model.towers: tied here, but model.init_from ({model.init_from}) has two towers: set it to untied, or "
            "start from one tower (`jaxemb export MODEL OUT --tower anchor`, then `init_from: OUT`)"
        )
    if not base.alike:
        raise UsageError(
            f"model.init_from: the two towers of {model.init_from} differ in more than their weights, which is not "
            "supported: their architecture, head, prompts and tokenizer must be the same"
        )


def check_labels(config: TrainConfig, largest: Sequence[int | None]) -> None:
    """Raises UsageError where a label is none of the classes of the objective that its source trains.

    Args:
      config: resolved or not.
      largest: the largest label of each source; None if it has none.
    """
    for name, objective in config.trained_objectives.items():
        if not isinstance(objective, SbertClassification):
            continue
        label = max((label for source in config.sources_of(name) if (label := largest[source]) is not None), default=0)
        if label >= objective.classes:
            raise UsageError(
                f"{key_of(name)}.classes: {objective.classes}, but there is a label {label} (labels count from 0): "
                f"set it to {label + 1} or more"
            )


def with_steps(config: TrainConfig, examples: int) -> TrainConfig:
    """The config with `training.steps` filled in from `epochs`, if it has these.

    Raises:
      UsageError: if it has other steps, too.
    """
    training = config.training
    if training.epochs is None:
        return config
    steps = math.ceil(training.epochs * examples / training.batch_size)
    if training.steps not in (0, steps):
        raise UsageError(
            f"training.steps: {training.steps} here, but {training.epochs:g} epochs of {examples:,} examples are "
            f"{steps}: set epochs to null, or steps to 0"
        )
    return config.model_copy(update={"training": training.model_copy(update={"steps": steps})})


def with_init_from(config: TrainConfig, model: str | None) -> TrainConfig:
    """The config with this `model.init_from`: for a model of the Hub, its name with the commit."""
    if model == config.model.init_from:
        return config  # what nobody gave does not become given
    return config.model_copy(update={"model": config.model.model_copy(update={"init_from": model})})


def with_teacher(config: TrainConfig, teacher: str | None) -> TrainConfig:
    """The config with this `objective.teacher`: for a model of the Hub, its name with the commit."""
    return config.model_copy(update={"objective": config.objective.model_copy(update={"teacher": teacher})})


def with_projection(config: TrainConfig, width: int) -> TrainConfig:
    """The config of a student whose embeddings are as wide as its teacher's: a linear layer brings them there.

    Raises:
      UsageError: if the config says another width.
    """
    model = config.model
    if model.dense is None and model.pooled_size == width:
        return config
    several = model.dense if isinstance(model.dense, tuple) else None
    last = several[-1] if several else model.dense or DenseConfig(activation="identity")
    assert isinstance(last, DenseConfig)
    if last.out_features not in (None, width):
        raise UsageError(
            f"model.dense.out_features: {last.out_features}, but the embeddings of objective.teacher have {width} "
            "dimensions: leave it out"
        )
    last = last.model_copy(update={"out_features": width})
    dense = (*several[:-1], last) if several else last
    changed = config.model_copy(update={"model": model.model_copy(update={"dense": dense})})
    return with_given(changed, given_paths(config))


def check_width(model: ModelConfig, width: int) -> None:
    """Raises UsageError where a student that brings its own head has not its teacher's width."""
    if embedding_size(model) != width:
        raise UsageError(
            f"model.init_from: the embeddings of {model.init_from} have {embedding_size(model)} dimensions, those of "
            f"objective.teacher {width}: set model.new_head, which adds a linear layer to that width"
        )


def check_teacher(model: ModelConfig, width: int) -> None:
    """Raises UsageError where the teacher of a run that goes on is not as wide as the one it began with."""
    if embedding_size(model) != width:
        raise UsageError(
            f"objective.teacher: its embeddings have {width} dimensions, those of the run {embedding_size(model)}: "
            "this is not the teacher that the run began with"
        )


def resolve(config: TrainConfig, base: ModelConfig | None, tokenizer: Any) -> TrainConfig:
    """Fills in what the tokenizer or the model to start from decide, and checks the whole again.

    Args:
      config: the run's config.
      base: the architecture of `model.init_from`; None without one.
      tokenizer: the run's tokenizer.

    Raises:
      UsageError: if lengths do not fit the positions, a setting contradicts `model.init_from`, or tokens are to be
        masked by a tokenizer without a mask token, or for an encoder that looks in one direction only.
    """
    model = config.model
    if base is not None:
        own = OF_RUN | FILLED_IN | (OF_USE & model.model_fields_set) | (HEAD if model.new_head else set())
        _check_contradictions(model, base, own)
        encoder = encoder_to_train(model.encoder, base.encoder)
        model = base.model_copy(update={name: getattr(model, name) for name in own} | {"encoder": encoder})
    for name, length in (("data.max_length", config.data.max_length), ("model.max_seq_length", model.max_seq_length)):
        if length is not None and length > model.encoder.max_tokens:
            raise UsageError(f"{name}: {length} tokens are more than the model's {model.encoder.max_tokens}")
    rows = model.encoder.vocab_size
    if rows is not None and rows < len(tokenizer):
        size = len(tokenizer)
        raise UsageError(f"model.encoder.vocab_size: {rows} rows are fewer than the tokenizer's {size} tokens")
    if isinstance(model.encoder, MPNetConfig) and tokenizer.pad_token_id != model.encoder.pad_token_id:
        raise UsageError(
            f"model.encoder.model_type: MPNet needs a padding token with id {model.encoder.pad_token_id}, but the "
            f"tokenizer's is {tokenizer.pad_token_id}: start from a checkpoint (model.init_from), or use another family"
        )
    for objective in config.trained_objectives.values():
        if objective.masks_tokens:
            token_kinds(tokenizer)  # refuses one without a mask token
        try:
            check_maskable(objective, model.encoder)
            if isinstance(objective, SimcseObjective):
                check_views(objective, model.encoder)
        except ValueError as error:
            raise UsageError(str(error)) from None
    of_tokenizer = {"vocab_size": rows or len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    _check_filled_in(config.model.encoder, of_tokenizer, "model.encoder")
    longest = _longest_input(config, base)
    prompt_tokens = 0 if model.include_prompt else count_prompt_tokens(tokenizer, model.prompt, longest)
    _check_filled_in(config.model, {"prompt_tokens": prompt_tokens}, "model")
    filled_in = {
        "encoder": model.encoder.model_copy(update=of_tokenizer),
        "prompts": _with_side_prompts(config.data, model),
        "max_seq_length": longest,
        "prompt_tokens": prompt_tokens,
    }
    # The vocabulary may have come out smaller than asked for.
    vocabulary = config.tokenizer.vocab_size if base is not None else min(config.tokenizer.vocab_size, len(tokenizer))
    vocabulary = vocabulary if config.tokenizer.path is None else len(tokenizer)
    resolved = config.model_copy(
        update={
            "model": model.model_copy(update=filled_in),
            "tokenizer": config.tokenizer.model_copy(update={"vocab_size": vocabulary}),
        }
    )
    return with_given(resolved, given_paths(config))


def _with_side_prompts(data: DataConfig, model: ModelConfig) -> tuple[Prompt, ...]:
    """The model's prompts with those that its two sides are trained with, by sentence-transformers' names.

    Raises:
      UsageError: if the model has another prompt of that name, or pools without its prompt, whose length is that of
        `model.prompt`.
    """
    if data.anchor_prompt is None and data.positive_prompt is None:
        return model.prompts
    prompts = {prompt.name: prompt.text for prompt in model.prompts}
    for key, name in (("anchor_prompt", "query"), ("positive_prompt", "document")):
        text = getattr(data, key)
        if text is None:
            continue
        if not model.include_prompt:
            raise UsageError(f"data.{key}: only a model that pools with the prompt has it: set model.include_prompt")
        if prompts.setdefault(name, text) != text:
            raise UsageError(
                f"data.{key}: {text!r}, but the prompt {name!r} in model.prompts is {prompts[name]!r}; give both the "
                "same text"
            )
    return tuple(Prompt(name=name, text=text) for name, text in prompts.items())


def _longest_input(config: TrainConfig, base: ModelConfig | None) -> int:
    """`model.max_seq_length`; if it is not given, `data.max_length`, and not less than `model.init_from` takes."""
    if base is None or "max_seq_length" in config.model.model_fields_set:
        return config.model.max_seq_length or config.data.max_length
    return max(config.data.max_length, base.max_seq_length or 0)


def _check_filled_in(given: BaseModel, decided: Mapping[str, Any], path: str) -> None:
    """Refuses a setting that is given and that the tokenizer decides otherwise; null leaves it to the tokenizer."""
    for name, value in decided.items():
        if name in given.model_fields_set and getattr(given, name) not in (None, value):
            raise UsageError(
                f"{path}.{name}: {getattr(given, name)!r} here, but {value!r} in the tokenizer, which decides; "
                "leave it out"
            )


def encoder_to_train(given: EncoderConfig, base: EncoderConfig) -> EncoderConfig:
    """The encoder of `model.init_from` with the dropout rates that are given, or the default of its family."""
    rates = {
        name: getattr(given, name) if name in given.model_fields_set else type(base).model_fields[name].default
        for name in fields_of(type(base), {Kind.TRAINING})
    }
    return base.model_copy(update=rates)


def _check_contradictions(model: ModelConfig, base: ModelConfig, own: set[str]) -> None:
    """A setting that is given, and that `init_from` overrules, must be the same there."""

    def check(given: BaseModel, there: Any, path: str, free: set[str]) -> None:
        for name in sorted(given.model_fields_set - free):
            wanted, found = getattr(given, name), getattr(there, name, None)
            if isinstance(wanted, BaseModel) and isinstance(found, BaseModel):
                check(wanted, found, f"{path}.{name}", fields_of(type(found), {Kind.TRAINING}))
            elif wanted != found:
                new_head = ", or set model.new_head" if f"{path}.{name}".split(".")[1] in HEAD else ""
                raise UsageError(
                    f"{path}.{name}: {_shown(wanted)} here, but {_shown(found)} in model.init_from "
                    f"({model.init_from}), which decides; leave it out{new_head}"
                )

    check(model, base, "model", own)


def _shown(value: Any) -> str:
    return repr(value.model_dump(exclude_unset=True)) if isinstance(value, BaseModel) else repr(value)
