"""Distillation into two towers."""

import jax
import jax.numpy as jnp
import pytest

from jaxemb import models
from jaxemb.config import (
    DistillationObjective,
)
from support.recipes import MODEL, ROWS, distillation, parameters, run, values_of
from support.tiers import sampled


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
