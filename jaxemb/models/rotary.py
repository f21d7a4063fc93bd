"""Rotary positions (Su et al. 2021, arXiv 2104.09864): rotates queries and keys by angles that grow with position."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int


class Rotation(NamedTuple):
    """Cosine and sine of each token's angles."""

    cosine: Float[Array, "#B 1 S P"]
    sine: Float[Array, "#B 1 S P"]


def frequencies(size: int, theta: float) -> Float32[np.ndarray, " P"]:
    """Angle per position: theta^(-2 i / size) for pair i of a head's `size` values.

    >>> frequencies(4, 100.0).tolist()
    [1.0, 0.10000000149011612]
    """
    exponents = np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    return np.float32(1) / np.float32(theta) ** exponents


def rotation(positions: Int[Array, "#B S"], frequencies: Float[Array, " P"]) -> Rotation:
    """The rotation of tokens at these positions."""
    angles = positions[:, None, :, None].astype(jnp.float32) * frequencies[None, None, None]
    return Rotation(jnp.cos(angles), jnp.sin(angles))


def rotate(x: Float[Array, "B N S D"], turn: Rotation) -> Float[Array, "B N S D"]:
    """Rotates the pairs (x_i, x_{i + P}), in float32.

    >>> quarter = rotation(jnp.array([[1]]), jnp.array([jnp.pi / 2]))
    >>> rotate(jnp.array([[[[3.0, 4.0]]]]), quarter).round().astype(int).tolist()
    [[[[-4, 3]]]]
    """
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    cosine, sine = turn
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)
