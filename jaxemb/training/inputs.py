"""The inputs of a run: examples are gathered and checked, then tokenized, embedded by the teacher, and batched."""

from typing import Any

import jax
from jax.sharding import Mesh

from jaxemb import distributed
from jaxemb.config import MlmObjective, TrainConfig
from jaxemb.data import Batches, Examples, PreparedData, Sequences, Tokenized, prepare, tokenize
from jaxemb.data.cut import describe_cut
from jaxemb.errors import UsageError
from jaxemb.reporting.display import Display
from jaxemb.training.resolve import check_labels
from jaxemb.training.teacher import Teacher


def prepare_examples(config: TrainConfig, display: Display) -> PreparedData:
    """Gathers the examples, on the primary process before the others.

    Raises:
      UsageError: if they do not fill a batch, or lack what the objective needs.
    """
    display.headline("gathering and cleaning examples")
    with distributed.first_before_others("the data"):
        data = prepare(config.data, config.training.seed)
    held_out = sum(map(len, data.heldout.values()))
    if config.data.exclude:
        excluded = data.report["totals"]["dropped"].get("excluded", 0)
        display.headline(f"{excluded:,} examples dropped: one of their texts is in data.exclude")
    display.headline(
        f"{len(data.train):,} examples in {len(data.languages)} language{'s' * (len(data.languages) != 1)} "
        f"to train on, {held_out:,} held out"
    )
    if data.epoch < len(data.train):
        display.headline(f"they are of {data.epoch:,} rows: an epoch takes one of each")
    batch_size = config.training.batch_size
    if data.epoch < batch_size:
        raise UsageError(f"training.batch_size: {batch_size} is more than the {data.epoch} training examples")
    check_labels(config.objective, data)
    return data


def tokenize_examples(config: TrainConfig, data: PreparedData, tokenizer: Any, display: Display) -> Tokenized:
    """The training examples of a resolved config as token ids; reports how much `data.max_length` cuts off."""
    display.headline("tokenizing")
    anchor_prompt = config.model.prompt if config.data.anchor_prompt is None else config.data.anchor_prompt
    positive_prompt = config.model.prompt if config.data.positive_prompt is None else config.data.positive_prompt
    tokenized = tokenize(data, tokenizer, config.data.max_length, anchor_prompt, positive_prompt)
    display.headline(describe_cut(tokenized.cut, config.data.max_length))
    if config.model.longest_input != config.data.max_length:
        display.headline(
            f"the model embeds the first {config.model.longest_input} tokens of a text (model.max_seq_length), but is "
            f"trained on the first {config.data.max_length} (data.max_length)"
        )
    return tokenized


def batches_of(
    config: TrainConfig,
    data: PreparedData,
    tokenized: Tokenized,
    teacher: Teacher | None,
    mesh: Mesh,
    display: Display,
) -> Batches:
    """This process's part of the batches of a resolved config."""
    if teacher is not None:
        display.headline("the teacher embeds the sentences that are not in its cache")
        with display.counting("embedded", len(data.train)) as progress:
            taught = teacher.teach(data, progress)
        display.headline(f"{taught:,} sentences embedded by the teacher; the others were in its cache")
        tokenized = teacher.examples(tokenized, data)
    examples: Examples = tokenized
    if isinstance(config.objective, MlmObjective):
        examples = Sequences(tokenized, config.data.max_length, config.training.seed)
    return Batches(
        examples,
        config.data,
        config.training.batch_size,
        config.training.seed,
        config.model.encoder.pad_token_id,
        jax.process_index(),
        jax.process_count(),
        devices=mesh.size,
    )
