"""Keeps rows that hold NaN or infinity, and rows that do not count, out of all products.

A mask after a product is too late: in the backward pass 0 * NaN is NaN, in the gradient of every row and parameter of
the product. So such rows are replaced by zeros before the product.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped


def keep(x: Shaped[Array, "..."], kept: Bool[Array, "..."]) -> Shaped[Array, "..."]:
    """`x` with zeros, and gradient 0, where the mask `kept` over its leading axes is False."""
    mask = kept.reshape(kept.shape + (1,) * (x.ndim - kept.ndim))
    return jnp.where(mask, x, jnp.zeros((), x.dtype))


def finite_rows(*arrays: Shaped[Array, "B ..."]) -> tuple[Bool[Array, "B"], tuple[Float[Array, "B ..."], ...]]:
    """Which rows are finite in all of the arrays, and the arrays as float32, with zeros in the other rows.

    If a loss is computed from these and passed through `nan_unless`, it is NaN for a row that is not finite; the row
    has gradient 0 and does not change the gradient of another row or of a shared parameter.

    >>> finite, (x,) = finite_rows(jnp.array([[1.0, 2.0], [3.0, jnp.nan]]))
    >>> finite.tolist(), x.tolist()
    ([True, False], [[1.0, 2.0], [0.0, 0.0]])
    """
    numbers = [jnp.asarray(x, jnp.float32) for x in arrays]
    finite = jnp.ones(len(numbers[0]), bool)
    for x in numbers:
        finite &= jnp.all(jnp.isfinite(x), axis=tuple(range(1, x.ndim)))
    return finite, tuple(keep(x, finite) for x in numbers)


def nan_unless(finite: Bool[Array, "..."], values: Float[Array, "..."]) -> Float[Array, "..."]:
    """The values, and NaN with gradient 0 where `finite` is False."""
    return jnp.where(finite, values, jnp.nan)
