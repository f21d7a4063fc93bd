"""Several texts in one row: what the model needs to tell them apart. `jaxemb.packing` lays them out."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxemb.packing import texts_per_row


def positions_in_segments(segment_ids: Int[Array, "R S"]) -> Int[Array, "R S"]:
    """Place of each token in its text.

    >>> positions_in_segments(jnp.array([[1, 1, 1, 2, 2, 0]])).tolist()
    [[0, 1, 2, 0, 1, 0]]
    """
    places = jnp.arange(segment_ids.shape[1])[None]
    begins = segment_ids != jnp.pad(segment_ids, ((0, 0), (1, 0)))[:, :-1]
    return places - jax.lax.cummax(jnp.where(begins, places, 0), axis=1)


def segment_masks(segment_ids: Int[Array, "R S"]) -> Bool[Array, "R K S"]:
    """For each of the `texts_per_row` slots of a row, where its tokens are."""
    slots = 1 + jnp.arange(texts_per_row(segment_ids.shape[1]))
    return segment_ids[:, None, :] == slots[None, :, None]


def take_slots(by_slot: Float[Array, "R K H"], slots: Int[Array, "G N"]) -> Float[Array, "B H"]:
    """One row a text, in the order of the batch, out of one a slot.

    Args:
      by_slot: values of the K slots of each row.
      slots: for each of the B = G * N texts the slot, counted within its group. The rows are in G groups of equally
        many, one a device, so that nothing moves between devices.
    """
    grouped = by_slot.reshape(len(slots), -1, by_slot.shape[-1])
    return jnp.take_along_axis(grouped, slots[:, :, None], axis=1, mode="clip").reshape(slots.size, -1)


def put_in_slots(
    per_text: Shaped[Array, " B"], slots: Int[Array, "G N"], rows: int, length: int
) -> Shaped[Array, "R K"]:
    """The value of its text in each slot of so many rows of this length, 0 in empty ones: `take_slots` undone."""
    most = texts_per_row(length)
    empty = jnp.zeros(rows // len(slots) * most, per_text.dtype)
    by_slot = jax.vmap(lambda places, values: empty.at[places].set(values))(slots, per_text.reshape(slots.shape))
    return by_slot.reshape(rows, most)


def spread_to_tokens(
    per_text: Shaped[Array, " B"], slots: Int[Array, "G N"], segment_ids: Int[Array, "R S"]
) -> Shaped[Array, "R S"]:
    """The value of its text at each token, 0 at padding."""
    by_slot = put_in_slots(per_text, slots, *segment_ids.shape)
    found = jnp.take_along_axis(by_slot, jnp.maximum(segment_ids - 1, 0), axis=1, mode="clip")
    return jnp.where(segment_ids > 0, found, 0)
