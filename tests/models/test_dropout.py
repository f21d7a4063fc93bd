import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import BertConfig
from jaxemb.models.attention import attend
from jaxemb.models.bert import Layer, Tokens
from jaxemb.models.dropout import counters, dropout, dropout_hashes, keep_mask
from jaxemb.models.layers import drop
from jaxemb.parallel import batch_sharding, make_mesh, replicated
from support.tiny_models import embed, tiny_embedder

SHAPE, WIDTH = (16, 32), 64


def hashes(key, ids):
    return dropout_hashes(jax.random.key(key), jnp.asarray(ids, jnp.uint32))[:, None, None]


def counter(shape, width):
    return counters((jnp.arange(shape[0])[None, :, None], width), (jnp.arange(shape[1])[None, None], 1))


def mask(key=0, ids=(3,), site=0, rate=0.5, shape=SHAPE):
    return np.asarray(keep_mask(hashes(key, ids), rate, site, counter(shape, WIDTH)))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_scale(rate):
    keep = mask(ids=range(64), rate=rate, shape=(64, 64))
    deviation = np.sqrt(rate * (1 - rate) / keep.size)
    assert abs(keep.mean() - (1 - rate)) < 5 * deviation
    # No row, column or example is dropped more often than chance has it.
    for axes in ((0, 1), (0, 2), (1, 2)):
        means = keep.mean(axes)
        assert np.abs(means - (1 - rate)).max() < 6 * np.sqrt(rate * (1 - rate) / (keep.size / means.size))
    values = jnp.full((64, 64, 64), 2.0)
    out = np.asarray(dropout(values, hashes(0, range(64)), rate, site=0, counter=counter((64, 64), WIDTH)))
    np.testing.assert_allclose(np.unique(out), [0, 2 / (1 - rate)], rtol=1e-6)
    np.testing.assert_array_equal(out != 0, keep)


def test_neighbours_do_not_matter():
    np.testing.assert_array_equal(mask(ids=(7, 3, 9))[1], mask(ids=(3,))[0])


def test_padded_length_does_not_matter():
    np.testing.assert_array_equal(mask(shape=(24, 32))[:, :16], mask())


def test_equal_ids_share_a_mask():
    both = mask(ids=(4, 4))
    np.testing.assert_array_equal(both[0], both[1])


@pytest.mark.parametrize("other", [{"key": 1}, {"ids": (4,)}, {"site": 1}])
def test_masks_differ_by_chance_only(other):
    agreement = (mask(shape=(64, 64)) == mask(shape=(64, 64), **other)).mean()
    assert abs(agreement - 0.5) < 5 * 0.5 / 64


def attention_masks(most, positions, heads=8, site=0):
    """0 or 1 for each head, query and key [N, S, S]: what `attend` drops, told by values that are a unit matrix."""
    length = len(positions)
    eye = jnp.broadcast_to(jnp.eye(length), (1, heads, length, length))
    alike, everywhere = jnp.zeros_like(eye), jnp.ones((1, 1, length), bool)
    hashes, positions = dropout_hashes(jax.random.key(0), jnp.array([3])), jnp.asarray(positions)[None]
    settings = {"hashes": hashes[:, None], "rate": 0.5, "site": site, "most": most}
    out = attend(alike, alike, eye, mask=everywhere, positions=positions, **settings)
    return np.asarray(out).reshape(length, heads, length).transpose(1, 0, 2) > 0


def independent(masks):
    """No two of the rows [n, values] agree more or less often than chance has it."""
    correlation = np.corrcoef(masks) - np.eye(len(masks))
    assert np.abs(correlation).max() < 6 / masks.shape[1] ** 0.5
    np.testing.assert_allclose(masks.mean(1), 0.5, atol=3 / masks.shape[1] ** 0.5)


@pytest.mark.parametrize("most", [512, 32_768, 65_536, 2**17])
def test_heads_sites_and_far_positions_have_masks_of_their_own(most):
    """At 32,768 positions heads h and h + 4 once shared theirs, at 65,536 all did."""
    starts = sorted({0, *(2**bits for bits in range(8, 20) if 2**bits < most)})
    positions = np.concatenate([np.arange(start, start + 16) for start in starts])
    for site, other in ((0, 1), (1, 4), (7, 7 + 3 * 24)):
        both = np.concatenate([attention_masks(most, positions, site=number) for number in (site, other)])
        independent(both.reshape(2 * 8 * len(starts), -1))  # the mask of each stretch of queries


