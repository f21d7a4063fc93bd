"""Exact duplicates, found over all chunks by range of hashes: memory holds one range at a time."""

import concurrent.futures
import itertools
import os
from collections.abc import Sequence

import numpy as np

from jaxemb.data.gathering.chunks import Chunk
from jaxemb.data.gathering.corpus import DUPLICATE, Corpus

RANGE_ROWS = 1 << 20
"""About so many rows are compared at a time."""
_WHOLE = 1 << 64


def mark_duplicates(corpus: Corpus) -> None:
    """Sets the fate `DUPLICATE` for all but the first of each set of equal examples.

    The first one has the smallest source, part, row and variant. The result does not depend on how the rows are
    distributed over chunks.
    """
    count = -(-len(corpus) // RANGE_ROWS) or 1
    borders = [_WHOLE * index // count for index in range(count + 1)]
    # Sorting releases the interpreter lock, so threads do.
    with concurrent.futures.ThreadPoolExecutor(min(count, os.cpu_count() or 1)) as pool:
        for _ in pool.map(lambda ends: _mark_range(corpus, *ends), itertools.pairwise(borders)):
            pass


def _mark_range(corpus: Corpus, low: int, high: int) -> None:
    rows = [_rows_between(chunk, low, high) for chunk in corpus.chunks]
    pair, check, part, row, variant = (
        np.concatenate([chunk.column(name)[own] for chunk, own in zip(corpus.chunks, rows, strict=True)])
        for name in ("pair", "check", "part", "row", "variant")
    )
    source = np.repeat([chunk.source for chunk in corpus.chunks], [len(own) for own in rows])
    duplicate = are_duplicates(pair, check, (source, part, row, variant))
    start = 0
    for fates, own in zip(corpus.fates, rows, strict=True):
        fates[own[duplicate[start : start + len(own)]]] = DUPLICATE
        start += len(own)


def are_duplicates(pair: np.ndarray, check: np.ndarray, place: Sequence[np.ndarray]) -> np.ndarray:
    """Which examples are equal to one with a smaller place.

    Args:
      pair: uint64 [N], the first hash of each example.
      check: uint64 [N], the second one.
      place: source, part, row, variant, [N] each.

    Returns: bool [N].

    >>> are_duplicates(np.array([7, 8, 7]), np.array([1, 1, 1]), [np.array([1, 0, 0])]).tolist()
    [True, False, False]
    """
    order = np.lexsort((*reversed(place), check, pair))
    same = np.zeros(len(order), bool)
    same[1:] = (pair[order[1:]] == pair[order[:-1]]) & (check[order[1:]] == check[order[:-1]])
    duplicate = np.zeros(len(order), bool)
    duplicate[order[same]] = True
    return duplicate


def _rows_between(chunk: Chunk, low: int, high: int) -> np.ndarray:
    """Positions of the rows of a chunk whose `pair` is in the range."""
    if chunk.is_sorted_by_pair:
        own = chunk.between(low, high)
        return np.arange(own.start, own.stop)
    pair = chunk.column("pair")
    return np.flatnonzero((pair >= np.uint64(low)) & (pair <= np.uint64(high - 1)))
