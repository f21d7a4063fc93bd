import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxemb.data.permutation import permuted


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_it_is_a_permutation(size, key):
    assert np.sort(permuted(np.arange(size), size, key)).tolist() == list(range(size))


def test_a_part_is_the_part_of_the_whole():
    whole = permuted(np.arange(1000), 1000, 7)
    np.testing.assert_array_equal(permuted(np.array([999, 3, 500]), 1000, 7), whole[[999, 3, 500]])


def test_large_sizes():
    rows = permuted(np.arange(10**12, 10**12 + 1000), 10**13, 7)
    assert len(np.unique(rows)) == 1000
    assert 0 <= rows.min() < rows.max() < 10**13
    assert rows.max() - rows.min() > 10**12


@pytest.mark.parametrize("size", [2, 5, 100, 4096, 5000])
def test_every_position_goes_everywhere(size):
    # Over many keys the image of a position is uniform: mean and spread within 6 standard errors.
    images = np.array([permuted(np.array([size // 3]), size, key)[0] for key in range(2000)])
    deviation = np.sqrt((size**2 - 1) / 12)
    assert abs(images.mean() - (size - 1) / 2) < 6 * deviation / np.sqrt(2000)
    assert abs(images.std() / deviation - 1) < 0.1


def test_neighbours_do_not_stay_neighbours():
    image = permuted(np.arange(10_000), 10_000, 1)
    assert abs(np.corrcoef(image[:-1], image[1:])[0, 1]) < 0.05
    assert (np.abs(np.diff(image)) == 1).sum() < 20
