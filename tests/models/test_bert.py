import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.models.bert import Layer, distance_buckets
from jaxemb.models.encoder import Encoder
from jaxemb.models.layers import Tokens
from support.families import CONFIG, batch, forward
from support.tiny_models import tiny_embedder


def test_distance_buckets_equal_transformers():
    torch = pytest.importorskip("torch")
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    places = torch.arange(512)
    theirs = MPNetEncoder.relative_position_bucket(places[None] - places[:, None])
    np.testing.assert_array_equal(distance_buckets(512), theirs.numpy())


@pytest.fixture(scope="module")
def params():
    return tiny_embedder(encoder=CONFIG).params["encoder"]


def test_scan_equals_layers_one_by_one(params):
    ids, mask = batch("right")
    whole = forward(Encoder(CONFIG), params, ids, mask)
    shallow = params | {"layers": jax.tree.map(lambda leaf: leaf[:1], params["layers"])}
    first = CONFIG.model_copy(update={"num_hidden_layers": 1})
    x = forward(Encoder(first), shallow, ids, mask)
    for index in (1, 2):
        layer = jax.tree.map(lambda leaf, index=index: leaf[index], params["layers"])
        tokens = Tokens(jnp.asarray(mask)[:, None], jnp.arange(mask.shape[1])[None])
        x = Layer(CONFIG, jnp.float32).apply({"params": layer}, x, jnp.asarray(index), tokens)
    np.testing.assert_allclose(x, whole, rtol=1e-5, atol=1e-5)
