"""Frozen parameters and LoRA in the compiled step: what moves, what counts, on one device and on a mesh."""

import functools
import re

import jax
import numpy as np
import optax
import pytest

from jaxemb import models, objectives
from jaxemb.config import (
    DataConfig,
    LabseObjective,
    LoraConfig,
    OptimizerConfig,
    TokenizerConfig,
    TrainConfig,
    TrainingConfig,
    TsvSource,
)
from jaxemb.errors import UsageError
from jaxemb.parallel import make_mesh
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.freezing import overlay, select_trained
from jaxemb.training.step.train_step import init_state, make_train_step, put_batch
from support import steps
from support.steps import batch
from support.tiers import sampled

MODEL = steps.MODEL.model_copy(update={"scan_layers": True})
TABLE_AND_QUERY = (r"encoder/word_embeddings/.*", r"encoder/layers/attention/query/.*", "dense/bias")
LORA = MODEL.model_copy(update={"init_from": "somewhere", "lora": LoraConfig(rank=3)})
SETTINGS = OptimizerConfig(learning_rate=1e-2, schedule="constant", weight_decay=0.1, clip_norm=0.1)


def config_of(model=MODEL, freeze=()):
    return TrainConfig(
        data=DataConfig(sources=(TsvSource(path="x"),), max_length=16),
        tokenizer=TokenizerConfig(vocab_size=600),
        model=model,
        training=TrainingConfig(steps=3, batch_size=16, freeze=freeze),
    )


