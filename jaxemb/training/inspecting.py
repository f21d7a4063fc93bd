"""Looks at the data of a config, or at prepared data: `jaxemb data inspect`."""

from typing import Any

from jaxemb.config import TrainConfig
from jaxemb.data import Batches, Encoding, Part, StoredData, cached_shards, gather
from jaxemb.data.inspection import look_at
from jaxemb.files import cache_root
from jaxemb.loading import pinned
from jaxemb.reporting.display import Display
from jaxemb.training.inputs import TrainingData, batches_for, describe_examples, with_prompts
from jaxemb.training.resolve import with_init_from
from jaxemb.training.setup import given_tokenizer, towers_of


def inspect_config(config: TrainConfig, display: Display, workers: int | None = None) -> dict[str, Any]:
    """The report on the data of a config, with lengths, padding and random pairs, as JSON.

    The sources are read as a run reads them, and what is read stays in the cache for the run. Lengths are in tokens,
    and padding is known, if `data.prepared`, `model.init_from` or `tokenizer.path` gives a tokenizer; otherwise lengths
    are in characters.

    Args:
      config: as for `jaxemb.train`.
      display: says what is done.
      workers: number of processes that read; the number of cores when None.

    Raises:
      UserError: for what the user can put right.
    """
    data: TrainingData
    stored: StoredData | None
    if config.data.prepared is not None:
        data = stored = StoredData(config.data.prepared, cache_root(config.data.cache_dir))
        describe_examples(config, data, display)
    else:
        towers = None
        if config.model.init_from is not None:
            config = with_init_from(config, pinned(config.model.init_from))
            towers = towers_of(config, None)
        tokenizer = given_tokenizer(config, towers)
        display.headline("gathering and cleaning examples")
        data = gather(config.data, config.training.seed, workers)
        describe_examples(config, data, display)
        stored = None
        if tokenizer is not None:
            display.headline("tokenizing")
            place = cached_shards(data, with_prompts(config), Encoding.of(tokenizer))
            stored = StoredData(place, cache_root(config.data.cache_dir))
    display.headline("looking at lengths, padding and pairs")
    return data.report | details_of(config, data, stored, Part())


def inspect_prepared(place: str) -> dict[str, Any]:
    """The report on prepared data, with lengths and random held-out pairs, as JSON.

    Args:
      place: a folder, or a URL that fsspec opens.

    Raises:
      UsageError: if there is none, or it is damaged.
    """
    data = StoredData(place, cache_root(None))
    return data.report | look_at(data, data, 0, None, None)


def details_of(config: TrainConfig, data: TrainingData, stored: StoredData | None, part: Part) -> dict[str, Any]:
    """Lengths, padding and random pairs, as JSON.

    Args:
      config: max_length, length_buckets, batch_size and seed are used.
      data: the examples.
      stored: their token ids, if there is a tokenizer.
      part: how a batch is spread over processes and devices.
    """
    if stored is None:
        return look_at(data, None, config.training.seed, config.data, None)
    tokens = stored

    def batches_of(settings: Any) -> Batches:
        return batches_for(config.model_copy(update={"data": settings}), tokens, None, part)

    told = look_at(data, tokens, config.training.seed, config.data, batches_of)
    return told | {"batch_size": config.training.batch_size}
