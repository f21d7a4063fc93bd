import numpy as np

from jaxemb.data.order.keys import key_of


def test_each_part_and_its_place_matter():
    many = np.arange(1000)
    keys = np.concatenate([key_of(0, many), key_of(1, many), key_of(0, many, 0), key_of(0, 0, many)[1:], key_of(2**70)])
    assert keys.dtype == np.uint64
    assert len(np.unique(keys)) == len(keys)
    np.testing.assert_array_equal(key_of(5, 3, many)[[7, 900]], key_of(5, 3, np.array([7, 900])))


def test_bits_are_even():
    """Each of 64 bits is set in half of 10,000 keys, within 6 standard errors."""
    bits = np.unpackbits(key_of(3, np.arange(10_000)).view(np.uint8).reshape(-1, 8), axis=1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 6 * 0.5 / 100
