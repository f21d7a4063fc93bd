"""A small model of each family, and transformers as its oracle."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import BertConfig
from jaxemb.huggingface.files.configs import SCHEMAS, encoder_config_json
from jaxemb.huggingface.files.weights import encoder_from_tensors
from jaxemb.models.dropout import dropout_hashes
from jaxemb.models.encoder import Encoder
from support.tiny_models import BOTH_WAYS, ENCODERS

CONFIG = BertConfig(
    vocab_size=60,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=20,
    initializer_range=0.1,  # five times BERT's
)

SIZES = {"vocab_size": 60}

FAMILIES = {
    "bert": CONFIG,
    **{name: config.model_copy(update=SIZES) for name, config in ENCODERS.items() if name != "bert"},
    "qwen3, both ways": BOTH_WAYS.model_copy(update=SIZES),
}

LENGTHS = np.array([20, 13, 1, 7])  # the full length, one token, and some padding

ROWS, LENGTH = len(LENGTHS), 20


def batch(padding, config=CONFIG):
    rng = np.random.default_rng(0)
    ids = rng.integers(2, config.vocab_size, (ROWS, LENGTH)).astype(np.int32)
    mask = np.arange(LENGTH)[None] < LENGTHS[:, None]
    mask = mask if padding == "right" else mask[:, ::-1].copy()
    return np.where(mask, ids, config.pad_token_id).astype(np.int32), mask


def oracle(config):
    """A live model of transformers whose biases and norms are random, too."""
    torch = pytest.importorskip("torch")
    import transformers

    torch.manual_seed(0)
    kind = getattr(transformers, SCHEMAS[config.model_type].architecture)
    settings = kind.config_class(**encoder_config_json(config), attn_implementation="eager")
    model = kind(settings).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return torch, model


def to_ours(model, config):
    return encoder_from_tensors(
        {name: (lambda t=t: t.detach().numpy()) for name, t in model.state_dict().items()}, config, Path("oracle")
    )


def close(ours, theirs, tolerance=1e-5):
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


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


@functools.partial(jax.jit, static_argnums=0)
def forward(encoder, params, *arrays):
    return encoder.apply({"params": params}, *arrays).last
