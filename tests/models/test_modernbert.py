"""How far a token of ModernBERT sees in local layers and in global ones."""

import jax.numpy as jnp
import numpy as np

from jaxemb.models.encoder import Encoder
from support.families import FAMILIES, LENGTH, forward
from support.tiny_models import tiny_embedder


def test_the_first_layer_sees_the_whole_text():
    config = FAMILIES["modernbert"].model_copy(update={"num_hidden_layers": 1, "local_attention": 4})
    assert moved(config, 10).all()


def test_a_local_layer_sees_half_its_window_to_either_side():
    config = FAMILIES["modernbert"].model_copy(update={"num_hidden_layers": 2, "local_attention": 4})
    params = tiny_embedder(encoder=config).params["encoder"]
    # The first layer, which is a global one, adds nothing: the second one alone moves what is near.
    for layer in (params["layers"]["output"], params["layers"]["attention"]["output"]):
        layer["kernel"] = layer["kernel"].at[0].set(0.0)
    assert np.flatnonzero(moved(config, 10, params)).tolist() == [8, 9, 10, 11, 12]


def moved(config, place, params=None):
    """Which tokens' vectors change with the token at this place."""
    params = tiny_embedder(encoder=config).params["encoder"] if params is None else params
    ids = np.random.default_rng(0).integers(2, 60, (1, LENGTH)).astype(np.int32)
    other = np.where(np.arange(LENGTH) == place, (ids + 7) % 50 + 2, ids)
    one, two = (forward(Encoder(config), params, jnp.array(x), jnp.ones((1, LENGTH), bool)) for x in (ids, other))
    return np.abs(np.asarray(one - two)).max(axis=2)[0] > 1e-6
