"""What a run trains with, decided before its first step: `start_run` for a new run, `resume_run` for an old one.

Each takes the config as given and returns the resolved one; nothing else is changed in between.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxemb import distributed, huggingface
from jaxemb.config import DistillationObjective, TrainConfig
from jaxemb.data import StoredData, train_tokenizer, with_normalizer
from jaxemb.encoding import Embedder, Towers
from jaxemb.files import atomic_directory, write_atomically
from jaxemb.loading import load_towers, pinned, pinned_as
from jaxemb.models import embedding_size
from jaxemb.reporting.display import Display
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.random_bits import changed_since
from jaxemb.training.inputs import TrainingData, open_examples
from jaxemb.training.resolve import (
    check_init_from,
    check_teacher,
    check_width,
    resolve,
    with_init_from,
    with_projection,
    with_steps,
    with_teacher,
)
from jaxemb.training.step.freezing import select_trained
from jaxemb.training.teacher import Teacher, load_teacher


@dataclass(frozen=True)
class Setup:
    """What a run trains with."""

    config: TrainConfig
    """Resolved."""
    tokenizer: Any
    data: TrainingData | None
    """None if a resumed run has nothing left to do."""
    teacher: Teacher | None = None
    towers: Towers | None = None
    """The model of `model.init_from` that a new run starts from."""


def start_run(config: TrainConfig, run: RunDirectory, objective: str | None, display: Display) -> Setup:
    """Sets a new run up, and writes its config, tokenizer and data report.

    Args:
      config: as given.
      run: the directory, which is this run's.
      objective: the name of an objective that was passed to `jaxemb.train`.
      display: the terminal.

    Raises:
      UserError: if config, model, tokenizer and data do not fit each other.
    """
    if isinstance(config.objective, DistillationObjective):
        config = with_teacher(config, pinned(config.objective.teacher))
    teacher = load_teacher(config)
    if teacher is not None:
        config = _projected(config, teacher.width)
    towers = None
    if config.model.init_from is not None:
        config = with_init_from(config, pinned(config.model.init_from))
        towers = towers_of(config, teacher)
    base = None if towers is None else towers.anchor.config
    tokenizer = given_tokenizer(config, towers)
    if tokenizer is not None:  # what does not fit is refused before the data are read
        _say_unused(config, display)
        config = resolve(config, base, tokenizer)
        select_trained(config)
    data = open_examples(config, display)
    config = with_steps(config, data.epoch)
    with distributed.first_before_others("the vocabulary"):
        if tokenizer is None:
            # The other processes read it from the run directory.
            first = distributed.is_first()
            tokenizer = vocabulary(config, data, display) if first else huggingface.load_tokenizer(run.tokenizer)
            config = resolve(config, None, tokenizer)
        if distributed.is_first():
            _write(run, config, objective, tokenizer, data)
        else:
            run.check_same_data(data.report)
    return Setup(config, tokenizer, data, teacher, towers)


def resume_run(config: TrainConfig, run: RunDirectory, objective: str | None, display: Display) -> Setup:
    """Sets a run up that has a checkpoint, as it was set up when it began.

    Arguments as of `start_run`.

    Raises:
      UserError: if config, data or teacher are not those of the run.
    """
    tokenizer, saved = huggingface.load_tokenizer(run.tokenizer), run.load_config()
    if config.model.init_from is not None:
        config = with_init_from(config, pinned_as(config.model.init_from, saved.model.init_from))
    if isinstance(config.objective, DistillationObjective) and isinstance(saved.objective, DistillationObjective):
        config = with_teacher(config, pinned_as(config.objective.teacher, saved.objective.teacher))
        config = _projected(config, embedding_size(saved.model))  # a finished run needs no teacher
    # `model.init_from` need not be there any more: the run knows its architecture.
    config = resolve(config, saved.model if config.model.init_from else None, tokenizer)
    data = None
    if config.training.epochs is not None and config.training.epochs == saved.training.epochs:
        training = config.training.model_copy(update={"steps": saved.training.steps})
        config = config.model_copy(update={"training": training})
    elif config.training.epochs is not None:
        data = open_examples(config, display)
        config = with_steps(config, data.epoch)
    run.check_same_run(config, objective)
    if run.is_finished(config):
        return Setup(config, tokenizer, None)
    run.check_same_order(config)
    data = data or open_examples(config, display)
    run.check_same_data(data.report)
    if (changed := changed_since(run.random_bits(), config)) is not None:
        display.headline(
            f"an older jaxemb, which drew other random numbers for {changed}, began this run: from here on "
            "its masks differ from those of that release (see CHANGELOG.md); the run is resumed"
        )
    if distributed.is_first():
        run.save_config(config, objective)
    teacher = load_teacher(config)
    if teacher is not None:
        check_teacher(config.model, teacher.width)
    return Setup(config, tokenizer, data, teacher)


def _projected(config: TrainConfig, width: int) -> TrainConfig:
    """The config of a student as wide as its teacher, if the student does not bring its own head."""
    brings_head = config.model.init_from is not None and not config.model.new_head
    return config if brings_head else with_projection(config, width)


def towers_of(config: TrainConfig, teacher: Teacher | None) -> Towers:
    """The model of `model.init_from`."""
    towers = load_towers(str(config.model.init_from), allow=config.model.init_allow).map(Embedder.merged)
    check_init_from(config.model, towers)
    if teacher is not None and not config.model.new_head:
        check_width(towers.anchor.config, teacher.width)
    return towers


def given_tokenizer(config: TrainConfig, towers: Towers | None) -> Any:
    """The tokenizer of `model.init_from` or of `tokenizer.path`; None if one is to be trained."""
    if towers is not None:
        return with_normalizer(towers.anchor.tokenizer)
    if config.tokenizer.path is not None:
        return with_normalizer(huggingface.load_tokenizer(Path(config.tokenizer.path).expanduser()))
    return None


def _say_unused(config: TrainConfig, display: Display) -> None:
    """Names settings of the vocabulary that were given though no vocabulary is trained."""
    if unused := sorted(config.tokenizer.model_fields_set - {"path"}):
        whose = "tokenizer.path" if config.model.init_from is None else "model.init_from"
        names = ", ".join(f"tokenizer.{name}" for name in unused)
        display.headline(f"{whose} brings a tokenizer, so these settings have no effect: {names}")


def vocabulary(config: TrainConfig, data: TrainingData, display: Display) -> Any:
    """The tokenizer of prepared data, or one that is trained on the examples."""
    if isinstance(data, StoredData):
        with tempfile.TemporaryDirectory() as folder:
            data.copy_tokenizer(Path(folder))
            return huggingface.load_tokenizer(Path(folder))
    display.headline(f"training a WordPiece vocabulary of {config.tokenizer.vocab_size:,}")
    return train_tokenizer(data, config.tokenizer, config.data.max_length, config.training.seed)


def _write(run: RunDirectory, config: TrainConfig, objective: str | None, tokenizer: Any, data: TrainingData) -> None:
    """Writes what the run directory says of a new run."""
    run.clear()
    run.save_config(config, objective)
    write_atomically(run.data_report, json.dumps(data.report, indent=1, ensure_ascii=False))
    with atomic_directory(run.tokenizer) as folder:
        huggingface.save_tokenizer(tokenizer, folder)
