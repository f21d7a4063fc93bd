import jax.numpy as jnp
import numpy as np

from jaxemb import losses
from jaxemb.losses.parts.duplicates import same_hash


def test_both_words_count():
    rows = jnp.array([[1, 2], [1, 3]], jnp.uint32)
    columns = jnp.array([[1, 2], [4, 2], [1, 3]], jnp.uint32)
    np.testing.assert_array_equal(same_hash(rows, columns), [[True, False, False], [False, False, True]])


def test_mask_is_the_union_of_both_sides_without_the_diagonal():
    anchors = jnp.array([[1, 0], [2, 0], [1, 0], [4, 0]], jnp.uint32)
    positives = jnp.array([[9, 9], [8, 9], [7, 9], [8, 9]], jnp.uint32)
    expected = np.zeros((4, 4), bool)
    expected[0, 2] = expected[2, 0] = expected[1, 3] = expected[3, 1] = True
    np.testing.assert_array_equal(losses.duplicate_mask(anchors, positives), expected)


def test_same_text_on_opposite_sides_is_not_looked_at():
    words = jnp.array([[1, 0], [2, 0]], jnp.uint32)
    assert not losses.duplicate_mask(words, words[::-1]).any()
