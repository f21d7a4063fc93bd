"""The papers' formulas on plain embeddings, and batches for them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

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
from jaxemb.parallel import make_mesh
from support.packed import packed

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
