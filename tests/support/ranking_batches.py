"""Queries, documents and hard negatives, and a loss of them against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

B, D = 6, 10


def embeddings(seed: int, hard: int = 0, width: int = D) -> list[np.ndarray]:
    """Queries, documents near them and so many hard negatives of each."""
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(B, width)).astype(np.float32)
    arrays = [queries, queries + rng.normal(size=(B, width)).astype(np.float32)]
    if hard:
        arrays.append((queries[:, None] + 1.5 * rng.normal(size=(B, hard, width))).astype(np.float32))
    return arrays


def jax_gradients(loss, arrays):
    return jax.value_and_grad(lambda *arrays: loss(*arrays).mean(), range(len(arrays)))(*map(jnp.array, arrays))


def compare(ours, oracle, arrays):
    """Value and gradients of `ours(*arrays)`, per row, and of `oracle(tensors, columns)` in PyTorch."""
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    columns = [*tensors[:2], *(tensors[2].unbind(1) if len(tensors) > 2 else ())]
    expected = oracle(columns)
    expected.backward()
    loss, gradients = jax_gradients(ours, arrays)
    np.testing.assert_allclose(loss, expected.item(), atol=1e-5)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert np.abs(tensor.grad.numpy()).max() > 1e-3
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-5)
