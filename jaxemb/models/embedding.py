"""Encoder, pooling, dense layers and normalisation as pure functions of the parameters."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from jaxemb.config import ModelConfig
from jaxemb.losses import normalize
from jaxemb.models.dropout import dropout_hashes
from jaxemb.models.encoder import Encoder, Outputs
from jaxemb.models.heads import Params, apply_dense, apply_norm, init_dense, init_norm
from jaxemb.models.lora import add_adapters, merge
from jaxemb.models.packing import positions_in_segments, segment_masks, spread_to_tokens, take_slots
from jaxemb.models.pooling import pool

Tokens = Mapping[str, Any]
"""Token ids of B texts, padded or packed; optionally `token_type_ids`, the examples' `ids` [B] (for dropout), and
`words` [B, S, H] (or [R, S, H]), the vectors of `input_ids` if they have been looked up already.

Padded: `input_ids` and `attention_mask` [B, S].
Packed: `input_ids` and `segment_ids` [R, S], several texts per row, numbered from 1 in each row, 0 at padding; and
`slots` [G, N], G * N = B. The rows are in G groups, one per device. The text of a slot is segment number 1 + slot % K
of the group's row slot // K, where K = `packing.texts_per_row(S)`.
"""


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "identity": lambda x: x,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
}
LAYER_NORM_EPS = 1e-5  # torch's default, which sentence-transformers does not change


def _encoder(config: ModelConfig, table_rows: int | None) -> Encoder:
    encoder = config.encoder.model_copy(update={"vocab_size": table_rows})
    scan = jax.default_backend() != "cpu" if config.scan_layers is None else config.scan_layers
    unroll = 1 if scan else encoder.num_hidden_layers
    with_first = "first_last_mean" in config.poolings
    return Encoder(encoder, jnp.dtype(config.compute_dtype), config.remat, unroll, with_first)


def in_float32(config: ModelConfig) -> ModelConfig:
    """The same model with float32 activations, as trained models are used and exported."""
    return config.model_copy(update={"compute_dtype": "float32"})


def embedding_size(config: ModelConfig) -> int:
    """Width of the embeddings that `apply` gives."""
    return config.dense_layers[-1].out_features or 0 if config.dense_layers else config.pooled_size


def encoded_size(config: ModelConfig) -> int:
    """Width of the embeddings that `encode` gives: `config.truncate_dim` of them, if that is set."""
    return min(config.truncate_dim or embedding_size(config), embedding_size(config))


def init(config: ModelConfig, key: PRNGKeyArray | UInt32[Array, "W"]) -> Params:
    """Draws initial parameters, float32: normal with `initializer_range`, biases 0, scales 1.

    Raises:
      ValueError: if `config.encoder.vocab_size` is not set.
      UsageError: if `config.lora.targets` matches no kernel.
    """
    if config.encoder.vocab_size is None:
        raise ValueError("model.encoder.vocab_size must be set before parameters are initialized")
    encoder_key, dense_key, mlp_key = jax.random.split(key, 3)
    one = jnp.ones((1, 1), jnp.int32)
    encoder = _encoder(config, config.table_rows).init(encoder_key, one, one.astype(bool))["params"]
    real = jnp.arange(config.table_rows)[:, None] < config.encoder.vocab_size
    encoder["word_embeddings"]["embedding"] *= real  # padding rows stay zero: they are never used
    params: Params = {"encoder": encoder}
    width, scale = config.pooled_size, config.encoder.initializer_range
    if config.training_mlp:
        params["training_mlp"] = init_dense(mlp_key, width, width, scale)
    if config.layer_norm:
        params["layer_norm"] = init_norm(width)
    layers = []
    for number, dense in enumerate(config.dense_layers):
        layer_key = jax.random.fold_in(dense_key, number) if isinstance(config.dense, tuple) else dense_key
        inputs, width = width, dense.out_features or width
        layers.append(init_dense(layer_key, inputs, width, scale, bias=dense.bias))
        layers[-1] |= {"norm": init_norm(width)} if dense.layer_norm else {}
    if layers:
        params["dense"] = dense_params(config, layers)
    return add_adapters(config, params, key)


def dense_params(config: ModelConfig, layers: Sequence[Params]) -> Params:
    """The dense layers' parameters as a part of the tree: of a single layer directly, of a list by their numbers."""
    if not isinstance(config.dense, tuple):
        return layers[0]
    return {str(number): layer for number, layer in enumerate(layers)}


def params_of_dense(config: ModelConfig, params: Params) -> list[Params]:
    """The inverse of `dense_params`, from the whole tree: the parameters of each dense layer."""
    if config.dense is None:
        return []
    if not isinstance(config.dense, tuple):
        return [params["dense"]]
    return [params["dense"][str(number)] for number in range(len(config.dense))]


def pad_vocabulary(encoder: Params, rows: int) -> Params:
    """The encoder's parameters with an embedding table of `rows` rows: adds rows of zeros, or removes padding rows."""
    table = encoder["word_embeddings"]["embedding"][:rows]
    padded = jnp.pad(table, ((0, rows - len(table)), (0, 0)))
    return {**encoder, "word_embeddings": {"embedding": padded}}


