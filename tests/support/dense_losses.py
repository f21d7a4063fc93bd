"""Losses over a mesh against the plain maths of the global batch."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.losses.parts.in_batch import InBatch, combine_values
from support.loss_cases import IN_BATCH, ROWS, Case

CHUNK = 2  # three rows a device on eight: the last chunk is not full

REAL = np.arange(ROWS) % 8 != 5  # rows of padding on several devices

IDS = [np.stack([RNG.integers(0, size, ROWS), np.ones(ROWS)], axis=1).astype(np.uint32)
       for RNG, size in ((np.random.default_rng(1), 20), (np.random.default_rng(2), 30))]  # fmt: skip


class Dense:
    """One device, and masks made in NumPy: what `Across` must equal."""

    def __init__(self, mesh_size: int, negatives: str, padded: bool, hashed: bool) -> None:
        place = np.arange(ROWS) // (ROWS // mesh_size)
        allowed = place[:, None] == place[None, :] if negatives == "local" else np.ones((ROWS, ROWS), bool)
        for ids in IDS if hashed else []:
            allowed &= (ids[:, None] != ids[None]).any(axis=2)
        self.real = REAL if padded else np.ones(ROWS, bool)
        self.allowed = jnp.array((allowed & self.real[None, :]) | np.eye(ROWS, dtype=bool))

    def weights_of(self, count: int) -> jax.Array:
        return jnp.array(self.real, jnp.float32)

    def values(self, loss: InBatch, batch: tuple[Any, ...], hyper: Any) -> Any:
        values = loss.rows(batch, batch, jnp.arange(ROWS), self.allowed, **hyper)
        return combine_values(loss.combine, loss.alone(batch, **hyper), values) if loss.alone else values


def total(case: Case, arrays, numbers, weights, **options):
    """One number: the weighted mean of a loss that has a value a row."""
    loss = case.call(arrays, numbers, **options)
    return loss if loss.ndim == 0 else jnp.sum(loss * weights) / jnp.sum(weights)


def compiled(case: Case, weights, **options):
    """A function of arrays, numbers and columns of a case, in the order of `inputs`, to value and gradients."""
    floats = [k for k, array in enumerate(case.arrays) if array.dtype == np.float32]

    def of(some, numbers, columns):
        arrays = list(case.arrays)
        for k, array in zip(floats, some, strict=True):
            arrays[k] = array
        return total(dataclasses.replace(case, rows={**case.rows, **columns}), arrays, numbers, weights, **options)

    return jax.jit(jax.value_and_grad(of, (0, 1)))


def inputs(case: Case, junk: np.ndarray | None = None):
    """Arrays, numbers and columns of floats of a case; with `junk` in the rows where that is not 0, and in hard
    negatives that are absent.
    """

    def spoilt(x: np.ndarray) -> np.ndarray:
        if junk is None:
            return x
        mask = junk != 0
        if x.ndim == 3:
            mask = mask[:, None] | ~case.rows.get("has_hard_negative", np.ones(x.shape[:2], bool))
        values = np.resize(junk[junk != 0], mask.shape)
        more = (..., *[None] * (x.ndim - mask.ndim))
        return np.where(mask[more], values[more], x)

    arrays = [spoilt(array) for array in case.arrays if array.dtype == np.float32]
    columns = {name: spoilt(array) for name, array in case.rows.items() if array.dtype == np.float32}
    return arrays, {name: np.float32(value) for name, value in case.numbers.items()}, columns


def value_and_gradients(case: Case, weights, **options):
    return compiled(case, weights, **options)(*inputs(case))


def check(actual, wanted):
    assert any(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(wanted[1]))
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


def strategies(name: str) -> tuple[str, ...]:
    return ("local", "gather", "ring") if IN_BATCH[name].ring else ("local", "gather")


PAIRS = [(name, negatives) for name in IN_BATCH for negatives in strategies(name)]
