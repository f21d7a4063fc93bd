"""Settings of the data that do not go together."""

import pytest
from pydantic import ValidationError

from jaxemb.config import DataConfig, FilterConfig, TsvSource

SOURCES = (TsvSource(path="x"),)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: FilterConfig(min_chars=5, max_chars=4), "min_chars"),
        (lambda: DataConfig(sources=()), "sources"),
        (lambda: DataConfig(sources=SOURCES, max_length=16, length_buckets=(16, 8)), "length_buckets"),
        (lambda: DataConfig(sources=SOURCES, max_length=16, length_buckets=(8, 8, 16)), "length_buckets"),
        (lambda: DataConfig(sources=SOURCES, max_length=16, length_buckets=()), "length_buckets"),
        (lambda: DataConfig(sources=SOURCES, max_length=16, length_buckets=(8,)), "length_buckets"),
    ],
)
def test_what_does_not_go(make, key):
    with pytest.raises(ValidationError, match=f"Value error, {key}: "):
        make()


def test_what_goes():
    assert DataConfig(sources=SOURCES, max_length=16, length_buckets=(8, 16)).length_buckets == (8, 16)
    assert FilterConfig(min_chars=4, max_chars=4).min_chars == 4
