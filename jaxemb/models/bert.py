"""BERT (Devlin et al. 2019) and related post-norm encoders: RoBERTa, XLM-R, CamemBERT, DistilBERT, MPNet."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxemb.config import BertConfig, DistilBertConfig, EncoderConfig, MPNetConfig, RobertaConfig
from jaxemb.models.layers import (
    SITES_PER_LAYER,
    SelfAttention,
    Tokens,
    drop,
    feed_forward,
    layer_norm,
    look_up,
)


class Layer(nn.Module):
    """One post-norm transformer layer."""

    config: EncoderConfig
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "B S H"], index: Int[Array, ""], tokens: Tokens) -> Float[Array, "B S H"]:
        """Runs layer number `index`."""
        config, rate = self.config, self.config.hidden_dropout_prob
        site = 1 + index * SITES_PER_LAYER
        attended = SelfAttention(config, self.dtype, name="attention")(x, tokens, site)
        if not isinstance(config, DistilBertConfig):
            attended = drop(attended, config, rate, tokens, site + 1)
        x = layer_norm(config, self.dtype, "attention_norm")(x + attended)
        hidden = feed_forward(config, x, self.dtype)
        return layer_norm(config, self.dtype, "output_norm")(x + drop(hidden, config, rate, tokens, site + 2))


def embed(
    config: EncoderConfig,
    dtype: Any,
    x: Float[Array, "B S H"],
    input_ids: Int[Array, "B S"],
    segment_ids: Int[Array, "B S"] | Bool[Array, "B S"],
    token_type_ids: Int[Array, "B S"] | None,
    tokens: Tokens,
) -> tuple[Float[Array, "B S H"], Tokens]:
    """Adds positions and token types to the word vectors `x` and norms them; for MPNet, also returns the attention
    bias.
    """
    positions = tokens.positions
    if isinstance(config, RobertaConfig | MPNetConfig):
        positions = _positions_of_real_tokens(input_ids, segment_ids, config.pad_token_id)
    x = x + look_up(config, config.max_position_embeddings, dtype, "position_embeddings", positions)
    if isinstance(config, BertConfig | RobertaConfig):
        # BERT adds token type 0 even if no types are passed.
        types = jnp.zeros((1, 1), jnp.int32) if token_type_ids is None else token_type_ids
        x = x + look_up(config, config.type_vocab_size, dtype, "token_type_embeddings", types)
    x = layer_norm(config, dtype, "embeddings_norm")(x)
    if isinstance(config, MPNetConfig):
        init = nn.initializers.normal(config.initializer_range)
        heads, length = config.num_attention_heads, input_ids.shape[1]
        table = nn.Embed(config.relative_attention_num_buckets, heads, embedding_init=init, name="relative_bias")
        # Within a text, indices in the row differ by as much as positions do.
        tokens = tokens._replace(bias=table(distance_buckets(length)).transpose(2, 0, 1)[None])
    return drop(x, config, config.hidden_dropout_prob, tokens, site=0), tokens


def _positions_of_real_tokens(
    input_ids: Int[Array, "B S"], segment_ids: Int[Array, "B S"] | Bool[Array, "B S"], pad_id: int
) -> Int[Array, "B S"]:
    """Fairseq's positions: `pad_id` + 1 for the first token of a text, `pad_id` for that token, wherever it is.

    A padding token inside a text is counted as transformers counts it.
    """
    real = input_ids != pad_id
    counted = jnp.cumsum(real, axis=1)
    numbers = segment_ids.astype(jnp.int32)
    begins = numbers != jnp.pad(numbers, ((0, 0), (1, 0)))[:, :-1]
    before = jax.lax.cummax(jnp.where(begins, counted - real, 0), axis=1)  # real tokens before the text
    return jnp.where(real, counted - before + pad_id, pad_id)


def distance_buckets(length: int, buckets: int = 32, farthest: int = 128) -> Int[np.ndarray, "S S"]:
    """T5's and MPNet's buckets of the distance from a token (first axis) to another (second).

    Half of the buckets are for each direction. In each direction, half of them hold one distance each; the others, up
    to `farthest`, hold ranges that grow logarithmically.

    >>> distance_buckets(3).tolist()
    [[0, 17, 18], [1, 0, 17], [2, 1, 0]]
    """
    each, indices = buckets // 2, np.arange(length)
    exact = each // 2
    distance = np.abs(indices[None] - indices[:, None])
    grown = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    grown = grown / np.float32(np.log(farthest / exact)) * np.float32(each - exact)
    far = np.minimum(exact + grown.astype(np.int64), each - 1)
    return np.where(distance < exact, distance, far) + np.where(indices[None] > indices[:, None], each, 0)
