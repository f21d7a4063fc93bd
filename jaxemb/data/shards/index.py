"""A shard's files: the ArrayRecord, the lengths of its texts, and an index to read a part of either and check it."""

import dataclasses
import hashlib
import json
import zlib
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Integer

from jaxemb.data.shards.riegeli import FIRST, physical_range

PIECE_ROWS = 128
"""Rows of a piece of a shard: what is checked, fetched and kept in a cache as a whole."""
LENGTHS_ROWS = 2048
"""Rows of a piece of a file of lengths."""
LENGTHS = ".lengths"
"""Ends the name of the file of lengths: those of T texts of `LENGTHS_ROWS` rows each time, packed by `rice`."""
INDEX = ".index"
"""Ends the name of the index, which is written last: a line of JSON (`ShardInfo`), then for each piece its logical size
and its checksum, and for each piece of the lengths its size and its checksum; all little-endian uint32."""


def shard_name(number: int) -> str:
    """The name of a shard by its position among all: TFDS finds the shards by it.

    >>> shard_name(12)
    'train-00012.array_record'
    """
    return f"train-{number:05d}.array_record"


def checksum(data: bytes) -> int:
    """The CRC-32 of a piece."""
    return zlib.crc32(data)


@dataclasses.dataclass(frozen=True)
class ShardInfo:
    """A finished shard."""

    name: str
    """Of the ArrayRecord file."""
    rows: int
    bytes: int
    """Size of the ArrayRecord file."""
    checksum: str
    """BLAKE2b of the ArrayRecord file and of the lengths, 32 hexadecimal digits."""
    texts: int
    """T of the file of lengths."""
    lengths_bytes: int
    """Size of the file of lengths."""
    index_bytes: int = 0
    index_checksum: int = 0

    @property
    def sizes(self) -> dict[str, int]:
        """The shard's files and their sizes."""
        return {
            self.name: self.bytes,
            self.name + LENGTHS: self.lengths_bytes,
            self.name + INDEX: self.index_bytes,
        }

    @property
    def index(self) -> "Piece":
        """The whole index, as a piece."""
        return Piece(self.name + INDEX, 0, self.index_bytes, self.index_checksum)


class Piece(NamedTuple):
    """A range of bytes of a file, and its checksum."""

    file: str
    begin: int
    size: int
    checksum: int


class ShardIndex:
    """Where the pieces of a shard are, and their checksums."""

    def __init__(
        self, info: ShardInfo, pieces: Integer[np.ndarray, "P 2"], of_lengths: Integer[np.ndarray, "Q 2"]
    ) -> None:
        """Args:
        info: the shard.
        pieces: logical size and checksum of each piece of the shard.
        of_lengths: size and checksum of each piece of the lengths.
        """
        self.info = info
        self._pieces, self._of_lengths = pieces, of_lengths
        self._begins, self._begins_of_lengths = FIRST + _begins(pieces[:, 0]), _begins(of_lengths[:, 0])

    def to_bytes(self) -> bytes:
        """The content of the index file; the sizes and checksums of the index itself are not in it."""
        about = dataclasses.asdict(self.info)
        del about["index_bytes"], about["index_checksum"]
        head = json.dumps(about, separators=(",", ":")).encode() + b"\n"
        return head + np.concatenate([self._pieces, self._of_lengths]).astype("<u4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "ShardIndex":
        """Reads the content of an index file.

        Raises:
          ValueError: if it is not one.
        """
        head, _, rest = data.partition(b"\n")
        try:
            info = ShardInfo(**json.loads(head), index_bytes=len(data), index_checksum=checksum(data))
        except TypeError as error:
            raise ValueError(str(error)) from error
        pieces, of_lengths = -(-info.rows // PIECE_ROWS), -(-info.rows // LENGTHS_ROWS)
        if len(rest) != 8 * (pieces + of_lengths):
            raise ValueError(f"{len(rest)} bytes are not an index of {info.rows} rows")
        table = np.frombuffer(rest, "<u4").reshape(-1, 2)
        return cls(info, table[:pieces], table[pieces:])

    def rows_of(self, number: int) -> int:
        """The number of rows of a piece of the shard."""
        return min(PIECE_ROWS, self.info.rows - number * PIECE_ROWS)

    def lengths_rows_of(self, number: int) -> int:
        """The number of rows of a piece of the lengths."""
        return min(LENGTHS_ROWS, self.info.rows - number * LENGTHS_ROWS)

    def logical(self, number: int) -> int:
        """The logical position of a piece of the shard (`riegeli`)."""
        return int(self._begins[number])

    def piece(self, number: int) -> Piece:
        """The piece of the shard with the rows from `number * PIECE_ROWS` on."""
        begin, end = physical_range(int(self._begins[number]), int(self._begins[number + 1]))
        return Piece(self.info.name, begin, end - begin, int(self._pieces[number, 1]))

    def piece_of_lengths(self, number: int) -> Piece:
        """The piece of the lengths with the rows from `number * LENGTHS_ROWS` on."""
        size, expected = self._of_lengths[number].tolist()
        return Piece(self.info.name + LENGTHS, int(self._begins_of_lengths[number]), size, expected)


def _begins(sizes: Integer[np.ndarray, " N"]) -> Int[np.ndarray, " N+1"]:
    """Where things of these sizes begin, one after the other, and where the last ends."""
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), sizes]), dtype=np.int64)


def digest_of(*contents: Any) -> str:
    """32 hexadecimal digits that change with any byte."""
    digest = hashlib.blake2b(digest_size=16)
    for content in contents:
        digest.update(content)
    return digest.hexdigest()
