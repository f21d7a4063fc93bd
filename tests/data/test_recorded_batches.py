"""Batches are bit for bit those of earlier releases: a run that one of them began resumes with the same data.

Where these change on purpose: raise `VERSION` of `jaxemb.data.order.order`, and record them anew.
"""

import hashlib

import jax
import numpy as np
import pytest

from jaxemb.config import DataConfig, TsvSource
from jaxemb.data import Batches, Part
from jaxemb.data.order.layout import stored_layout
from jaxemb.data.order.order import VERSION, Order
from jaxemb.data.order.weights import rates

HASHES = {
    "packed, process 0, exponent 1.0": "8c5e2a2492c80d99",
    "packed, process 1, exponent 1.0": "67250f80356808c9",
    "padded, process 0, exponent 1.0": "0c0540ee89f920cb",
    "padded, process 1, exponent 1.0": "2897dedc38681b79",
    "packed, process 0, exponent 0.3": "440b76c21c025ce1",
    "packed, process 1, exponent 0.3": "e3a0f985598cdd86",
    "padded, process 0, exponent 0.3": "f4a1dec033e25e65",
    "padded, process 1, exponent 0.3": "fff95b2c7db02b22",
}


class Examples:
    """900 examples in three languages of unlike size, with 3 to 32 tokens on a side."""

    sides = ("anchor", "positive")
    layout = stored_layout([(0, "en", language) for language in ("de", "fr", "sw")], np.array([[600, 250, 50]]))
    lengths = 3 + np.stack([np.arange(900) * 7919 % 30, np.arange(900) * 104729 % 30], axis=1)

    def __len__(self):
        return 900

    def read(self, rows, step=0):
        texts = [[np.arange(self.lengths[row, side]) + row for row in rows] for side in (0, 1)]
        return texts, {"label": (rows % 3).astype(np.int32)}


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
    examples = Examples()
    order = Order(examples.layout, rates(examples.layout, config), config.batches, 24, 5)
    batches = Batches(examples, order, config, Part(*process, devices))
    digest = hashlib.sha256(repr(batches.sizes).encode())
    for step in (0, 1, 5, 40, 100_000):
        for path, leaf in jax.tree_util.tree_leaves_with_path(batches.batch(step)):
            digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
    key = f"{'packed' if buckets is None else 'padded'}, process {process[0]}, exponent {exponent}"
    assert digest.hexdigest()[:16] == HASHES[key]


@pytest.mark.parametrize(
    ("batches", "recorded"), [("mixed", "20da35ebc49ab6b4"), ("one_language_pair", "8aef1f40a8d2d194")]
)
def test_the_order_of_shards_is_as_recorded(batches, recorded):
    """Of 10^9 rows in 16 lanes, in blocks, where a group lacks most lanes; rows, kinds and positions far away."""
    counts = np.array([[40_000_000 + lane, 22_000_000 - lane, 9 if lane == 3 else 0] for lane in range(16)])
    layout = stored_layout([(0, "en", "de"), (0, "en", "fr"), (1, "en", "sw")], counts, block=4096)
    order = Order(layout, np.array([1.0, 2.0, 10_000.0]), batches, 64, 5)
    steps = np.concatenate([np.arange(100), 10**9 + np.arange(100)])
    digest = hashlib.sha256(np.stack(order.turns(steps)).tobytes())
    for kind in range(len(order.kinds)):
        for start in (0, 10**12):
            digest.update(order.rows(np.arange(start, start + 4096), kind).tobytes())
    assert (VERSION, digest.hexdigest()[:16]) == (2, recorded)