@pytest.mark.parametrize(("width", "most"), [(2**16, 2**17), (768, 512)])
def test_far_positions_have_hidden_masks_of_their_own(width, most):
    config = BertConfig(hidden_size=width, num_attention_heads=1, max_position_embeddings=most)
    positions = jnp.array([0, *(2**bits for bits in range(17) if 2**bits < most), most - 1])[None]
    drop_hashes = dropout_hashes(jax.random.key(11), jnp.array([3]))[:, None]
    tokens = Tokens(jnp.ones((1, 1, positions.shape[1]), bool), positions, drop_hashes)
    dropped = drop(jnp.ones((1, positions.shape[1], width)), config, 0.5, tokens, 2)[0]
    independent(np.asarray(dropped > 0))


def test_raw_and_typed_keys_agree():
    ids = jnp.arange(3)
    typed, raw = jax.random.key(8), jax.random.key_data(jax.random.key(8))
    np.testing.assert_array_equal(dropout_hashes(typed, ids), dropout_hashes(raw, ids))


def test_no_key_or_no_rate_is_no_dropout():
    x = jnp.ones((2, 3, 4))
    number = counter((3, 4), 4)
    assert dropout(x, None, 0.5, site=0, counter=number) is x
    assert dropout(x, hashes(0, range(2)), 0.0, site=0, counter=number) is x


# ------------------------------------------------------------------------------------------------- in the whole model

MODEL = tiny_embedder()
KEY = jax.random.key(11)
run = functools.partial(embed, MODEL.config)


def batch(rows=8, length=16):
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 16, (rows, 1))
    return {
        "input_ids": jnp.asarray(rng.integers(1, 60, (rows, 16)), jnp.int32),
        "attention_mask": jnp.asarray(np.arange(16)[None] < lengths, jnp.int32),
        "ids": jnp.asarray(rng.integers(0, 2**32, rows), jnp.uint32),
    }


def test_model_depends_on_key_and_ids_only():
    tokens = batch()
    out = np.asarray(run(MODEL.params, tokens, KEY))
    plain = np.asarray(run(MODEL.params, tokens, None))
    assert np.abs(out - plain).max(1).min() > 0.01  # every row is changed
    assert np.abs(out - run(MODEL.params, tokens, jax.random.key(12))).max(1).min() > 0.01
    assert np.abs(out - run(MODEL.params, tokens | {"ids": tokens["ids"] + 1}, KEY)).max(1).min() > 0.01
    padded = {k: jnp.pad(v, ((0, 0), (0, 8))) for k, v in tokens.items() if k != "ids"} | {"ids": tokens["ids"]}
    np.testing.assert_allclose(run(MODEL.params, padded, KEY), out, atol=1e-6)
    order = np.array([5, 2, 7])
    part = {k: v[order] for k, v in tokens.items()}
    np.testing.assert_allclose(run(MODEL.params, part, KEY), out[order], atol=1e-6)


def test_row_number_stands_in_for_ids():
    tokens = batch()
    numbered = tokens | {"ids": jnp.arange(8, dtype=jnp.uint32)}
    del tokens["ids"]
    np.testing.assert_array_equal(run(MODEL.params, tokens, KEY), run(MODEL.params, numbered, KEY))


@pytest.mark.parametrize(("data", "fsdp"), [(8, 1), (2, 2), (1, 4)])
def test_mesh_does_not_matter(data, fsdp):
    tokens = batch()
    mesh = make_mesh(data, fsdp, jax.devices()[: data * fsdp])
    placed = jax.device_put(tokens, batch_sharding(mesh))
    params = jax.device_put(MODEL.params, replicated(mesh))
    np.testing.assert_allclose(run(params, placed, KEY), run(MODEL.params, tokens, KEY), atol=1e-6)


def test_layers_and_places_have_masks_of_their_own(monkeypatch):
    sites = []

    def spy(hashes, rate, site, counter):
        sites.append((int(site), rate))
        return keep_mask(hashes, rate, site, counter)

    monkeypatch.setattr("jaxemb.models.dropout.keep_mask", spy)
    encoder = MODEL.config.encoder.model_copy(update={"attention_probs_dropout_prob": 0.2})
    drop = dropout_hashes(KEY, jnp.arange(2))[:, None]
    x, tokens = jnp.ones((2, 5, 32)), Tokens(jnp.ones((2, 1, 5), bool), jnp.arange(5)[None], drop)
    for index in range(2):
        layer = jax.tree.map(lambda leaf, index=index: leaf[index], MODEL.params["encoder"]["layers"])
        Layer(encoder, jnp.float32).apply({"params": layer}, x, jnp.asarray(index), tokens)
    # Place 0 is that of the embeddings.
    assert sites == [(1, 0.2), (2, 0.1), (3, 0.1), (4, 0.2), (5, 0.1), (6, 0.1)]
