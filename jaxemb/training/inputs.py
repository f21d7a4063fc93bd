"""The inputs of a run: examples are gathered and checked, then tokenized, embedded by the teacher, and batched."""

from typing import Any

import jax
from jax.sharding import Mesh

from jaxemb import distributed
from jaxemb.config import MlmObjective, TrainConfig
from jaxemb.data import Batches, Encoding, Gathered, Part, Sequences, StoredData, cached_shards, gather
from jaxemb.data.cut import describe_cut
from jaxemb.data.examples import Examples
from jaxemb.errors import UsageError
from jaxemb.files import cache_root
from jaxemb.reporting.display import Display
from jaxemb.training.resolve import check_labels
from jaxemb.training.teacher import Teacher

TrainingData = Gathered | StoredData
"""Cleaned text of this run's sources, or what `jaxemb data prepare` made of them."""


def open_examples(config: TrainConfig, display: Display) -> TrainingData:
    """Opens prepared data, or gathers the examples, on the primary process before the others.

    Raises:
      UsageError: if they do not fill a batch, or lack what the objective needs.
    """
    data: TrainingData
    if config.data.prepared is not None:
        display.headline(f"opening {config.data.prepared}")
        data = StoredData(config.data.prepared, cache_root(config.data.cache_dir))
    else:
        display.headline("gathering and cleaning examples")
        with distributed.first_before_others("the data"):
            data = gather(config.data, config.training.seed)
    describe_examples(config, data, display)
    batch_size = config.training.batch_size
    if data.epoch < batch_size:
        raise UsageError(f"training.batch_size: {batch_size} is more than the {data.epoch} training examples")
    check_labels(config, data.largest_labels)
    return data


def describe_examples(config: TrainConfig, data: TrainingData, display: Display) -> None:
    """Says how many examples there are."""
    held_out = data.report["totals"]["heldout"]
    if config.data.exclude:
        excluded = data.report["totals"]["dropped"].get("excluded", 0)
        display.headline(f"{excluded:,} examples dropped: one of their texts is in data.exclude")
    display.headline(
        f"{data.examples:,} examples in {len(data.languages)} language{'s' * (len(data.languages) != 1)} "
        f"to train on, {held_out:,} held out"
    )
    if data.epoch < data.examples:
        display.headline(f"they are of {data.epoch:,} rows: an epoch takes one of each")


def tokenize_examples(config: TrainConfig, data: TrainingData, tokenizer: Any, display: Display) -> StoredData:
    """The training examples of a resolved config as token ids; reports how much `data.max_length` cuts off.

    Raises:
      UsageError: if prepared data have the ids of another tokenizer.
    """
    encoding = Encoding.of(tokenizer)
    if isinstance(data, StoredData):
        data.manifest.check_tokenizer(encoding.hash, data.place)
        stored = data
    else:
        display.headline("tokenizing")
        with distributed.first_before_others("the token ids"):
            place = cached_shards(data, with_prompts(config), encoding)
        stored = StoredData(place, cache_root(config.data.cache_dir))
    display.headline(describe_cut(stored.cut(config.data.max_length), config.data.max_length))
    if config.model.longest_input != config.data.max_length:
        display.headline(
            f"the model embeds the first {config.model.longest_input} tokens of a text (model.max_seq_length), but is "
            f"trained on the first {config.data.max_length} (data.max_length)"
        )
    return stored


def with_prompts(config: TrainConfig) -> Any:
    """The settings of the data, with the model's prompt where they have none."""
    own = ((name, getattr(config.data, name)) for name in ("anchor_prompt", "positive_prompt"))
    return config.data.model_copy(update={name: config.model.prompt for name, prompt in own if prompt is None})


def teach(teacher: Teacher, data: TrainingData, display: Display) -> None:
    """Has the teacher embed the sentences that are not in its cache."""
    assert isinstance(data, Gathered)  # `check_prepared` refuses the other
    display.headline("the teacher embeds the sentences that are not in its cache")
    with display.counting("embedded", data.examples) as progress:
        taught = teacher.teach(data, progress)
    display.headline(f"{taught:,} sentences embedded by the teacher; the others were in its cache")


def batches_of(config: TrainConfig, stored: StoredData, teacher: Teacher | None, mesh: Mesh) -> Batches:
    """This process's part of the batches of a resolved config; what the teacher embeds must be stored."""
    return batches_for(config, stored, teacher, part_of(mesh))


def part_of(mesh: Mesh) -> Part:
    """This process's part of each batch."""
    return Part(jax.process_index(), jax.process_count(), devices=mesh.size)


def batches_for(config: TrainConfig, stored: StoredData, teacher: Teacher | None, part: Part) -> Batches:
    """A part of the batches of a config."""
    sources, length = stored.sources(config.data.max_length), config.data.max_length
    order = stored.order(config.data, config.training.batch_size, config.training.seed)
    examples: Any = sources
    if isinstance(config.objective, MlmObjective):
        texts: Examples = sources.texts_only()
        examples = Sequences(texts, stored.is_single, length, config.training.seed)
    elif teacher is not None:
        examples = teacher.examples(sources.of_sources(frozenset(range(len(config.data.sources)))))
    return Batches(examples, order, config.data, part, config.model.encoder.pad_token_id)
