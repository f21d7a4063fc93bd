"""Protocol Buffers' variable-length integers, many at a time."""

from typing import Any

import numpy as np
from jaxtyping import Int, Integer, UInt8, UInt32


def encode_varints(values: Integer[np.ndarray, " N"]) -> tuple[UInt8[np.ndarray, " K"], UInt8[np.ndarray, " N"]]:
    """All values one after the other, 7 bits a byte, the lowest bits first; bit 8 says that more bytes follow.

    Args:
      values: each in [0, 2**32).

    Returns: the bytes, and how many each value takes.

    >>> [part.tolist() for part in encode_varints(np.array([1, 300]))]
    [[1, 172, 2], [1, 2]]
    """
    rest: np.ndarray = values.astype(np.uint32)
    sizes = np.ones(len(rest), np.uint8)
    for bits in (7, 14, 21, 28):
        sizes += rest >= np.uint32(1 << bits)
    ends = np.cumsum(sizes, dtype=np.int64)
    encoded = np.empty(ends[-1] if len(ends) else 0, np.uint8)
    at, left = ends - sizes, sizes.copy()
    while len(rest):
        more = left > 1
        encoded[at] = rest & 127 | more.astype(np.uint8) << 7
        rest, at, left = rest[more] >> 7, at[more] + 1, left[more] - 1
    return encoded, sizes


def decode_varints(encoded: bytes | UInt8[np.ndarray, " K"]) -> tuple[UInt32[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """The values that `encode_varints` wrote.

    Returns: the values, and the position behind the last byte of each.

    Raises:
      ValueError: if the last value is not complete, or one takes more than 5 bytes.

    >>> [part.tolist() for part in decode_varints(bytes([1, 172, 2]))]
    [[1, 300], [1, 3]]
    """
    data: np.ndarray[Any, np.dtype[np.uint8]] = np.frombuffer(encoded, np.uint8)
    if len(data) and data[-1] > 127:
        raise ValueError("the last number is not complete")
    ends = np.flatnonzero(data < 128) + 1
    begins = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
    sizes = ends - begins
    values = (data[begins] & 127).astype(np.uint32)
    for byte in range(1, int(sizes.max(initial=1))):
        if byte == 5:
            raise ValueError("a number takes more than 32 bits")
        longer = np.flatnonzero(sizes > byte)
        values[longer] |= (data[begins[longer] + byte] & 127).astype(np.uint32) << np.uint32(7 * byte)
    return values, ends
