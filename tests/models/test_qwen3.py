"""What a token of a decoder sees: those before it, or with `causal` off all of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.models.encoder import Encoder
from support.families import FAMILIES, LENGTH, forward
from support.tiny_models import tiny_embedder


@pytest.mark.parametrize("causal", [True, False])
def test_a_later_token_changes_nothing_before_it(causal):
    config = FAMILIES["qwen3"].model_copy(update={"causal": causal})
    params = tiny_embedder(encoder=config).params["encoder"]
    ids = np.random.default_rng(0).integers(2, 60, (1, LENGTH)).astype(np.int32)
    other = np.where(np.arange(LENGTH) == 12, (ids + 7) % 50 + 2, ids)
    one, two = (forward(Encoder(config), params, jnp.array(x), jnp.ones((1, LENGTH), bool)) for x in (ids, other))
    moved = np.abs(np.asarray(one - two)).max(axis=2)[0] > 1e-6
    assert moved.tolist() == [place >= 12 or not causal for place in range(LENGTH)]
