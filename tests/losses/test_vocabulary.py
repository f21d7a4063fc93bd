import math
import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, PartitionSpec

from jaxemb import losses
from support.loss_checks import embeddings, equal_to_torch, finite

LABELS = np.array([0, 22, 7, -100, 15, 16, 7, 21], np.int32)


def batch(seed: int = 0, vocabulary: int = 23, width: int = 5):
    bias = embeddings(seed + 2, vocabulary, 1)[:, 0]
    return embeddings(seed, 8, width), 2 * embeddings(seed + 1, vocabulary, width), bias


def test_by_hand():
    vectors = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    embedding, bias = jnp.array([[2.0, 0.0], [0.0, 0.0], [0.0, 5.0]]), jnp.array([0.0, 1.0, -4.0])
    # logits 2, 1, -4 and 0, 1, 1
    expected = [math.log(math.exp(2) + math.exp(1) + math.exp(-4)) - 1, math.log(1 + 2 * math.e) - 1, 0.0]
    labels = jnp.array([1, 2, -100])
    np.testing.assert_allclose(losses.masked_lm(vectors, labels, embedding, bias, chunk=2), expected, rtol=1e-6)
    weighted = losses.masked_lm(vectors, labels, embedding, bias, weights=jnp.array([3.0, 0.0, 1.0]))
    np.testing.assert_allclose(weighted, np.array(expected) * [3, 0, 1], rtol=1e-6)


@pytest.mark.parametrize("chunk", [1, 4, 8, 22, 23, 8192])
@pytest.mark.parametrize("with_bias", [False, True])
def test_value_and_gradients_are_those_of_torch_in_float64(chunk, with_bias):
    torch = pytest.importorskip("torch")
    factors = np.array([1.0, 0.5, 2.0, 1.0, -1.0, 0.0, 1.0, 3.0], np.float32)

    def ours(vectors, embedding, bias=None):
        return jnp.sum(factors * losses.masked_lm(vectors, jnp.array(LABELS), embedding, bias, chunk=chunk))

    def theirs(vectors, embedding, bias=None):
        logits = vectors.double() @ embedding.double().T
        logits = logits if bias is None else logits + bias.double()
        labels = torch.tensor(LABELS).long()
        each = torch.nn.functional.cross_entropy(logits, labels, reduction="none", ignore_index=-100)
        return (torch.tensor(factors).double() * each).sum()

    equal_to_torch(ours, theirs, list(batch()[: 2 + with_bias]))


def test_an_ignored_label_has_no_loss_and_no_gradient():
    vectors, embedding, bias = map(jnp.array, batch())
    labels = jnp.full(8, -100)
    loss, gradients = jax.value_and_grad(
        lambda *x: losses.masked_lm(x[0], labels, x[1], x[2], chunk=4).sum(), (0, 1, 2)
    )(vectors, embedding, bias)
    assert loss == 0.0
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, 0.0)
    each = jax.jacobian(lambda x: losses.masked_lm(x, jnp.array(LABELS), embedding, bias, chunk=4))(vectors)
    np.testing.assert_array_equal(each[3], 0.0)
    np.testing.assert_array_equal(each[:, 3], 0.0)
    assert np.abs(each[0, 0]).max() > 0.01


@pytest.mark.parametrize("vocabulary", [1000, 1037])
def test_no_array_is_larger_than_the_embedding(vocabulary):
    rows, width, chunk = 128, 8, 50

    def loss(vectors, embedding, bias):
        return losses.masked_lm(vectors, jnp.arange(rows), embedding, bias, chunk=chunk).sum()

    shapes = jnp.zeros((rows, width)), jnp.zeros((vocabulary, width)), jnp.zeros(vocabulary)
    compiled = jax.jit(jax.value_and_grad(loss, (0, 1, 2))).lower(*shapes).compile()
    sizes = {
        math.prod(map(int, dims.split(",")))
        for dims in re.findall(r"\b(?:f32|pred|s32|bf16)\[([\d,]+)\]", compiled.as_text())
    }
    assert rows * chunk in sizes
    assert max(sizes) == vocabulary * width < rows * vocabulary


@pytest.mark.parametrize("devices", [2, 8])
def test_on_a_mesh_with_the_embedding_replicated(devices):
    vectors, embedding, bias = map(jnp.array, batch())
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    rows, everywhere = PartitionSpec("data"), PartitionSpec()

    def mean(vectors, labels, embedding, bias):
        return jax.lax.pmean(losses.masked_lm(vectors, labels, embedding, bias, chunk=4).mean(), "data")

    specs = (rows, rows, everywhere, everywhere)
    on_mesh = jax.jit(jax.shard_map(mean, mesh=mesh, in_specs=specs, out_specs=everywhere, check_vma=True))

    def dense(vectors, labels, embedding, bias):
        return losses.masked_lm(vectors, labels, embedding, bias, chunk=4).mean()

    arguments = vectors, jnp.array(LABELS), embedding, bias
    expected = jax.value_and_grad(dense, (0, 2, 3))(*arguments)
    actual = jax.value_and_grad(on_mesh, (0, 2, 3))(*arguments)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), actual, expected)


