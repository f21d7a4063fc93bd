"""Ten steps on any mesh are the ten steps on one device."""

import functools

import jax
import numpy as np
import pytest

from jaxemb import models, objectives
from jaxemb.config import InfoNceObjective, LabseObjective, OptimizerConfig
from jaxemb.parallel import make_mesh
from jaxemb.training.loop.compilations import compilations_of
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.train_step import init_state, make_train_step, put_batch
from support.packed import packed
from support.steps import MODEL, ROWS, batch
from support.tiers import sampled

STEPS = 10
OBJECTIVES = {
    "labse": LabseObjective(directions="sum"),
    "info_nce": InfoNceObjective(),
}


def run(objective, data, fsdp, steps=STEPS, pack=False):
    mesh = make_mesh(data, fsdp, jax.devices()[: data * fsdp])
    optimizer = optimizers.build(OptimizerConfig(learning_rate=1e-3, warmup_steps=2), steps)
    state = init_state(models.init(MODEL, jax.random.key(0)), optimizer, mesh)
    step = make_train_step(objectives.build(objective, MODEL, mesh), optimizer, mesh, state, seed=3)
    losses = []
    with compilations_of(step) as compiled:
        for number in range(steps):
            rows = batch(number, live=ROWS - number % 3)
            if pack:
                rows |= {side: packed(rows[side], mesh.size, length=32) for side in ("anchor", "positive")}
            placed = put_batch(rows, mesh)
            with jax.transfer_guard("disallow"):
                state, metrics = step(state, placed)
            losses.append(float(metrics["loss"]))
    assert pack or compiled() == 2, "one compilation a length bucket"
    return np.array(losses), state


def assert_split_over_fsdp(state, fsdp):
    """The table and both of its moments."""
    table = state.params["encoder"]["word_embeddings"]["embedding"]
    moments = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.shape == table.shape]
    assert len(moments) == 2
    for leaf in [table, *moments]:
        assert leaf.addressable_shards[0].data.size == leaf.size // fsdp


@functools.cache
def one_device(kind):
    losses, state = run(OBJECTIVES[kind], 1, 1)
    return losses, jax.device_get(state.params)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "data", "fsdp", "pack"),
    sampled(
        [("labse", 2, 4, False)],
        [
            ("labse", 2, 2, True),
            ("labse", 8, 1, False), ("labse", 2, 1, False), ("labse", 4, 1, False), ("labse", 1, 8, False),
            ("labse", 1, 1, True), ("labse", 2, 1, True), ("info_nce", 4, 2, False), ("info_nce", 2, 2, True),
        ],
    ),
)  # fmt: skip
def test_ten_steps_agree_with_one_device_and_padded_texts(kind, data, fsdp, pack):
    losses, state = run(OBJECTIVES[kind], data, fsdp, pack=pack)
    assert_split_over_fsdp(state, fsdp)
    expected_losses, expected = one_device(kind)
    np.testing.assert_allclose(losses, expected_losses, rtol=0, atol=1e-5)
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(state.params)):
        name = jax.tree_util.keystr(path)
        if "['key']['bias']" in name:
            continue  # its gradient is zero: Adam amplifies rounding
        wanted = functools.reduce(lambda tree, key: tree[key.key], path, expected)
        np.testing.assert_allclose(leaf, wanted, atol=1e-4, err_msg=name)


def test_the_loss_goes_down_when_the_pairs_can_be_learned():
    mesh = make_mesh(1, 1, jax.devices()[:1])
    optimizer = optimizers.build(OptimizerConfig(learning_rate=3e-3), 30)
    state = init_state(models.init(MODEL, jax.random.key(0)), optimizer, mesh)
    step = make_train_step(objectives.build(LabseObjective(), MODEL, mesh), optimizer, mesh, state, seed=0)
    fixed = batch(0)
    losses = []
    for _ in range(30):
        state, metrics = step(state, put_batch(fixed, mesh))
        losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[0] / 4
    assert int(state.step) == 30


def test_no_decay_on_biases_and_norms():
    params = models.init(MODEL, jax.random.key(0))
    mask = optimizers.decay_mask(params)
    left_out = {
        "/".join(key.key for key in path) for path, decayed in jax.tree_util.tree_leaves_with_path(mask) if not decayed
    }
    layer = "encoder/layers/"
    assert left_out == {
        "dense/bias", "encoder/embeddings_norm/bias", "encoder/embeddings_norm/scale",
        *(f"{layer}attention/{name}/bias" for name in ("query", "key", "value", "output")),
        *(f"{layer}{norm}_norm/{leaf}" for norm in ("attention", "output") for leaf in ("bias", "scale")),
        f"{layer}intermediate/bias", f"{layer}output/bias",
    }  # fmt: skip
    # With a zero gradient only the decay moves a parameter.
    optimizer = optimizers.build(OptimizerConfig(learning_rate=0.1, weight_decay=0.5, schedule="constant"), 10)
    ones = jax.tree.map(np.ones_like, jax.device_get(params))
    zeros = jax.tree.map(np.zeros_like, ones)
    updates, _ = optimizer.update(zeros, optimizer.init(ones), ones)
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
        name = "/".join(key.key for key in path)
        np.testing.assert_allclose(update, 0.0 if name in left_out else -0.05, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("linear", {0: 0.25, 3: 1.0, 4: 1.0, 12: 0.5, 20: 0.0}),
        ("cosine", {0: 0.25, 3: 1.0, 4: 1.0, 8: 0.8535534, 12: 0.5, 20: 0.0}),
        ("constant", {0: 0.25, 3: 1.0, 19: 1.0}),
    ],
)
def test_schedules(kind, expected):
    rate = optimizers.schedule(OptimizerConfig(learning_rate=1.0, schedule=kind, warmup_steps=4), 20)
    for step, wanted in expected.items():
        assert float(rate(step)) == pytest.approx(wanted, abs=1e-6), step


def test_a_share_of_warmup_is_that_many_steps():
    share, steps = (
        optimizers.schedule(OptimizerConfig(learning_rate=1.0, **warmup), 33)
        for warmup in ({"warmup_share": 0.1}, {"warmup_steps": 4})  # 3.3, and upwards
    )
    assert [float(share(step)) for step in range(33)] == [float(steps(step)) for step in range(33)]
    assert float(share(0)) == 0.25


def test_the_gradient_is_clipped():
    optimizer = optimizers.build(OptimizerConfig(clip_norm=1.0, weight_decay=0.0), 10)
    unclipped = optimizers.build(OptimizerConfig(clip_norm=None, weight_decay=0.0), 10)
    params = {"kernel": np.zeros(4, np.float32)}
    huge = {"kernel": np.full(4, 50.0, np.float32)}
    # Adam's first step ignores the size of the gradient; its moments do not.
    moments = [jax.tree.leaves(tx.update(huge, tx.init(params), params)[1]) for tx in (optimizer, unclipped)]
    first = [next(leaf for leaf in leaves if leaf.shape == (4,)) for leaves in moments]
    np.testing.assert_allclose(first[0] / first[1], 1 / 100.0, rtol=1e-5)
