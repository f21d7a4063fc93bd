"""Embedding a batch chunk by chunk (GradCache) is embedding it at once, in value and gradient."""

import functools
import re

import jax
import numpy as np
import pytest

from jaxemb import models, objectives
from jaxemb.config import BertConfig, LabseObjective, ModelConfig
from jaxemb.objectives.embedding import embed_texts
from jaxemb.parallel import chunked_embed, make_mesh, rows_of_tokens
from jaxemb.training.step.train_step import put_batch
from support.packed import packed
from support.tiers import sampled

ENCODER = {"vocab_size": 600, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
MODEL = ModelConfig(encoder=BertConfig(**ENCODER, num_hidden_layers=2, max_position_embeddings=16))
ROWS, LENGTH = 16, 12


def batch(pack: bool, devices: int):
    rng = np.random.default_rng(0)

    def side():
        lengths = rng.integers(3, LENGTH + 1, (ROWS, 1))
        tokens = {
            "input_ids": rng.integers(5, 200, (ROWS, LENGTH)).astype(np.int32),
            "attention_mask": (np.arange(LENGTH)[None] < lengths).astype(np.int32),
        }
        return packed(tokens, devices, length=16) if pack else tokens

    return {
        "anchor": side(),
        "positive": side(),
        "anchor_hash": rng.integers(0, 9, (ROWS, 2)).astype(np.uint32),
        "positive_hash": rng.integers(0, 2**32, (ROWS, 2)).astype(np.uint32),
        "id": np.arange(ROWS).astype(np.uint32),
        "weight": (np.arange(ROWS) < ROWS - 2).astype(np.float32),
    }


@functools.cache
def parameters():
    return jax.tree.map(lambda leaf: 3.0 * leaf, models.init(MODEL, jax.random.key(0)))


def value_and_gradient(mesh, pack: bool, **settings):
    objective = objectives.build(LabseObjective(**settings), MODEL, mesh)
    step = jax.jit(jax.value_and_grad(lambda *arguments: objective(*arguments)[0]))
    return step, (parameters(), put_batch(batch(pack, mesh.size), mesh), jax.random.key(1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "pack", "chunk", "negatives"),
    sampled(
        [((4, 2), False, 3, "ring")],
        [
            ((2, 1), True, 2, "gather"),
            ((1, 1), False, 3, "gather"),
            ((1, 1), True, 5, "gather"),
            ((2, 1), True, 2, "ring"),
            ((4, 2), False, 1, "gather"),
            ((4, 2), True, 1, "local"),
            ((2, 1), False, 1000, "gather"),
        ],
    ),
)
def test_chunks_change_neither_value_nor_gradient(shape, pack, chunk, negatives):
    mesh = make_mesh(*shape, jax.devices()[: shape[0] * shape[1]])
    options = {"negatives": negatives, "ring_chunk": 1}
    step, arguments = value_and_gradient(mesh, pack, **options)
    loss, gradient = step(*arguments)
    chunked, arguments = value_and_gradient(mesh, pack, chunk=chunk, **options)
    other_loss, other_gradient = chunked(*arguments)
    np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
    if pack:
        step, padded = value_and_gradient(mesh, False, **options)
        np.testing.assert_allclose(loss, step(*padded)[0], rtol=1e-5)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient))
    assert largest > 0.01
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(other_gradient), strict=True):
        assert np.abs(one - other).max() < 1e-6 * largest
    # With dropout: another key is another loss.
    assert abs(chunked(*arguments[:2], jax.random.key(2))[0] - loss) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "pack", "settings"),
    sampled(
        [((4, 2), True, {})],
        [((1, 1), False, {}), ((2, 1), True, {"chunk": 2}), ((2, 2), False, {"negatives": "ring", "ring_chunk": 1})],
    ),
)
def test_untied_towers_that_are_alike_are_tied_ones(shape, pack, settings):
    """The value is the same; the gradients of the two sum to that of the shared one."""
    mesh = make_mesh(*shape, jax.devices()[: shape[0] * shape[1]])
    step, arguments = value_and_gradient(mesh, pack, **settings)
    loss, gradient = step(*arguments)
    model = MODEL.model_copy(update={"towers": "untied"})
    objective = objectives.build(LabseObjective(**settings), model, mesh)
    untied = jax.jit(jax.value_and_grad(lambda *arguments: objective(*arguments)[0]))
    other_loss, towers = untied({"anchor": parameters(), "positive": parameters()}, *arguments[1:])
    np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(gradient))
    for one, a, p in zip(*map(jax.tree.leaves, (gradient, towers["anchor"], towers["positive"])), strict=True):
        assert np.abs(one - (a + p)).max() < 2e-6 * largest
    assert all(np.abs(towers[side]["encoder"]["word_embeddings"]["embedding"]).max() > 1e-3 for side in towers)


def test_each_side_is_embedded_by_its_own_tower():
    mesh = make_mesh(2, 1, jax.devices()[:2])
    _, (_, tokens, key) = value_and_gradient(mesh, True)
    untied = MODEL.model_copy(update={"towers": "untied"})
    params = {"anchor": parameters(), "positive": jax.tree.map(lambda leaf: 1.5 * leaf, parameters())}
    embed = jax.jit(lambda model, params: embed_texts(model, params, tokens, key, mesh=mesh), static_argnums=0)
    anchors, positives = embed(untied, params)
    for found, side, number in ((anchors, "anchor", 0), (positives, "positive", 1)):
        both = [embed(MODEL, params[one])[number] for one in ("anchor", "positive")]
        np.testing.assert_allclose(found, both[side == "positive"], atol=1e-6)
        assert np.abs(both[0] - both[1]).max() > 1e-2


def computations(text: str) -> dict[str, str]:
    return {
        match[1]: match[2] for match in re.finditer(r"^(?:ENTRY )?%?([\w.\-]+) \(.*?\{\n(.*?)^\}", text, re.M | re.S)
    }


def inside_loops(text: str) -> str:
    """The text of all computations that a loop runs, directly or not."""
    bodies, found = computations(text), set()
    todo = re.findall(r"while\(.*?body=%?([\w.\-]+)", text)
    assert todo
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [other for other in re.findall(r"%?([\w.\-]+)", bodies[name]) if other in bodies]
    return "".join(bodies[name] for name in found)


def test_the_gradient_is_summed_over_devices_once_and_not_in_the_loop():
    step, arguments = value_and_gradient(make_mesh(4, 2), False, chunk=1)
    text = step.lower(*arguments).compile().as_text()
    inside = inside_loops(text)
    assert "dot(" in inside
    assert re.search(r" all-reduce(-start)?\(", text)
    assert not re.search(r" all-reduce(-start)?\(", inside)


@pytest.mark.parametrize(("pack", "rows"), [(False, 4), (True, 3)])
def test_chunks_by_tokens_are_so_many_rows_of_them(pack, rows, monkeypatch):
    """50 tokens hold 4 rows of 12, or 3 packed ones of 16."""
    seen = []

    def spy(embed, params, batch, key, chunk, *, mesh):
        seen.append(chunk)
        return chunked_embed(embed, params, batch, key, chunk, mesh=mesh)

    monkeypatch.setattr("jaxemb.objectives.embedding.chunked_embed", spy)
    objective = objectives.build(LabseObjective(chunk_tokens=50), MODEL, make_mesh(1, 1, jax.devices()[:1]))
    jax.eval_shape(objective, parameters(), batch(pack, 1), jax.random.key(1))
    assert seen == [rows]
    assert rows_of_tokens(5, 12) == 1
