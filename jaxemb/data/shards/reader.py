"""Random access to the examples of prepared shards, in a folder or behind a URL."""

import itertools
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt16

from jaxemb.data.shards.disk_cache import DiskCache
from jaxemb.data.shards.index import LENGTHS_ROWS, PIECE_ROWS, Piece, ShardIndex
from jaxemb.data.shards.manifest import Manifest
from jaxemb.data.shards.pieces import CachedPieces, LocalPieces, Pieces
from jaxemb.data.shards.places import Folder, Place, place_of
from jaxemb.data.shards.recent import Recent
from jaxemb.data.shards.record import Example, decode_many
from jaxemb.data.shards.rice import unpack
from jaxemb.data.shards.riegeli import CHUNK_HEADER, find_chunks, physical, record_of, without_block_headers
from jaxemb.files import cache_root

CACHE_BYTES = 8 << 30
_OPEN_PIECES, _OPEN_LENGTHS, _OPEN_INDEXES = 1 << 15, 1 << 11, 1 << 9
_LOADED_TOGETHER = 128


class Shards:
    """The examples by global index: those of lane 0 in order, then those of lane 1, ...

    Threads may read at the same time; a pickled copy reads in another process. What is in memory depends on the number
    of shards, not of examples: beside it at most 32,768 opened pieces of a kilobyte each, 2,048 unpacked pieces of
    the lengths, of 4 KiB for each text of a row, and 512 indexes.
    """

    def __init__(self, place: str, manifest: Manifest, cache_dir: Path, cache_bytes: int) -> None:
        """Reads nothing yet; `open` loads and checks the manifest."""
        self.manifest = manifest
        """What the shards contain."""
        self._place_name, self._cache_dir, self._cache_bytes = place, cache_dir, cache_bytes
        self._place: Place = place_of(place)
        if isinstance(self._place, Folder):
            self._pieces: Pieces = LocalPieces(self._place)
        else:
            cache = DiskCache(cache_dir / "shards", manifest.digest, cache_bytes)
            self._pieces = CachedPieces(self._place, place.rstrip("/"), cache)
        rows = [shard.info.rows for shard in manifest.shards]
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(rows, dtype=np.int64)])
        self._layout = manifest.layout
        self._opened: Recent[int, _Opened] = Recent(_OPEN_PIECES)
        self._lengths: Recent[int, np.ndarray] = Recent(_OPEN_LENGTHS)
        self._indexes: Recent[int, ShardIndex] = Recent(_OPEN_INDEXES)

    @classmethod
    def open(
        cls, place: str | os.PathLike[str], cache_dir: str | Path | None = None, cache_bytes: int = CACHE_BYTES
    ) -> "Shards":
        """Opens what `jaxemb data prepare` wrote.

        Args:
          place: a folder, or a URL that fsspec knows.
          cache_dir: the folder of all cached data (`cache_root` when None). A URL's pieces are kept in `shards/` in it.
          cache_bytes: most bytes of them.

        Raises:
          UsageError: if there is no manifest, it is damaged or of another version, or a shard is missing or changed.
        """
        name = os.fspath(place)
        folder = Path(cache_dir) if cache_dir is not None else cache_root(None)
        return cls(name, Manifest.load(name), folder, cache_bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        return Shards, (self._place_name, self.manifest, self._cache_dir, self._cache_bytes)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def bytes_read(self) -> int:
        """Bytes that this object has read from the folder or the URL so far."""
        return self._place.bytes_read

    def lengths(self, rows: Int[np.ndarray, " B"]) -> UInt16[np.ndarray, "B T"]:
        """Tokens of each text of these examples, without special tokens; 65,535 for longer ones, 0 for absent texts.

        Raises:
          IndexError: if an index is out of range.
          UserError: if a shard is missing, changed or cannot be read.
        """
        found = np.zeros((len(rows), self._layout.texts), np.uint16)
        missing = []
        for group in self._grouped(rows, LENGTHS_ROWS):
            lengths = self._lengths.get(group.key)
            if lengths is None:
                missing.append(group)
            else:
                found[group.wanted] = lengths[group.within]
        for together in _chunks(missing):
            indexes = self._open_indexes(together)
            pieces = [indexes[group.shard].piece_of_lengths(group.number) for group in together]
            for group, data in zip(together, self._pieces.load(pieces), strict=True):
                rows_of_piece = indexes[group.shard].lengths_rows_of(group.number)
                lengths = unpack(data, rows_of_piece, self._layout.texts)
                found[group.wanted] = self._lengths.put(group.key, lengths)[group.within]
        return found

    def examples(self, rows: Int[np.ndarray, " B"]) -> list[Example]:
        """The examples at these indexes, in this order.

        Raises:
          IndexError: if an index is out of range.
          UserError: if a shard is missing, changed or cannot be read.
        """
        records = [b""] * len(rows)
        missing = []
        for group in self._grouped(rows, PIECE_ROWS):
            opened = self._opened.get(group.key)
            wanted, within = group.wanted.tolist(), group.within.tolist()
            parts = self._pieces.parts(opened.piece, [opened.part(row) for row in within]) if opened else None
            if opened is None or parts is None:
                missing.append(group)
                continue
            for i, row, data in zip(wanted, within, parts, strict=True):
                records[i] = opened.record(row, data)
        for together in _chunks(missing):
            indexes = self._open_indexes(together)
            pieces = [indexes[group.shard].piece(group.number) for group in together]
            for group, piece, data in zip(together, pieces, self._pieces.load(pieces), strict=True):
                opened = self._opened.put(group.key, _Opened(piece, data, indexes[group.shard], group.number))
                for i, row in zip(group.wanted.tolist(), group.within.tolist(), strict=True):
                    begin, end = opened.part(row)
                    records[i] = opened.record(row, data[begin:end])
        return decode_many(records, self._layout)

    def _grouped(self, rows: np.ndarray, size: int) -> Iterator["_Group"]:
        """The rows by the piece of `size` rows that they are in."""
        if not len(rows):
            return
        if rows.min() < 0 or rows.max() >= len(self):
            raise IndexError(f"{rows.min()} to {rows.max()} are not in 0 to {len(self) - 1}")
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        numbers, within = np.divmod(rows - self._starts[shards], size)
        keys = shards << 32 | numbers
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        borders = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(rows)]
        for begin, end in itertools.pairwise(borders):
            key, wanted = int(ordered[begin]), order[begin:end]
            yield _Group(key, key >> 32, key & (1 << 32) - 1, wanted, within[wanted])

    def _open_indexes(self, groups: list["_Group"]) -> dict[int, ShardIndex]:
        """The indexes of the groups' shards."""
        found = {shard: self._indexes.get(shard) for shard in {group.shard for group in groups}}
        missing = sorted(shard for shard, index in found.items() if index is None)
        pieces = [self.manifest.shards[shard].info.index for shard in missing]
        for shard, data in zip(missing, self._pieces.load(pieces), strict=True):
            found[shard] = self._indexes.put(shard, ShardIndex.from_bytes(data))
        return {shard: index for shard, index in found.items() if index is not None}


