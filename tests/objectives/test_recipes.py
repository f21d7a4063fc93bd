"""Each recipe's loss and gradient on any mesh, packed or padded, against the papers' formulas on plain embeddings."""

import functools

import jax
import pytest

from jaxemb import models
from support.recipes import MODEL, RECIPES, ROWS, assert_close, batch, parameters, run, values_of
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
