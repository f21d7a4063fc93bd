"""Two towers as two embedders, or one for both sides."""

import jax
import numpy as np
import pytest

from jaxemb.encoding import Towers, towers_of
from jaxemb.encoding.towers import as_towers, unchosen
from jaxemb.models import init_towers
from support.tiny_models import TOKENIZER, tiny_embedder


def test_each_tower_is_a_model_by_itself():
    tied = tiny_embedder().config
    config = tied.model_copy(update={"towers": "untied"})
    params = init_towers(config, jax.random.key(0))
    params["positive"] = jax.tree.map(lambda leaf: 1.5 * leaf, params["positive"])
    towers = towers_of(config, params, TOKENIZER)
    assert not towers.tied
    assert towers.alike
    assert towers.anchor.config == tied
    assert towers.embedders == (towers.anchor, towers.positive)
    assert np.abs(towers.anchor.encode(["one"]) - towers.positive.encode(["one"])).max() > 0.01
    assert towers.map(lambda one: one.with_prompt("a: ")).positive.config.prompt == "a: "


def test_one_embedder_is_that_of_both_sides():
    one = tiny_embedder()
    towers = towers_of(one.config, one.params, one.tokenizer)
    assert towers.tied
    assert len(towers.embedders) == 1
    calls = []
    assert as_towers(one).map(lambda each: calls.append(each) or each).tied
    assert calls == [one]
    assert as_towers(towers) is towers


def test_towers_that_differ_in_more_than_their_weights():
    assert Towers(tiny_embedder(), tiny_embedder(seed=1)).alike
    assert not Towers(tiny_embedder(), tiny_embedder(normalize=False)).alike
    with pytest.raises(
        Exception,
        match=r"^runs/a: has two towers: choose the one for anchors \(queries\) with `--tower anchor` or",
    ):
        raise unchosen("runs/a")
