"""The parts of the layers of all families."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxemb.config import EncoderConfig
from jaxemb.models.attention import attend
from jaxemb.models.dropout import counters, dropout, within_32_bits
from jaxemb.models.rotary import Rotation, rotate

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_new": jax.nn.gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
}
SITES_PER_LAYER = 3  # dropout on attention probabilities, attention output, feed-forward output


class Tokens(NamedTuple):
    """What layers need to know about the tokens besides their vectors."""

    mask: Bool[Array, "B #S S"]
    """True where a token (second axis) may attend to another (third)."""
    positions: Int[Array, "#B S"]
    """Position of each token in its text."""
    hashes: UInt32[Array, "B #S"] | None = None
    """For dropout: one hash for each text, or for each token the hash of its text; None for no dropout."""
    bias: Float[Array, "1 N S S"] | None = None
    """Added to the attention scores of each head; None for no bias."""


def dense(config: EncoderConfig, features: int, dtype: Any, name: str, *, bias: bool = True) -> nn.Dense:
    """A dense layer, initialized as the config says."""
    init = nn.initializers.normal(config.initializer_range)
    return nn.Dense(features, use_bias=bias, dtype=dtype, kernel_init=init, name=name)


def look_up(
    config: EncoderConfig, rows: int | None, dtype: Any, name: str, ids: Int[Array, "B S"]
) -> Float[Array, "B S H"]:
    """An embedding table, initialized as the config says; gradients are summed in the table's type."""
    init = nn.initializers.normal(config.initializer_range)
    return nn.Embed(rows, config.hidden_size, embedding_init=init, name=name)(ids).astype(dtype)


def layer_norm(config: EncoderConfig, dtype: Any, name: str, *, bias: bool = True) -> nn.LayerNorm:
    """LayerNorm with the exact variance."""
    return nn.LayerNorm(epsilon=config.layer_norm_eps, use_bias=bias, dtype=dtype, use_fast_variance=False, name=name)


def rms_norm(config: EncoderConfig, dtype: Any, name: str) -> nn.RMSNorm:
    """RMSNorm (Zhang & Sennrich 2019): subtracts no mean and adds no bias."""
    return nn.RMSNorm(epsilon=config.layer_norm_eps, dtype=dtype, name=name)


def drop(
    x: Float[Array, "B S F"], config: EncoderConfig, rate: float, tokens: Tokens, site: Any
) -> Float[Array, "B S F"]:
    """Dropout on one vector per token."""
    if tokens.hashes is None:
        return x
    width = x.shape[-1]
    hashes, positions = within_32_bits(
        tokens.hashes[:, :, None], tokens.positions[:, :, None], config.max_position_embeddings, width
    )
    counter = counters((positions, width), (jnp.arange(width)[None, None], 1))
    return dropout(x, hashes, rate, site=site, counter=counter)


def feed_forward(
    config: EncoderConfig,
    x: Float[Array, "B S H"],
    dtype: Any,
    *,
    names: tuple[str, str | None] = ("intermediate", None),
    bias: bool = True,
    inside: Callable[[Array], Array] = lambda hidden: hidden,
) -> Float[Array, "B S H"]:
    """Dense, activation, dense; gated by a third dense layer (GLU, Shazeer 2020) if `names` has its name.

    Args:
      config: of the encoder.
      x: one vector per token.
      dtype: of the activations.
      names: of the dense layer with the activation, and of the gate.
      bias: whether the dense layers have one.
      inside: applied before the last dense layer.
    """
    activated, times = names

    def inner(name: str) -> Float[Array, "B S F"]:
        return dense(config, config.intermediate_size, dtype, name, bias=bias)(x)

    hidden = ACTIVATIONS[config.hidden_act](inner(activated))
    hidden = hidden if times is None else hidden * inner(times)
    return dense(config, config.hidden_size, dtype, "output", bias=bias)(inside(hidden))


class SelfAttention(nn.Module):
    """Multi-head self-attention, without the residual connection."""

    config: EncoderConfig
    dtype: Any
    kv_heads: int | None = None
    """Number of key and value heads, each shared by several query heads; as many as query heads when None."""
    bias: bool = True
    """Whether the projections have biases."""
    normed: bool = False
    """Whether queries and keys are RMS-normed, head by head."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B S H"], tokens: Tokens, site: Int[Array, ""], rotation: Rotation | None = None
    ) -> Float[Array, "B S H"]:
        """Attends; `site` is the number of the dropout site, `rotation` rotates queries and keys by their positions."""
        config = self.config
        rows, length, width = x.shape
        heads, kv_heads, size = config.num_attention_heads, self.kv_heads, config.head_size

        # Heads lead, so that XLA sees plain batched products: four times as fast on a CPU as an einsum over "bsnd".
        def project(name: str, heads: int) -> Float[Array, "B N S D"]:
            split = dense(config, heads * size, self.dtype, name, bias=self.bias)(x).reshape(rows, length, heads, size)
            if self.normed and name != "value":
                split = rms_norm(config, self.dtype, f"{name}_norm")(split)
            return split.transpose(0, 2, 1, 3)

        query, keys, value = project("query", heads), *(project(name, kv_heads or heads) for name in ("key", "value"))
        if rotation is not None:
            query, keys = rotate(query, rotation), rotate(keys, rotation)
        context = attend(
            query,
            keys,
            value,
            mask=tokens.mask,
            bias=tokens.bias,
            positions=tokens.positions,
            hashes=tokens.hashes,
            rate=config.attention_probs_dropout_prob,
            site=site,
            most=config.max_position_embeddings,
        )
        return dense(config, width, self.dtype, "output", bias=self.bias)(context)
