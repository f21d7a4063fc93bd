"""The parameters that a run starts from: drawn where they lie, or a model's, with what it lacks."""

import jax
import numpy as np
import pytest

from jaxemb.config import LabseObjective, LoraConfig
from jaxemb.encoding.towers import as_towers
from jaxemb.objectives.parameters import init_params
from jaxemb.parallel import make_mesh
from jaxemb.training.step.parameters import params_to_start_from
from support.plans import config
from support.tiny_models import tiny_embedder

MESH = make_mesh(1, 2, jax.devices()[:2])


def equal(some, more):
    jax.tree.map(np.testing.assert_array_equal, some, more)


def test_drawn_over_a_mesh_they_are_what_one_device_draws():
    plain = config(LabseObjective())
    drawn = params_to_start_from(plain, MESH, None)
    equal(drawn, jax.jit(lambda key: init_params(plain, key))(jax.random.key(plain.training.seed)))
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(drawn)} == {2}


def from_model(base, **changes):
    one = config(LabseObjective())
    model = base.config.model_copy(update={"init_from": "somewhere", **changes})
    return params_to_start_from(one.model_copy(update={"model": model}), MESH, as_towers(base))


def test_a_model_s_are_taken_as_they_are_with_a_padded_table():
    base = tiny_embedder()
    equal(from_model(base), base.params)
    padded = from_model(base, vocab_multiple=64)["encoder"]["word_embeddings"]["embedding"]
    rows = base.config.encoder.vocab_size
    assert len(padded) % 64 == 0 < len(padded) - rows
    np.testing.assert_array_equal(padded[:rows], base.params["encoder"]["word_embeddings"]["embedding"])


def test_a_new_head_adapters_and_a_second_tower():
    base = tiny_embedder()
    headed = from_model(base, new_head=True)
    equal(headed["encoder"], base.params["encoder"])
    assert np.abs(headed["dense"]["kernel"] - base.params["dense"]["kernel"]).max() > 1e-3
    adapted = from_model(base, lora=LoraConfig(rank=2))
    assert adapted["lora"]
    equal(adapted["encoder"], base.params["encoder"])
    both = from_model(base, towers="untied")
    assert both.keys() == {"anchor", "positive"}
    equal(both["anchor"], both["positive"])
    kernels = [both[side]["dense"]["kernel"].unsafe_buffer_pointer() for side in both]
    assert kernels[0] != kernels[1], "a step gives up each buffer once"


@pytest.mark.parametrize("seed", [1, 2])
def test_the_seed_is_that_of_the_config(seed):
    plain = config(LabseObjective())
    other = plain.model_copy(update={"training": plain.training.model_copy(update={"seed": seed})})
    drawn = [params_to_start_from(one, MESH, None)["encoder"]["word_embeddings"]["embedding"] for one in (plain, other)]
    assert np.abs(drawn[0] - drawn[1]).max() > 0.01
