import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.huggingface.weights import encoder_to_tensors
from jaxemb.models import attention
from jaxemb.models.bert import Layer, distance_buckets
from jaxemb.models.dropout import dropout_hashes
from jaxemb.models.encoder import Encoder
from jaxemb.models.layers import Tokens, layer_norm, look_up
from support.families import CONFIG, FAMILIES, LENGTH, LENGTHS, ROWS, batch, close, oracle, to_ours
from support.tiers import sampled
from support.tiny_models import tiny_embedder


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradient(config, params, ids, mask, weight):
    def loss(params):
        out = Encoder(config, with_first=True).apply({"params": params}, ids, mask)
        return (out.last * weight).sum(), out

    return jax.value_and_grad(loss, has_aux=True)(params)


def assert_equals_transformers(config, padding):
    torch, model = oracle(config)
    ids, mask = batch(padding, config)
    weight = np.random.default_rng(1).normal(size=(ROWS, LENGTH, 32)).astype(np.float32) * mask[:, :, None]

    theirs = model(torch.tensor(ids), torch.tensor(mask.astype(np.int64)), output_hidden_states=True)
    (theirs.last_hidden_state * torch.tensor(weight)).sum().backward()

    (_, ours), gradient = value_and_gradient(config, to_ours(model, config), ids, mask, weight)
    close(np.asarray(ours.last)[mask], theirs.last_hidden_state.detach().numpy()[mask])
    close(np.asarray(ours.first)[mask], theirs.hidden_states[1].detach().numpy()[mask])
    # The table of weights carries gradients as it carries weights: every parameter is compared.
    gradients = encoder_to_tensors(gradient, config)
    padded = {
        name + ".weight" for name, module in model.named_modules() if getattr(module, "padding_idx", None) is not None
    }
    named = {name: one.grad.numpy() for name, one in model.named_parameters() if one.grad is not None}
    largest = max(np.abs(one).max() for one in named.values())
    for name, mine in gradients.items():
        # The gradient of a key's bias is zero but for rounding, and a padding row has none in torch.
        wanted = named[name]
        if name in padded:
            mine[config.pad_token_id] = 0
        assert np.abs(mine - wanted).max() <= 1e-5 * max(np.abs(wanted).max(), 1e-2 * largest), name
        assert wanted.any(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_transformers_in_value_and_gradient(family):
    for padding in ("right", "left"):
        assert_equals_transformers(FAMILIES[family], padding)


@pytest.mark.parametrize("activation", ["gelu_new", "relu", "silu"])
def test_activations_equal_transformers(activation):
    assert_equals_transformers(CONFIG.model_copy(update={"hidden_act": activation}), "right")


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_token_types_equal_transformers(family):
    config = FAMILIES[family].model_copy(update={"type_vocab_size": 2})
    torch, model = oracle(config)
    ids, mask = batch("right", config)
    types = np.random.default_rng(2).integers(0, 2, ids.shape).astype(np.int32)
    tensors = [torch.tensor(array.astype(np.int64)) for array in (ids, mask, types)]
    theirs = model(*tensors).last_hidden_state.detach().numpy()
    ours = forward(Encoder(config), to_ours(model, config), ids, mask, types)
    close(np.asarray(ours)[mask], theirs[mask])
    without = forward(Encoder(config), to_ours(model, config), ids, mask)
    assert np.abs(np.asarray(without) - theirs)[mask].max() > 0.01


@pytest.mark.parametrize("family", ["roberta", "mpnet"])
def test_a_text_that_spells_out_the_padding_token(family):
    config = FAMILIES[family]
    torch, model = oracle(config)
    ids, mask = batch("right", config)
    ids[:, 5] = config.pad_token_id
    theirs = model(torch.tensor(ids), torch.tensor(mask.astype(np.int64))).last_hidden_state.detach().numpy()
    params = to_ours(model, config)
    close(np.asarray(forward(Encoder(config), params, ids, mask))[mask], theirs[mask])


def test_distance_buckets_equal_transformers():
    torch = pytest.importorskip("torch")
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    places = torch.arange(512)
    theirs = MPNetEncoder.relative_position_bucket(places[None] - places[:, None])
    np.testing.assert_array_equal(distance_buckets(512), theirs.numpy())


@pytest.mark.parametrize("key", sampled([jax.random.key(3)], [None]))
@pytest.mark.parametrize("family", sampled(["modernbert"], ["qwen3", "mpnet"], draw=1))
def test_attention_in_blocks_equals_attention_at_once(monkeypatch, family, key):
    config = FAMILIES[family].model_copy(update={"attention_probs_dropout_prob": 0.2, "num_hidden_layers": 2})
    params = tiny_embedder(encoder=config).params["encoder"]
    whole = run(params, key, config)
    monkeypatch.setattr(attention, "WHOLE", 7)
    monkeypatch.setattr(attention, "BLOCK", 8)  # does not divide the length
    blocks = run(params, key, config)
    np.testing.assert_allclose(blocks[0], whole[0], rtol=1e-5)
    assert_trees_close(blocks[1], whole[1])


def test_blocks_need_memory_in_the_length_not_in_its_square():
    def temporary(length):
        x = jax.ShapeDtypeStruct((1, 2, length, 8), jnp.float32)
        mask, positions = jax.ShapeDtypeStruct((1, 1, length), bool), jax.ShapeDtypeStruct((1, length), jnp.int32)

        def loss(x, mask, positions):
            return attention.attend(x, x, x, mask=mask, positions=positions).sum()

        return jax.jit(jax.grad(loss)).lower(x, mask, positions).compile().memory_analysis().temp_size_in_bytes

    assert temporary(8192) < 4.5 * temporary(2048)  # 16 times, if the scores were whole


def assert_trees_close(ours, theirs):
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(theirs))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6 * scale), ours, theirs)


