"""Batches of the training examples: each a pure function of the seed and the step."""

import dataclasses
import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import grain
import numpy as np

from jaxemb.config import DataConfig
from jaxemb.data.examples import Examples, Sources
from jaxemb.data.order.order import Order
from jaxemb.data.windows import Windows
from jaxemb.errors import UserError
from jaxemb.packing import Row, lay_out_groups, pack, rows_needed

Batch = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Part:
    """Which part of each global batch a process gets."""

    process_index: int = 0
    process_count: int = 1
    """Into how many parts each batch is cut."""
    devices: int = 1
    """Of all processes, over which a batch is spread: each packs its own examples."""


_PROBE = 32
"""Batches whose packing says how many rows are compiled."""
_SEARCHED = 1 << 12
"""Steps among which these are looked for, where batches are of several kinds."""


class Batches:
    """The batches of a run.

    `Order` says which example is at which position of the run, `Windows` which of them share a batch. Texts are packed
    into rows, or padded to the shortest of `length_buckets` that fits. All of that follows from the seed and the step
    alone: seeking is free, and every process sees the same global batches.
    """

    def __init__(
        self,
        examples: Examples | Sources,
        order: Order,
        config: DataConfig,
        part: Part | None = None,
        pad_id: int = 0,
    ) -> None:
        """Plans batches; nothing is read yet.

        Args:
          examples: the examples.
          order: theirs, with the size of a batch.
          config: max_length, length_buckets, window and workers of it are used.
          part: this process's; the whole batch when None.
          pad_id: token id of the padding.

        Raises:
          UserError: if processes or devices do not divide a batch, or examples of one batch have different texts.
        """
        part = part or Part()
        for count, what in ((part.process_count, "processes"), (part.devices, "devices")):
            if order.batch_size % count:
                raise UserError(f"training.batch_size: {order.batch_size} is not divisible by {count} {what}")
        self.order = order
        """Which examples each step takes."""
        self._examples, self._config, self._pad_id = examples, config, pad_id
        self._devices = max(part.devices, part.process_count)
        self._process = (part.process_index, part.process_count)
        self._of_kind = [self._examples_of(sources) for sources in order.sources]
        """The examples of each kind of batch."""
        self._windows = Windows(order, config, [examples.lengths for examples in self._of_kind])
        self._sizes: dict[tuple[str, ...], tuple[tuple[int, ...], ...]]
        if config.length_buckets is None:
            self._sizes = {sides: self._sizes_to_pack_into(sides) for sides in self._all_sides()}
        else:
            buckets = config.length_buckets
            self._sizes = {sides: tuple((size,) * len(sides) for size in buckets) for sides in self._all_sides()}
        self.sizes: tuple[tuple[int, ...], ...] = tuple(itertools.chain(*self._sizes.values()))
        """Shapes of batches, smallest first for each choice of sides: tokens a row if padded, rows a device if packed;
        for each of the sides."""

    def sides(self, step: int) -> tuple[str, ...]:
        """Names of the texts of the batch at `step`."""
        return self._of_kind[self._windows.turn(step)[0]].sides

    def source_of(self, step: int) -> int | None:
        """Index of the source of the batch at `step`; None if it may be of several."""
        return self.order.source_of(step)

    def batch(self, step: int) -> Batch:
        """This process's part of the batch at `step` (from 0).

        Returns: `anchor`, `positive` and so on (`sides`), each as `models.Tokens`, int32; `id` uint32 [B],
          the example's position (modulo 2**32); `weight` float32 [B], all 1; and what `Examples.read` gives. B is
          batch_size / process_count; the shapes are the same in every process.
        """
        kind, number = self._windows.turn(step)
        whole, examples = self._windows.rows(kind, number), self._of_kind[kind]
        index, count = self._process
        rows = whole.reshape(count, -1)[index]
        texts, columns = examples.read(rows, step)
        if self._config.length_buckets is None:
            tokens = self._packed(examples, whole, texts)
        else:
            length = self._size(examples, self._needed(examples, whole))[0]
            tokens = [pad(side, length, self._pad_id) for side in texts]
        batch: Batch = dict(zip(examples.sides, tokens, strict=True))
        batch |= {"id": rows.astype(np.uint32), "weight": np.ones(len(rows), np.float32)}
        return batch | columns

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
        real = positions = 0
        unit = self.order.batch_size if self._config.length_buckets else self._devices * self._config.max_length
        for kind, number in map(self._windows.turn, range(steps)):
            rows, examples = self._windows.rows(kind, number), self._of_kind[kind]
            real += int(examples.lengths[rows].sum())
            positions += unit * sum(self._size(examples, self._needed(examples, rows)))
        return 1.0 - real / positions

    def _examples_of(self, sources: frozenset[int]) -> Examples:
        """The examples of a kind of batch."""
        return self._examples.of_sources(sources) if isinstance(self._examples, Sources) else self._examples

    def _all_sides(self) -> dict[tuple[str, ...], None]:
        """The texts of each kind of batch."""
        return dict.fromkeys(examples.sides for examples in self._of_kind)

    def _needed(self, examples: Examples, rows: np.ndarray) -> tuple[int, ...]:
        """What a global batch takes, in the units of `sizes`."""
        lengths = examples.lengths[rows]
        if self._config.length_buckets is not None:
            return (int(lengths.max()),) * len(examples.sides)
        of_devices = lengths.reshape(self._devices, -1, len(examples.sides))
        row_length = self._config.max_length
        return tuple(max(rows_needed(side, row_length)) for side in np.moveaxis(of_devices, 2, 0))

    def _size(self, examples: Examples, needed: tuple[int, ...]) -> tuple[int, ...]:
        """The smallest of the sizes that holds it."""
        return next(size for size in self._sizes[examples.sides] if all(map(operator.ge, size, needed)))

    def _packed_rows(self, lengths: np.ndarray) -> list[list[list[Row]]]:
        """How the texts of devices are packed, side by side; of lengths [devices, texts, sides]."""
        allowed = (self._config.max_length,)
        return [[pack(device, allowed) for device in side] for side in np.moveaxis(lengths, 2, 0).tolist()]

    def _sizes_to_pack_into(self, sides: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        """What half and what all of the first batches of these sides fit, a fifth more, and what any batch would."""
        these = [kind for kind, examples in enumerate(self._of_kind) if examples.sides == sides]
        kinds, numbers = self.order.turns(np.arange(_SEARCHED))
        steps = np.flatnonzero(np.isin(kinds, these))[:_PROBE]
        probed = list(zip(kinds[steps].tolist(), numbers[steps].tolist(), strict=True)) or [(these[0], 0)]
        needed = np.array(
            [self._needed(self._of_kind[kind], self._windows.rows(kind, number)) for kind, number in probed]
        )
        allowed = [*np.quantile(needed, (0.5, 1.0), axis=0), 1.2 * needed.max(axis=0)]
        most = self.order.batch_size // self._devices
        found = {tuple(min(most, math.ceil(rows)) for rows in size) for size in allowed}
        found.add((most,) * len(sides))
        return tuple(sorted(found))

    def _packed(
        self, examples: Examples, whole: np.ndarray, texts: list[list[np.ndarray]]
    ) -> list[dict[str, np.ndarray]]:
        """The texts of this process's part of a global batch, side by side."""
        index, count = self._process
        lengths = examples.lengths[whole.reshape(count, -1)[index]]
        packed = self._packed_rows(lengths.reshape(self._devices // count, -1, len(examples.sides)))
        needed = _most_rows(packed) if count == 1 else self._needed(examples, whole)
        size = self._size(examples, needed)
        return [
            lay_out_groups(packed[side], size[side], self._config.max_length, tokens, self._pad_id)
            for side, tokens in enumerate(texts)
        ]


def _most_rows(packed: list[list[list[Row]]]) -> tuple[int, ...]:
    """Rows that the fullest device takes, for each side."""
    return tuple(max(map(len, side)) for side in packed)


def pad(texts: Sequence[np.ndarray], length: int, pad_id: int) -> dict[str, np.ndarray]:
    """Token ids padded on the right: `input_ids` and `attention_mask`, int32 [B, S].

    Args:
      texts: token ids of each.
      length: S, at least the longest of them.
      pad_id: token id of the padding.
    """
    mask = np.arange(length) < np.array([len(text) for text in texts])[:, None]
    padded = np.full(mask.shape, pad_id, np.int32)
    padded[mask] = np.concatenate(texts)
    return {"input_ids": padded, "attention_mask": mask.astype(np.int32)}
