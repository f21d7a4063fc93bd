"""The head for masked language modelling against transformers, and its decoder's padding rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import ModelConfig
from jaxemb.models.mlm import decoder_of, init_mlm_head, mlm_vectors
from support.tiny_models import ENCODER


def test_the_vectors_are_those_of_transformers():
    torch = pytest.importorskip("torch")
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

    config = ModelConfig(encoder=ENCODER)
    rng = np.random.default_rng(0)
    head = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.normal(0, 0.3, leaf.shape), jnp.float32),
        init_mlm_head(config, jax.random.key(0)),
    )
    settings = BertConfig(hidden_size=32, hidden_act=ENCODER.hidden_act, layer_norm_eps=ENCODER.layer_norm_eps)
    theirs = BertPredictionHeadTransform(settings)
    state = {"dense.weight": head["dense"]["kernel"].T, "dense.bias": head["dense"]["bias"]}
    state |= {"LayerNorm.weight": head["norm"]["scale"], "LayerNorm.bias": head["norm"]["bias"]}
    theirs.load_state_dict({name: torch.tensor(np.asarray(value)) for name, value in state.items()})
    x = rng.normal(size=(7, 32)).astype(np.float32)
    np.testing.assert_allclose(mlm_vectors(config, head, jnp.array(x)), theirs(torch.tensor(x)).detach(), atol=1e-5)


def test_rows_that_pad_the_table_are_never_predicted():
    config = ModelConfig(encoder=ENCODER, vocab_multiple=64)
    real, rows = ENCODER.vocab_size, config.table_rows
    assert rows > real
    head = init_mlm_head(config, jax.random.key(0)) | {"bias": jnp.arange(float(rows))}
    table, bias = decoder_of(config, {"encoder": {"word_embeddings": {"embedding": jnp.ones((rows, 32))}}}, head)
    assert table.shape == (rows, 32)
    np.testing.assert_array_equal(bias[:real], np.arange(real))
    assert (bias[real:] < -1e29).all()
