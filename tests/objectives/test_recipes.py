"""Each recipe's loss and gradient on any mesh, packed or padded, against the papers' formulas on plain embeddings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import models
from jaxemb.models import SIDES
from support.recipes import (
    LIVE,
    MODEL,
    RECIPES,
    ROWS,
    assert_close,
    batch,
    cosines,
    parameters,
    run,
    triplets,
    values_of,
)
from support.tiers import sampled


@functools.cache
def expected(name):
    config, formula = RECIPES[name]

    def loss(params):
        values = batch()
        a, p, n = (models.apply(MODEL, params, values[side]) for side in ("anchor", "positive", "negative"))
        return formula(config, a, p, n, values, params.get("objective"))[: ROWS - 1].mean()

    return jax.jit(jax.value_and_grad(loss))(parameters(config))


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
