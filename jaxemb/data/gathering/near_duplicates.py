"""Near duplicates, found over all chunks by range of band values: memory holds one range at a time."""

import concurrent.futures
import itertools
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from jaxemb.config import NearDuplicates
from jaxemb.data.gathering.corpus import DUPLICATE, NEAR_DUPLICATE, Corpus
from jaxemb.data.gathering.signing import Signed, sign_chunks
from jaxemb.data.pairs.near_duplicates import near_duplicates

RANGE_VALUES = 1 << 20
"""About so many band values are compared at a time."""
_WHOLE = 1 << 64


def mark_near_duplicates(corpus: Corpus, config: NearDuplicates, folder: Path, workers: int) -> None:
    """Sets the fate `NEAR_DUPLICATE` for rows that an earlier one is nearly the same as.

    Of each set of such rows the one with the smallest source, part, row and variant stays. Examples of the same row are
    not compared with each other, nor are rows that are `DUPLICATE`. The result does not depend on how the rows are
    distributed over chunks.

    Args:
      corpus: all rows.
      config: `data.near_duplicates`.
      folder: of temporary files.
      workers: number of processes.

    Raises:
      UserError: if the extra `near-duplicates` is not installed.
    """
    chunks = [index for index, chunk in enumerate(corpus.chunks) if len(chunk)]
    signed = dict(zip(chunks, sign_chunks([corpus.chunks[index] for index in chunks], config, workers), strict=True))
    chunks.sort(key=lambda index: (corpus.chunks[index].source, *signed[index].first))
    rows = [signed[index] for index in chunks]
    starts = np.cumsum([0, *map(len, rows)])
    count = -(-sum(one.bands.size for one in rows) // RANGE_VALUES) or 1
    borders = [_WHOLE * index // count for index in range(count + 1)]
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        slots, owners = _joined(rows, starts, Path(temporary))

        def found(low: int, high: int) -> np.ndarray:
            bands, positions = _between(corpus, chunks, rows, starts, low, high)
            return near_duplicates(bands, positions, slots, config.similarity, owners)

        # Sorting releases the interpreter lock, so threads do.
        with concurrent.futures.ThreadPoolExecutor(min(count, os.cpu_count() or 1)) as pool:
            for positions in pool.map(lambda ends: found(*ends), itertools.pairwise(borders)):
                _mark(corpus, chunks, rows, starts, positions)


def _joined(rows: Sequence[Signed], starts: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The slots of all rows, and the row of a source that each is an example of; both mapped from files.

    The second is None if no row has several examples.
    """
    slots = _stacked(folder / "slots.npy", (one.slots for one in rows), rows[0].slots[:0], int(starts[-1]))
    if not any(one.has_variants for one in rows):
        return slots, None
    owners = (start + one.owners for start, one in zip(starts, rows, strict=False))
    return slots, _stacked(folder / "owners.npy", owners, np.zeros(0, np.int64), int(starts[-1]))


def _stacked(path: Path, parts: Iterable[np.ndarray], like: np.ndarray, count: int) -> np.ndarray:
    """Arrays one after the other in a file, mapped. A write that fails is an error, not a signal as in a new map."""
    with path.open("wb") as file:
        for part in parts:
            file.write(np.ascontiguousarray(part).data)
    return np.memmap(path, like.dtype, "r", shape=(count, *like.shape[1:]))


def _between(
    corpus: Corpus, chunks: Sequence[int], rows: Sequence[Signed], starts: np.ndarray, low: int, high: int
) -> tuple[np.ndarray, np.ndarray]:
    """The band values in a range, of all rows that are not `DUPLICATE`, and the place of each row in the whole."""
    bands, positions = [], []
    for index, start, one in zip(chunks, starts, rows, strict=False):
        own = one.between(low, high)
        places = one.places[own].astype(np.int64)
        there = corpus.fates[index][one.rows[places]] != DUPLICATE
        bands.append(one.bands[own][there])
        positions.append(start + places[there])
    return np.concatenate(bands), np.concatenate(positions)


def _mark(
    corpus: Corpus, chunks: Sequence[int], rows: Sequence[Signed], starts: np.ndarray, positions: np.ndarray
) -> None:
    ends = np.searchsorted(positions, starts)
    for index, start, one, (first, last) in zip(chunks, starts, rows, itertools.pairwise(ends), strict=False):
        corpus.fates[index][one.rows[positions[first:last] - start]] = NEAR_DUPLICATE
