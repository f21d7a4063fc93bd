"""Batches of examples that a test gathers."""

from pathlib import Path

from jaxemb.data import Batches, Encoding, Part, StoredData, cached_shards


def stored(data, config, tokenizer, prompts=("", "")) -> StoredData:
    """The gathered examples as token ids, each side after its prompt."""
    config = config.model_copy(update=dict(zip(("anchor_prompt", "positive_prompt"), prompts, strict=True)))
    return StoredData(cached_shards(data, config, Encoding.of(tokenizer)), Path(config.cache_dir))


def examples_of(data: StoredData, max_length=64):
    """The examples of all sources, which have the same texts and labels."""
    return data.sources(max_length).of_sources(frozenset(range(len(data.manifest.sources))))


def batches_of(data: StoredData, config, batch_size, seed=0, **part) -> Batches:
    """`part` are the arguments of `Part`."""
    return Batches(data.sources(config.max_length), data.order(config, batch_size, seed), config, Part(**part))
