import jax.numpy as jnp
import pytest

from jaxemb.losses.parts.checks import check_choice, check_pairs
from jaxemb.losses.parts.paired import Distance


def test_pairs_and_their_columns():
    sides = jnp.ones((4, 3)), jnp.zeros((4, 3))
    check_pairs(*sides, labels=jnp.arange(4))
    with pytest.raises(
        ValueError, match=r"both sides of the pairs must have the same shape, not \(4, 3\) and \(4, 2\)"
    ):
        check_pairs(sides[0], sides[1][:, :2])
    with pytest.raises(ValueError, match=r"4 pairs need `scores` of shape \(4,\), not \(4, 1\)"):
        check_pairs(*sides, labels=jnp.arange(4), scores=jnp.ones((4, 1)))


def test_a_choice_is_one_of_a_literal():
    check_choice("distance", "manhattan", Distance)
    with pytest.raises(ValueError, match="distance: 'l1' is not one of 'cosine', 'euclidean', 'manhattan'"):
        check_choice("distance", "l1", Distance)
