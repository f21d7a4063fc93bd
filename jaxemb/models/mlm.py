"""BERT's head for masked language modelling: dense layer, activation, norm; the decoder is the embedding table."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxemb.config import ModelConfig
from jaxemb.models.heads import Params, apply_dense, apply_norm, init_dense, init_norm
from jaxemb.models.layers import ACTIVATIONS


def init_mlm_head(config: ModelConfig, key: PRNGKeyArray) -> Params:
    """Draws the head: `dense` (kernel [H, H], bias), `norm` (scale, bias) and the decoder's `bias`, a number per row of
    the embedding table.
    """
    width = config.encoder.hidden_size
    dense = init_dense(key, width, width, config.encoder.initializer_range)
    return {"dense": dense, "norm": init_norm(width), "bias": jnp.zeros(config.table_rows)}


def mlm_vectors(config: ModelConfig, head: Params, vectors: Float[Array, "N H"]) -> Float[Array, "N H"]:
    """The decoder's input for these tokens' vectors, float32: norm(activation(dense(x))).

    Equals `cls.predictions.transform` of transformers' `BertForMaskedLM`, and RoBERTa's `lm_head` without the decoder.
    """
    x = ACTIVATIONS[config.encoder.hidden_act](apply_dense(head["dense"], vectors.astype(jnp.float32)))
    return apply_norm(head["norm"], x, config.encoder.layer_norm_eps)


def decoder_of(config: ModelConfig, params: Params, head: Params) -> tuple[Float[Array, "V H"], Float[Array, "V"]]:
    """The decoder: the embedding table and a bias, which is so low at padding rows that they are never predicted."""
    table = params["encoder"]["word_embeddings"]["embedding"]
    real = jnp.arange(len(table)) < (config.encoder.vocab_size or len(table))
    return table, jnp.where(real, head["bias"], -1e30)
