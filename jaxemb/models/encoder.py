"""The encoder, from token ids to one vector per token: the code around the layers that all families share.

A family consists of its token embedding, its layer and its last norm. Layers are stacked along a leading axis and run
by `nn.scan`, so that only one layer is compiled, whatever the depth, unless the scan is unrolled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxemb.config import EncoderConfig, ModernBertConfig, Qwen3Config
from jaxemb.models import bert, modernbert, qwen3
from jaxemb.models.layers import Tokens, look_up
from jaxemb.models.packing import positions_in_segments

REMAT_POLICIES = {
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


def _all_but_gathered(primitive: Any, *_: Any, **__: Any) -> bool:
    # The gather of `parallel.over_rows` is the only function in a layer with a custom gradient.
    return primitive.name not in ("all_gather", "custom_vjp_call")


@dataclass(frozen=True)
class Family:
    """The parts of an encoder that depend on its family."""

    embed: Callable[..., tuple[Array, Tokens]]
    layer: type[nn.Module]
    finish: Callable[[Any, Any, Array], Array] = lambda config, dtype, x: x


FAMILIES: dict[type[EncoderConfig], Family] = {
    ModernBertConfig: Family(modernbert.embed, modernbert.Layer, modernbert.finish),
    Qwen3Config: Family(qwen3.embed, qwen3.Layer, qwen3.finish),
}
POST_NORM = Family(bert.embed, bert.Layer)


class Outputs(NamedTuple):
    """Vectors of the tokens."""

    last: Float[Array, "B S H"]
    """Output of the whole encoder."""
    first: Float[Array, "B S H"] | None
    """Output of the first layer; None unless requested."""


class Encoder(nn.Module):
    """An encoder of the family of its config."""

    config: EncoderConfig
    dtype: Any = jnp.float32
    remat: str = "none"
    unroll: int = 1
    """Number of layers that one iteration of the scan runs."""
    with_first: bool = False
    """Whether to give the output of the first layer, too."""
    finished: bool = True
    """Whether the family's last norm follows the layers."""
    embeddings_only: bool = False
    """Whether to stop before the first layer."""
    apart: bool = False
    """Whether the parameters of the layers are separate, `layer_0` and so on, not stacked (`encoding.apart`)."""
    gather: Callable[[Any], Any] | None = None
    """Gathers the variables of a layer that are sharded over devices, before it runs and again for its gradient."""

    @nn.compact
    def __call__(
        self,
        input_ids: Int[Array, "B S"],
        segment_ids: Int[Array, "B S"] | Bool[Array, "B S"],
        token_type_ids: Int[Array, "B S"] | None = None,
        hashes: UInt32[Array, "B"] | UInt32[Array, "B S"] | None = None,
        words: Float[Array, "B S H"] | None = None,
        *,
        packed: bool = False,
    ) -> Outputs:
        """Encodes token ids.

        Args:
          input_ids: token ids.
          segment_ids: 0 at padding, else the number of the text in its row, from 1 (always 1 unless `packed`).
          token_type_ids: zeros when None; ignored by families without token types.
          hashes: turn dropout on: `dropout_hashes` of each text, or of the text of each token.
          words: the vectors of `input_ids`, if they have been looked up already.
          packed: rows hold several texts, which do not attend to each other and have their own positions.
        """
        config = self.config
        family = FAMILIES.get(type(config), POST_NORM)
        length = input_ids.shape[1]
        if length > config.max_tokens:
            raise ValueError(
                f"{length} tokens do not fit max_position_embeddings ({config.max_position_embeddings}, which hold "
                f"{config.max_tokens} tokens)"
            )
        mask, positions = (segment_ids != 0)[:, None, :], jnp.arange(length)[None]
        if packed:
            mask &= segment_ids[:, :, None] == segment_ids[:, None, :]
            positions = positions_in_segments(segment_ids)
        if hashes is not None and hashes.ndim == 1:
            hashes = hashes[:, None]
        tokens = Tokens(mask, positions, hashes)
        if words is None:
            words = look_up(config, config.vocab_size, self.dtype, "word_embeddings", input_ids)
        x, tokens = family.embed(config, self.dtype, words, input_ids, segment_ids, token_type_ids, tokens)
        if self.embeddings_only:
            return Outputs(x, None)

        layer, policies = family.layer, REMAT_POLICIES
        if self.gather is not None:
            layer = nn.map_variables(layer, "params", self.gather)
            policies = {**policies, "none": _all_but_gathered}
        if self.remat in policies:
            layer = nn.remat(layer, policy=policies[self.remat], prevent_cse=False)

        def run(layer: nn.Module, carry: Any, index: Array, tokens: Tokens) -> tuple[Any, None]:
            x, first = carry
            x = layer(x, index, tokens)
            return (x, first if first is None else jnp.where(index == 0, x, first)), None

        first = jnp.zeros_like(x) if self.with_first else None
        if self.apart:
            for number in range(config.num_hidden_layers):
                one = layer(config, self.dtype, name=f"layer_{number}")
                (x, first), _ = run(one, (x, first), jnp.int32(number), tokens)
            return Outputs(family.finish(config, self.dtype, x) if self.finished else x, first)
        layers = nn.scan(
            run,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            in_axes=(0, nn.broadcast),
            length=config.num_hidden_layers,
            unroll=self.unroll,
        )
        numbers = jnp.arange(config.num_hidden_layers)
        (x, first), _ = layers(layer(config, self.dtype, name="layers"), (x, first), numbers, tokens)
        return Outputs(family.finish(config, self.dtype, x) if self.finished else x, first)
