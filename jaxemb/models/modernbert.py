"""ModernBERT (Warner et al. 2024, arXiv 2412.13663).

Norms before sub-layers, rotary positions, local and global attention, GeGLU, no biases.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.config import ModernBertConfig
from jaxemb.models.layers import (
    SITES_PER_LAYER,
    SelfAttention,
    Tokens,
    drop,
    feed_forward,
    layer_norm,
)
from jaxemb.models.rotary import frequencies, rotation


class Layer(nn.Module):
    """One pre-norm layer: every `global_attn_every_n_layers`-th has global attention, the others local attention."""

    config: ModernBertConfig
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "B S H"], index: Int[Array, ""], tokens: Tokens) -> Float[Array, "B S H"]:
        """Runs layer number `index`."""
        config = self.config
        site = 1 + index * SITES_PER_LAYER
        everywhere = index % config.global_attn_every_n_layers == 0
        indices = jnp.arange(x.shape[1])
        near = jnp.abs(indices[:, None] - indices[None]) <= config.local_attention // 2
        far = frequencies(config.head_size, config.global_rope_theta)
        close = frequencies(config.head_size, config.local_rope_theta)
        tokens = tokens._replace(mask=tokens.mask & (near | everywhere)[None])

        # The first layer applies no norm here, because the embeddings are normed: its scale exists but is not used.
        normed = layer_norm(config, self.dtype, "attention_norm", bias=False)(x)
        attention = SelfAttention(config, self.dtype, bias=False, name="attention")
        turn = rotation(tokens.positions, jnp.where(everywhere, far, close))
        attended = attention(jnp.where(index == 0, x, normed), tokens, site, turn)
        x = x + drop(attended, config, config.attention_probs_dropout_prob, tokens, site + 1)
        normed = layer_norm(config, self.dtype, "output_norm", bias=False)(x)

        def inside(hidden: Float[Array, "B S F"]) -> Float[Array, "B S F"]:
            return drop(hidden, config, config.hidden_dropout_prob, tokens, site + 2)

        names = ("intermediate", "gate")
        return x + feed_forward(config, normed, self.dtype, names=names, bias=False, inside=inside)


def embed(
    config: ModernBertConfig,
    dtype: Any,
    x: Float[Array, "B S H"],
    input_ids: Int[Array, "B S"],
    segment_ids: Int[Array, "B S"] | Bool[Array, "B S"],
    token_type_ids: Int[Array, "B S"] | None,
    tokens: Tokens,
) -> tuple[Float[Array, "B S H"], Tokens]:
    """The word vectors `x`, normed."""
    x = layer_norm(config, dtype, "embeddings_norm", bias=False)(x)
    rate = config.hidden_dropout_prob if config.embedding_dropout is None else config.embedding_dropout
    return drop(x, config, rate, tokens, site=0), tokens


def finish(config: ModernBertConfig, dtype: Any, x: Float[Array, "B S H"]) -> Float[Array, "B S H"]:
    """The norm after the last layer."""
    return layer_norm(config, dtype, "final_norm", bias=False)(x)
