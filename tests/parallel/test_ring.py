"""What a ring holds at a time."""

import math
import re

import jax
import jax.numpy as jnp

from jaxemb import losses
from jaxemb.losses.parts.ranking_softmax import DIRECTIONS
from jaxemb.parallel import Across, batch_sharding, make_mesh


def test_a_ring_never_holds_more_than_a_chunk_against_a_block():
    rows, width, chunk = 512, 8, 4
    mesh = make_mesh(4, 2)
    options = {"directions": DIRECTIONS, "across": Across(mesh, "ring", chunk=chunk)}
    loss = jax.value_and_grad(lambda q, d: losses.multiple_negatives_ranking(q, d, **options).mean(), (0, 1))
    x = jax.ShapeDtypeStruct((rows, width), jnp.float32, sharding=batch_sharding(mesh))
    text = jax.jit(loss).lower(x, x).compile().as_text()
    shapes = {tuple(map(int, dimensions.split(","))) for dimensions in re.findall(r"\w+\[([\d,]+)\]", text)}
    block = rows // 8
    assert (chunk, block) in shapes
    assert max(map(math.prod, shapes)) == block * width  # the embeddings themselves: twice a chunk against a block
    assert re.search(r" collective-permute(-start)?\(", text)
    assert not re.search(r" all-gather(-start)?\(", text)
