"""What the tests of several losses do alike: an oracle in PyTorch, and the contract of `InBatch`."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.losses.in_batch import InBatch, whole_batch


def normal(seed: int, rows: int, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def sentence_transformers_losses():
    pytest.importorskip("torch")
    return pytest.importorskip("sentence_transformers.losses")


def assert_like_torch(ours: Callable, theirs: Callable, arrays: list[np.ndarray], atol: float = 1e-5) -> None:
    """Both are functions of the arrays to a number: equal in value and in the gradient with respect to each array."""
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    expected = theirs(*tensors)
    expected.backward()
    value, gradients = jax.value_and_grad(ours, tuple(range(len(arrays))))(*map(jnp.array, arrays))
    np.testing.assert_allclose(value, expected.item(), atol=atol, rtol=1e-6)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert np.abs(tensor.grad.numpy()).max() > 1e-3
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=atol)


def assert_finite(function: Callable, *arrays: np.ndarray) -> None:
    """In value, and in the gradient of its sum."""
    value, gradients = jax.value_and_grad(lambda *x: jnp.sum(function(*x)), tuple(range(len(arrays))))(
        *map(jnp.array, arrays)
    )
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)


def assert_float32_inside(function: Callable, *arrays: np.ndarray) -> None:
    short = [jnp.array(x).astype(jnp.bfloat16) for x in arrays]
    loss = function(*short)
    assert loss.dtype == jnp.float32
    np.testing.assert_array_equal(loss, function(*(x.astype(jnp.float32) for x in short)))


def assert_close(actual, expected, atol: float = 2e-6) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=atol), actual, expected)


def assert_blocks_and_padding(loss: InBatch, *batch: np.ndarray, **hyper) -> None:
    """Rows of a block are a slice of the whole; padded rows and columns, hidden, leave the loss of the real rows."""
    whole = whole_batch(loss, *map(jnp.array, batch), **hyper)
    count = len(batch[0])
    assert count > 4
    columns = tuple(map(jnp.array, batch))
    some = slice(2, 5)
    own, allowed = jnp.arange(count)[some], jnp.ones((3, count), bool)
    block = loss.rows(tuple(x[some] for x in columns), columns, own, allowed, **hyper)
    assert_close(block, jax.tree.map(lambda x: x[some], whole))

    # Two padded rows in front, so that a row is not in the column of its number, and three behind.
    real = jnp.array([False] * 2 + [True] * count + [False] * 3)
    floats = [k for k, x in enumerate(batch) if np.issubdtype(x.dtype, np.floating)]

    def padded(x):
        junk = 3.0 * normal(99, 5, x.shape[1]) if x.ndim == 2 else x[jnp.array([0, 1, 0, 1, 2])]
        junk = jnp.asarray(junk, x.dtype)
        return jnp.concatenate([junk[:2], x, junk[2:]])

    def merged(arrays):
        return tuple(arrays[floats.index(k)] if k in floats else columns[k] for k in range(len(batch)))

    def dense(*arrays):
        return loss.reduce(whole_batch(loss, *merged(arrays), **hyper), jnp.ones(count))

    def with_padding(*arrays):
        rows = tuple(padded(x) for x in merged(arrays))
        allowed = jnp.broadcast_to(real[None, :], (len(real), len(real)))
        return loss.reduce(loss.rows(rows, rows, jnp.arange(len(real)), allowed, **hyper), real.astype(jnp.float32))

    arrays = [columns[k] for k in floats]
    expected = jax.jit(jax.value_and_grad(dense, tuple(range(len(arrays)))))(*arrays)
    actual = jax.jit(jax.value_and_grad(with_padding, tuple(range(len(arrays)))))(*arrays)
    assert max(np.abs(g).max() for g in expected[1]) > 1e-3
    assert_close(actual, expected)
    assert all(g.shape == x.shape for g, x in zip(actual[1], arrays, strict=True))


def assert_nothing_allowed_is_finite(loss: InBatch, *batch: np.ndarray, **hyper) -> None:
    def reduced(x):
        rows = (x, *map(jnp.array, batch[1:]))
        count = len(x)
        values = loss.rows(rows, rows, jnp.arange(count), jnp.zeros((count, count), bool), **hyper)
        return values, loss.reduce(values, jnp.ones(count)), loss.reduce(values, jnp.zeros(count))

    for leaf in jax.tree.leaves(jax.jit(reduced)(jnp.array(batch[0]))):
        assert np.isfinite(leaf).all()
    for k in (1, 2):
        assert np.isfinite(jax.jit(jax.grad(lambda x, k=k: reduced(x)[k]))(jnp.array(batch[0]))).all()
