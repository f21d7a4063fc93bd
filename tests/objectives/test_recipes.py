"""Each recipe's loss and gradient on any mesh, packed or padded, against the papers' formulas on plain embeddings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from packed import packed
from tiers import sampled

from jaxemb import models, objectives
from jaxemb.config import (
    BertConfig,
    DistillationObjective,
    ModelConfig,
    SbertClassification,
    SbertRegression,
    SbertTriplet,
    SimcseObjective,
    SupervisedSimcse,
)
from jaxemb.models import SIDES
from jaxemb.parallel import make_mesh

ENCODER = {"vocab_size": 60, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
MODEL = ModelConfig(
    encoder=BertConfig(**ENCODER, num_hidden_layers=1, max_position_embeddings=16),
    pooling="mean", dense=None, normalize=False,
)  # fmt: skip
ROWS = 16
LIVE = np.arange(ROWS) < ROWS - 1  # the last row is padding


def batch():
    """Texts of different lengths, with what any recipe wants; no two rows share a text."""
    rng = np.random.default_rng(0)
    sides = ("anchor", "positive", "negative")
    values = {}
    for side in sides:
        mask = np.arange(8)[None] < rng.integers(3, 9, (ROWS, 1))
        values[side] = {
            "input_ids": np.where(mask, rng.integers(5, 60, (ROWS, 8)), 0).astype(np.int32),
            "attention_mask": mask.astype(np.int32),
        }
        values[f"{side}_hash"] = rng.integers(0, 2**32, (ROWS, 2)).astype(np.uint32)
    values |= {
        "id": np.arange(ROWS, dtype=np.uint32),
        "weight": LIVE.astype(np.float32),
        "label": rng.integers(0, 3, ROWS).astype(np.int32),
        "score": rng.random(ROWS).astype(np.float32),
        "teacher": rng.normal(size=(ROWS, 16)).astype(np.float32),
    }
    return jax.tree.map(jnp.asarray, values)


def cosines(a, b):
    return a @ b.T / jnp.linalg.norm(a, axis=1)[:, None] / jnp.linalg.norm(b, axis=1)[None, :]


def features(u, v, names):
    each = {"u": u, "v": v, "|u-v|": jnp.abs(u - v), "u*v": u * v}
    return jnp.concatenate([each[name] for name in names], axis=1)


def classification(config, a, p, n, values, own):
    outputs = features(a, p, config.features) @ own["classifier"]["kernel"]
    if config.bias:
        outputs += own["classifier"]["bias"][None]
    return optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.asarray(values["label"]))


def regression(config, a, p, n, values, own):
    return (jnp.diagonal(cosines(a, p)) - values["score"]) ** 2


def triplets(config, a, p, n, values, own):
    near, far = (jnp.linalg.norm(a - other, axis=1) for other in (p, n))
    return jnp.maximum(0.0, near - far + config.margin)


def ranking(config, a, p, n, values, own):
    """Rows of weight 0 are no candidates; the own hard negative weighs alpha (equation 8 of SimCSE)."""
    live = jnp.asarray(LIVE)[None, :] | jnp.eye(ROWS, dtype=bool)
    forward = jnp.where(live, config.scale * cosines(a, p), -jnp.inf)
    backward = jnp.where(live, config.scale * cosines(p, a), -jnp.inf)
    hard = jnp.zeros((ROWS, 0))
    if isinstance(config, SupervisedSimcse):
        alpha = jnp.where(jnp.eye(ROWS, dtype=bool), jnp.log(config.hard_negative_weight), 0.0)
        hard = jnp.where(live, config.scale * cosines(a, n) + alpha, -jnp.inf)
    loss = jax.nn.logsumexp(jnp.concatenate([forward, hard], axis=1), axis=1) - jnp.diagonal(forward)
    if config.directions == "one_way":
        return loss
    both = loss + jax.nn.logsumexp(backward, axis=1) - jnp.diagonal(backward)
    return both / 2 if config.directions == "mean" else both


def distillation(config, a, p, n, values, own):
    over = {"mean": jnp.mean, "sum": jnp.sum}[config.over]
    terms = {side: over((x - values["teacher"]) ** 2, axis=1) for side, x in (("source", a), ("target", p))}
    return terms["source"] + terms["target"] if config.terms == "both" else terms[config.terms]


RECIPES = {
    "classification": (SbertClassification(), classification),
    "classification, other features": (SbertClassification(features=("u*v", "v"), bias=False), classification),
    "regression": (SbertRegression(), regression),
    "triplet": (SbertTriplet(margin=2.5), triplets),
    "simcse": (SimcseObjective(), ranking),
    "simcse, both ways": (SimcseObjective(directions="mean", scale=7.0), ranking),
    "supervised simcse": (SupervisedSimcse(hard_negative_weight=3.0), ranking),
    "distillation": (DistillationObjective(teacher="t"), distillation),
    "distillation, source alone, sum": (DistillationObjective(teacher="t", terms="source", over="sum"), distillation),
    "distillation, target alone": (DistillationObjective(teacher="t", terms="target"), distillation),
}


def parameters(config, model=MODEL):
    params = models.init_towers(model, jax.random.key(0))
    params |= objectives.init_params(config, model, jax.random.key(1))
    return jax.tree.map(lambda leaf: 4.0 * leaf, params)  # so that an error shows


def values_of(config):
    values = batch()
    if not isinstance(config, SupervisedSimcse | SbertTriplet):
        del values["negative"]
    return values


@functools.cache
def expected(name):
    config, formula = RECIPES[name]

    def loss(params):
        values = batch()
        a, p, n = (models.apply(MODEL, params, values[side]) for side in ("anchor", "positive", "negative"))
        return formula(config, a, p, n, values, params.get("objective"))[: ROWS - 1].mean()

    return jax.jit(jax.value_and_grad(loss))(parameters(config))


def assert_close(found, wanted, atol):
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(wanted))
    assert largest > 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(wanted):
        other = functools.reduce(lambda tree, key: tree[key.key], path, found)
        np.testing.assert_allclose(other, leaf, atol=atol * largest, err_msg=jax.tree_util.keystr(path))


def run(config, params, values, devices, pack, key=None, model=MODEL):
    mesh = make_mesh(devices, 1, jax.devices()[:devices])
    if pack:
        texts = [side for side in ("anchor", "positive", "negative") if side in values]
        values = values | jax.tree.map(jnp.asarray, {side: packed(values[side], devices, length=16) for side in texts})
    objective = objectives.build(config, model, mesh)
    return jax.jit(jax.value_and_grad(lambda params: objective(params, values, key)[0]))(params)


MESHES = [(8, True), (2, False), (1, False), (4, True)]
VARIANTS = {
    "classification, other features", "simcse", "simcse, both ways", "distillation, source alone, sum",
    "distillation, target alone",
}  # fmt: skip
COVERING = [(name, *MESHES[0]) for name in RECIPES if name not in VARIANTS]
MORE = [(name, *mesh) for name in RECIPES for mesh in MESHES if (name, *mesh) not in COVERING]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "devices", "pack"), sampled(COVERING, MORE, draw=1))
def test_value_and_gradient_are_the_paper_s(name, devices, pack):
    config, _ = RECIPES[name]
    loss, gradient = run(config, parameters(config), values_of(config), devices, pack)
    wanted, wanted_gradient = expected(name)
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    assert_close(gradient, wanted_gradient, atol=2e-5)


@pytest.mark.parametrize(("name", "devices"), [("supervised simcse", 2), ("triplet", 1)])
def test_a_repeated_hard_negative_counts_once(name, devices):
    """Even rows have two hard negatives, odd rows one. They repeat them, as a source that has no more does."""
    config, _ = RECIPES[name]
    values, odd = batch(), np.arange(ROWS) % 2 == 1
    for part in ("input_ids", "attention_mask"):
        other = jnp.roll(values["positive"][part], 3, axis=0)
        second = jnp.where(odd[:, None], values["negative"][part], other)
        values.setdefault("negative_1", {})[part] = second
    values["negative_1_hash"] = jnp.where(odd[:, None], values["negative_hash"], values["negative_hash"] + 1)
    values |= {"negative_2": values["negative"], "negative_2_hash": values["negative_hash"]}

    def wanted(params):
        a, p, n, m = (models.apply(MODEL, params, values[side]) for side in (*SIDES, "negative", "negative_1"))
        if name == "triplet":
            first, second = (triplets(config, a, p, one, values, None) for one in (n, m))
            return jnp.where(odd, first, (first + second) / 2)[LIVE].mean()
        live = jnp.asarray(LIVE)[None, :] | jnp.eye(ROWS, dtype=bool)
        alpha = jnp.where(jnp.eye(ROWS, dtype=bool), jnp.log(config.hard_negative_weight), 0.0)
        positive = jnp.where(live, config.scale * cosines(a, p), -jnp.inf)
        first = jnp.where(live, config.scale * cosines(a, n) + alpha, -jnp.inf)
        second = jnp.where(live & ~odd[None, :], config.scale * cosines(a, m) + alpha, -jnp.inf)
        every = jax.nn.logsumexp(jnp.concatenate([positive, first, second], axis=1), axis=1)
        return (every - jnp.diagonal(positive))[LIVE].mean()

    params = parameters(config)
    loss, gradient = run(config, params, values, devices, pack=False)
    expected_loss, expected_gradient = jax.jit(jax.value_and_grad(wanted))(params)
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-5)
    assert_close(gradient, expected_gradient, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(["supervised simcse"], ["simcse", "distillation, target alone"]))
def test_dropout_is_the_same_on_any_mesh(name):
    config, _ = RECIPES[name]
    key = jax.random.key(3)
    one, gradient = run(config, parameters(config), values_of(config), 1, pack=False, key=key)
    for devices, pack in ((2, True), (8, False)):
        loss, other = run(config, parameters(config), values_of(config), devices, pack, key=key)
        assert float(loss) == pytest.approx(float(one), rel=1e-5)
        assert_close(other, gradient, atol=2e-5)
    assert float(one) != pytest.approx(float(expected(name)[0]), rel=1e-3)


@pytest.mark.slow
def test_views_are_alike_only_where_the_ablation_says_so():
    """A sentence as its own positive: with a mask of its own it is not the same vector, with a shared one it is."""
    values = values_of(SimcseObjective())
    values |= {"positive": values["anchor"], "positive_hash": values["anchor_hash"]}
    mesh = make_mesh(2, 1, jax.devices()[:2])
    similarity = {}
    for ablation in (None, "shared_dropout"):
        objective = objectives.build(SimcseObjective(ablation=ablation), MODEL, mesh)
        _, metrics = jax.jit(objective)(parameters(SimcseObjective()), values, jax.random.key(0))
        similarity[ablation] = float(metrics["positive_similarity"])
    assert similarity["shared_dropout"] == pytest.approx(1.0, abs=1e-5)
    assert similarity[None] < 0.99


@pytest.mark.parametrize("terms", sampled(["both"], ["source", "target"]))
def test_untied_towers_each_embed_their_side(terms):
    config = DistillationObjective(teacher="t", terms=terms)
    model = MODEL.model_copy(update={"towers": "untied"})
    params = parameters(config, model)
    params["positive"] = jax.tree.map(lambda leaf: 1.5 * leaf, params["positive"])
    values = values_of(config)
    loss, gradient = run(config, params, values, 2, pack=False, model=model)
    a, p = (models.apply(MODEL, params[side], values[side]) for side in ("anchor", "positive"))
    assert float(loss) == pytest.approx(
        float(distillation(config, a, p, None, values, None)[: ROWS - 1].mean()), rel=1e-5
    )
    moved = {side for side in params if any(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradient[side]))}
    assert moved == {"both": {"anchor", "positive"}, "source": {"anchor"}, "target": {"positive"}}[terms]
