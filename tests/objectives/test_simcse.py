"""SimCSE: what its dropout masks are, and what masked language modelling adds to it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import models, objectives
from jaxemb.config import (
    ModelConfig,
    SimcseObjective,
    SupervisedSimcse,
)
from jaxemb.parallel import make_mesh
from support.masking import ROWS, V, texts
from support.masking import parameters as parameters_of
from support.recipes import MODEL, parameters, values_of
from support.tiers import sampled
from support.tiny_models import ENCODERS, TOKENIZER


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", sampled([SupervisedSimcse], [SimcseObjective]))
def test_simcse_with_masked_language_modelling(kind):
    """The loss is that of SimCSE and so many times that of the masked anchors; it trains the head."""
    model = ModelConfig(encoder=ENCODERS["bert"])
    mesh = make_mesh(2, 1, jax.devices()[:2])
    rng, tokens = np.random.default_rng(0), texts()
    anchors = {name: values for name, values in tokens.items() if name != "ids"}
    hashes = {f"{side}_hash": jnp.asarray(rng.integers(0, 2**32, (ROWS, 2)), jnp.uint32) for side in models.SIDES}
    batch = {"anchor": anchors, "positive": anchors, "id": tokens["ids"], "weight": jnp.ones(ROWS)} | hashes
    params, key = parameters_of(model, kind(mlm_weight=1.0)), jax.random.key(7)
    plain, _ = jax.jit(objectives.build(kind(), model, mesh))(params, batch, key)
    objective = objectives.build(kind(mlm_weight=0.3), model, mesh, TOKENIZER)
    (loss, metrics), gradient = jax.jit(jax.value_and_grad(lambda p: objective(p, batch, key), has_aux=True))(params)
    assert float(loss) == pytest.approx(float(plain) + 0.3 * float(metrics["mlm_loss"]), rel=1e-5)
    assert 0.8 * np.log(V) < float(metrics["mlm_loss"]) < 3 * np.log(V)
    assert np.abs(np.asarray(gradient["objective"]["mlm"]["dense"]["kernel"])).max() > 0
    assert "objective" not in objectives.init_params(kind(), model, key)