class _Group(NamedTuple):
    """Rows in the same piece."""

    key: int
    shard: int
    number: int
    """Of the piece in the shard."""
    wanted: np.ndarray
    """Their positions among all wanted rows."""
    within: np.ndarray
    """Their positions in the piece."""


class _Opened:
    """Where the records of a piece are."""

    __slots__ = ("_begins", "_ends", "piece")

    def __init__(self, piece: Piece, data: bytes, index: ShardIndex, number: int) -> None:
        chunks = find_chunks(without_block_headers(data, piece.begin), index.rows_of(number))
        logical = np.frombuffer(chunks, np.uint32).astype(np.int64) + index.logical(number)
        begins, ends = physical(logical[:-1] + CHUNK_HEADER), physical(logical[1:] - 1) + 1
        self.piece = piece
        self._begins = array("I", (begins - piece.begin).astype(np.uint32).tobytes())
        self._ends = array("I", (ends - piece.begin).astype(np.uint32).tobytes())

    def part(self, row: int) -> tuple[int, int]:
        """The part of the piece with the data of a record."""
        return self._begins[row], self._ends[row]

    def record(self, row: int, data: bytes) -> bytes:
        """The record in this part of the piece."""
        return record_of(without_block_headers(data, self.piece.begin + self._begins[row]))


def _chunks(groups: list[_Group]) -> Iterator[list[_Group]]:
    return (groups[begin : begin + _LOADED_TOGETHER] for begin in range(0, len(groups), _LOADED_TOGETHER))
