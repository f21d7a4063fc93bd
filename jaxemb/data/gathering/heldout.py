"""The held-out set, chosen from a sample of English sides whose size does not grow with the number of examples."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from jaxemb.config import HoldoutConfig
from jaxemb.data.gathering.corpus import HELD_OUT, SIDE_HELD_OUT, Corpus
from jaxemb.data.pairs.holdout import PairKeys, Population, choose_heldout, mix

CANDIDATES = 32
"""English sides that are looked at for each pair that is to be held out."""
LEAST = 1 << 14
"""English sides of a language that are looked at in any case."""
_SKETCH = 1 << 16
"""Hashes that the number of distinct English sides is estimated from; up to so many are counted exactly."""


_OTHER_SALT = 0x5A17


@dataclass(frozen=True)
class Position:
    """A row of a chunk."""

    chunk: int
    row: int


def hold_out(corpus: Corpus, sources: Collection[int], config: HoldoutConfig, seed: int) -> list[Position]:
    """Chooses the held-out set among the rows that are `TRAIN`; sets the fates `HELD_OUT` and `SIDE_HELD_OUT`.

    Pairs are held out of some sources only: those of scored or labelled pairs are no translations. Rows of all sources
    that share an English side with them leave the training set.

    Where a language has more than `CANDIDATES` English sides for each pair that is wanted, only those with the smallest
    hashes are looked at (bottom-k sampling, Cohen and Kaplan 2007). Smaller data are looked at whole.

    Args:
      corpus: all rows.
      sources: indices of the sources that pairs are held out of.
      config: how many.
      seed: of the choice.

    Returns: the rows that are held out, in the order in which they were chosen.
    """
    chunks = [index for index, chunk in enumerate(corpus.chunks) if chunk.source in sources]
    if not config.pairs_per_language or not chunks:
        return []
    population = _population(corpus, chunks, seed)
    candidates = None
    if population.pairs.max(initial=0) > sample_size(config):
        candidates = _sample(corpus, chunks, config, seed)
    chunk, row, keys = _gather(corpus, chunks, candidates)
    pool, removed = choose_heldout(keys, config, seed, None if candidates is None else population)
    sides = np.unique(keys.english[removed])
    for index in range(len(corpus.chunks)):
        own, english = _english(corpus, index)
        corpus.fates[index][own[among(english, sides)]] = SIDE_HELD_OUT
        corpus.fates[index][row[pool][chunk[pool] == index]] = HELD_OUT
    return [Position(int(chunk[place]), int(row[place])) for place in pool]


def _english(corpus: Corpus, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the rows of a chunk that are not dropped, and the hashes of their English sides."""
    rows = corpus.rows(index)
    return rows, corpus.chunks[index].column("english")[rows]


def _population(corpus: Corpus, chunks: Sequence[int], seed: int) -> Population:
    """The number of pairs of each language, and of distinct English sides."""
    pairs = np.zeros(len(corpus.languages), np.int64)
    smallest = np.zeros(0, np.uint64)
    for index in chunks:
        rows, english = _english(corpus, index)
        pairs += np.bincount(corpus.language_of(index, rows), minlength=len(pairs))
        smallest = smallest_hashes(smallest, mix(english, seed))
    return Population(distinct_sides(smallest), pairs)


def smallest_hashes(*hashes: np.ndarray) -> np.ndarray:
    """The distinct smallest of these uint64 hashes, sorted: as many as `distinct_sides` needs."""
    return np.unique(np.concatenate(hashes))[:_SKETCH]


def distinct_sides(smallest: np.ndarray) -> int:
    """The number of distinct English sides: exact if there are few, else estimated from their smallest hashes."""
    if len(smallest) < _SKETCH:
        return len(smallest)
    # Of n uniform hashes, the k-th smallest is about k / n of their range (Bar-Yossef et al. 2002).
    return int((_SKETCH - 1) / (int(smallest[-1]) / 2.0**64))


def sample_size(config: HoldoutConfig) -> int:
    """The most English sides of a language that are looked at."""
    return max(LEAST, CANDIDATES * config.pairs_per_language)


def sampled_sides(english: np.ndarray, config: HoldoutConfig, seed: int) -> np.ndarray:
    """The English sides of a language with the smallest hashes: uint64 [at most `sample_size`, 2], hash and side."""
    own = np.unique(english)
    hashed = np.stack([mix(own, seed + _OTHER_SALT), own], axis=1)  # not the order in which sides are tried
    return smallest_sides(config, hashed)


def smallest_sides(config: HoldoutConfig, *sampled: np.ndarray) -> np.ndarray:
    """The `sampled_sides` of the data that these are the `sampled_sides` of the parts of."""
    return np.unique(np.concatenate(sampled), axis=0)[: sample_size(config)]


def _sample(corpus: Corpus, chunks: Sequence[int], config: HoldoutConfig, seed: int) -> np.ndarray:
    """Sorted hashes of the English sides to look at: in each language those with the smallest hashes that may be held
    out.
    """
    smallest = [np.zeros((0, 2), np.uint64)] * len(corpus.languages)
    for index in chunks:
        chunk = corpus.chunks[index]
        rows, english = _english(corpus, index)
        allowed = (chunk.column("words")[rows] >= config.min_words) & (english != chunk.column("target")[rows])
        rows, english = rows[allowed], english[allowed]
        languages = corpus.language_of(index, rows)
        for language in np.unique(languages):
            sampled = sampled_sides(english[languages == language], config, seed)
            smallest[language] = smallest_sides(config, smallest[language], sampled)
    return np.unique(np.concatenate([sides[:, 1] for sides in smallest]))


def _gather(
    corpus: Corpus, chunks: Sequence[int], candidates: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, PairKeys]:
    """The rows with these English sides (all if None), in the order of sources, parts and rows: chunk, row, keys."""
    found: list[tuple[np.ndarray, ...]] = []
    for index in chunks:
        chunk = corpus.chunks[index]
        rows, english = _english(corpus, index)
        if candidates is not None:
            there = among(english, candidates)
            rows, english = rows[there], english[there]
        values = (chunk.column(name)[rows] for name in ("variant", "row", "part"))
        found.append(
            (
                *values,
                np.full(len(rows), chunk.source),
                np.full(len(rows), index),
                rows,
                english,
                chunk.column("words")[rows],
                chunk.column("target")[rows],
                corpus.language_of(index, rows),
            )
        )
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    order = np.lexsort(columns[:4])
    chunk_of, row, english, words, target, language = (column[order] for column in columns[4:])
    return chunk_of, row, PairKeys(english=english, words=words, target=target, language=language)


def among(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which values are among the sorted `wanted`: bool."""
    if not len(wanted):
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    return wanted[place] == values
