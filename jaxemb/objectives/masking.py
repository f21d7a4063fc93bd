"""The tokens to mask for masked language modelling: drawn on the devices, by a hash of (key, example, position)."""

import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8, UInt32

from jaxemb.config import MaskingConfig
from jaxemb.errors import UsageError
from jaxemb.models import Tokens
from jaxemb.models.dropout import draw, dropout_hashes
from jaxemb.models.packing import positions_in_segments, spread_to_tokens
from jaxemb.objectives.whole_words import PARTS, choose_words, predictions
from jaxemb.packing import texts_per_row

SPECIAL, BEGINS, CONTINUES = 0, 1, 2
"""Kinds of tokens: never masked, first token of a word, later token of a word."""
_ORDER, _ACTION, _RANDOM = 1 << 31, (1 << 31) + 1, (1 << 31) + 2
"""Sites of these draws, see `models.dropout.draw`; those of dropout are counted from 0."""


class TokenKinds(NamedTuple):
    """What masking needs to know about a vocabulary."""

    mask_id: int
    """Id of the mask token."""
    kinds: UInt8[np.ndarray, "V"]
    """SPECIAL, BEGINS or CONTINUES for each id."""
    special: int
    """Special tokens of a text that is not a pair."""


class Masked(NamedTuple):
    """Sequences with masked tokens."""

    input_ids: Int[Array, "R S"]
    positions: Int[Array, "R P"]
    """Positions in the rows of the tokens to predict, padded with other positions."""
    labels: Int[Array, "R P"]
    """The original tokens at these positions; -100 at padding."""


def token_kinds(tokenizer: Any) -> TokenKinds:
    """Reads from a tokenizer which tokens are special, and which continue a word.

    Raises:
      UsageError: if it has no mask token.
    """
    if tokenizer.mask_token_id is None:
        raise UsageError("the tokenizer has no mask token: masked language modelling needs one")
    vocabulary = tokenizer.get_vocab()
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] == "WordPiece":
        continues = {piece for piece in vocabulary if piece.startswith(model["continuing_subword_prefix"])}
    else:  # SentencePiece and byte-level BPE mark the start of a word
        continues = {piece for piece in vocabulary if not piece.startswith(("\u2581", "\u0120"))}
    kinds = np.full(max(vocabulary.values()) + 1, SPECIAL, np.uint8)
    for piece, number in vocabulary.items():
        kinds[number] = CONTINUES if piece in continues else BEGINS
    kinds[tokenizer.all_special_ids] = SPECIAL
    return TokenKinds(int(tokenizer.mask_token_id), kinds, tokenizer.num_special_tokens_to_add())


def most_predictions(config: MaskingConfig, length: int, special: int, texts: int | None = None) -> int:
    """Most tokens that can be predicted in one text of this length, or in at most `texts` texts of this total length.

    >>> most_predictions(MaskingConfig(), 512, 2), most_predictions(MaskingConfig(), 64, 2, texts=16)
    (80, 19)
    """
    share = round(config.share * PARTS)
    if texts is None:
        return min(config.max_predictions, max(1, (length - special) * share // PARTS))
    # A text has at least one prediction. Short texts, with one token that is not special, have the largest share.
    short = min(texts, length // (special + 1))
    more = short * max(0, PARTS - share * (special + 1))
    return min(length, (length * share + more) // PARTS)


def mask_tokens(tokens: Tokens, key: Any, kinds: TokenKinds, config: MaskingConfig) -> Masked:
    """Masks tokens as BERT does (section 3.1): a pure function of the key, the texts' ids and the positions in them.

    `config` sets how many tokens of each text are chosen: the first ones in a random order, or whole words in a random
    order, skipping those that do not fit any more. Of the chosen tokens, 80 % become the mask token, 10 % a random
    token of the vocabulary that is not special, and 10 % stay unchanged.

    Args:
      tokens: with `ids`, padded or packed.
      key: JAX PRNG key of this step.
      kinds: from `token_kinds`.
      config: how many tokens, and whether whole words.
    """
    packed, input_ids = "slots" in tokens, tokens["input_ids"]
    segments = tokens["segment_ids"] if packed else tokens["attention_mask"].astype(jnp.int32)
    hashes = dropout_hashes(key, tokens["ids"])
    hashes = spread_to_tokens(hashes, tokens["slots"], segments) if packed else hashes[:, None]
    table = jnp.asarray(kinds.kinds)
    kind = jnp.where(segments > 0, table[input_ids], SPECIAL)
    in_text = positions_in_segments(segments)
    length = input_ids.shape[1]
    most = most_predictions(config, length, kinds.special, texts_per_row(length) if packed else None)
    counter = in_text.astype(jnp.uint32)
    may, order = kind != SPECIAL, draw(hashes, _ORDER, counter)
    if config.whole_word:
        begins = _begins(kind, in_text)
        chosen = choose_words(begins, may, segments, order, config.share, config.max_predictions)
    else:
        chosen = _chosen(may, segments, order, config)

    action = draw(hashes, _ACTION, counter)
    ordinary = jnp.asarray(np.flatnonzero(kinds.kinds != SPECIAL).astype(np.int32))
    random = ordinary[(draw(hashes, _RANDOM, counter) % jnp.uint32(len(ordinary))).astype(jnp.int32)]
    replaced = jnp.where(action < jnp.uint32(round(0.8 * 2**32)), jnp.int32(kinds.mask_id), random)
    replaced = jnp.where(action < jnp.uint32(round(0.9 * 2**32)), replaced, input_ids)

    order, positions = jax.lax.top_k(jnp.where(chosen, length - jnp.arange(length)[None], 0), most)
    labels = jnp.where(order > 0, jnp.take_along_axis(input_ids, positions, axis=1), -100)
    return Masked(jnp.where(chosen, replaced, input_ids), positions, labels)


def _begins(kind: Int[Array, "R S"] | UInt8[Array, "R S"], in_text: Int[Array, "R S"]) -> Bool[Array, "R S"]:
    """True where a word begins, or a token is not part of a word."""
    before = jnp.pad(kind, ((0, 0), (1, 0)))[:, :-1]
    return (kind != CONTINUES) | (before == SPECIAL) | (in_text == 0)


def _chosen(
    may: Bool[Array, "R S"], segments: Int[Array, "R S"], order: UInt32[Array, "R S"], config: MaskingConfig
) -> Bool[Array, "R S"]:
    """The tokens to predict: those of each text that come first in the order."""
    same = (segments[:, :, None] == segments[:, None, :]) & may[:, None, :]
    quota = predictions(jnp.sum(same, axis=2, dtype=jnp.int32), config.share, config.max_predictions)
    before = jnp.sum(same & (order[:, None, :] < order[:, :, None]), axis=2, dtype=jnp.int32)
    return may & (before < quota)