@given(seed=st.integers(0, 2**31), chunk=st.integers(1, 30))
@settings(max_examples=8, deadline=None)
def test_permuting_positions_and_shifting_logits(seed, chunk):
    vectors, embedding, bias = map(jnp.array, batch(seed))
    labels, order = jnp.array(LABELS), np.random.default_rng(seed).permutation(8)
    plain = losses.masked_lm(vectors, labels, embedding, bias, chunk=chunk)
    moved = losses.masked_lm(vectors[order], labels[order], embedding, bias + 3.0, chunk=chunk)
    np.testing.assert_allclose(moved, plain[order], rtol=1e-4, atol=1e-5)


def test_huge_logits_zero_rows_and_equal_rows_are_finite():
    vectors, embedding, bias = batch()
    vectors[0] = 0.0
    vectors[1] = vectors[2]
    embedding[:6] = 0.0
    for factor in (1.0, 1e4):
        for chunk in (4, 23):
            finite(
                lambda v, e, b, c=chunk: losses.masked_lm(v, jnp.array(LABELS), e, b, chunk=c),
                factor * vectors, embedding, factor * bias,
            )  # fmt: skip


def test_short_types_are_computed_in_float32_and_get_gradients_of_their_own_type():
    short = [jnp.array(x).astype(jnp.bfloat16) for x in batch()]
    labels = jnp.array(LABELS)

    def loss(vectors, embedding, bias):
        return losses.masked_lm(vectors, labels, embedding, bias, chunk=4)

    assert loss(*short).dtype == jnp.float32
    long = [x.astype(jnp.float32) for x in short]
    np.testing.assert_array_equal(loss(*short), loss(*long))
    gradients = jax.grad(lambda *x: loss(*x).sum(), (0, 1, 2))(*short)
    expected = jax.grad(lambda *x: loss(*x).sum(), (0, 1, 2))(*long)
    for gradient, exact in zip(gradients, expected, strict=True):
        assert gradient.dtype == jnp.bfloat16
        np.testing.assert_array_equal(gradient, exact.astype(jnp.bfloat16))


def test_products_in_bfloat16_are_those_of_rounded_inputs():
    vectors, embedding, bias = map(jnp.array, batch())
    rounded = [jnp.asarray(x.astype(jnp.bfloat16), jnp.float32) for x in (vectors, embedding)]

    def loss(vectors, embedding, bias, dtype):
        return losses.masked_lm(vectors, jnp.array(LABELS), embedding, bias, chunk=4, dtype=dtype)

    exact = loss(*rounded, bias, jnp.float32)
    np.testing.assert_allclose(loss(vectors, embedding, bias, jnp.bfloat16), exact, rtol=1e-6)
    assert np.abs(exact - loss(vectors, embedding, bias, jnp.float32)).max() > 1e-3

    def gradients(vectors, embedding, dtype):
        return jax.grad(lambda *x: loss(*x, dtype).sum(), (0, 1, 2))(vectors, embedding, bias)

    found, wanted = gradients(vectors, embedding, jnp.bfloat16), gradients(*rounded, jnp.float32)
    for short, long in zip(found, wanted, strict=True):
        assert short.dtype == jnp.float32
        assert np.abs(short - long).max() < 2**-7 * np.abs(long).max()
    np.testing.assert_allclose(found[2], wanted[2], rtol=1e-5, atol=1e-7)  # sums, of what is not rounded


def test_a_label_beyond_the_vocabulary_is_nan():
    vectors, embedding, bias = map(jnp.array, batch())
    loss = losses.masked_lm(vectors, jnp.array(LABELS).at[2].set(23), embedding, bias, chunk=4)
    np.testing.assert_array_equal(np.isnan(loss), np.arange(8) == 2)


def test_gather_positions():
    hidden = jnp.array(embeddings(0, 6, 4).reshape(2, 3, 4))
    gathered = losses.gather_positions(hidden, jnp.array([[2, 0], [1, 1]]))
    np.testing.assert_array_equal(gathered, np.stack([hidden[0, 2], hidden[0, 0], hidden[1, 1], hidden[1, 1]]))


def test_products_are_at_highest_precision():
    vectors, embedding, bias = map(jnp.array, batch())
    both = jax.make_jaxpr(jax.grad(lambda v: losses.masked_lm(v, jnp.array(LABELS), embedding, bias).sum()))(vectors)
    products = re.findall(r"dot_general\[.*?\]", str(both), re.DOTALL)
    assert str(both).count("dot_general[") == len(products) == str(both).count("precision=(Precision.HIGHEST")
    assert len(products) == 4


def test_bad_shapes_and_chunks_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)  # whose own check would come first
    try:
        vectors, embedding, bias = map(jnp.array, batch())
        with pytest.raises(ValueError, match="give \\[N, H\\]"):
            losses.masked_lm(vectors, jnp.array(LABELS[:3]), embedding, bias)
        with pytest.raises(ValueError, match="give \\[N, H\\]"):
            losses.masked_lm(vectors, jnp.array(LABELS), embedding, bias[:3])
        with pytest.raises(ValueError, match="chunk: 0"):
            losses.masked_lm(vectors, jnp.array(LABELS), embedding, None, chunk=0)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
