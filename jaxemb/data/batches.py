"""Batches of the training pairs: each a pure function of the seed and the step."""

import functools
from collections.abc import Iterator
from typing import Any

import grain
import numpy as np

from jaxemb.config import DataConfig
from jaxemb.data.permutation import permuted
from jaxemb.data.prepared import rows_by_group
from jaxemb.data.tokenized import TokenizedPairs
from jaxemb.data.tokenizer import smoothed_quotas
from jaxemb.errors import UserError

Batch = dict[str, Any]

_PERIOD = 1 << 16
"""Rows after which the sequence of languages repeats (not that of pairs); languages are drawn in units of 1/_PERIOD."""


class Batches:
    """The batches of a run.

    Row number p of the run is row p % N of epoch p // N, and each epoch is another permutation of the N pairs. With
    `language_exponent` below 1 that holds within each language, and a table repeated every 65,536 rows says which
    language is next. `bucket_window` batches are drawn together, sorted by length, cut into batches and shuffled, so
    that a batch is padded to the smallest of `length_buckets` that holds it. All of that follows from the seed and
    the step alone: seeking is free, and every process sees the same global batches.
    """

    def __init__(
        self,
        tokenized: TokenizedPairs,
        config: DataConfig,
        batch_size: int,
        seed: int,
        pad_id: int = 0,
        process_index: int = 0,
        process_count: int = 1,
    ) -> None:
        """Plans batches; nothing is read yet.

        Args:
          tokenized: the pairs.
          config: language_exponent, length_buckets, bucket_window and workers of it are used.
          batch_size: global pairs a step.
          seed: of the order.
          pad_id: token id of the padding.
          process_index: which part of each batch this process gets.
          process_count: into how many parts each batch is cut.

        Raises:
          UserError: if there are fewer pairs than a batch takes, or processes do not divide it.
        """
        if batch_size > len(tokenized):
            raise UserError(
                f"training.batch_size: {batch_size} pairs a batch, but there are only {len(tokenized)} training pairs"
            )
        if batch_size % process_count:
            raise UserError(f"training.batch_size: {batch_size} does not divide by {process_count} processes")
        self._tokenized = tokenized
        self._config = config
        self._batch_size = batch_size
        self._seed = seed
        self._pad_id = pad_id
        local = batch_size // process_count
        self._local = slice(process_index * local, (process_index + 1) * local)
        self._longest = np.max(tokenized.lengths, axis=1)
        self._pools = _language_pools(tokenized, config.language_exponent)
        self._turns, self._places, self._counts = _turns([len(pool) for pool in self._pools], config, seed)
        self._window = functools.lru_cache(maxsize=4)(self._plan)

    def batch(self, step: int) -> Batch:
        """This process's part of the batch at `step` (from 0).

        Returns: `anchor` and `positive`, each with `input_ids` and `attention_mask` int32 [B, S]; `anchor_hash` and
        `positive_hash` uint32 [B, 2]; `id` uint32 [B], the pair's position; `weight` float32 [B], all 1. B is
        batch_size / process_count, and S one of `length_buckets`, the same in every process.
        """
        window, place = divmod(step, self._config.bucket_window)
        plan, buckets = self._window(window)
        rows = plan[place, self._local]
        anchor, positive = self._tokenized.padded(rows, int(buckets[place]), self._pad_id)
        anchor_hash, positive_hash = self._tokenized.text_hashes(rows)
        return {
            "anchor": anchor,
            "positive": positive,
            "anchor_hash": anchor_hash,
            "positive_hash": positive_hash,
            "id": rows.astype(np.uint32),
            "weight": np.ones(len(rows), np.float32),
        }

    def stream(self, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """Yields (step, batch) for the steps from `start` to `stop` - 1, prepared ahead by `config.workers` threads."""
        if not self._config.workers:
            yield from ((step, self.batch(step)) for step in range(start, stop))
            return
        options = grain.ReadOptions(num_threads=self._config.workers, prefetch_buffer_size=2 * self._config.workers)
        steps = grain.MapDataset.range(start, stop).map(lambda step: (int(step), self.batch(int(step))))
        yield from steps.to_iter_dataset(options)

    def padding_share(self, windows: int = 4) -> float:
        """Share of the token positions of the first windows of batches that is padding."""
        real = padded = 0
        for plan, buckets in map(self._window, range(windows)):
            real += int(self._tokenized.lengths[plan.ravel()].sum())
            padded += 2 * self._batch_size * int(buckets.sum())
        return 1.0 - real / padded

    def _plan(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows int64 [bucket_window, batch_size] of a window's global batches, and the length each is padded to."""
        shape = (self._config.bucket_window, self._batch_size)
        count = shape[0] * shape[1]
        rows = self._draw(np.arange(window * count, (window + 1) * count))
        rows = rows[np.argsort(self._longest[rows], kind="stable")].reshape(shape)
        rng = np.random.default_rng([self._seed, 0xBA7C4, window])
        # Within a batch, too: a part of it must not be the short ones.
        rows = rng.permuted(rows[rng.permutation(shape[0])], axis=1)
        buckets = np.asarray(self._config.length_buckets)
        return rows, buckets[np.searchsorted(buckets, self._longest[rows].max(axis=1))]

    def _draw(self, positions: np.ndarray) -> np.ndarray:
        """The pairs at these consecutive positions of the run."""
        period, turn = np.divmod(positions, len(self._turns))
        pool_of, place = self._turns[turn], self._places[turn]
        rows = np.empty(len(positions), np.int64)
        for index, pool in enumerate(self._pools):
            here = np.flatnonzero(pool_of == index)
            if len(here):
                epoch, position = np.divmod(period[here] * self._counts[index] + place[here], len(pool))
                for number in np.unique(epoch).tolist():
                    now = epoch == number
                    key = int(np.random.SeedSequence([self._seed, index, number]).generate_state(1, np.uint64)[0])
                    rows[here[now]] = pool[permuted(position[now], len(pool), key)]
        return rows


def _language_pools(tokenized: TokenizedPairs, exponent: float) -> list[np.ndarray]:
    """Positions that are drawn from separately: one pool of all where languages are drawn as they come."""
    if exponent == 1.0:
        return [np.arange(len(tokenized))]
    return [pool for pool in rows_by_group(tokenized.language_of, len(tokenized.languages)) if len(pool)]


def _turns(sizes: list[int], config: DataConfig, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which pool is next, how many times it was before in the period, and how many times it is in a period."""
    if len(sizes) == 1:
        return np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, np.int64)
    counts = 1 + smoothed_quotas(np.array(sizes, np.float64) ** config.language_exponent, _PERIOD - len(sizes))
    turns = np.random.default_rng([seed, 0x1A46]).permutation(np.repeat(np.arange(len(sizes)), counts))
    places = np.empty_like(turns)
    places[np.argsort(turns, kind="stable")] = np.concatenate([np.arange(count) for count in counts])
    return turns, places, counts
