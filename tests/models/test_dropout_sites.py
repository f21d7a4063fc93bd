"""Each dropout acts where transformers applies it in training: with a mask that is no chance, the two are equal."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.huggingface.files.configs import encoder_config_json, read_encoder_config
from jaxemb.huggingface.files.weights import encoder_to_tensors
from jaxemb.models.dropout import dropout_hashes
from jaxemb.models.encoder import Encoder
from support.families import FAMILIES, batch, close, oracle, to_ours
from support.tiers import sampled

RATES = {
    "bert": {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2},
    "distilbert": {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2},
    "mpnet": {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2},
    "modernbert": {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2, "embedding_dropout": 0.4},
    "qwen3": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.2},
}


def scaled(x, rate, cosine):
    """Replaces dropout: values are scaled by their position and the rate."""
    return x * (1 + rate * cosine(x.size if isinstance(x.size, int) else x.numel()).reshape(x.shape))


def ours(x, hashes, rate, *, site, counter):
    return x if hashes is None or not rate else scaled(x, rate, lambda size: jnp.cos(jnp.arange(size)))


@pytest.mark.parametrize("family", sampled([family for family in RATES if family != "mpnet"], ["mpnet"]))
def test_dropout_acts_where_transformers_applies_it(family, monkeypatch, tmp_path):
    config = FAMILIES[family].model_copy(update={**RATES[family], "num_hidden_layers": 2})
    if family == "modernbert":
        config = config.model_copy(update={"global_attn_every_n_layers": 2})
    torch, model = oracle(config)
    model.train()

    def theirs(x, p=0.5, training=True, inplace=False):
        return scaled(x, p, lambda size: torch.cos(torch.arange(size))) if training and p else x

    monkeypatch.setattr(torch.nn.functional, "dropout", theirs)
    for module in ("layers", "attention"):
        monkeypatch.setattr(f"jaxemb.models.{module}.dropout", ours)
    ids, mask = batch("right", config)
    weight = np.random.default_rng(1).normal(size=(*ids.shape, 32)).astype(np.float32) * mask[:, :, None]
    out = model(torch.tensor(ids), torch.tensor(mask.astype(np.int64))).last_hidden_state
    (out * torch.tensor(weight)).sum().backward()

    @jax.jit
    def value_and_gradient(params, key):
        def loss(params):
            hashes = dropout_hashes(key, jnp.arange(len(ids)))
            last = Encoder(config).apply({"params": params}, jnp.asarray(ids), jnp.asarray(mask), None, hashes).last
            return (last * weight).sum(), last

        return jax.value_and_grad(loss, has_aux=True)(params)

    (_, found), gradient = value_and_gradient(to_ours(model, config), jax.random.key(0))
    close(np.asarray(found)[mask], out.detach().numpy()[mask])
    named = {name: one.grad.numpy() for name, one in model.named_parameters() if one.grad is not None}
    largest = max(np.abs(one).max() for one in named.values())
    for name, mine in encoder_to_tensors(gradient, config).items():
        if "embeddings.weight" in name or "embed_tokens" in name:
            mine[config.pad_token_id] = named[name][config.pad_token_id]
        assert np.abs(mine - named[name]).max() <= 1e-5 * max(np.abs(named[name]).max(), 1e-2 * largest), name
    # The rates are kept on the way through a file.
    (tmp_path / "config.json").write_text(json.dumps(encoder_config_json(config)))
    assert read_encoder_config(tmp_path / "config.json") == config
