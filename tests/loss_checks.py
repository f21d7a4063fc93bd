"""What every loss is checked for: an oracle in PyTorch, finite gradients, short types, rows against columns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np

from jaxemb.losses.in_batch import InBatch, batch_loss, row_values


def embeddings(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def equal_to_torch(loss: Callable, oracle: Callable, arrays: list[np.ndarray], gradient_at_least=0.01) -> None:
    """Value, and gradient with respect to every array, of two functions to a scalar."""
    import torch

    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    expected = oracle(tensors)
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


def rows_are_slices_of_the_whole(loss: InBatch, *batch: np.ndarray, **hyper: float) -> None:
    columns = tuple(jnp.array(x) for x in batch)
    whole, count = row_values(loss, tuple(columns), **hyper), len(batch[0])
    assert len(set(np.asarray(whole).tolist())) > 1
    for start, stop in ((0, count // 2), (count // 2, count), (count - 1, count)):
        rows = tuple(x[start:stop] for x in columns)
        part = loss.rows(rows, columns, jnp.arange(start, stop), jnp.ones((stop - start, count), bool), **hyper)
        np.testing.assert_allclose(part, whole[start:stop], rtol=1e-6)


def padding_changes_nothing(loss: InBatch, batch: list[np.ndarray], padding: list[np.ndarray], **hyper) -> None:
    """Value and gradient with respect to the first array, with rows of padding before and after the real ones."""
    real, before = len(batch[0]), len(padding[0]) // 2
    weights = jnp.zeros(real + len(padding[0])).at[before : before + real].set(1.0)
    padded = [jnp.array(np.concatenate([p[:before], x, p[before:]])) for x, p in zip(batch, padding, strict=True)]

    def plain(first):
        return batch_loss(loss, (first, *map(jnp.array, batch[1:])), **hyper)

    def with_padding(first):
        arrays = (first, *padded[1:])
        allowed = jnp.broadcast_to((weights > 0)[None, :], (len(weights), len(weights)))
        return loss.reduce(loss.rows(arrays, arrays, jnp.arange(len(weights)), allowed, **hyper), weights)

    expected, expected_gradient = jax.value_and_grad(plain)(jnp.array(batch[0]))
    value, gradient = jax.value_and_grad(with_padding)(padded[0])
    assert np.abs(expected_gradient).max() > 0.01
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient[before : before + real], expected_gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(gradient[:before], 0.0)
    np.testing.assert_array_equal(gradient[before + real :], 0.0)


@contextmanager
def unchecked_shapes() -> Iterator[None]:
    """Without jaxtyping's own check, which would come first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
