"""BERT (Devlin et al. 2019) in Flax Linen, numerically equal to `transformers.BertModel`.

Layers are stacked along a leading axis and run by `nn.scan`: one layer is compiled, whatever the depth, unless the scan
is unrolled.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxemb.config import EncoderConfig
from jaxemb.models.dropout import counters, dropout
from jaxemb.models.packing import positions_in_segments

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_new": jax.nn.gelu,
    "relu": jax.nn.relu,
}
REMAT_POLICIES = {
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}
PLACES_PER_LAYER = 3  # dropout on attention probabilities, attention output, feed-forward output


def _dense(config: EncoderConfig, features: int, dtype: Any, name: str) -> nn.Dense:
    return nn.Dense(features, dtype=dtype, kernel_init=nn.initializers.normal(config.initializer_range), name=name)


def _norm(config: EncoderConfig, dtype: Any, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=config.layer_norm_eps, dtype=dtype, use_fast_variance=False, name=name)


class Tokens(NamedTuple):
    """What layers must know of the tokens beside their vectors."""

    mask: Bool[Array, "B #S S"]
    """True where a token (second axis) may look at another (third)."""
    positions: Int[Array, "#B S"]
    """Place of each token in its text."""
    hashes: UInt32[Array, "B #S"] | None
    """For dropout: one of each text, or of the text of each token; None for no dropout."""


class SelfAttention(nn.Module):
    """Multi-head self-attention, without the residual connection."""

    config: EncoderConfig
    dtype: Any

    @nn.compact
    def __call__(self, x: Float[Array, "B S H"], tokens: Tokens, place: Int[Array, ""]) -> Float[Array, "B S H"]:
        """Attends; `place` numbers the dropout."""
        config = self.config
        rows, length, width = x.shape
        heads = config.num_attention_heads

        # Heads lead, so that XLA sees plain batched products: four times as fast on a CPU as an einsum over "bsnd".
        def project(name: str) -> Float[Array, "B N S D"]:
            split = _dense(config, width, self.dtype, name)(x).reshape(rows, length, heads, width // heads)
            return split.transpose(0, 2, 1, 3)

        query, keys, value = project("query"), project("key"), project("value")
        scores = query @ keys.swapaxes(2, 3) / jnp.sqrt(width // heads).astype(self.dtype)
        scores = jnp.where(tokens.mask[:, None], scores.astype(jnp.float32), jnp.finfo(jnp.float32).min)
        probabilities = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        most, positions = config.max_position_embeddings, tokens.positions
        probabilities = dropout(
            probabilities,
            None if tokens.hashes is None else tokens.hashes[:, None, :, None],
            config.attention_probs_dropout_prob,
            place=place,
            counter=counters(
                (jnp.arange(heads)[None, :, None, None], most * most),
                (positions[:, None, :, None], most),
                (positions[:, None, None, :], 1),
            ),
        )
        context = (probabilities @ value).transpose(0, 2, 1, 3).reshape(rows, length, width)
        return _dense(config, width, self.dtype, "output")(context)


def _drop(x: Float[Array, "B S H"], config: EncoderConfig, tokens: Tokens, place: Any) -> Float[Array, "B S H"]:
    """Dropout on one vector a token."""
    width = config.hidden_size
    counter = counters((tokens.positions[:, :, None], width), (jnp.arange(width)[None, None], 1))
    hashes = None if tokens.hashes is None else tokens.hashes[:, :, None]
    return dropout(x, hashes, config.hidden_dropout_prob, place=place, counter=counter)


class Layer(nn.Module):
    """One post-norm transformer layer, in the carry form that `nn.scan` wants."""

    config: EncoderConfig
    dtype: Any

    @nn.compact
    def __call__(
        self, x: Float[Array, "B S H"], index: Int[Array, ""], tokens: Tokens
    ) -> tuple[Float[Array, "B S H"], None]:
        """Runs layer number `index`."""
        config = self.config
        place = 1 + index * PLACES_PER_LAYER
        attended = SelfAttention(config, self.dtype, name="attention")(x, tokens, place)
        x = _norm(config, self.dtype, "attention_norm")(x + _drop(attended, config, tokens, place + 1))
        hidden = _dense(config, config.intermediate_size, self.dtype, "intermediate")(x)
        hidden = _dense(config, config.hidden_size, self.dtype, "output")(ACTIVATIONS[config.hidden_act](hidden))
        return _norm(config, self.dtype, "output_norm")(x + _drop(hidden, config, tokens, place + 2)), None


class Bert(nn.Module):
    """Token ids in, one vector per token out."""

    config: EncoderConfig
    dtype: Any = jnp.float32
    remat: str = "none"
    unroll: int = 1
    """Layers that one turn of the scan runs."""

    @nn.compact
    def __call__(
        self,
        input_ids: Int[Array, "B S"],
        segment_ids: Int[Array, "B S"] | Bool[Array, "B S"],
        token_type_ids: Int[Array, "B S"] | None = None,
        hashes: UInt32[Array, "B"] | UInt32[Array, "B S"] | None = None,
        *,
        packed: bool = False,
    ) -> Float[Array, "B S H"]:
        """Encodes token ids.

        Args:
          input_ids: token ids.
          segment_ids: 0 at padding; else the number, from 1, of the text in its row (1 everywhere unless `packed`).
          token_type_ids: zeros when None.
          hashes: turn dropout on: `dropout_hashes` of each text, or of the text of each token.
          packed: rows hold several texts, which do not see each other, and each has positions of its own.
        """
        config = self.config
        length = input_ids.shape[1]
        if length > config.max_position_embeddings:
            raise ValueError(f"{length} tokens do not fit max_position_embeddings ({config.max_position_embeddings})")

        def embed(rows: int | None, name: str) -> nn.Embed:
            init = nn.initializers.normal(config.initializer_range)
            return nn.Embed(rows, config.hidden_size, dtype=self.dtype, embedding_init=init, name=name)

        mask, positions = (segment_ids != 0)[:, None, :], jnp.arange(length)[None]
        if packed:
            mask &= segment_ids[:, :, None] == segment_ids[:, None, :]
            positions = positions_in_segments(segment_ids)
        if hashes is not None and hashes.ndim == 1:
            hashes = hashes[:, None]
        tokens = Tokens(mask, positions, hashes)

        x = embed(config.vocab_size, "word_embeddings")(input_ids)
        x = x + embed(config.max_position_embeddings, "position_embeddings")(positions)
        # BERT adds token type 0 even when nobody passes types.
        types = jnp.zeros((1, 1), jnp.int32) if token_type_ids is None else token_type_ids
        x = x + embed(config.type_vocab_size, "token_type_embeddings")(types)
        x = _norm(config, self.dtype, "embeddings_norm")(x)
        x = _drop(x, config, tokens, place=0)

        layer = Layer
        if self.remat != "none":
            layer = nn.remat(Layer, policy=REMAT_POLICIES[self.remat], prevent_cse=False)
        layers = nn.scan(
            layer,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(0, nn.broadcast),
            length=config.num_hidden_layers,
            unroll=self.unroll,
        )(config, self.dtype, name="layers")
        x, _ = layers(x, jnp.arange(config.num_hidden_layers), tokens)
        return x
