"""Dropout whose mask is a counter-based hash of (key, example, layer, site), not a stream of random bits.

The mask of an example is the same on any mesh, in any chunk, with any other examples and at any padded length, and
on a CPU the integer hash is several times cheaper than threefry.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

GOLDEN = 0x9E3779B9  # 2**32 / golden ratio: spreads consecutive counters


def mix(x: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """MurmurHash3's 32-bit finaliser: every input bit flips every output bit with probability one half."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def dropout_hashes(
    key: PRNGKeyArray | UInt32[Array, "W"], ids: Int[Array, " *B"] | UInt32[Array, " *B"]
) -> UInt32[Array, " *B"]:
    """Combines a JAX key (of seed, step and view) with the ids of the examples in the batch.

    Args:
      key: a JAX PRNG key, typed or raw.
      ids: the id of each example; equal ids get equal masks.

    Returns: a hash for each id.
    """
    words = key if jnp.issubdtype(key.dtype, jnp.uint32) else jax.random.key_data(key)
    rows = mix(ids.astype(jnp.uint32) * jnp.uint32(GOLDEN))
    for word in jnp.ravel(words):
        rows = mix(rows ^ word)
    return rows


def fold(hashes: UInt32[Array, "..."], number: Int[Array, "..."] | UInt32[Array, "..."] | int) -> UInt32[Array, "..."]:
    """A hash for each part of an example (a site in the network, a head), from the example's hash and the number."""
    return mix(hashes ^ mix(jnp.asarray(number, jnp.uint32) + jnp.uint32(GOLDEN)))


def within_32_bits(
    hashes: UInt32[Array, "..."], positions: Int[Array, "..."], most: int, width: int
) -> tuple[UInt32[Array, "..."], Int[Array, "..."]]:
    """If a 32-bit counter is too small for `width` values at each of `most` positions: hashes of stretches of
    positions, and positions within their stretch. Returns both unchanged if 32 bits suffice.

    >>> _, positions = within_32_bits(jnp.zeros(1, jnp.uint32), jnp.array([5, 2**16 + 5]), most=2**17, width=2**16)
    >>> positions.tolist()
    [5, 5]
    """
    stretch = 2**32 // width
    if most <= stretch:
        return hashes, positions
    return fold(hashes, positions // stretch), positions % stretch


def counters(*axes: tuple[Int[Array, "..."], int]) -> UInt32[Array, "..."]:
    """Numbers the values of an array: the sum over its axes of index * stride.

    Args:
      axes: for each axis the indices, in a shape that broadcasts to the array's, and the stride. Indices and strides
        that do not depend on the padded length make the mask independent of it. All sums must be below 2**32, because
        values with the same number are dropped together; see `within_32_bits` and `fold`.
    """
    total = jnp.uint32(0)
    for index, stride in axes:
        total = total + index.astype(jnp.uint32) * jnp.uint32(stride)
    return total


def draw(
    hashes: UInt32[Array, "..."], site: Int[Array, ""] | int, counter: UInt32[Array, "..."]
) -> UInt32[Array, "..."]:
    """A uniform number for each value.

    Args:
      hashes: of the examples, from `dropout_hashes`, in a shape that broadcasts with that of `counter`.
      site: number of the dropout site in the network; different sites get independent numbers.
      counter: number of each value in its example.
    """
    return mix(fold(hashes, site) ^ (counter * jnp.uint32(GOLDEN)))


def keep_mask(
    hashes: UInt32[Array, "..."], rate: float, site: Int[Array, ""] | int, counter: UInt32[Array, "..."]
) -> Bool[Array, "..."]:
    """True where a value is kept, with probability 1 - rate; arguments as for `draw`."""
    return draw(hashes, site, counter) >= jnp.uint32(round(rate * 2**32))


def dropout(
    x: Float[Array, "..."],
    hashes: UInt32[Array, "..."] | None,
    rate: float,
    *,
    site: Int[Array, ""] | int,
    counter: UInt32[Array, "..."],
) -> Float[Array, "..."]:
    """Drops values with probability `rate` and scales the rest by 1 / (1 - rate); `hashes=None` returns `x`.

    >>> hashes = dropout_hashes(jax.random.key(0), jnp.arange(2))
    >>> counter = counters((jnp.arange(4000)[None], 1))
    >>> dropped = dropout(jnp.ones((2, 4000)), hashes[:, None], 0.1, site=0, counter=counter)
    >>> round(float((dropped == 0).mean()), 2), round(float(dropped.max()), 3)
    (0.1, 1.111)
    """
    if hashes is None or rate == 0.0:
        return x
    keep = keep_mask(hashes, rate, site, counter)
    return jnp.where(keep, x * jnp.asarray(1 / (1 - rate), x.dtype), jnp.zeros((), x.dtype))
