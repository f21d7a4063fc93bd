"""The last step: tokenizes the examples of a shard and writes it."""

import dataclasses
import functools
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import tokenizers

from jaxemb.data.beam.tables import PLACED, Groups, column, unpacked
from jaxemb.data.cache import in_chunks
from jaxemb.data.preparing.lengths import Lengths
from jaxemb.data.preparing.output import Output
from jaxemb.data.preparing.tokens import token_ids_of
from jaxemb.data.shards.index import ShardInfo, shard_name
from jaxemb.data.shards.places import place_of
from jaxemb.data.shards.record import Example, Layout, is_twin
from jaxemb.data.shards.writer import write_shard

TOKENIZER = "beam-tokenizer.json"
"""The backend of the tokenizer, while the pipeline runs: it may be too large to be part of the pipeline."""
_TEXTS = 1 << 13
"""Rows that are tokenized in one call."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where shards are written, and how; small enough to be sent to each machine."""

    output: str
    """A folder that all machines see, or a URL. The file `TOKENIZER` is there."""
    plan: str
    """The fingerprint of the preparation."""
    dtype: str
    """Of the token ids."""
    prompts: tuple[tuple[str, str], ...]
    """For each source, text put before each anchor, and before each positive and hard negative."""


@functools.lru_cache(maxsize=1)
def tokenizer_of(output: str, plan: str) -> tokenizers.Tokenizer:
    """The tokenizer that lies in the output of a preparation; each process reads it once."""
    del plan
    return tokenizers.Tokenizer.from_str(place_of(output).read(TOKENIZER).decode())


@dataclasses.dataclass(frozen=True)
class WrittenShard:
    """A shard that is in its place."""

    number: int
    info: ShardInfo
    lengths: Mapping[str, list[int]]
    """`Lengths.as_json`."""


def write(number: int, parts: Iterable[bytes], target: Target, groups: Groups) -> WrittenShard:
    """Writes a shard.

    Args:
      number: of the shard, among all.
      parts: tables with `PLACED` of all its examples, in any order.
      target: where and how.
      groups: all of them.
    """
    table = unpacked(parts, PLACED)
    table = table.take(pa.array(np.argsort(column(table, "index"))))
    layout = Layout(max([2, *(texts for _, texts in groups.texts)]), target.dtype)
    lengths = Lengths()
    with tempfile.TemporaryDirectory() as folder:
        place = Output(target.output, target.plan, Path(folder))
        examples = _counted(table, lengths, target)
        info = write_shard(place.folder, shard_name(number), examples, layout)
        place.publish(info)
    return WrittenShard(number, info, lengths.as_json())


def _counted(table: pa.Table, lengths: Lengths, target: Target) -> Iterator[Example]:
    """The examples; adds the lengths of their texts."""
    for rows in in_chunks(len(table), _TEXTS):
        part = table.slice(rows.start, len(rows))
        languages = part["languages"].to_pylist()
        examples = _examples(part, target)
        for both in dict.fromkeys(languages):
            anchor, positive = both.split(" ")
            own = [example for example, name in zip(examples, languages, strict=True) if name == both]
            for texts in {len(example.ids) for example in own}:
                alike = [example for example in own if len(example.ids) == texts]
                found = np.array([[len(ids) for ids in example.ids] for example in alike])
                lengths.add((anchor, positive), found, np.array([is_twin(example) for example in alike]))
        yield from examples


def _examples(table: pa.Table, target: Target) -> list[Example]:
    """The examples of a table, in its order."""
    examples: list[Example | None] = [None] * len(table)
    source, backend = column(table, "source"), tokenizer_of(target.output, target.plan)
    for own in np.unique(source).tolist():
        places = np.flatnonzero(source == own)
        part = table.take(pa.array(places)).to_pydict()
        columns = [part["anchor"], part["positive"], *zip(*part["negatives"], strict=True)]
        ids_of = zip(*token_ids_of(columns, backend, target.dtype, target.prompts[own]), strict=True)
        for row, (place, ids) in enumerate(zip(places.tolist(), ids_of, strict=True)):
            hashes = [part["anchor_hash"][row], part["positive_hash"][row], *part["negative_hashes"][row]]
            examples[place] = Example(
                _as_stored(ids), np.array(hashes, np.uint64), part["label"][row], part["score"][row]
            )
    return [example for example in examples if example is not None]


def _as_stored(ids: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """The same ids; the positive is the very array of the anchor only in a pair with itself that has any tokens."""
    if len(ids) == 2 and ids[0] is ids[1] and len(ids[0]):
        return ids
    return tuple(one[:] for one in ids)
