"""Embeddings into files."""

import numpy as np
import pytest

from jaxemb.encoding.outputs import write_npy, write_parquet
from support.embedding_files import read_embeddings


@pytest.mark.parametrize(("write_blocks", "name"), [(write_npy, "a.npy"), (write_parquet, "a.parquet")])
def test_writers_take_one_block_at_a_time(tmp_path, write_blocks, name):
    expected = np.random.default_rng(0).normal(size=(10_007, 32)).astype(np.float32)
    alive = []

    def blocks():
        for start in range(0, len(expected), 1000):
            alive.append(start)
            yield expected[start : start + 1000]

    assert write_blocks(tmp_path / name, blocks(), 32) == 10_007
    assert len(alive) == 11
    np.testing.assert_array_equal(read_embeddings(tmp_path / name), expected)


def test_npy_can_be_mapped(tmp_path):
    write_npy(tmp_path / "a.npy", iter([np.ones((3, 4), np.float32)]), 4)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert mapped.shape == (3, 4)
    assert mapped.flags.c_contiguous
