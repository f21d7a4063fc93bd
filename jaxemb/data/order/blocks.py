"""Permutations that keep rows together which are stored together."""

import numpy as np
from jaxtyping import Int, UInt64

from jaxemb.data.order.keys import key_of
from jaxemb.data.permutation import permuted


def permuted_in_blocks(
    positions: Int[np.ndarray, " B"],
    sizes: Int[np.ndarray, " B"],
    keys: UInt64[np.ndarray, " B"],
    block: int | None,
) -> Int[np.ndarray, " B"]:
    """The images of positions under random permutations of ranges, block by block.

    The range, turned by a random number of rows, is cut into blocks of `block` rows, the last one shorter. The blocks
    come in random order, and so do the rows of each. So any `block` positions in sequence lie in two or three blocks,
    whose borders are elsewhere under another key. A position costs the same wherever it is.

    Args:
      positions: each in [0, size).
      sizes: the size of the range of each position.
      keys: choose the permutation; one for each position.
      block: rows of a block. A range of so few, or any with None, is one block.
    """
    if block is None:
        return permuted(positions, sizes, keys)
    large = sizes > block
    if not large.any():
        return permuted(positions, sizes, keys)
    images = np.empty_like(positions)
    images[~large] = permuted(positions[~large], sizes[~large], keys[~large])
    images[large] = _in_blocks(positions[large], sizes[large], keys[large], block)
    return images


def _in_blocks(positions: np.ndarray, sizes: np.ndarray, keys: np.ndarray, block: int) -> np.ndarray:
    """The images where a range has several blocks."""
    whole, rest = np.divmod(sizes, block)
    turned = _below(sizes, keys, 1)
    before = _below(whole + 1, keys, 2) * block  # positions before those of the shorter block
    short = (positions >= before) & (positions < before + rest)
    others = np.where(positions >= before + rest, positions - rest, positions)
    number = permuted(np.where(short, 0, others // block), whole, key_of(0, keys, 3))
    number = np.where(short, whole, number)
    inside = np.where(short, positions - before, others % block)
    row = permuted(inside, np.where(short, rest, block), key_of(0, keys, 4, number))
    return (number * block + row + turned) % sizes


def _below(bounds: np.ndarray, keys: np.ndarray, salt: int) -> np.ndarray:
    """A random number in [0, bound) for each key."""
    return (key_of(0, keys, salt) % bounds.astype(np.uint64)).astype(np.int64)
