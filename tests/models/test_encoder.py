import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.huggingface.files.weights import encoder_to_tensors
from jaxemb.models.encoder import Encoder
from support.families import CONFIG, FAMILIES, LENGTH, LENGTHS, ROWS, batch, close, forward, oracle, run, to_ours
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


@pytest.fixture(scope="module")
def params():
    return tiny_embedder(encoder=CONFIG).params["encoder"]


@pytest.mark.parametrize("remat", ["dots", "full"])
def test_remat_changes_nothing(params, remat):
    key = jax.random.key(5)  # with dropout: the second forward pass must draw the same masks
    value, gradient = run(params, key)
    again, gradient_again = run(params, key, remat=remat)
    terms = LENGTHS.sum() * CONFIG.hidden_size  # of about 1, which mostly cancel
    np.testing.assert_allclose(again, value, atol=1e-7 * terms)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), gradient_again, gradient)


def test_bfloat16_is_close_and_keeps_float32_gradients(params):
    ids, mask = batch("right")
    exact = forward(Encoder(CONFIG), params, ids, mask)
    rough = forward(Encoder(CONFIG, dtype=jnp.bfloat16), params, ids, mask)
    assert rough.dtype == jnp.bfloat16
    difference = np.abs(np.asarray(exact) - np.asarray(rough, np.float32))[mask]
    assert 0 < difference.max() < 0.1
    _, gradient = run(params, None, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}


def test_too_many_tokens_are_refused(params):
    ids = jnp.ones((1, 21), jnp.int32)
    with pytest.raises(ValueError, match="21 tokens do not fit max_position_embeddings"):
        Encoder(CONFIG).apply({"params": params}, ids, ids.astype(bool))
