"""Whole-word masking: BERT's greedy choice of the words to mask, text by text, on the devices."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

PARTS = 10_000
"""Shares are rounded to multiples of 1 / PARTS, so that their products with lengths are exact."""


def predictions(tokens: Int[Array, "..."], share: float, most: int) -> Int[Array, "..."]:
    """The number of tokens of a text that are predicted: its share rounded down, at least 1 and at most `most`.

    >>> predictions(jnp.array([3, 34, 400, 10**6]), 0.2, 80).tolist()
    [1, 6, 80, 80]
    """
    parts = round(share * PARTS)
    whole, rest = tokens // PARTS, tokens % PARTS  # of a long text, tokens * parts would not fit 32 bits
    return jnp.clip(whole * parts + rest * parts // PARTS, 1, most)


def choose_words(
    begins: Bool[Array, "R S"],
    may: Bool[Array, "R S"],
    segments: Int[Array, "R S"],
    order: UInt32[Array, "R S"],
    share: float,
    most: int,
) -> Bool[Array, "R S"]:
    """The tokens to mask: goes through the words of a text in a random order, and takes each one that fits.

    A word with more tokens than the text has predictions left is skipped, and the next one is tried, as in
    `create_masked_lm_predictions` of BERT's code. Going token by token would need a loop over the row. Instead, each
    iteration takes all words up to the first that does not fit, in all texts at once: there are no more iterations than
    different lengths of words, mostly two or three.

    Args:
      begins: True at the first token of a word, and at each token that is not part of one (special tokens, padding).
      may: True at tokens of words.
      segments: number of each token's text in its row.
      order: a random number for each token; a word has that of its first token, and ties are broken by position.
      share: share of a text's tokens that are predicted.
      most: most predictions in a text.
    """
    index = jnp.broadcast_to(jnp.arange(begins.shape[1])[None], begins.shape)
    following = lax.cummin(jnp.where(begins, index, begins.shape[1]), axis=1, reverse=True)
    following = jnp.pad(following[:, 1:], ((0, 0), (0, 1)), constant_values=begins.shape[1])
    starts = begins & may
    # Words sorted by text, and within a text by their order; other tokens come last, with size 0.
    text = jnp.where(starts, segments, jnp.iinfo(segments.dtype).max)
    text, _, origin, size = lax.sort(
        (text, order, index, jnp.where(starts, following - index, 0)), dimension=1, num_keys=3
    )
    sums = _Sums(text)
    left = predictions(sums.of_text(size), share, most)

    def turn(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        left, waiting, taken = state
        fit = waiting & (sums.so_far(jnp.where(waiting, size, 0)) <= left)
        left -= sums.of_text(jnp.where(fit, size, 0))
        return left, waiting & ~fit & (size <= left), taken | fit

    waiting = (size > 0) & (size <= left)
    _, _, taken = lax.while_loop(lambda state: jnp.any(state[1]), turn, (left, waiting, jnp.zeros_like(waiting)))
    _, taken = lax.sort((origin, taken.astype(jnp.int32)), dimension=1, num_keys=1)  # back to the original order
    first = lax.cummax(jnp.where(begins, index, 0), axis=1)
    return may & (jnp.take_along_axis(taken, first, axis=1) > 0)


class _Sums:
    """Sums over the columns of each text, which are adjacent."""

    def __init__(self, text: Int[Array, "R S"]) -> None:
        change = text[:, 1:] != text[:, :-1]
        self._first = jnp.pad(change, ((0, 0), (1, 0)), constant_values=True)
        self._last = jnp.pad(change, ((0, 0), (0, 1)), constant_values=True)

    def _before(self, x: Int[Array, "R S"], total: Int[Array, "R S"]) -> Int[Array, "R S"]:
        return lax.cummax(jnp.where(self._first, total - x, 0), axis=1)

    def so_far(self, x: Int[Array, "R S"]) -> Int[Array, "R S"]:
        """The sum over the columns of the same text up to and including each; `x` must not be negative."""
        total = jnp.cumsum(x, axis=1)
        return total - self._before(x, total)

    def of_text(self, x: Int[Array, "R S"]) -> Int[Array, "R S"]:
        """The sum over all columns of the same text."""
        total = jnp.cumsum(x, axis=1)
        end = lax.cummin(jnp.where(self._last, total, jnp.iinfo(total.dtype).max), axis=1, reverse=True)
        return end - self._before(x, total)
