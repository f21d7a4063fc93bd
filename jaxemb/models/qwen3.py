"""Qwen3 (arXiv 2505.09388), the decoder of Qwen3-Embedding: RMSNorm, grouped queries, SwiGLU; causal by default."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.config import Qwen3Config
from jaxemb.models.layers import SITES_PER_LAYER, SelfAttention, Tokens, drop, feed_forward, rms_norm
from jaxemb.models.rotary import frequencies, rotation


class Layer(nn.Module):
    """One pre-norm layer."""

    config: Qwen3Config
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "B S H"], index: Int[Array, ""], tokens: Tokens) -> Float[Array, "B S H"]:
        """Runs layer number `index`."""
        config = self.config
        site = 1 + index * SITES_PER_LAYER
        attention = SelfAttention(
            config, self.dtype, kv_heads=config.num_key_value_heads, bias=False, normed=True, name="attention"
        )
        turn = rotation(tokens.positions, jnp.asarray(frequencies(config.head_size, config.rope_theta)))
        attended = attention(rms_norm(config, self.dtype, "attention_norm")(x), tokens, site, turn)
        x = x + drop(attended, config, config.hidden_dropout_prob, tokens, site + 1)
        normed = rms_norm(config, self.dtype, "output_norm")(x)
        hidden = feed_forward(config, normed, self.dtype, names=("gate", "intermediate"), bias=False)
        return x + drop(hidden, config, config.hidden_dropout_prob, tokens, site + 2)


def embed(
    config: Qwen3Config,
    dtype: Any,
    x: Float[Array, "B S H"],
    input_ids: Int[Array, "B S"],
    segment_ids: Int[Array, "B S"] | Bool[Array, "B S"],
    token_type_ids: Int[Array, "B S"] | None,
    tokens: Tokens,
) -> tuple[Float[Array, "B S H"], Tokens]:
    """The word vectors `x`; tokens attend only to earlier tokens, unless `causal` is off."""
    if config.causal:
        indices = jnp.arange(x.shape[1])
        tokens = tokens._replace(mask=tokens.mask & (indices[None] <= indices[:, None])[None])
    return drop(x, config, config.hidden_dropout_prob, tokens, site=0), tokens


def finish(config: Qwen3Config, dtype: Any, x: Float[Array, "B S H"]) -> Float[Array, "B S H"]:
    """The norm after the last layer."""
    return rms_norm(config, dtype, "final_norm")(x)
