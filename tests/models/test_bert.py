import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import tiny_embedder

from jaxemb.config import BertConfig
from jaxemb.huggingface.configs import encoder_config_json
from jaxemb.huggingface.weights import encoder_from_tensors
from jaxemb.models.bert import Bert, Layer, Tokens, _norm
from jaxemb.models.dropout import dropout_hashes

CONFIG = BertConfig(
    vocab_size=60,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=20,
    initializer_range=0.1,  # five times BERT's
)
LENGTHS = np.array([20, 13, 1, 7])  # the full length, one token, and some padding
ROWS, LENGTH = len(LENGTHS), 20
GRADIENTS = {
    "embeddings.word_embeddings.weight": ("word_embeddings", "embedding"),
    "embeddings.LayerNorm.weight": ("embeddings_norm", "scale"),
    "encoder.layer.0.attention.self.query.weight": ("layers", "attention", "query", "kernel"),
    "encoder.layer.1.attention.self.value.bias": ("layers", "attention", "value", "bias"),
    "encoder.layer.2.intermediate.dense.weight": ("layers", "intermediate", "kernel"),
    "encoder.layer.2.output.LayerNorm.bias": ("layers", "output_norm", "bias"),
}


def batch(padding):
    rng = np.random.default_rng(0)
    ids = rng.integers(1, CONFIG.vocab_size, (ROWS, LENGTH)).astype(np.int32)
    mask = np.arange(LENGTH)[None] < LENGTHS[:, None]
    return ids, mask if padding == "right" else mask[:, ::-1].copy()


def oracle(config):
    """A live `transformers.BertModel` whose biases and norms are random, too."""
    torch = pytest.importorskip("torch")
    import transformers

    torch.manual_seed(0)
    model = transformers.BertModel(
        transformers.BertConfig(**encoder_config_json(config), attn_implementation="eager"), add_pooling_layer=False
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return torch, model


def to_ours(model, config):
    return encoder_from_tensors(
        {name: (lambda t=t: t.detach().numpy()) for name, t in model.state_dict().items()}, config, Path("oracle")
    )


def leaf(tree, path):
    for key in path:
        tree = tree[key]
    return np.asarray(tree)


def close(ours, theirs, tolerance=1e-5):
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_equals_transformers_in_value_and_gradient(activation, padding):
    config = CONFIG.model_copy(update={"hidden_act": activation})
    torch, model = oracle(config)
    ids, mask = batch(padding)
    weight = np.random.default_rng(1).normal(size=(ROWS, LENGTH, 32)).astype(np.float32) * mask[:, :, None]

    theirs = model(torch.tensor(ids), torch.tensor(mask.astype(np.int64))).last_hidden_state
    (theirs * torch.tensor(weight)).sum().backward()

    def loss(params):
        out = Bert(config).apply({"params": params}, jnp.asarray(ids), jnp.asarray(mask))
        return (out * weight).sum(), out

    (_, ours), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(to_ours(model, config))
    close(np.asarray(ours)[mask], theirs.detach().numpy()[mask])
    named = dict(model.named_parameters())
    for name, path in GRADIENTS.items():
        mine = leaf(gradient, path)
        mine = mine[int(name.split(".")[2])] if "layer." in name else mine
        mine = mine.T if path[-1] == "kernel" else mine
        close(mine, named[name].grad.numpy())


def test_token_types_equal_transformers():
    torch, model = oracle(CONFIG)
    ids, mask = batch("right")
    types = np.random.default_rng(2).integers(0, 2, ids.shape).astype(np.int32)
    tensors = [torch.tensor(array.astype(np.int64)) for array in (ids, mask, types)]
    theirs = model(*tensors).last_hidden_state.detach().numpy()
    ours = forward(Bert(CONFIG), to_ours(model, CONFIG), ids, mask, types)
    close(np.asarray(ours)[mask], theirs[mask])
    without = forward(Bert(CONFIG), to_ours(model, CONFIG), ids, mask)
    assert np.abs(np.asarray(without) - theirs)[mask].max() > 0.01


def run(params, key, **settings):
    ids, mask = batch("right")

    def loss(params):
        drop = None if key is None else dropout_hashes(key, jnp.arange(ROWS))
        out = Bert(CONFIG, **settings).apply({"params": params}, jnp.asarray(ids), jnp.asarray(mask), None, drop)
        return jnp.sum(jnp.sin(out) * mask[:, :, None])

    return jax.jit(jax.value_and_grad(loss))(params)


@pytest.fixture(scope="module")
def params():
    return tiny_embedder(encoder=CONFIG).params["encoder"]


@functools.partial(jax.jit, static_argnums=0)
def forward(bert, params, *arrays):
    return bert.apply({"params": params}, *arrays)


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_remat_changes_nothing(params, remat):
    key = jax.random.key(5)  # with dropout: the second forward pass must draw the same masks
    value, gradient = run(params, key)
    again, gradient_again = run(params, key, remat=remat)
    np.testing.assert_allclose(again, value, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), gradient_again, gradient)


def test_scan_equals_layers_one_by_one(params):
    ids, mask = batch("right")
    whole = forward(Bert(CONFIG), params, ids, mask)
    shallow = params | {"layers": jax.tree.map(lambda leaf: leaf[:1], params["layers"])}
    first = CONFIG.model_copy(update={"num_hidden_layers": 1})
    x = forward(Bert(first), shallow, ids, mask)
    for index in (1, 2):
        layer = jax.tree.map(lambda leaf, index=index: leaf[index], params["layers"])
        x, _ = forward(
            Layer(CONFIG, jnp.float32),
            layer,
            x,
            jnp.asarray(index),
            Tokens(mask[:, None], np.arange(mask.shape[1])[None], None),
        )
    np.testing.assert_allclose(x, whole, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_close_and_keeps_float32_gradients(params):
    ids, mask = batch("right")
    exact = forward(Bert(CONFIG), params, ids, mask)
    rough = forward(Bert(CONFIG, dtype=jnp.bfloat16), params, ids, mask)
    assert rough.dtype == jnp.bfloat16
    difference = np.abs(np.asarray(exact) - np.asarray(rough, np.float32))[mask]
    assert 0 < difference.max() < 0.1
    _, gradient = run(params, None, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


def test_norm_is_exact_far_from_zero():
    x = np.random.default_rng(0).normal(1000, 1, (4, 32)).astype(np.float32)
    norm = _norm(CONFIG, jnp.float32, "norm")
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(1, keepdims=True)) / exact.std(1, keepdims=True)
    ours = norm.apply({"params": {"scale": jnp.ones(32), "bias": jnp.zeros(32)}}, x)
    np.testing.assert_allclose(ours, exact, atol=1e-3)


def test_too_many_tokens_are_refused(params):
    ids = jnp.ones((1, 21), jnp.int32)
    with pytest.raises(ValueError, match="21 tokens do not fit max_position_embeddings"):
        Bert(CONFIG).apply({"params": params}, ids, ids.astype(bool))
