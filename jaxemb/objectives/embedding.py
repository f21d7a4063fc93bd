"""How objectives embed a batch: both sides of the pairs at once, all rows at once or chunk by chunk."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxemb.config import ModelConfig
from jaxemb.models import SIDES, Tokens, apply, tower_params
from jaxemb.models.packing import put_in_slots, take_slots, texts_per_row
from jaxemb.parallel import chunked_embed, rows_of_tokens


def embed(
    model: ModelConfig,
    params: Any,
    tokens: Tokens,
    key: Any,
    *,
    mesh: Mesh,
    chunk: int | None = None,
    chunk_tokens: int | None = None,
) -> Float[Array, "B E"]:
    """`models.apply`, or the same by `parallel.chunked_embed`: memory for one chunk of rows of tokens a device.

    Args:
      model: the architecture.
      params: its parameters.
      tokens: of the batch, with the `ids` of its texts.
      key: JAX PRNG key of this step; None for no dropout.
      mesh: the devices.
      chunk: rows of tokens that each embeds at a time.
      chunk_tokens: the same by tokens, padding included, in place of `chunk`. All at once when both are None.
    """
    if chunk_tokens is not None:
        chunk = rows_of_tokens(chunk_tokens, tokens["input_ids"].shape[1])
    if chunk is None:
        return apply(model, params, tokens, key)
    if "slots" not in tokens:
        return chunked_embed(lambda *arguments: apply(model, *arguments), params, tokens, key, chunk, mesh=mesh)
    # A text is in one row: rows are embedded slot by slot, and the texts' slots taken out afterwards.
    length = tokens["input_ids"].shape[1]
    rows = {name: tokens[name] for name in ("input_ids", "segment_ids")}
    rows["ids"] = put_in_slots(tokens["ids"], tokens["slots"], len(rows["input_ids"]), length)

    def embed_rows(params: Any, rows: Mapping[str, Array], key: Any) -> Float[Array, "r K E"]:
        count, most = rows["ids"].shape
        every_slot = jnp.arange(count * most)[None]
        texts = apply(model, params, {**rows, "ids": rows["ids"].reshape(-1), "slots": every_slot}, key)
        return texts.reshape(count, most, -1)

    by_slot = chunked_embed(embed_rows, params, rows, key, chunk, mesh=mesh)
    return take_slots(by_slot, tokens["slots"])


def embed_pairs(
    model: ModelConfig,
    params: Any,
    batch: Mapping[str, Any],
    key: Any,
    *,
    mesh: Mesh,
    chunk: int | None = None,
    chunk_tokens: int | None = None,
) -> tuple[Array, Array]:
    """Embeds both sides, each with its own dropout mask: in one call of a shared encoder, or each by its own tower.

    Args:
      model: the architecture.
      params: its parameters.
      batch: `anchor` and `positive`, as `models.Tokens`, and `id` [B].
      key: JAX PRNG key of this step; None for no dropout.
      mesh: the devices.
      chunk: rows of tokens that each embeds at a time.
      chunk_tokens: the same by tokens, padding included, in place of `chunk`. All at once when both are None.

    Returns: embeddings of anchors and positives, [B, E] each.
    """
    embed_side = partial(embed, model, key=key, mesh=mesh, chunk=chunk, chunk_tokens=chunk_tokens)
    ids = 2 * batch["id"], 2 * batch["id"] + 1
    if model.towers == "untied":
        sides = zip(SIDES, ids, strict=True)
        anchors, positives = (
            embed_side(tower_params(model, params, side), {**batch[side], "ids": own}) for side, own in sides
        )
        return anchors, positives
    anchor, positive = batch["anchor"], batch["positive"]
    # Both sides of a group lie on one device: a packed group, or a pair.
    groups = len(anchor.get("slots", batch["id"]))

    def beside(anchor: Array, positive: Array) -> Array:
        """[A, ...] and [P, ...] -> [A + P, ...], group by group."""
        both = [side.reshape(groups, -1, *side.shape[1:]) for side in (anchor, positive)]
        return jnp.concatenate(both, axis=1).reshape(-1, *anchor.shape[1:])

    tokens = {name: beside(anchor[name], positive[name]) for name in anchor if name != "slots"}
    tokens["ids"] = beside(*ids)
    if "slots" in anchor:
        rows, length = anchor["input_ids"].shape
        after = rows // groups * texts_per_row(length)  # the slots of the anchors' rows
        tokens["slots"] = jnp.concatenate([anchor["slots"], positive["slots"] + after], axis=1)
    embeddings = embed_side(params, tokens)
    pairs = embeddings.reshape(groups, 2, -1, embeddings.shape[-1])
    return pairs[:, 0].reshape(-1, embeddings.shape[-1]), pairs[:, 1].reshape(-1, embeddings.shape[-1])
