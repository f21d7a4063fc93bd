"""Several texts in one row: how the model keeps them apart. `jaxemb.packing` packs them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxemb.packing import texts_per_row


def positions_in_segments(segment_ids: Int[Array, "R S"]) -> Int[Array, "R S"]:
    """Position of each token in its text.

    >>> positions_in_segments(jnp.array([[1, 1, 1, 2, 2, 0]])).tolist()
    [[0, 1, 2, 0, 1, 0]]
    """
    indices = jnp.arange(segment_ids.shape[1])[None]
    begins = segment_ids != jnp.pad(segment_ids, ((0, 0), (1, 0)))[:, :-1]
    return indices - jax.lax.cummax(jnp.where(begins, indices, 0), axis=1)


def segment_masks(segment_ids: Int[Array, "R S"]) -> Bool[Array, "R K S"]:
    """For each of the `texts_per_row` slots of a row, the mask of its tokens."""
    slots = 1 + jnp.arange(texts_per_row(segment_ids.shape[1]))
    return segment_ids[:, None, :] == slots[None, :, None]


def take_slots(by_slot: Float[Array, "R K H"], slots: Int[Array, "G N"]) -> Float[Array, "B H"]:
    """One row per text, in the order of the batch, from one row per slot.

    Args:
      by_slot: values of the K slots of each row.
      slots: the slot of each of the B = G * N texts, counted within its group. The rows are in G groups of the same
        size, one per device, so that nothing moves between devices.
    """
    grouped = by_slot.reshape(len(slots), -1, by_slot.shape[-1])
    return jnp.take_along_axis(grouped, slots[:, :, None], axis=1, mode="clip").reshape(slots.size, -1)


def put_in_slots(
    per_text: Shaped[Array, " B"], slots: Int[Array, "G N"], rows: int, length: int
) -> Shaped[Array, "R K"]:
    """The inverse of `take_slots`: the value of the text in each slot of `rows` rows of this length, 0 if empty."""
    most = texts_per_row(length)
    empty = jnp.zeros(rows // len(slots) * most, per_text.dtype)
    by_slot = jax.vmap(lambda indices, values: empty.at[indices].set(values))(slots, per_text.reshape(slots.shape))
    return by_slot.reshape(rows, most)


def spread_to_tokens(
    per_text: Shaped[Array, " B"], slots: Int[Array, "G N"], segment_ids: Int[Array, "R S"]
) -> Shaped[Array, "R S"]:
    """For each token, the value of its text; 0 at padding."""
    by_slot = put_in_slots(per_text, slots, *segment_ids.shape)
    found = jnp.take_along_axis(by_slot, jnp.maximum(segment_ids - 1, 0), axis=1, mode="clip")
    return jnp.where(segment_ids > 0, found, 0)
