"""The embedder: encoder, pooling, dense layer and normalisation as pure functions of the parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from jaxemb.config import ModelConfig
from jaxemb.losses import normalize
from jaxemb.models.bert import Bert
from jaxemb.models.dropout import dropout_hashes
from jaxemb.models.packing import segment_masks, spread_to_tokens, take_slots
from jaxemb.models.pooling import pool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Params = dict[str, Any]
Tokens = Mapping[str, Any]
"""Token ids of B texts, padded or packed; optionally `token_type_ids` and the examples' `ids` [B] (dropout).

Padded: `input_ids` and `attention_mask` [B, S].
Packed: `input_ids` and `segment_ids` [R, S], several texts a row, numbered from 1 in each row, 0 at padding; and
`slots` [G, N], G * N = B: the rows are in G groups, one a device, and a text of a group is segment number
1 + slot % K of the group's row slot // K, where K = `packing.texts_per_row(S)`.
"""


def _encoder(config: ModelConfig, vocab_size: int) -> Bert:
    encoder = config.encoder.model_copy(update={"vocab_size": vocab_size})
    scan = jax.default_backend() != "cpu" if config.scan_layers is None else config.scan_layers
    unroll = 1 if scan else encoder.num_hidden_layers
    return Bert(encoder, dtype=jnp.dtype(config.compute_dtype), remat=config.remat, unroll=unroll)


def in_float32(config: ModelConfig) -> ModelConfig:
    """The same model computing in float32: what a trained model is used and exported in."""
    return config.model_copy(update={"compute_dtype": "float32"})


def embedding_size(config: ModelConfig) -> int:
    """Width of the embeddings."""
    return (config.dense and config.dense.out_features) or config.encoder.hidden_size


def init(config: ModelConfig, key: PRNGKeyArray | UInt32[Array, "W"]) -> Params:
    """Draws initial parameters, float32: normal with `initializer_range`, biases 0, scales 1.

    Raises:
      ValueError: if `config.encoder.vocab_size` is not set.
    """
    if config.encoder.vocab_size is None:
        raise ValueError("model.encoder.vocab_size must be set before parameters are drawn")
    encoder_key, dense_key = jax.random.split(key)
    one = jnp.ones((1, 1), jnp.int32)
    encoder = _encoder(config, config.encoder.vocab_size)
    params: Params = {"encoder": encoder.init(encoder_key, one, one.astype(bool))["params"]}
    if config.dense is not None:
        shape = (config.encoder.hidden_size, embedding_size(config))
        kernel = config.encoder.initializer_range * jax.random.normal(dense_key, shape)
        params["dense"] = {"kernel": kernel, "bias": jnp.zeros(shape[1])}
    return params


def apply(
    config: ModelConfig, params: Params, tokens: Tokens, key: PRNGKeyArray | UInt32[Array, "W"] | None = None
) -> Float[Array, "B E"]:
    """Embeds a batch of token ids.

    Args:
      config: the architecture; `encoder.vocab_size` may be left out, the table's rows count.
      params: as from `init`.
      tokens: of B texts, see `Tokens`.
      key: turns dropout on; the mask of a text depends on `key` and the text's id (its index without `ids`) alone.

    Returns: one embedding a text, float32; of length 1 if `config.normalize`.
    """
    packed = "slots" in tokens
    segments = tokens["segment_ids"] if packed else tokens["attention_mask"]
    hashes = None
    if key is not None:
        ids = tokens.get("ids", jnp.arange(tokens["slots"].size if packed else len(segments)))
        hashes = dropout_hashes(key, ids)
        if packed:
            hashes = spread_to_tokens(hashes, tokens["slots"], segments)
    rows = params["encoder"]["word_embeddings"]["embedding"].shape[0]
    vectors = _encoder(config, rows).apply(
        {"params": params["encoder"]},
        tokens["input_ids"],
        segments,
        tokens.get("token_type_ids"),
        hashes,
        packed=packed,
    )
    if packed:
        x = take_slots(pool(vectors, segment_masks(segments), config.pooling), tokens["slots"])
    else:
        x = pool(vectors, (segments != 0)[:, None], config.pooling)[:, 0]
    if config.dense is not None:
        x = x @ params["dense"]["kernel"] + params["dense"]["bias"][None]
        if config.dense.activation == "tanh":
            x = jnp.tanh(x)
    return normalize(x) if config.normalize else x


@dataclass(frozen=True)
class Embedder:
    """A model with its parameters and tokenizer; what `jaxemb.load` returns."""

    config: ModelConfig
    params: Params
    tokenizer: "PreTrainedTokenizerBase"

    def apply(
        self, params: Params, tokens: Tokens, key: PRNGKeyArray | UInt32[Array, "W"] | None = None
    ) -> Float[Array, "B E"]:
        """Embeds a batch of token ids, as `jaxemb.models.apply`: a pure function of `params`."""
        return apply(self.config, params, tokens, key)

    def encode(self, texts: Sequence[str], *, batch_size: int = 64, show_progress: bool = False) -> np.ndarray:
        """Embeds texts; see `jaxemb.encoding.encode`."""
        from jaxemb.encoding import encode

        return encode(self, texts, batch_size=batch_size, show_progress=show_progress)
