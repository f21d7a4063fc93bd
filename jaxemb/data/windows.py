"""Which examples of a window share a batch."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from jaxemb.config import DataConfig
from jaxemb.data.examples import Lengths
from jaxemb.data.order.order import Order

_KEPT = 1 << 24
"""Examples of the windows that are kept where batches are of many kinds: 128 MB."""


class Windows:
    """The global batches: `window` batches of one kind, with consecutive positions of `Order`, are planned together.

    For packing, examples are distributed over these batches by length, so that every batch has about as many tokens and
    one compiled shape serves nearly all. For padding, examples are sorted by length, cut into batches and shuffled, so
    that a batch fits a short one of `length_buckets`. Examples stay in the stream of lanes that they come from
    (`Order.streams`), and a batch has one stream after the other: a contiguous part of it is of few lanes.
    """

    def __init__(self, order: Order, config: DataConfig, lengths: Sequence[Lengths]) -> None:
        """Plans nothing yet.

        Args:
          order: the order, with the size of a batch.
          config: window and length_buckets of it are used.
          lengths: the lengths of the examples, for each kind of batch.
        """
        self._order, self._lengths = order, lengths
        self._count, self._packed = config.window, config.length_buckets is None
        kept = min(2 * len(order.kinds), _KEPT // (config.window * order.batch_size))
        self._window = functools.lru_cache(maxsize=max(4, kept))(self._plan)

    def turn(self, step: int) -> tuple[int, int]:
        """The kind of the batch at `step`, and how many of that kind came before it."""
        kinds, numbers = self._order.turns(np.array([step]))
        return int(kinds[0]), int(numbers[0])

    def rows(self, kind: int, number: int) -> Int[np.ndarray, " B"]:
        """The examples of the global batch that is this number, from 0, of its kind."""
        window, place = divmod(number, self._count)
        batches: np.ndarray = self._window(kind, window)
        return batches[place]

    def _plan(self, kind: int, window: int) -> Int[np.ndarray, "W B"]:
        """The examples of a window's global batches."""
        count, size, streams = self._count, self._order.batch_size, self._order.streams
        rows = self._order.rows(np.arange(window * count * size, (window + 1) * count * size), kind)
        rng = np.random.default_rng([self._order.seed, 0xBA7C4, kind, window])
        lengths = self._lengths[kind][rows]
        by_length = (lengths.sum(axis=1) if self._packed else lengths.max(axis=1)).reshape(-1, streams).T
        rows = np.take_along_axis(rows.reshape(-1, streams).T, np.argsort(by_length, axis=1, kind="stable"), axis=1)
        if self._packed:
            rows = rng.permuted(rows.reshape(streams, -1, count), axis=2).transpose(2, 0, 1)
            return _halves_alike(rows, rng).reshape(count, size)
        rows = rows.reshape(streams, count, -1).transpose(1, 0, 2)[rng.permutation(count)]
        # Within a stream of a batch, too: a part of it must not be the short ones.
        return rng.permuted(rows, axis=2).reshape(count, size)


def _halves_alike(rows: Int[np.ndarray, "*shape N"], rng: np.random.Generator) -> Int[np.ndarray, "*shape N"]:
    """Rows that are sorted by length, in a random order in which halves, quarters and so on have about equal lengths.

    Of two neighbours one goes to each half, and so on within the halves: a device's part has about as many tokens as
    another's, however many devices there are.
    """
    parts = rows[..., None, :]
    while parts.shape[-1] % 2 == 0:
        first, second = parts[..., ::2], parts[..., 1::2]
        swapped = rng.integers(2, size=first.shape, dtype=np.uint8).astype(bool)
        halves = np.stack([np.where(swapped, second, first), np.where(swapped, first, second)], axis=-2)
        parts = halves.reshape(*rows.shape[:-1], -1, first.shape[-1])
    return rng.permuted(parts, axis=-1).reshape(rows.shape)