def apply(
    config: ModelConfig,
    params: Params,
    tokens: Tokens,
    key: PRNGKeyArray | UInt32[Array, "W"] | None = None,
    *,
    gather: Callable[[Any], Any] | None = None,
) -> Float[Array, "B E"]:
    """Embeds a batch of token ids.

    Args:
      config: the architecture; `encoder.vocab_size` may be left out, because the embedding table has the size.
      params: as from `init`; LoRA adapters among them are merged first.
      tokens: of B texts, see `Tokens`.
      key: embeds as in training, with dropout and `training_mlp`. The dropout mask of a text depends only on `key` and
        the text's id (its index without `ids`).
      gather: gathers a layer's sharded parameters, see `parallel.over_rows`; None if they are not sharded.

    Returns: one embedding per text, float32, of length 1 if `config.normalize`; `config.truncate_dim` is not applied.
    Raises: ValueError if `params` hold two untied towers.
    """
    if "encoder" not in params and "anchor" in params:
        raise ValueError(
            "params hold two towers: apply params['anchor'] to anchors and params['positive'] to positives"
        )
    packed = "slots" in tokens
    segments = tokens["segment_ids"] if packed else tokens["attention_mask"]
    vectors, first = token_outputs(config, params, tokens, key, gather=gather)
    masks = segment_masks(segments) if packed else (segments != 0)[:, None]
    positions = positions_in_segments(segments.astype(jnp.int32))
    if config.prompt_tokens:
        # A text that was cut within its prompt keeps its last token: pooling needs one or more.
        skipped = jnp.minimum(config.prompt_tokens, jnp.sum(masks, axis=2, keepdims=True, dtype=jnp.int32) - 1)
        masks &= positions[:, None] >= skipped
    pooled = pool(vectors, masks, config.poolings, positions, first)
    x = take_slots(pooled, tokens["slots"]) if packed else pooled[:, 0]
    if config.training_mlp and key is not None:
        x = jnp.tanh(apply_dense(params["training_mlp"], x))
    if config.layer_norm:
        x = apply_norm(params["layer_norm"], x, LAYER_NORM_EPS)
    for dense, own in zip(config.dense_layers, params_of_dense(config, params), strict=True):
        x = ACTIVATIONS[dense.activation](apply_dense(own, x))
        x = apply_norm(own["norm"], x, LAYER_NORM_EPS) if dense.layer_norm else x
        x = normalize(x) if dense.normalize else x
    return normalize(x) if config.normalize else x


def token_outputs(
    config: ModelConfig,
    params: Params,
    tokens: Tokens,
    key: PRNGKeyArray | UInt32[Array, "W"] | None = None,
    *,
    gather: Callable[[Any], Any] | None = None,
) -> Outputs:
    """The vectors of the tokens, which `apply` pools; arguments as for `apply`."""
    params = merge(config, params)
    packed = "slots" in tokens
    segments = tokens["segment_ids"] if packed else tokens["attention_mask"]
    hashes = None
    if key is not None:
        ids = tokens.get("ids", jnp.arange(tokens["slots"].size if packed else len(segments)))
        hashes = dropout_hashes(key, ids)
        if packed:
            hashes = spread_to_tokens(hashes, tokens["slots"], segments)
    words = tokens.get("words")
    rows = len(params["encoder"]["word_embeddings"]["embedding"]) if words is None else None
    encoder = _encoder(config, rows).clone(gather=gather, apart="layers" not in params["encoder"])
    outputs: Outputs = encoder.apply(
        {"params": params["encoder"]},
        tokens["input_ids"],
        segments,
        tokens.get("token_type_ids"),
        hashes,
        words,
        packed=packed,
    )
    return outputs


def token_vectors(
    config: ModelConfig, params: Params, input_ids: Int[Any, "B S"], attention_mask: Int[Any, "B S"]
) -> list[Float[np.ndarray, "B S H"]]:
    """The vectors of the tokens after the embedding layer and after each layer; the last ones are the encoder's output,
    with its final norm.
    """
    rows = params["encoder"]["word_embeddings"]["embedding"].shape[0]
    found = []
    for layers in range(config.encoder.num_hidden_layers + 1):
        part = config.encoder.model_copy(update={"num_hidden_layers": max(layers, 1)})
        stacked = jax.tree.map(lambda leaf, part=part: leaf[: part.num_hidden_layers], params["encoder"]["layers"])
        encoder = _encoder(config.model_copy(update={"encoder": part}), rows)
        whole = layers == config.encoder.num_hidden_layers
        encoder = encoder.clone(finished=whole, embeddings_only=layers == 0)
        variables = {"params": {**params["encoder"], "layers": stacked}}
        found.append(np.asarray(encoder.apply(variables, jnp.asarray(input_ids), jnp.asarray(attention_mask)).last))
    return found
