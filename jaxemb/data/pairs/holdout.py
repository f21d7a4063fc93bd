"""Chooses the held-out set by English sides, so that none of them stays in the training set."""

import dataclasses

import numpy as np

from jaxemb.config import HoldoutConfig

MAX_LANGUAGE_SHARE = 1 / 3
"""No language loses more than this share of its pairs to the held-out set."""


@dataclasses.dataclass(frozen=True)
class PairKeys:
    """The data that the choice uses: one row for each distinct pair."""

    english: np.ndarray
    """uint64 [N], hash of the English side's decontamination key."""
    words: np.ndarray
    """int [N], number of words of that key; 0 if it is empty."""
    target: np.ndarray
    """uint64 [N], hash of the other side's key."""
    language: np.ndarray
    """int [N], from 0."""


@dataclasses.dataclass(frozen=True)
class Population:
    """What the limits are shares of, if the choice is made from a sample."""

    sides: int
    """Number of distinct English sides."""
    pairs: np.ndarray
    """int [languages], number of pairs."""


def mix(values: np.ndarray, salt: int) -> np.ndarray:
    """Hashes uint64 values to uint64 values (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        x = values.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def choose_heldout(
    keys: PairKeys, config: HoldoutConfig, seed: int, population: Population | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses English sides and, for each language, the pairs that make up its pool.

    English sides are tried in a random order; one with translations in k languages is drawn with weight k (Efraimidis
    and Spirakis 2006). So a few of them fill the pools of many languages, and both common and rare ones stay in
    training. The first round takes an English side if at least half of its languages still need pairs, a later round if
    a quarter do, the last one if any does: the pairs of its other languages are lost to training and gain nothing.
    Within a pool, no English side and no target occurs twice.

    Args:
      keys: all distinct pairs, or all that have one of the English sides of a sample.
      config: pairs to hold out for each language, and the limits.
      seed: of the order.
      population: of what `keys` are a sample; None if they are all there are.

    Returns:
      pool: int64 indices of the pairs in the pools, in the order they were chosen.
      removed: bool [N], the pairs to remove from training: all that share an English side with a pool.
    """
    removed = np.zeros(len(keys.english), bool)
    if not config.pairs_per_language or not len(removed):
        return np.zeros(0, np.int64), removed
    sides, side_of = np.unique(keys.english, return_inverse=True)
    languages = int(keys.language.max()) + 1
    eligible = (keys.words >= config.min_words) & (keys.english != keys.target)
    candidates, starts = _one_per_side_and_language(keys, side_of, eligible, languages, seed, len(sides))
    lost, lost_starts = _pairs_per_side_and_language(side_of, keys.language, languages, len(sides))

    width = np.diff(starts)
    uniform = (mix(sides, seed).astype(np.float64) + 1.0) / 2.0**64
    order = np.argsort(-np.log(uniform) / np.maximum(width, 1), kind="stable")
    order = order[width[order] > 0]

    if population is None:
        population = Population(len(sides), np.bincount(keys.language, minlength=languages))
    budget = int(config.max_share * population.sides)
    wanted = config.pairs_per_language
    may_lose = (population.pairs * MAX_LANGUAGE_SHARE).astype(int).tolist()
    have = [0] * languages
    targets: list[set[int]] = [set() for _ in range(languages)]
    chosen = np.zeros(len(sides), bool)
    pool: list[int] = []
    taken = 0
    language_of, target_of = keys.language.tolist(), keys.target
    for needed_share in (0.5, 0.25, 0.0):
        for side in order.tolist():
            if taken >= budget or min(have) >= wanted:
                break
            if chosen[side]:
                continue
            rows = candidates[starts[side] : starts[side + 1]].tolist()
            useful = [
                row
                for row in rows
                if have[language_of[row]] < wanted and int(target_of[row]) not in targets[language_of[row]]
            ]
            losses = lost[lost_starts[side] : lost_starts[side + 1]].tolist()
            if (
                not useful
                or len(useful) < needed_share * len(rows)
                or any(count > may_lose[language] for language, count in losses)
            ):
                continue
            chosen[side] = True
            taken += 1
            for language, count in losses:
                may_lose[language] -= count
            for row in useful:
                have[language_of[row]] += 1
                targets[language_of[row]].add(int(target_of[row]))
            pool += useful
    return np.array(pool, np.int64), chosen[side_of]


def _one_per_side_and_language(
    keys: PairKeys, side_of: np.ndarray, eligible: np.ndarray, languages: int, seed: int, sides: int
) -> tuple[np.ndarray, np.ndarray]:
    """One row for each English side and language, grouped by side, and the start of each side's group."""
    rows = np.flatnonzero(eligible)
    rows = rows[np.argsort(mix(keys.target[rows], seed + 1), kind="stable")]  # a random one of several translations
    group, first = np.unique(side_of[rows] * languages + keys.language[rows], return_index=True)
    starts = np.searchsorted(group // languages, np.arange(sides + 1))
    return rows[first], starts


def _pairs_per_side_and_language(
    side_of: np.ndarray, language: np.ndarray, languages: int, sides: int
) -> tuple[np.ndarray, np.ndarray]:
    """Int [M, 2] of (language, pairs), grouped by English side, and the start of each side's group."""
    group, counts = np.unique(side_of * languages + language, return_counts=True)
    return np.stack([group % languages, counts], axis=1), np.searchsorted(group // languages, np.arange(sides + 1))
