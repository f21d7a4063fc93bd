"""A few short texts: rows as short as they, and a model that is not copied for them."""

import gc

import jax
import numpy as np
import pytest

from jaxemb.encoding import apart, encode
from jaxemb.encoding.apart import layers_apart
from jaxemb.encoding.texts import embed_batch
from jaxemb.models import apply
from jaxemb.parallel import make_mesh, replicated
from jaxemb.training.compilations import compilations_of
from support.tiers import sampled
from support.tiny_models import ENCODER, ENCODERS, TOKENIZER, tiny_embedder

LONG = ENCODER.model_copy(update={"max_position_embeddings": 700})


def of_tokens(count):
    """A text of so many tokens, `[CLS]` and `[SEP]` included."""
    text = " ".join("abcdefghij"[n % 10] for n in range(count - 2))
    assert len(TOKENIZER(text)["input_ids"]) == count
    return text


@pytest.fixture
def shapes(monkeypatch):
    """The shapes of all batches, in order."""
    seen = []

    def spy(config, params, input_ids, *rest, **settings):
        seen.append(input_ids.shape)
        return embed_batch(config, params, input_ids, *rest, **settings)

    monkeypatch.setattr("jaxemb.encoding.texts.embed_batch", spy)
    return seen


def test_six_programs_more_at_most(shapes):
    """Whatever the number of texts and their length; 600 tokens in all are what they were."""
    embedder = tiny_embedder(encoder=LONG, pooling="mean", max_seq_length=640)
    with compilations_of(embed_batch) as compiled:
        for tokens in (2, 16, 17, 40, 64, 65, 128, 200, 512):
            encode(embedder, [of_tokens(tokens)], batch_size=256)
            encode(embedder, [of_tokens(max(tokens // 5, 2))] * 5, batch_size=256)
        assert set(shapes) == {(1, length) for length in (16, 32, 64, 128, 256, 512)}
        assert compiled() == 6
        del shapes[:]
        encode(embedder, [of_tokens(600)], batch_size=256)
        encode(embedder, [of_tokens(60)] * 10, batch_size=256)
        assert shapes == [(4, 640), (32, 64)]


def test_an_embedding_is_the_same_in_any_shape():
    embedder = tiny_embedder(pooling=("cls", "max", "mean", "lasttoken"), dense=None)
    texts = [of_tokens(tokens) for tokens in (7, 30, 40, 2, 16, 12)] * 10
    together = encode(embedder, texts)
    alone = np.concatenate([encode(embedder, [text]) for text in texts[:6]])
    some = np.concatenate([encode(embedder, texts[3:5]), encode(embedder, texts[4:6])])
    np.testing.assert_allclose(alone, together[:6], atol=1e-6)
    np.testing.assert_allclose(some, together[[3, 4, 4, 5]], atol=1e-6)


def test_more_texts_than_a_short_row_has_slots(shapes):
    embedder = tiny_embedder(pooling="mean")
    texts = ["", "a"] * 3  # 15 tokens, of six texts, where a row of 16 tokens holds four
    rows = encode(embedder, texts)
    assert shapes == [(1, 32)]
    np.testing.assert_array_equal(rows[:2], rows[4:])


def test_a_query_on_a_mesh(shapes):
    embedder = tiny_embedder(pooling="mean")
    params = jax.device_put(embedder.params, replicated(make_mesh(2, 2, jax.devices()[:4])))
    row = encode(embedder, ["a query"], params=params)
    assert shapes == [(4, 16)]
    np.testing.assert_allclose(row, encode(embedder, ["a query"]), atol=1e-6)


CASES = [("bert", "mean"), ("modernbert", "first_last_mean"), ("qwen3", "lasttoken")]


@pytest.mark.parametrize(
    ("family", "pooling"),
    sampled(CASES[:2], [CASES[2], *((family, "mean") for family in ENCODERS if family not in dict(CASES))], draw=1),
)
def test_layer_by_layer_is_the_stack(family, pooling):
    embedder = tiny_embedder(encoder=ENCODERS[family], pooling=pooling, dense=None)
    config, params = embedder.config, embedder.params
    one_by_one = layers_apart(config, params)
    assert "layers" not in one_by_one["encoder"]
    assert one_by_one["encoder"]["layer_1"] is not None
    ids = np.array([TOKENIZER("abc def")["input_ids"]], np.int32)
    tokens = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    found = [np.asarray(jax.jit(apply, static_argnums=0)(config, p, tokens)) for p in (params, one_by_one)]
    np.testing.assert_allclose(*found, atol=1e-6)


def test_views_come_and_go_with_the_stacks():
    gc.collect()
    before = len(apart._views)
    embedder = tiny_embedder()
    config, params = embedder.config, embedder.params
    views = layers_apart(config, params)["encoder"]
    assert layers_apart(config, {**params})["encoder"]["layer_0"] is views["layer_0"], "made once"
    kernel = params["encoder"]["layers"]["intermediate"]["kernel"]
    other = {**params["encoder"]["layers"], "intermediate": {"kernel": kernel + 1, "bias": kernel[:, 0]}}
    changed = layers_apart(config, {**params, "encoder": {**params["encoder"], "layers": other}})["encoder"]
    np.testing.assert_array_equal(changed["layer_1"]["intermediate"]["kernel"], np.asarray(kernel)[1] + 1)
    # A training step gives its buffers up: what was read of them stays what it was.
    wanted = np.array(kernel[1])
    jax.jit(lambda stack: stack + 1, donate_argnums=0)(kernel)
    np.testing.assert_array_equal(views["layer_1"]["intermediate"]["kernel"], wanted)
    assert len(apart._views) == before + 2
    del embedder, params, kernel, other
    gc.collect()
    assert len(apart._views) == before


def test_where_they_stay_stacked():
    params = tiny_embedder().params
    host = jax.device_get(params)
    assert "layer_0" in layers_apart(tiny_embedder().config, host)["encoder"]
    for settings, stacked in (
        ({"scan_layers": True}, params),
        ({}, jax.device_put(params, replicated(make_mesh(2, 1, jax.devices()[:2])))),
        ({"lora": {"rank": 2}}, tiny_embedder(lora={"rank": 2}).params),
    ):
        assert layers_apart(tiny_embedder(**settings).config, stacked) is stacked
