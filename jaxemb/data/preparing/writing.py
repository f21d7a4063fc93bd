"""Writes the rows that are trained on as shards: lane by lane, in a lane group by group, in a group by hash."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jaxemb.data.gathering.corpus import TRAIN, Corpus
from jaxemb.data.preparing.tokens import Tokens
from jaxemb.data.shards.record import Example

SHARD_ROWS = 1 << 18
"""Most examples of a shard."""
LANE_ROWS = 1 << 16
"""A lane has at least about so many examples; smaller data have fewer lanes."""
MOST_LANES = 64
_BLOCK = 1 << 14
"""Examples that are put together at a time."""


def lanes_for(examples: int) -> int:
    """Number of lanes of so many examples: a power of two, up to `MOST_LANES`.

    >>> [lanes_for(examples) for examples in (1000, 1 << 18, 10**9)]
    [1, 4, 64]
    """
    return min(MOST_LANES, 1 << max(0, (examples // LANE_ROWS).bit_length() - 1))


@dataclass(frozen=True)
class LaneRows:
    """The rows of a lane, in their final order."""

    chunk: np.ndarray
    """int32 [N], index of the chunk of each row."""
    row: np.ndarray
    """int64 [N], position in the chunk."""
    counts: np.ndarray
    """int64 [G], rows of each group."""
    starts: np.ndarray
    """int64 [R], the first example of each row of a source."""


def rows_of_lane(corpus: Corpus, lane: int, lanes: int) -> LaneRows:
    """The rows that are trained on whose `order` is in the lane's share of the hashes, sorted.

    They are sorted by group, `order`, and place in the source.
    """
    low, high = (lane << 64) // lanes, ((lane + 1) << 64) // lanes
    found: list[tuple[np.ndarray, ...]] = []
    for index, chunk in enumerate(corpus.chunks):
        own = chunk.between(low, high)
        rows = own.start + np.flatnonzero(corpus.fates[index][own] == TRAIN)
        columns = (chunk.column(name)[rows] for name in ("variant", "row", "part", "order"))
        found.append((*columns, corpus.group_of(index, rows), np.full(len(rows), index, np.int32), rows))
    variant, row, part, order, group, chunk_of, position = map(np.concatenate, zip(*found, strict=True))
    ranked, starts = final_order(group, order, (part, row, variant))
    counts = np.bincount(group, minlength=len(corpus.groups))
    return LaneRows(chunk_of[ranked], position[ranked], counts, np.flatnonzero(starts))


def final_order(
    group: np.ndarray, order: np.ndarray, place: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The order of examples within a lane, and which of them are the first one of a row of a source.

    Args:
      group: int [N], index of the group, which says the source.
      order: uint64 [N].
      place: part, row and variant, [N] each.

    Returns: int64 [N], the positions in their final order; bool [N], the first ones, in the final order.
    """
    part, row, variant = place
    ranked = np.lexsort((variant, row, part, order, group))
    first = np.ones(len(ranked), bool)
    first[1:] = False
    for values in (group, order, part, row):
        first[1:] |= values[ranked[1:]] != values[ranked[:-1]]
    return ranked, first


def examples_of(corpus: Corpus, tokens: Sequence[Tokens], rows: LaneRows, part: range) -> Iterator[Example]:
    """The examples of a part of a lane.

    Args:
      corpus: all chunks.
      tokens: of each chunk.
      rows: of the lane.
      part: which of them.
    """
    for start in range(part.start, part.stop, _BLOCK):
        own = slice(start, min(start + _BLOCK, part.stop))
        yield from _block(corpus, tokens, rows.chunk[own], rows.row[own])


def _block(corpus: Corpus, tokens: Sequence[Tokens], chunk_of: np.ndarray, row_of: np.ndarray) -> list[Example]:
    """The examples at these positions of chunks, in this order."""
    examples: list[Example | None] = [None] * len(row_of)
    for index in np.unique(chunk_of).tolist():
        places = np.flatnonzero(chunk_of == index)
        rows, chunk = row_of[places], corpus.chunks[index]
        part = chunk.table.select(["label", "score", "negative_hashes"]).take(rows)
        hashes = np.stack([chunk.column("anchor_hash")[rows], chunk.column("positive_hash")[rows]], axis=1)
        if chunk.negatives:
            more = part["negative_hashes"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
            hashes = np.concatenate([hashes, more], axis=1)
        values = zip(part["label"].to_pylist(), part["score"].to_pylist(), strict=True)
        for place, row, text_hashes, (label, score) in zip(places.tolist(), rows.tolist(), hashes, values, strict=True):
            examples[place] = Example(tuple(tokens[index].of_row(row)), text_hashes, label, score)
    return [example for example in examples if example is not None]
