"""Which example is at which position of a run: the order of languages, and of the examples of each."""

import numpy as np
from jaxtyping import Int, Integer

from jaxemb.data.pairs.holdout import mix
from jaxemb.data.permutation import permuted
from jaxemb.data.prepared import rows_by_group
from jaxemb.data.tokenizer import smoothed_quotas

PERIOD = 1 << 16
"""Positions after which the sequence of languages repeats, not that of examples; the shares of languages are multiples
of 1/PERIOD."""


class Mixture:
    """An endless sequence of examples, a pure function of the seed and the position: seeking is free.

    With exponent 1, position p is number p % N of epoch p // N, and each epoch is another permutation of the N
    examples. With a smaller exponent each language has epochs of its own, and a table that repeats every `PERIOD`
    positions says which language is next.
    """

    def __init__(
        self,
        language_of: Integer[np.ndarray, " N"],
        languages: int,
        exponent: float,
        seed: int,
        starts: Int[np.ndarray, " R"] | None = None,
    ) -> None:
        """Plans the order.

        Args:
          language_of: the language of each example, in [0, languages).
          languages: how many languages there are; some may have no example.
          exponent: a language is drawn with probability proportional to its number of examples to this power.
          seed: of the order of languages, of the permutations, and of which example of a row comes first.
          starts: the first example of each row, if rows have several examples. An epoch takes one of each row, and the
            next epoch the one after it.
        """
        self._seed = seed
        self._starts = starts
        if starts is not None:
            self._examples_of = np.diff(starts, append=len(language_of))
            language_of = language_of[starts]
        self._pools = _language_pools(language_of, languages, exponent)
        self._turns, self._occurrences, self._counts = _turns([len(pool) for pool in self._pools], exponent, seed)

    def examples(self, positions: Int[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
        """The examples at these positions of the run, int64."""
        period, turn = np.divmod(positions, len(self._turns))
        pool_of, occurrence = self._turns[turn], self._occurrences[turn]
        rows = np.empty(len(positions), np.int64)
        for index, pool in enumerate(self._pools):
            here = np.flatnonzero(pool_of == index)
            if len(here):
                drawn_before = period[here] * self._counts[index] + occurrence[here]
                epoch, position = np.divmod(drawn_before, len(pool))
                for number in np.unique(epoch).tolist():
                    now = epoch == number
                    chosen = pool[permuted(position[now], len(pool), self._key(index, number))]
                    rows[here[now]] = chosen if self._starts is None else self._one_of_each(chosen, number)
        return rows

    def _one_of_each(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        """The examples of these rows whose turn it is."""
        assert self._starts is not None
        turn = mix(rows, self._seed) + np.uint64(epoch)
        return self._starts[rows] + (turn % self._examples_of[rows].astype(np.uint64)).astype(np.int64)

    def _key(self, pool: int, epoch: int) -> int:
        """The key of a pool's permutation in an epoch."""
        return int(np.random.SeedSequence([self._seed, pool, epoch]).generate_state(1, np.uint64)[0])


def _language_pools(language_of: np.ndarray, languages: int, exponent: float) -> list[np.ndarray]:
    """The examples that are drawn from separately: one pool of all where languages are drawn in proportion."""
    if exponent == 1.0:
        return [np.arange(len(language_of))]
    return [pool for pool in rows_by_group(language_of, languages) if len(pool)]


def _turns(sizes: list[int], exponent: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of the pools in a period.

    Args:
      sizes: examples in each pool.
      exponent: as for `Mixture`.
      seed: of the order.

    Returns:
      turns: int [PERIOD], the pool at each position.
      occurrences: int [PERIOD], how often that pool came earlier in the period.
      counts: int [pools], how often each pool comes in a period.
    """
    if len(sizes) == 1:
        return np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, np.int64)
    counts = 1 + smoothed_quotas(np.array(sizes, np.float64) ** exponent, PERIOD - len(sizes))
    turns = np.random.default_rng([seed, 0x1A46]).permutation(np.repeat(np.arange(len(sizes)), counts))
    occurrences = np.empty_like(turns)
    occurrences[np.argsort(turns, kind="stable")] = np.concatenate([np.arange(count) for count in counts])
    return turns, occurrences, counts
