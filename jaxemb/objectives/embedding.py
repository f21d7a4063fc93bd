"""How objectives embed a batch: all texts of the examples together, in one pass or chunk by chunk."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, UInt32

from jaxemb.config import ModelConfig
from jaxemb.models import SIDES, Tokens, apply, tower_params
from jaxemb.models.lora import merge
from jaxemb.models.packing import put_in_slots, take_slots
from jaxemb.models.paths import model_params
from jaxemb.packing import texts_per_row
from jaxemb.parallel import chunked_embed, is_split_by_rows, lookup, over_rows, rows_of_tokens


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
    """`models.apply` on each device, or by `parallel.chunked_embed`, which needs memory for one chunk of rows only.

    Args:
      model: the architecture.
      params: its parameters.
      tokens: of the batch, with the `ids` of its texts.
      key: JAX PRNG key of this step; None for no dropout.
      mesh: the devices.
      chunk: rows of tokens that a device embeds at a time.
      chunk_tokens: the chunk in tokens, padding included, instead of in rows. All at once when both are None.
    """
    params = merge(model, model_params(params))
    params, tokens = with_words(model, params, tokens, mesh)
    if chunk_tokens is not None:
        chunk = rows_of_tokens(chunk_tokens, tokens["input_ids"].shape[1])
    if chunk is None:

        def embed_all(params: Any, tokens: Tokens, key: Any, gather: Any) -> Float[Array, "b E"]:
            return apply(model, params, tokens, key, gather=gather)

        return over_rows(embed_all, params, tokens, key, mesh=mesh, layers_in=model.compute_dtype)
    if "slots" not in tokens:
        return chunked_embed(lambda *arguments: apply(model, *arguments), params, tokens, key, chunk, mesh=mesh)
    # Each text is within one row: embed all slots of each row, then select the slots of the texts.
    length = tokens["input_ids"].shape[1]
    rows = {name: tokens[name] for name in ("input_ids", "segment_ids", "words") if name in tokens}
    rows["ids"] = put_in_slots(tokens["ids"], tokens["slots"], len(rows["input_ids"]), length)

    def embed_rows(params: Any, rows: Mapping[str, Array], key: Any) -> Float[Array, "r K E"]:
        count, most = rows["ids"].shape
        every_slot = jnp.arange(count * most)[None]
        texts = apply(model, params, {**rows, "ids": rows["ids"].reshape(-1), "slots": every_slot}, key)
        return texts.reshape(count, most, -1)

    by_slot = chunked_embed(embed_rows, params, rows, key, chunk, mesh=mesh)
    return take_slots(by_slot, tokens["slots"])


def with_words(model: ModelConfig, params: Any, tokens: Tokens, mesh: Mesh) -> tuple[Any, Tokens]:
    """Looks up the word vectors if the embedding table is sharded by rows, so that it is not gathered.

    Returns: the parameters without the table, and the tokens with `words`; both unchanged if it is not sharded.
    """
    table = params["encoder"]["word_embeddings"]["embedding"]
    if not is_split_by_rows(mesh, table):
        return params, tokens
    encoder = {name: tree for name, tree in params["encoder"].items() if name != "word_embeddings"}
    words = lookup(table, tokens["input_ids"], mesh=mesh, dtype=jnp.dtype(model.compute_dtype))
    return {**params, "encoder": encoder}, {**tokens, "words": words}


def sides_of(batch: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the texts of each example: anchor, positive and its hard negatives, if any.

    >>> sides_of({"negative_1": {}, "anchor": {}, "negative": {}, "positive": {}, "negative_hash": None, "id": None})
    ('anchor', 'positive', 'negative', 'negative_1')
    """
    return *SIDES, *sorted(name for name in batch if re.fullmatch(r"negative(_\d+)?", name))


def first_of_its_row(hashes: Sequence[UInt32[Array, "B 2"]]) -> Bool[Array, "B K"]:
    """Which hard negatives are not a repetition of an earlier one of their row.

    A row of a source that has fewer hard negatives than an example takes repeats them.

    Args:
      hashes: for each of K hard negatives, 64 bits of a hash of its text, in two words.
    """
    text = jnp.stack(hashes, axis=1)
    same = jnp.all(text[:, :, None] == text[:, None, :], axis=-1)
    return ~jnp.any(jnp.tril(same, k=-1), axis=2)


def embed_texts(
    model: ModelConfig,
    params: Any,
    batch: Mapping[str, Any],
    key: Any,
    *,
    mesh: Mesh,
    sides: Sequence[str] = SIDES,
    same_dropout: bool = False,
    chunk: int | None = None,
    chunk_tokens: int | None = None,
) -> tuple[Array, ...]:
    """Embeds the texts of a batch: all in one call if the encoder is shared, else anchors and the others by two towers.

    Args:
      model: the architecture.
      params: its parameters.
      batch: `id` [B], and each of `sides` as `models.Tokens`.
      key: JAX PRNG key of this step; None for no dropout.
      mesh: the devices.
      sides: which texts, `anchor` first: `positive`, `negative`, `negative_1`, ...
      same_dropout: whether all texts of an example get the same dropout mask; otherwise each gets its own.
      chunk: rows of tokens that a device embeds at a time.
      chunk_tokens: the chunk in tokens, padding included, instead of in rows. All at once when both are None.

    Returns: the embeddings, [B, E] for each of `sides`.
    """
    embed_side = partial(embed, model, key=key, mesh=mesh, chunk=chunk, chunk_tokens=chunk_tokens)
    ids = [batch["id"] if same_dropout else len(sides) * batch["id"] + index for index in range(len(sides))]
    texts = [{**batch[side], "ids": own} for side, own in zip(sides, ids, strict=True)]
    if model.towers == "tied":
        return _embed_together(partial(embed_side, params), texts)
    anchors = sides.count("anchor")
    towers = [partial(embed_side, tower_params(model, params, side)) for side in SIDES]
    return *_embed_together(towers[0], texts[:anchors]), *_embed_together(towers[1], texts[anchors:])


def _embed_together(embed_side: Callable[[Tokens], Array], texts: Sequence[Tokens]) -> tuple[Array, ...]:
    """The embeddings of several texts of each example, all on one device: by packed group, or by example."""
    if len(texts) < 2:
        return tuple(map(embed_side, texts))
    groups = len(texts[0].get("slots", texts[0]["ids"]))

    def beside(name: str) -> Array:
        """[A, ...], [P, ...] and so on -> [A + P + ..., ...], group by group."""
        each = [side[name].reshape(groups, -1, *side[name].shape[1:]) for side in texts]
        return jnp.concatenate(each, axis=1).reshape(-1, *texts[0][name].shape[1:])

    tokens = {name: beside(name) for name in texts[0] if name != "slots"}
    if "slots" in texts[0]:
        rows = [side["input_ids"].shape[0] // groups for side in texts]
        most = texts_per_row(texts[0]["input_ids"].shape[1])
        slots = [side["slots"] + sum(rows[:index]) * most for index, side in enumerate(texts)]
        tokens["slots"] = jnp.concatenate(slots, axis=1)
    embeddings = embed_side(tokens)
    by_side = embeddings.reshape(groups, len(texts), -1, embeddings.shape[-1])
    return tuple(by_side[:, index].reshape(-1, embeddings.shape[-1]) for index in range(len(texts)))
