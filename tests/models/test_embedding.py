import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import BertConfig, DenseConfig, ModelConfig
from jaxemb.models import embedding_size, init
from support.tiny_models import ENCODER, embed, tiny_embedder

TOKENS = {
    "input_ids": jnp.array([[2, 9, 8, 7, 3], [2, 11, 3, 0, 0]]),
    "attention_mask": jnp.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
}


def test_initial_parameters_have_the_right_spread():
    params = jax.jit(init, static_argnums=0)(ModelConfig(encoder=ENCODER), jax.random.key(0))
    kernel = params["encoder"]["layers"]["intermediate"]["kernel"]
    assert kernel.shape == (2, 32, 48)
    assert abs(float(kernel.std()) - 0.1) < 0.01
    assert abs(float(params["encoder"]["word_embeddings"]["embedding"].std()) - 0.1) < 0.01
    assert not np.array_equal(kernel[0], kernel[1])  # layers are drawn apart
    assert not np.any(params["dense"]["bias"])
    assert np.all(params["encoder"]["layers"]["output_norm"]["scale"] == 1)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_vocabulary_must_be_known():
    with pytest.raises(ValueError, match="vocab_size"):
        init(ModelConfig(encoder=BertConfig()), jax.random.key(0))


def test_labse_head_by_hand():
    embedder = tiny_embedder(dense=DenseConfig(out_features=6))
    vectors = embed(embedder.config.model_copy(update={"dense": None, "normalize": False}), embedder.params, TOKENS)
    dense = jax.tree.map(np.asarray, embedder.params["dense"])
    x = np.tanh(np.asarray(vectors) @ dense["kernel"] + dense["bias"])
    out = embed(embedder.config, embedder.params, TOKENS)
    np.testing.assert_allclose(out, x / np.linalg.norm(x, axis=1, keepdims=True), atol=1e-6)
    assert embedding_size(embedder.config) == out.shape[1] == 6


def test_identity_activation_and_no_normalisation():
    tanh = tiny_embedder(normalize=False)
    identity = tanh.config.model_copy(update={"dense": DenseConfig(activation="identity")})
    straight, bent = embed(identity, tanh.params, TOKENS), embed(tanh.config, tanh.params, TOKENS)
    np.testing.assert_allclose(np.tanh(straight), bent, atol=1e-6)
    assert np.abs(straight - bent).max() > 0.1


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_does_not_matter(pooling):
    embedder = tiny_embedder(pooling=pooling)
    alone = {name: array[1:, :3] for name, array in TOKENS.items()}
    padded = embed(embedder.config, embedder.params, TOKENS)
    np.testing.assert_allclose(embed(embedder.config, embedder.params, alone)[0], padded[1], atol=1e-6)


def test_bfloat16_gives_float32_embeddings_of_length_one():
    embedder = tiny_embedder()
    exact = embed(embedder.config, embedder.params, TOKENS)
    rough = embed(embedder.config.model_copy(update={"compute_dtype": "bfloat16"}), embedder.params, TOKENS)
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(np.linalg.norm(rough, axis=1), 1, atol=1e-6)
    assert 0 < np.abs(rough - exact).max() < 0.05


def test_parameters_can_be_differentiated_through_every_leaf():
    embedder = tiny_embedder()
    loss = jax.jit(jax.grad(lambda params: jnp.sum(embedder.apply(params, TOKENS) ** 3)))
    for path, leaf in jax.tree_util.tree_leaves_with_path(loss(embedder.params)):
        name = jax.tree_util.keystr(path)
        if "'key']['bias'" in name:  # its true gradient is zero
            assert np.abs(leaf).max() < 1e-5
        else:
            assert np.abs(leaf).max() > 1e-5, name


def test_scanned_and_unrolled_layers_agree():
    embedder = tiny_embedder()
    tokens = {"input_ids": jnp.arange(5, 37).reshape(4, 8), "attention_mask": jnp.ones((4, 8), jnp.int32)}

    def loss(params, scan):
        config = embedder.config.model_copy(update={"scan_layers": scan})
        rows = embed(config, params, tokens, jax.random.key(1))
        return (rows * jnp.arange(32.0)[None]).sum(), rows

    scanned, unrolled = (jax.value_and_grad(loss, has_aux=True)(embedder.params, scan) for scan in (True, False))
    for a, b in zip(jax.tree.leaves(scanned), jax.tree.leaves(unrolled), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(1.0, float(jnp.abs(b).max())))  # float32 rounding