def names(tree):
    return ["/".join(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def run(model, freeze, data=1, fsdp=1, chunk=None):
    """Three steps; gives the parameters before, the states after each, and the metrics of each."""
    mesh = make_mesh(data, fsdp, jax.devices()[: data * fsdp])
    trained = select_trained(config_of(model, freeze))
    optimizer = optimizers.build(SETTINGS, 3)
    rng = np.random.default_rng(0)
    before = jax.tree.map(
        lambda leaf: rng.normal(0.0, 0.1, leaf.shape).astype(np.float32),  # B, too: with a zero one, A has no gradient
        jax.eval_shape(functools.partial(models.init, model), jax.random.key(0)),
    )
    state = init_state(before, optimizer, mesh, trained)
    objective = objectives.build(LabseObjective(chunk=chunk), model, mesh)
    step = make_train_step(objective, optimizer, mesh, state, seed=3, trained=trained)
    states, metrics = [], []
    for number in range(3):
        state, values = step(state, put_batch(batch(2 * number), mesh))
        states.append(jax.device_get(state))
        metrics.append(jax.device_get(values))
    shards = jax.tree.map(lambda leaf: leaf.addressable_shards[0].data.size, state)
    return before, states, metrics, shards


def split_by_change(before, after):
    pairs = zip(names(before), jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    moved = {name: not np.array_equal(old, new) for name, old, new in pairs}
    return {name for name in moved if moved[name]}, {name for name in moved if not moved[name]}


@pytest.fixture(scope="module")
def alone():
    """The steps on one device."""
    return {model: run(model, freeze) for model, freeze in ((MODEL, TABLE_AND_QUERY), (LORA, ()))}


@pytest.mark.slow
def test_frozen_parameters_stay_bit_for_bit_and_all_others_move(alone):
    before, states, _, _ = alone[MODEL]
    moved, stayed = split_by_change(before, states[-1].params)
    wanted = {name for name in names(before) if any(re.fullmatch(pattern, name) for pattern in TABLE_AND_QUERY)}
    assert len(wanted) == 4
    assert stayed == wanted
    # Two moments of each that is trained, and none of the others.
    moments = [leaf.shape for leaf in jax.tree.leaves(states[-1].opt_state) if leaf.ndim]
    shapes = [leaf.shape for name, leaf in zip(names(before), jax.tree.leaves(before), strict=True) if name in moved]
    assert sorted(moments) == sorted(2 * shapes)


def test_with_lora_adapters_and_head_move(alone):
    before, states, _, _ = alone[LORA]
    moved, _ = split_by_change(before, states[-1].params)
    adapters = {
        f"lora/encoder/layers/attention/{name}/kernel/{part}"
        for name in ("query", "key", "value", "output")
        for part in "ab"
    }
    assert moved == adapters | {"dense/kernel", "dense/bias"}
    trained = select_trained(config_of(LORA.model_copy(update={"lora": LoraConfig(rank=3, train_head=False)})))
    assert set(names(trained(before))) == adapters
    no_a = select_trained(config_of(LORA, freeze=("lora/.*/a",)))  # LoRA-FA
    assert set(names(no_a(before))) == {n for n in adapters if n.endswith("b")} | {"dense/kernel", "dense/bias"}


def test_norm_and_clipping_know_the_trained_gradient_only(alone):
    """The first step by hand: gradient, clipping, AdamW with its decay, of the trained leaves."""
    before, states, metrics, _ = alone[LORA]
    after, moments = states[0].params, jax.tree.leaves(states[0].opt_state)
    mesh = make_mesh(1, 1, jax.devices()[:1])
    objective = objectives.build(LabseObjective(), LORA, mesh)
    key = jax.random.fold_in(jax.random.key(3), 0)
    whole = jax.jit(jax.grad(lambda params: objective(params, put_batch(batch(0), mesh), key)[0]))(before)
    trained = select_trained(config_of(LORA))
    part = trained(whole)
    norm = np.sqrt(sum(float((np.asarray(leaf, np.float64) ** 2).sum()) for leaf in jax.tree.leaves(part)))
    assert metrics[0]["gradient_norm"] == pytest.approx(norm, rel=1e-5)
    assert norm > SETTINGS.clip_norm  # so that it is clipped
    assert float(optax.tree.norm(whole)) > norm * 1.01
    first = next(leaf for leaf in moments if leaf.shape == (32,))
    gradient = next(leaf for leaf in jax.tree.leaves(part) if leaf.shape == (32,))
    np.testing.assert_allclose(first, 0.1 * gradient * SETTINGS.clip_norm / norm, rtol=1e-3, atol=1e-7)
    for name, old, new, slope in zip(
        names(part), *(jax.tree.leaves(tree) for tree in (trained(before), trained(after), part)), strict=True
    ):
        clipped = np.asarray(slope, np.float64) * SETTINGS.clip_norm / norm
        if "key/bias" in name:
            continue  # its gradient is zero: Adam amplifies rounding
        decay = 0.1 * old if name.rsplit("/", 1)[-1] in ("kernel", "embedding", "a", "b") else 0.0
        wanted = old - 1e-2 * (clipped / (np.abs(clipped) + 1e-8) + decay)
        safe = np.abs(clipped) > 1e-6
        assert safe.any(), name
        np.testing.assert_allclose(new[safe], wanted[safe], atol=2e-4, err_msg=name)


@pytest.mark.parametrize(
    ("model", "freeze", "data", "chunk"), sampled([(MODEL, TABLE_AND_QUERY, 2, None)], [(LORA, (), 1, 3)])
)
def test_a_mesh_does_what_one_device_does(model, freeze, data, chunk, alone):
    before, wanted, expected, _ = alone[model]
    _, found, metrics, shards = run(model, freeze, data, fsdp=4 // data, chunk=chunk)
    for name in ("loss", "gradient_norm"):
        np.testing.assert_allclose([m[name] for m in metrics], [m[name] for m in expected], rtol=2e-5)
    leaves = [jax.tree.leaves(tree) for tree in (before, found[-1].params, wanted[-1].params)]
    for name, old, new, value in zip(names(before), *leaves, strict=True):
        if "key/bias" not in name:
            np.testing.assert_allclose(new, value, atol=2e-4, err_msg=name)
        assert np.array_equal(old, new) == np.array_equal(old, value), name
    sizes = [(leaf, size) for leaf, size in zip(*map(jax.tree.leaves, (found[-1], shards)), strict=True)]
    assert {size < leaf.size for leaf, size in sizes if leaf.ndim == 3 and leaf.size >= 2**14} == {True}


def test_what_is_refused():
    def refused(message, model=MODEL, freeze=()):
        with pytest.raises(UsageError, match=message):
            select_trained(config_of(model, freeze))

    refused(r"training.freeze: 'encoder/word_embedding/.*' matches no parameter; the nearest are encoder/word_embedd",
            freeze=("dense/.*", "encoder/word_embedding/.*"))  # fmt: skip
    refused(r"training.freeze: 'encoder' matches no parameter", freeze=("encoder",))  # whole paths
    refused(r"training.freeze: nothing is left to train; 'dense/\.\*', 'encoder/\.\*' match everything",
            freeze=("dense/.*", "encoder/.*"))  # fmt: skip
    refused(r"training.freeze: nothing is left to train", LORA, freeze=("dense/.*", "lora/.*"))
    refused(r"training.freeze: 'lora/.*' matches no parameter", freeze=("lora/.*",))
    refused(r"model.lora.targets: 'dense/kernel' matches no kernel of the encoder",
            LORA.model_copy(update={"lora": LoraConfig(targets="dense/kernel")}))  # fmt: skip
    with pytest.raises(ValueError, match=r"freeze: '\[' is not a valid regular expression \(unterminated"):
        TrainingConfig(steps=1, freeze=("[",))
    with pytest.raises(ValueError, match=r"model.lora: adapters need a pretrained model \(model.init_from\)"):
        config_of(MODEL.model_copy(update={"lora": LoraConfig()}))


def test_overlay_keeps_what_it_does_not_name():
    params = {"x": {"y": 1, "z": {"w": 2}}, "v": 3}
    assert overlay(params, {}) == params
    assert overlay(params, {"x": {"z": {"w": 5}}}) == {"x": {"y": 1, "z": {"w": 5}}, "v": 3}
