"""What Sentence-BERT's classifier starts from, and the accuracies that are logged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb import models, objectives
from jaxemb.config import SbertClassification, SbertTriplet
from jaxemb.objectives.sbert import init_classifier
from jaxemb.parallel import make_mesh
from support.recipes import LIVE, MODEL, features, parameters, values_of


def test_the_classifier_is_drawn_as_by_the_authors():
    config = SbertClassification()
    params = init_classifier(config, MODEL, jax.random.key(0))
    bound = (3 * 16) ** -0.5
    assert (params["kernel"].shape, params["bias"].shape) == ((48, 3), (3,))
    assert 0.9 * bound < np.abs(params["kernel"]).max() < bound
    assert abs(float(params["kernel"].std()) - bound / 3**0.5) < 0.1 * bound
    assert init_classifier(SbertClassification(bias=False), MODEL, jax.random.key(0)).keys() == {"kernel"}


@pytest.mark.parametrize("config", [SbertClassification(), SbertTriplet(margin=2.5)], ids=lambda config: config.kind)
def test_accuracy_is_that_of_the_rows_that_count(config):
    params, values = parameters(config), values_of(config)
    objective = objectives.build(config, MODEL, make_mesh(1, 1, jax.devices()[:1]))
    _, metrics = jax.jit(objective)(params, values, None)
    embed = jax.jit(lambda side: models.apply(MODEL, params, side))
    a, p, *n = (embed(values[side]) for side in ("anchor", "positive", "negative") if side in values)
    if n:
        hits = jnp.linalg.norm(a - p, axis=1) < jnp.linalg.norm(a - n[0], axis=1)
    else:
        classifier = params["objective"]["classifier"]
        outputs = features(a, p, config.features) @ classifier["kernel"] + classifier["bias"][None]
        hits = jnp.argmax(outputs, axis=1) == values["label"]
    assert 0 < hits[LIVE].mean() < 1
    assert float(metrics["accuracy"]) == pytest.approx(float(hits[LIVE].mean()), abs=1e-6)
