"""The parameters that a run starts from: those of the model and, beside them, those of the objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import LabseObjective, LoraConfig, NliSource, SbertClassification, TsvSource
from jaxemb.models import init
from jaxemb.models.lora import add_adapters
from jaxemb.objectives.parameters import init_params, own_params, with_merged_adapters
from support.plans import config

PLAIN = config(LabseObjective())
SBERT = PLAIN.model_copy(update={"objective": SbertClassification()})


def equal(some, more):
    jax.tree.map(np.testing.assert_array_equal, some, more)


def drawn(config, seed=0):
    return jax.jit(lambda key: init_params(config, key))(jax.random.key(seed))


def test_the_objective_s_stand_beside_the_model_s():
    plain, params = drawn(PLAIN), drawn(SBERT)
    assert own_params(params).keys() == {"objective"}
    equal({name: tree for name, tree in params.items() if name != "objective"}, plain)
    equal(plain, jax.jit(lambda key: init(PLAIN.model, key))(jax.random.key(0)))
    assert own_params(plain) == {}
    kernel = params["objective"]["classifier"]["kernel"]
    assert np.abs(kernel - drawn(SBERT, seed=1)["objective"]["classifier"]["kernel"]).max() > 0


def test_merged_adapters_leave_the_objective_alone():
    model = PLAIN.model.model_copy(update={"lora": LoraConfig(rank=2, alpha=8.0)})
    params = drawn(SBERT)
    adapted = add_adapters(model, params, jax.random.key(1))
    adapted["lora"] = jax.tree.map(jnp.ones_like, adapted["lora"])
    merged = with_merged_adapters(model, adapted)
    assert "lora" not in merged
    equal(merged["objective"], params["objective"])
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), merged["encoder"], params["encoder"])
    by_ones = 8 / 2 * 2  # alpha / rank * A B
    assert moved["layers"]["attention"]["query"]["kernel"] == pytest.approx(by_ones, rel=1e-5)


def test_the_parameters_of_several_objectives_are_apart_and_do_not_depend_on_each_other():
    sources = [TsvSource(path="a"), *(NliSource(path="b", objective=name) for name in ("nli", "other"))]
    data = PLAIN.data.model_copy(update={"sources": tuple(sources)})
    both = {name: SbertClassification() for name in ("nli", "other")}
    params = drawn(PLAIN.model_copy(update={"data": data, "objectives": both}))
    assert own_params(params)["objective"].keys() == {"nli", "other"}
    kernels = [params["objective"][name]["classifier"]["kernel"] for name in both]
    assert np.abs(kernels[0] - kernels[1]).max() > 0
    alone = PLAIN.model_copy(
        update={"data": data.model_copy(update={"sources": tuple(sources[:2])}), "objectives": {"nli": both["nli"]}}
    )
    equal(drawn(alone)["objective"], {"nli": params["objective"]["nli"]})
    main = SBERT.model_copy(update={"data": data, "objectives": both})
    equal(drawn(main)["objective"]["classifier"], drawn(SBERT)["objective"]["classifier"])
