"""What every loss is checked for: an oracle in PyTorch, finite gradients, short types, rows against columns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from jaxemb.losses.parts.in_batch import InBatch, batch_loss, row_values


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def embeddings(seed: int, rows: int, width: int = 8) -> np.ndarray:
    return normal(seed, rows, width)


def sentence_transformers_losses():
    """The oracle's module."""
    pytest.importorskip("torch")
    return pytest.importorskip("sentence_transformers.losses")


def equal_to_torch(loss: Callable, oracle: Callable, arrays: list[np.ndarray], gradient_at_least=0.01) -> None:
    """Value, and gradient with respect to every array, of two functions to a scalar."""
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    expected = oracle(*tensors)
    expected.backward()
    value, gradients = jax.value_and_grad(lambda xs: loss(*xs))([jnp.array(x) for x in arrays])
    assert value.shape == ()
    np.testing.assert_allclose(value, expected.item(), atol=1e-5, rtol=1e-6)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert np.abs(tensor.grad.numpy()).max() > gradient_at_least
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-5, rtol=1e-5)


def finite(loss: Callable, *arrays: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The loss and its gradients, once they are seen to be finite."""
    xs = [jnp.array(x) for x in arrays]
    value, gradients = loss(*xs), jax.grad(lambda xs: loss(*xs).sum())(xs)
    assert np.isfinite(value).all()
    assert all(np.isfinite(g).all() for g in gradients)
    return np.asarray(value), [np.asarray(g) for g in gradients]


def computed_in_float32(loss: Callable, *arrays: np.ndarray) -> None:
    short = [jnp.array(x).astype(jnp.bfloat16) for x in arrays]
    value = loss(*short)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, loss(*(x.astype(jnp.float32) for x in short)))


def multiplied_at_highest_precision(loss: Callable, *arrays: np.ndarray) -> None:
    both = jax.make_jaxpr(jax.grad(lambda xs: loss(*xs).sum()))([jnp.array(x) for x in arrays])
    products = [e.params["precision"] for e in both.jaxpr.eqns if e.primitive.name == "dot_general"]
    assert len(products) >= 2
    assert set(products) == {(jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)}


def close(actual, expected, atol: float = 2e-6) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=atol), actual, expected)


def rows_are_blocks_and_padding_changes_nothing(loss: InBatch, *batch: np.ndarray, **hyper) -> None:
    """Rows of a block are a slice of the whole; padded rows and columns, hidden, leave the loss of the real rows."""
    whole = row_values(loss, tuple(map(jnp.array, batch)), **hyper)
    count = len(batch[0])
    assert count > 4
    columns = tuple(map(jnp.array, batch))
    some = slice(2, 5)
    own, allowed = jnp.arange(count)[some], jnp.ones((3, count), bool)
    block = loss.rows(tuple(x[some] for x in columns), columns, own, allowed, **hyper)
    close(block, jax.tree.map(lambda x: x[some], whole))

    # Two padded rows in front, so that a row is not in the column of its number, and three behind.
    real = jnp.array([False] * 2 + [True] * count + [False] * 3)
    floats = [k for k, x in enumerate(batch) if np.issubdtype(x.dtype, np.floating)]

    def padded(x):
        junk = 3.0 * embeddings(99, 5, x.shape[1]) if x.ndim == 2 else x[jnp.array([0, 1, 0, 1, 2])]
        junk = jnp.asarray(junk, x.dtype)
        return jnp.concatenate([junk[:2], x, junk[2:]])

    def merged(arrays):
        return tuple(arrays[floats.index(k)] if k in floats else columns[k] for k in range(len(batch)))

    def dense(*arrays):
        return batch_loss(loss, merged(arrays), **hyper)

    def with_padding(*arrays):
        rows = tuple(padded(x) for x in merged(arrays))
        allowed = jnp.broadcast_to(real[None, :], (len(real), len(real)))
        return loss.reduce(loss.rows(rows, rows, jnp.arange(len(real)), allowed, **hyper), real.astype(jnp.float32))

    arrays = [columns[k] for k in floats]
    expected = jax.jit(jax.value_and_grad(dense, tuple(range(len(arrays)))))(*arrays)
    actual = jax.jit(jax.value_and_grad(with_padding, tuple(range(len(arrays)))))(*arrays)
    assert max(np.abs(g).max() for g in expected[1]) > 1e-3
    close(actual, expected)
    assert all(g.shape == x.shape for g, x in zip(actual[1], arrays, strict=True))


def finite_where_nothing_is_allowed(loss: InBatch, *batch: np.ndarray, **hyper) -> None:
    def reduced(x):
        rows = (x, *map(jnp.array, batch[1:]))
        count = len(x)
        values = loss.rows(rows, rows, jnp.arange(count), jnp.zeros((count, count), bool), **hyper)
        return values, loss.reduce(values, jnp.ones(count)), loss.reduce(values, jnp.zeros(count))

    for leaf in jax.tree.leaves(jax.jit(reduced)(jnp.array(batch[0]))):
        assert np.isfinite(leaf).all()
    for k in (1, 2):
        assert np.isfinite(jax.jit(jax.grad(lambda x, k=k: reduced(x)[k]))(jnp.array(batch[0]))).all()


@contextmanager
def unchecked_shapes() -> Iterator[None]:
    """Without jaxtyping's own check, which would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def st_loss(name: str, **options):
    pytest.importorskip("torch")
    return getattr(pytest.importorskip("sentence_transformers.losses"), name)(model=None, **options)


def candidates(seed: int, rows: int = 5, negatives: int = 3, width: int = 6) -> list[np.ndarray]:
    columns = [normal(seed, rows, width), normal(seed + 1, rows, width)]
    return [*columns, normal(seed + 2, rows, negatives, width), normal(seed + 3, rows, negatives)]
