"""A small model and batches for tests of the training step."""

import numpy as np

from jaxemb.config import BertConfig, ModelConfig

MODEL = ModelConfig(
    encoder=BertConfig(
        vocab_size=600, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256,
        max_position_embeddings=32,
    )
)  # fmt: skip

ROWS = 16


def batch(step, rows=ROWS, live=ROWS):
    rng = np.random.default_rng(step)
    length = (8, 16)[step % 2]

    def side():
        lengths = rng.integers(3, length + 1, (rows, 1))
        return {
            "input_ids": rng.integers(5, 600, (rows, length)).astype(np.int32),
            "attention_mask": (np.arange(length)[None] < lengths).astype(np.int32),
        }

    return {
        "anchor": side(),
        "positive": side(),
        "anchor_hash": rng.integers(0, 6, (rows, 2)).astype(np.uint32),  # some duplicates
        "positive_hash": rng.integers(0, 2**32, (rows, 2)).astype(np.uint32),
        "id": (np.arange(rows) + step * rows).astype(np.uint32),
        "weight": (np.arange(rows) < live).astype(np.float32),
    }
