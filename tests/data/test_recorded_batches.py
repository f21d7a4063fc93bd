"""Batches are bit for bit those of earlier versions: a run that one of them began resumes with the same data."""

import hashlib

import jax
import numpy as np
import pytest

from jaxemb.config import DataConfig, TsvSource
from jaxemb.data import Batches

HASHES = {
    "packed, process 0, exponent 1.0": "433402caafeca8e5",
    "packed, process 1, exponent 1.0": "8897be6c64fb2ee6",
    "padded, process 0, exponent 1.0": "3fc59f89c16de568",
    "padded, process 1, exponent 1.0": "308f0160ce3b9a32",
    "packed, process 0, exponent 0.3": "204042588a01b4ea",
    "packed, process 1, exponent 0.3": "59733e5926df5f18",
    "padded, process 0, exponent 0.3": "be20dbf816dc4c26",
    "padded, process 1, exponent 0.3": "6a4dfb88f5b113dc",
}


class Examples:
    """900 examples in three languages of unlike size, with 3 to 32 tokens on a side."""

    sides = ("anchor", "positive")
    languages = ("de", "fr", "sw")
    language_of = np.repeat([0, 1, 2], [600, 250, 50])
    lengths = 3 + np.stack([np.arange(900) * 7919 % 30, np.arange(900) * 104729 % 30], axis=1)

    def __len__(self):
        return 900

    def token_ids(self, rows, step=0):
        return [[np.arange(self.lengths[row, side]) + row for row in rows] for side in (0, 1)]

    def columns(self, rows):
        return {"label": (rows % 3).astype(np.int32)}


@pytest.mark.parametrize("exponent", [1.0, 0.3])
@pytest.mark.parametrize(
    ("buckets", "process", "devices"),
    [(None, (0, 1), 1), (None, (1, 2), 4), ((8, 16, 32), (0, 1), 1), ((8, 16, 32), (1, 2), 4)],
)
def test_batches_are_as_recorded(buckets, process, devices, exponent):
    config = DataConfig(
        sources=(TsvSource(path="x.tsv"),),
        language_exponent=exponent, max_length=32, length_buckets=buckets, window=4,
    )  # fmt: skip
    batches = Batches(Examples(), config, 24, 5, 0, *process, devices)
    digest = hashlib.sha256(repr(batches.sizes).encode())
    for step in (0, 1, 5, 40, 100_000):
        for path, leaf in jax.tree_util.tree_leaves_with_path(batches.batch(step)):
            digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
    key = f"{'packed' if buckets is None else 'padded'}, process {process[0]}, exponent {exponent}"
    assert digest.hexdigest()[:16] == HASHES[key]
