"""Batches of the training examples: each a pure function of the seed and the step."""

import functools
import math
import operator
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import grain
import numpy as np

from jaxemb.config import DataConfig
from jaxemb.data.mixture import Mixture
from jaxemb.data.tokenized import pad
from jaxemb.errors import UserError
from jaxemb.packing import Row, lay_out_groups, pack

Batch = dict[str, Any]


@runtime_checkable
class Examples(Protocol):
    """What batches are made of: `Tokenized` or `Sequences`, or what stands in for them."""

    sides: tuple[str, ...]
    lengths: np.ndarray
    languages: Any
    language_of: np.ndarray

    def __len__(self) -> int:
        """Number of examples."""

    def token_ids(self, rows: np.ndarray, step: int = 0) -> list[list[np.ndarray]]:
        """Token ids of the examples at these positions, for each of `sides`."""

    def columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What else a batch has of them."""


_PROBE = 32
"""Batches whose packing says how many rows are compiled."""


class Batches:
    """The batches of a run.

    `Mixture` says which example is at which position of the run; `window` batches of consecutive positions are planned
    together. For packing, examples are distributed over these batches by length, so that every batch has about as many
    tokens and one compiled shape serves nearly all. For padding, examples are sorted by length, cut into batches and
    shuffled, so that a batch fits a short one of `length_buckets`. All of that follows from the seed and the step
    alone: seeking is free, and every process sees the same global batches.
    """

    def __init__(
        self,
        tokenized: Examples,
        config: DataConfig,
        batch_size: int,
        seed: int,
        pad_id: int = 0,
        process_index: int = 0,
        process_count: int = 1,
        devices: int = 1,
    ) -> None:
        """Plans batches; nothing is read yet.

        Args:
          tokenized: the examples.
          config: language_exponent, max_length, length_buckets, window and workers of it are used.
          batch_size: global examples a step.
          seed: of the order.
          pad_id: token id of the padding.
          process_index: which part of each batch this process gets.
          process_count: into how many parts each batch is cut.
          devices: of all processes, over which a batch is spread: each packs its own examples.

        Raises:
          UserError: if there are fewer examples than a batch takes, or processes or devices do not divide it.
        """
        starts = getattr(tokenized, "starts", None)  # only examples from files have several of one row
        epoch = len(tokenized) if starts is None else len(starts)
        if batch_size > epoch:
            raise UserError(
                f"training.batch_size: {batch_size} examples a batch, but there are only {epoch} to train on"
            )
        for count, what in ((process_count, "processes"), (devices, "devices")):
            if batch_size % count:
                raise UserError(f"training.batch_size: {batch_size} is not divisible by {count} {what}")
        self._tokenized = tokenized
        self._config = config
        self._batch_size = batch_size
        self._seed = seed
        self._pad_id = pad_id
        self._devices = max(devices, process_count)
        self._process = (process_index, process_count)
        self._mixture = Mixture(tokenized.language_of, len(tokenized.languages), config.language_exponent, seed, starts)
        self._window = functools.lru_cache(maxsize=4)(self._plan)
        self.sizes: tuple[tuple[int, ...], ...]
        """Shapes of batches, smallest first: tokens a row if padded, rows a device if packed; for each of the sides."""
        if config.length_buckets is None:
            self.sizes = self._sizes_to_pack_into()
        else:
            self.sizes = tuple((length,) * len(tokenized.sides) for length in config.length_buckets)

    def batch(self, step: int) -> Batch:
        """This process's part of the batch at `step` (from 0).

        Returns: `anchor`, `positive` and so on (`Tokenized.sides`), each as `models.Tokens`, int32; `id` uint32 [B],
          the example's position; `weight` float32 [B], all 1; and what `Tokenized.columns` says. B is batch_size /
          process_count; the shapes are the same in every process.
        """
        whole = self._rows(step)
        index, count = self._process
        rows = whole.reshape(count, -1)[index]
        texts = self._tokenized.token_ids(rows, step)
        if self._config.length_buckets is None:
            tokens = self._packed(whole, texts)
        else:
            length = self._size(self._needed(whole))[0]
            tokens = [pad(side, length, self._pad_id) for side in texts]
        batch: Batch = dict(zip(self._tokenized.sides, tokens, strict=True))
        batch |= {"id": rows.astype(np.uint32), "weight": np.ones(len(rows), np.float32)}
        return batch | self._tokenized.columns(rows)

    def stream(self, start: int, stop: int) -> Iterator[tuple[int, Batch]]:
        """Yields (step, batch) for the steps from `start` to `stop` - 1, prepared ahead by `config.workers` threads."""
        if not self._config.workers:
            yield from ((step, self.batch(step)) for step in range(start, stop))
            return
        options = grain.ReadOptions(num_threads=self._config.workers, prefetch_buffer_size=2 * self._config.workers)
        steps = grain.MapDataset.range(start, stop).map(lambda step: (int(step), self.batch(int(step))))
        yield from steps.to_iter_dataset(options)

    def padding_share(self, steps: int = 64) -> float:
        """Share of the token positions of the first batches that is padding."""
        rows = [self._rows(step) for step in range(steps)]
        real = sum(int(self._tokenized.lengths[batch].sum()) for batch in rows)
        unit = self._batch_size if self._config.length_buckets else self._devices * self._config.max_length
        return 1.0 - real / (unit * sum(sum(self._size(self._needed(batch))) for batch in rows))

    def _rows(self, step: int) -> np.ndarray:
        """Examples of the global batch, int64 [batch_size]."""
        window, place = divmod(step, self._config.window)
        return self._window(window)[place]

    def _plan(self, window: int) -> np.ndarray:
        """Examples of a window's global batches, int64 [window, batch_size]."""
        count, size = self._config.window, self._batch_size
        rows = self._mixture.examples(np.arange(window * count * size, (window + 1) * count * size))
        rng = np.random.default_rng([self._seed, 0xBA7C4, window])
        lengths = self._tokenized.lengths[rows]
        if self._config.length_buckets is None:
            rows = rows[np.argsort(lengths.sum(axis=1), kind="stable")].reshape(size, count)
            rows = rng.permuted(rows, axis=1).T
        else:
            rows = rows[np.argsort(lengths.max(axis=1), kind="stable")].reshape(count, size)
            rows = rows[rng.permutation(count)]
        # Within a batch, too: a part of it must not be the short ones.
        return rng.permuted(rows, axis=1)

    def _needed(self, rows: np.ndarray) -> tuple[int, ...]:
        """What a global batch takes, in the units of `sizes`."""
        if self._config.length_buckets is None:
            return _most_rows(self._packed_rows(rows))
        return (int(self._tokenized.lengths[rows].max()),) * len(self._tokenized.sides)

    def _size(self, needed: tuple[int, ...]) -> tuple[int, ...]:
        """The smallest of `sizes` that holds it."""
        return next(size for size in self.sizes if all(map(operator.ge, size, needed)))

    def _packed_rows(self, rows: np.ndarray) -> list[list[list[Row]]]:
        """How each device's texts of a global batch are packed, side by side."""
        sides = len(self._tokenized.sides)
        lengths = np.moveaxis(self._tokenized.lengths[rows].reshape(self._devices, -1, sides), 2, 0).tolist()
        return [[pack(device, (self._config.max_length,)) for device in side] for side in lengths]

    def _sizes_to_pack_into(self) -> tuple[tuple[int, ...], ...]:
        """What half and what all of the first batches fit, a fifth more, and what any batch would."""
        needed = np.array([self._needed(self._rows(step)) for step in range(_PROBE)])
        allowed = [*np.quantile(needed, (0.5, 1.0), axis=0), 1.2 * needed.max(axis=0)]
        most = self._batch_size // self._devices
        sizes = {tuple(min(most, math.ceil(rows)) for rows in sides) for sides in allowed}
        sizes.add((most,) * len(self._tokenized.sides))
        return tuple(sorted(sizes))

    def _packed(self, whole: np.ndarray, texts: list[list[np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """The texts of this process's part of a global batch, side by side."""
        packed = self._packed_rows(whole)
        index, count = self._process
        own = slice(self._devices // count * index, self._devices // count * (index + 1))
        size = self._size(_most_rows(packed))
        return [
            lay_out_groups(packed[side][own], size[side], self._config.max_length, tokens, self._pad_id)
            for side, tokens in enumerate(texts)
        ]


def _most_rows(packed: list[list[list[Row]]]) -> tuple[int, ...]:
    """Rows that the fullest device takes, for each side."""
    return tuple(max(map(len, side)) for side in packed)
