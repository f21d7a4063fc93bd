"""Translation ranking is the loss of its name over the embeddings of both sides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import losses, models, objectives
from jaxemb.config import InfoNceObjective, LabseObjective
from jaxemb.losses.parts.duplicates import duplicate_mask
from jaxemb.parallel import make_mesh
from support.recipes import LIVE, MODEL, parameters, values_of


@pytest.mark.parametrize(
    ("config", "margin"), [(LabseObjective(scale=7.0, margin=0.4, directions="sum"), 0.4), (InfoNceObjective(), 0.0)]
)
def test_it_is_the_additive_margin_softmax_with_duplicates_masked(config, margin):
    params, values = parameters(config), values_of(config)
    for side, one, other in (("anchor", 2, 7), ("positive", 3, 5)):
        values[f"{side}_hash"] = values[f"{side}_hash"].at[one].set(values[f"{side}_hash"][other])
    objective = objectives.build(config, MODEL, make_mesh(1, 1, jax.devices()[:1]))
    loss, _ = jax.jit(objective)(params, values, None)
    live = np.flatnonzero(LIVE)
    a, p = (jax.jit(lambda side: models.apply(MODEL, params, side))(values[side])[live] for side in models.SIDES)
    mask = duplicate_mask(values["anchor_hash"][live], values["positive_hash"][live])
    options = {"scale": config.scale, "directions": config.directions, "excluded": mask}
    wanted = losses.additive_margin_softmax(a, p, margin=margin, **options)
    assert float(loss) == pytest.approx(float(wanted.mean()), rel=1e-5)
    unmasked = losses.additive_margin_softmax(a, p, margin=margin, **options | {"excluded": jnp.zeros_like(mask)})
    assert abs(float(unmasked.mean()) - float(loss)) > 1e-4
