"""The parameters that a run starts from: those of the model and, beside them, those of the objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import LabseObjective, LoraConfig, SbertClassification
from jaxemb.models import init
from jaxemb.models.lora import add_adapters
from jaxemb.objectives.parameters import init_params, own_params, with_merged_adapters
from support.plans import config

PLAIN = config(LabseObjective())
SBERT = PLAIN.model_copy(update={"objective": SbertClassification()})


def equal(some, more):
    jax.tree.map(np.testing.assert_array_equal, some, more)


def test_the_objective_s_stand_beside_the_model_s():
    drawn = init_params(SBERT, jax.random.key(0))
    assert own_params(drawn).keys() == {"objective"}
    equal({name: tree for name, tree in drawn.items() if name != "objective"}, init_params(PLAIN, jax.random.key(0)))
    equal(init_params(PLAIN, jax.random.key(0)), init(PLAIN.model, jax.random.key(0)))
    assert own_params(init_params(PLAIN, jax.random.key(0))) == {}
    kernel = drawn["objective"]["classifier"]["kernel"]
    assert np.abs(kernel - init_params(SBERT, jax.random.key(1))["objective"]["classifier"]["kernel"]).max() > 0


def test_merged_adapters_leave_the_objective_alone():
    model = PLAIN.model.model_copy(update={"lora": LoraConfig(rank=2, alpha=8.0)})
    params = init_params(SBERT, jax.random.key(0))
    adapted = add_adapters(model, params, jax.random.key(1))
    adapted["lora"] = jax.tree.map(jnp.ones_like, adapted["lora"])
    merged = with_merged_adapters(model, adapted)
    assert "lora" not in merged
    equal(merged["objective"], params["objective"])
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), merged["encoder"], params["encoder"])
    assert moved["layers"]["attention"]["query"]["kernel"] == pytest.approx(
        8 / 2 * 2, rel=1e-5
    )  # alpha / rank * A B of ones
    assert moved["word_embeddings"]["embedding"] == 0
