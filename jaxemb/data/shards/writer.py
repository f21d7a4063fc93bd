"""Writing of a shard: an ArrayRecord file, the lengths of its texts, and the index, which is last."""

import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from jaxemb.data.cache import write_array_record
from jaxemb.data.shards.index import (
    INDEX,
    LENGTHS,
    LENGTHS_ROWS,
    PIECE_ROWS,
    ShardIndex,
    ShardInfo,
    checksum,
    digest_of,
)
from jaxemb.data.shards.record import Example, Layout, encode_many
from jaxemb.data.shards.rice import pack
from jaxemb.data.shards.riegeli import FIRST, chunk_size, find_chunks, physical_range, without_block_headers
from jaxemb.files import atomic_file, write_atomically

LONGEST = (1 << 16) - 1
"""The length index counts a longer text as one of this many tokens."""
_ENCODED_TOGETHER = 1024


def write_shard(folder: Path, name: str, examples: Iterable[Example], layout: Layout) -> ShardInfo:
    """Writes the examples to `folder/name`, and beside it the lengths and the index.

    The same examples give the same bytes. A shard without its index is not finished. In memory
    are, at a time, 1,024 examples and ten bytes or so for each example of the shard.

    Args:
      folder: created if it does not exist.
      name: `shard_name`, for TFDS to find it.
      examples: at least one; each has at most `layout.texts` texts.
      layout: that of the manifest.

    Raises:
      ValueError: if there is no example, or one does not have the layout.
      CannotWrite: if the disk is full, for example.
    """
    path, counts = folder / name, _Counts(layout)
    (folder / (name + INDEX)).unlink(missing_ok=True)  # of an older shard of this name
    with atomic_file(path) as partial:
        rows = write_array_record(partial, counts.encoded(examples))
        if not rows:
            raise ValueError(f"{path}: there is no example to write")
        pieces, whole = _pieces(partial, np.concatenate(counts.sizes))
    lengths = counts.lengths()
    packed = [pack(lengths[begin : begin + LENGTHS_ROWS]) for begin in range(0, rows, LENGTHS_ROWS)]
    write_atomically(folder / (name + LENGTHS), b"".join(packed))
    of_lengths = np.array([(len(part), checksum(part)) for part in packed])
    info = ShardInfo(
        name=name,
        rows=rows,
        bytes=path.stat().st_size,
        checksum=digest_of(whole.encode(), *packed),
        texts=layout.texts,
        lengths_bytes=int(of_lengths[:, 0].sum()),
    )
    index = ShardIndex(info, pieces, of_lengths).to_bytes()
    write_atomically(folder / (name + INDEX), index)
    return ShardIndex.from_bytes(index).info


class _Counts:
    """Encodes examples, and counts the bytes of their records and the tokens of their texts."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lengths: list[np.ndarray] = []
        self.sizes: list[np.ndarray] = []

    def encoded(self, examples: Iterable[Example]) -> Iterator[bytes]:
        together: list[Example] = []
        for example in examples:
            together.append(example)
            if len(together) == _ENCODED_TOGETHER:
                yield from self._encode(together)
                together = []
        if together:
            yield from self._encode(together)

    def _encode(self, examples: list[Example]) -> list[bytes]:
        lengths = np.zeros((len(examples), self._layout.texts), np.uint16)
        for row, example in zip(lengths, examples, strict=True):
            if not 0 < len(example.ids) <= len(row):
                raise ValueError(f"an example has {len(example.ids)} texts, not 1 to {len(row)}")
            row[: len(example.ids)] = [min(len(ids), LONGEST) for ids in example.ids]
        self._lengths.append(lengths)
        records = encode_many(examples, self._layout.dtype)
        self.sizes.append(np.array([len(record) for record in records], np.uint32))
        return records

    def lengths(self) -> np.ndarray:
        """uint16 [rows, T], 0 past an example's last text."""
        return np.concatenate(self._lengths)


def _pieces(path: Path, sizes: np.ndarray) -> tuple[np.ndarray, str]:
    """Logical size and checksum of each piece of an ArrayRecord file, and the checksum of the file.

    Reads the file back, so that a version of array_record that writes another layout is noticed.
    """
    chunks = np.array([chunk_size(size) for size in sizes.tolist()], np.int64)
    totals = np.add.reduceat(chunks, np.arange(0, len(chunks), PIECE_ROWS))
    checksums, begin = [], FIRST
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number, total in enumerate(totals.tolist()):
            first, last = physical_range(begin, begin + total)
            piece = data[first:last]
            find_chunks(without_block_headers(piece, first), len(sizes[number * PIECE_ROWS :][:PIECE_ROWS]))
            checksums.append(checksum(piece))
            begin += total
        return np.stack([totals, np.array(checksums, np.int64)], 1), digest_of(data)
