"""`chunked_embed` is `embed` itself, in the memory of a chunk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.parallel import chunked_embed, make_mesh
from support.loss_cases import IN_BATCH


def test_memory_is_that_of_a_chunk():
    mesh = make_mesh(1, 1, jax.devices()[:1])
    x, kernel = jax.ShapeDtypeStruct((4096, 256), jnp.float32), jax.ShapeDtypeStruct((256, 256), jnp.float32)

    def embed(kernel, x, key):
        for _ in range(8):
            x = jnp.tanh(x @ kernel)
        return x[:, :8]

    def used(chunk):
        def loss(kernel, x):
            out = embed(kernel, x, None) if chunk is None else chunked_embed(embed, kernel, x, None, chunk, mesh=mesh)
            return jnp.sum(out**2)

        return jax.jit(jax.grad(loss)).lower(kernel, x).compile().memory_analysis().temp_size_in_bytes

    assert used(256) < used(None) / 4


@pytest.mark.parametrize("name", ["gist/hard", "siglip", "cosent"])
def test_any_loss_has_the_gradient_of_its_parameters_without_a_mesh(name):
    """Of a linear encoder with random bits for each example; 24 rows in chunks of 5."""
    case = IN_BATCH[name]
    numbers = {key: jnp.float32(value) for key, value in case.numbers.items()}
    floats = [k for k, array in enumerate(case.arrays) if array.ndim > 1]
    kernel = jnp.eye(6) + 0.1 * jnp.arange(36.0).reshape(6, 6) / 36

    def embed(kernel, batch, key):
        bits = jax.vmap(lambda n: jax.random.uniform(jax.random.fold_in(key, n), (6,)))(batch["id"])
        return [
            jnp.matmul(x, kernel, precision="highest") * bits.reshape(-1, *[1] * (x.ndim - 2), 6) for x in batch["x"]
        ]

    def loss(kernel, chunk):
        batch = {"x": [jnp.asarray(case.arrays[k]) for k in floats], "id": jnp.arange(len(case.arrays[0]))}
        arguments = (kernel, batch, jax.random.key(3))
        embeddings = embed(*arguments) if chunk is None else chunked_embed(embed, *arguments, chunk)
        arrays = list(case.arrays)
        for k, embedding in zip(floats, embeddings, strict=True):
            arrays[k] = embedding
        return case.call(arrays, numbers).sum()

    value, gradient = jax.jit(jax.value_and_grad(lambda kernel: loss(kernel, None)))(kernel)
    chunked, chunked_gradient = jax.jit(jax.value_and_grad(lambda kernel: loss(kernel, 5)))(kernel)
    assert jnp.abs(gradient).max() > 0.1
    np.testing.assert_allclose(chunked, value, rtol=1e-6)
    np.testing.assert_allclose(chunked_gradient, gradient, atol=1e-6 * float(jnp.abs(gradient).max()))


def test_chunks_and_rows_that_do_not_go_are_refused():
    mesh = make_mesh(2, 1, jax.devices()[:2])
    with pytest.raises(ValueError, match="chunk: 0 rows"):
        chunked_embed(lambda p, b, k: b, None, jnp.ones((4, 2)), None, 0, mesh=mesh)
    with pytest.raises(ValueError, match="5 rows are not divisible by 2 devices"):
        chunked_embed(lambda p, b, k: b, None, jnp.ones((5, 2)), None, 1, mesh=mesh)


def test_rows_that_fill_up_a_chunk_are_rows_that_there_are():
    """Of a row of zeros this encoder makes NaN, whose gradient times 0 would be that of the parameters."""

    def embed(kernel, rows, _):
        return (rows["x"] * rows["mask"]) @ kernel / rows["mask"].sum(1, keepdims=True)

    rng = np.random.default_rng(0)
    rows = {"x": jnp.asarray(rng.normal(size=(10, 3)), jnp.float32), "mask": jnp.ones((10, 3)).at[4, 1:].set(0.0)}
    kernel = jnp.asarray(rng.normal(size=(3, 2)), jnp.float32)

    def loss(embed):
        return lambda kernel: jnp.sin(embed(kernel)).sum()

    wanted = jax.value_and_grad(loss(lambda kernel: embed(kernel, rows, None)))(kernel)
    for mesh in (None, make_mesh(2, 1, jax.devices()[:2])):
        found = jax.value_and_grad(loss(lambda kernel, m=mesh: chunked_embed(embed, kernel, rows, None, 3, mesh=m)))(
            kernel
        )
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), found, wanted)
