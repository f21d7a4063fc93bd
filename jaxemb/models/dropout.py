"""Dropout whose mask is a counter-based hash of (key, example, layer, place), not a stream of random bits.

The mask of an example is the same on any mesh, in any chunk, beside any other examples and at any padded length, and
on a CPU the integer hash is several times cheaper than threefry.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

GOLDEN = 0x9E3779B9  # 2**32 / golden ratio: spreads consecutive counters


class DropoutKey(NamedTuple):
    """What a mask depends on, besides the place in the network."""

    rows: UInt32[Array, " B"]
    """One hash per example."""


def mix(x: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """MurmurHash3's 32-bit finaliser: every input bit flips every output bit with probability one half."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def dropout_key(key: PRNGKeyArray | UInt32[Array, "W"], ids: Int[Array, " B"] | UInt32[Array, " B"]) -> DropoutKey:
    """Combines a JAX key (of seed, step and view) with the ids of the examples in the batch.

    Args:
      key: a JAX PRNG key, typed or raw.
      ids: the id of each row's example; rows with equal ids get equal masks.
    """
    words = key if jnp.issubdtype(key.dtype, jnp.uint32) else jax.random.key_data(key)
    rows = mix(ids.astype(jnp.uint32) * jnp.uint32(GOLDEN))
    for word in jnp.ravel(words):
        rows = mix(rows ^ word)
    return DropoutKey(rows)


def keep_mask(
    key: DropoutKey, rate: float, place: Int[Array, ""] | int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Bool[Array, "B *inner"]:
    """True where a value is kept, with probability 1 - rate.

    Args:
      key: the examples' hashes; their number is the leading axis of the mask.
      rate: share of values that are dropped.
      place: number of the place in the network; distinct places get independent masks.
      shape: the inner axes of the mask.
      strides: step of the counter along each inner axis. Strides that do not depend on the padded length make the
        mask independent of it.
    """
    rows = mix(key.rows ^ mix(jnp.asarray(place, jnp.uint32) + jnp.uint32(GOLDEN)))
    counter = jnp.zeros(shape, jnp.uint32)
    for axis, stride in enumerate(strides):
        counter = counter + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride % 2**32)
    counter = counter * jnp.uint32(GOLDEN)
    bits = mix(rows.reshape((-1,) + (1,) * len(shape)) ^ counter[None])
    return bits >= jnp.uint32(round(rate * 2**32))


def dropout(
    x: Float[Array, "B *inner"],
    key: DropoutKey | None,
    rate: float,
    *,
    place: Int[Array, ""] | int,
    strides: tuple[int, ...],
) -> Float[Array, "B *inner"]:
    """Drops values with probability `rate` and scales the rest by 1 / (1 - rate); `key=None` returns `x`.

    >>> key = dropout_key(jax.random.key(0), jnp.arange(2))
    >>> dropped = dropout(jnp.ones((2, 4, 1000)), key, 0.1, place=0, strides=(1000, 1))
    >>> round(float((dropped == 0).mean()), 2), round(float(dropped.max()), 3)
    (0.1, 1.111)
    """
    if key is None or rate == 0.0:
        return x
    keep = keep_mask(key, rate, place, x.shape[1:], strides)
    return jnp.where(keep, x * jnp.asarray(1 / (1 - rate), x.dtype), jnp.zeros((), x.dtype))
