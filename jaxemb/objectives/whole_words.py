"""Which words are hidden where a word is hidden whole or not at all: BERT's greedy choice, text by text, on devices."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

PARTS = 10_000
"""Shares are counted in parts of this, so that their products with lengths are exact."""


def predictions(tokens: Int[Array, "..."], share: float, most: int) -> Int[Array, "..."]:
    """How many of a text's tokens are predicted: its share rounded down, at least 1 and at most `most`.

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
    """The tokens that are hidden: the words of a text are gone through in a random order, and each that fits is taken.

    A word that is longer than what is left of the text's number of predictions is passed over, and the next is looked
    at, as in `create_masked_lm_predictions` of BERT's code. A token at a time would take a loop over the row. Instead
    each turn takes all words up to the first that does not fit, in all texts at once: there are no more turns than
    lengths of words, two or three mostly.

    Args:
      begins: True at the first token of a word, and at each token that is in none (special ones, padding).
      may: True at tokens of words.
      segments: number of each token's text in its row.
      order: a random number for each token, of which that of a word's first counts; equal ones go by place.
      share: of a text's tokens that are predicted.
      most: at most so many of a text.
    """
    index = jnp.broadcast_to(jnp.arange(begins.shape[1])[None], begins.shape)
    following = lax.cummin(jnp.where(begins, index, begins.shape[1]), axis=1, reverse=True)
    following = jnp.pad(following[:, 1:], ((0, 0), (0, 1)), constant_values=begins.shape[1])
    starts = begins & may
    # Words text by text, each text's in its order; what begins no word comes last and has no size.
    text = jnp.where(starts, segments, jnp.iinfo(segments.dtype).max)
    text, _, place, size = lax.sort(
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
    _, taken = lax.sort((place, taken.astype(jnp.int32)), dimension=1, num_keys=1)  # where they came from
    first = lax.cummax(jnp.where(begins, index, 0), axis=1)
    return may & (jnp.take_along_axis(taken, first, axis=1) > 0)


class _Sums:
    """Sums over the columns of each text, which lie side by side."""

    def __init__(self, text: Int[Array, "R S"]) -> None:
        change = text[:, 1:] != text[:, :-1]
        self._first = jnp.pad(change, ((0, 0), (1, 0)), constant_values=True)
        self._last = jnp.pad(change, ((0, 0), (0, 1)), constant_values=True)

    def _before(self, x: Int[Array, "R S"], total: Int[Array, "R S"]) -> Int[Array, "R S"]:
        return lax.cummax(jnp.where(self._first, total - x, 0), axis=1)

    def so_far(self, x: Int[Array, "R S"]) -> Int[Array, "R S"]:
        """Of the columns of the text up to each, itself included; `x` is not negative."""
        total = jnp.cumsum(x, axis=1)
        return total - self._before(x, total)

    def of_text(self, x: Int[Array, "R S"]) -> Int[Array, "R S"]:
        """Of all columns of the text of each."""
        total = jnp.cumsum(x, axis=1)
        end = lax.cummin(jnp.where(self._last, total, jnp.iinfo(total.dtype).max), axis=1, reverse=True)
        return end - self._before(x, total)
