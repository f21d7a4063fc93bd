"""A few short texts: rows as short as they, and a model that is not copied for them."""

import jax
import numpy as np
import pytest

from jaxemb.encoding import encode
from jaxemb.encoding.texts import embed_batch
from jaxemb.parallel import make_mesh, replicated
from jaxemb.training.loop.compilations import compilations_of
from support.tiny_models import ENCODER, TOKENIZER, tiny_embedder

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
