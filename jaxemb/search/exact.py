"""Exact nearest neighbours by cosine, in both directions."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxemb.errors import UserError

BLOCK = 1024
"""Rows and columns of one block of scores: the only compiled shape, and the bound of the memory."""
_MIN_NORM = 1e-12


def nearest(
    a: Float[np.ndarray, "N E"], b: Float[np.ndarray, "M E"]
) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "M"]]:
    """The row of `b` nearest to each row of `a`, and the row of `a` nearest to each row of `b`.

    Scores are float32 cosines at highest precision, computed on the default device in blocks of `BLOCK` x `BLOCK`, so
    memory does not grow with N * M. If scores are equal, the lowest index wins, as with `argmax`. A row of zeros has
    cosine 0 with everything.

    Args:
      a: one embedding per row, any norm; N >= 1.
      b: the embeddings of the other side; M >= 1.

    Raises:
      ValueError: if there are no rows or the widths differ.
      UserError: if an embedding holds NaN or infinity.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(f"embeddings must be [N, E] and [M, E] with N, M >= 1; got {a.shape} and {b.shape}")
    check_finite(a, " of the first side")
    check_finite(b, " of the second side")
    best_b, best_a = np.full(len(a), -np.inf, np.float32), np.full(len(b), -np.inf, np.float32)
    index_b, index_a = np.zeros(len(a), np.int64), np.zeros(len(b), np.int64)
    for top in range(0, len(a), BLOCK):
        rows = _unit_block(a, top)
        for left in range(0, len(b), BLOCK):
            sizes = jax.device_put((np.int32(min(BLOCK, len(a) - top)), np.int32(min(BLOCK, len(b) - left))))
            found = jax.device_get(_block_best(rows, _unit_block(b, left), *sizes))
            _keep_better(best_b, index_b, top, found[0], found[1] + left)
            _keep_better(best_a, index_a, left, found[2], found[3] + top)
    return index_b, index_a


def check_finite(x: Float[np.ndarray, "N E"], of: str = "") -> None:
    """Raises a UserError if an embedding holds NaN or infinity; `of` says whose embeddings they are."""
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        raise UserError(
            f"{len(bad)} of {len(x)} embeddings{of} hold NaN or infinity (first: row {bad[0]}): "
            "the model has diverged; use an earlier checkpoint or train with a lower learning rate"
        )


def _unit_block(x: Float[np.ndarray, "N E"], start: int) -> Float[Array, "block E"]:
    """`BLOCK` rows from `start` on, scaled to length 1, padded with zeros, on the device."""
    rows = x[start : start + BLOCK].astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _MIN_NORM)
    block = np.zeros((BLOCK, x.shape[1]), np.float32)
    block[: len(rows)] = rows
    return jax.device_put(block)


@jax.jit
def _block_best(
    a: Float[Array, "R E"], b: Float[Array, "C E"], rows: Int[Array, ""], columns: Int[Array, ""]
) -> tuple[Float[Array, "R"], Int[Array, "R"], Float[Array, "C"], Int[Array, "C"]]:
    """Best score and its index for each row and each column; those beyond `rows` and `columns` are padding."""
    scores = jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)
    by_row = jnp.where((jnp.arange(b.shape[0]) < columns)[None, :], scores, -jnp.inf)
    by_column = jnp.where((jnp.arange(a.shape[0]) < rows)[:, None], scores, -jnp.inf)
    return by_row.max(1), by_row.argmax(1), by_column.max(0), by_column.argmax(0)


def _keep_better(best: np.ndarray, index: np.ndarray, start: int, score: np.ndarray, found: np.ndarray) -> None:
    """Merges a block's result, in place. Only a strictly better score replaces one, so ties keep the lower index."""
    stop = min(start + len(score), len(best))
    score, found = score[: stop - start], found[: stop - start]
    better = score > best[start:stop]
    best[start:stop][better] = score[better]
    index[start:stop][better] = found[better]