def run(params, key, config=CONFIG, **settings):
    ids, mask = batch("right", config)

    def loss(params):
        drop = None if key is None else dropout_hashes(key, jnp.arange(ROWS))
        out = Encoder(config, **settings).apply({"params": params}, jnp.asarray(ids), jnp.asarray(mask), None, drop)[0]
        return jnp.sum(jnp.sin(out) * mask[:, :, None])

    return jax.jit(jax.value_and_grad(loss))(params)


@pytest.fixture(scope="module")
def params():
    return tiny_embedder(encoder=CONFIG).params["encoder"]


@functools.partial(jax.jit, static_argnums=0)
def forward(encoder, params, *arrays):
    return encoder.apply({"params": params}, *arrays).last


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_remat_changes_nothing(params, remat):
    key = jax.random.key(5)  # with dropout: the second forward pass must draw the same masks
    value, gradient = run(params, key)
    again, gradient_again = run(params, key, remat=remat)
    terms = LENGTHS.sum() * CONFIG.hidden_size  # of about 1, which mostly cancel
    np.testing.assert_allclose(again, value, atol=1e-7 * terms)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), gradient_again, gradient)


def test_scan_equals_layers_one_by_one(params):
    ids, mask = batch("right")
    whole = forward(Encoder(CONFIG), params, ids, mask)
    shallow = params | {"layers": jax.tree.map(lambda leaf: leaf[:1], params["layers"])}
    first = CONFIG.model_copy(update={"num_hidden_layers": 1})
    x = forward(Encoder(first), shallow, ids, mask)
    for index in (1, 2):
        layer = jax.tree.map(lambda leaf, index=index: leaf[index], params["layers"])
        tokens = Tokens(jnp.asarray(mask)[:, None], jnp.arange(mask.shape[1])[None])
        x = Layer(CONFIG, jnp.float32).apply({"params": layer}, x, jnp.asarray(index), tokens)
    np.testing.assert_allclose(x, whole, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_close_and_keeps_float32_gradients(params):
    ids, mask = batch("right")
    exact = forward(Encoder(CONFIG), params, ids, mask)
    rough = forward(Encoder(CONFIG, dtype=jnp.bfloat16), params, ids, mask)
    assert rough.dtype == jnp.bfloat16
    difference = np.abs(np.asarray(exact) - np.asarray(rough, np.float32))[mask]
    assert 0 < difference.max() < 0.1
    _, gradient = run(params, None, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


class Table(nn.Module):
    @nn.compact
    def __call__(self, ids):
        return look_up(CONFIG, 4, jnp.bfloat16, "table", ids)


def test_the_gradient_of_a_table_is_summed_in_float32():
    """Of a row that comes a thousand times; in bfloat16 a sum of ones ends at 256."""
    ids = jnp.full((10, 100), 2)
    params = Table().init(jax.random.key(0), ids)
    gradient = jax.grad(lambda params: jnp.sum(Table().apply(params, ids).astype(jnp.float32)))(params)
    np.testing.assert_array_equal(gradient["params"]["table"]["embedding"][:, 0], [0, 0, 1000, 0])


def test_norm_is_exact_far_from_zero():
    x = np.random.default_rng(0).normal(1000, 1, (4, 32)).astype(np.float32)
    norm = layer_norm(CONFIG, jnp.float32, "norm")
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(1, keepdims=True)) / exact.std(1, keepdims=True)
    ours = norm.apply({"params": {"scale": jnp.ones(32), "bias": jnp.zeros(32)}}, x)
    np.testing.assert_allclose(ours, exact, atol=1e-3)


def test_too_many_tokens_are_refused(params):
    ids = jnp.ones((1, 21), jnp.int32)
    with pytest.raises(ValueError, match="21 tokens do not fit max_position_embeddings"):
        Encoder(CONFIG).apply({"params": params}, ids, ids.astype(bool))
