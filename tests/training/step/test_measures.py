"""Norms and tokens by hand."""

import jax.numpy as jnp
import numpy as np

from jaxemb.training.step.measures import group_norms, real_tokens, token_positions
from support.packed import packed


def test_norms_of_groups():
    tree = {
        "anchor": {
            "encoder": {
                "layers": {"output": {"kernel": jnp.array([3.0]), "bias": jnp.array([4.0], jnp.bfloat16)}},
                "word_embeddings": {"embedding": jnp.array([[1.0, 2.0]])},
                "embeddings_norm": {"scale": jnp.array([2.0])},
                "final_norm": {"scale": jnp.array([7.0])},
            }
        },
        "objective": {"classifier": jnp.array([6.0, 8.0])},
    }
    found = {name: float(value) for name, value in group_norms("x", tree).items()}
    by_hand = {"anchor/layers": 5.0, "anchor/embeddings": 3.0, "anchor/final_norm": 7.0, "objective": 10.0}
    assert found == {f"x/{name}": norm for name, norm in by_hand.items()}


def test_tokens_and_positions():
    lengths = np.array([[3], [5], [1], [8]])
    mask = np.arange(8)[None] < lengths
    side = {"input_ids": np.where(mask, 7, 0).astype(np.int32), "attention_mask": mask.astype(np.int32)}
    side["ids"] = np.arange(4, dtype=np.uint32)
    rows = packed(side, 1, 12)
    batch = {"anchor": side, "positive": rows, "anchor_hash": np.ones((4, 2)), "weight": np.ones(4)}
    assert int(real_tokens(batch)) == 2 * 17
    assert token_positions(batch) == 4 * 8 + rows["input_ids"].size
