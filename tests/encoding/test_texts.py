import itertools

import jax
import numpy as np
import pytest

from jaxemb.config import DenseConfig
from jaxemb.encoding import encode, encode_stream
from jaxemb.encoding.texts import embed_batch
from jaxemb.parallel import make_mesh, param_shardings, replicated
from jaxemb.training.loop.compilations import compilations_of
from support.tiny_models import TOKENIZER, embed, tiny_embedder

EMBEDDER = tiny_embedder(pooling="mean")


def texts(count, longest=60):
    rng = np.random.default_rng(count)
    return ["".join(rng.choice(list("abcdefghij klmn"), rng.integers(0, longest))) for _ in range(count)]


def one_by_one(embedder, batch):
    """Without buckets, sorting or batches of several rows: one padded row for each text."""
    rows = []
    for text in batch:
        tokens = embedder.tokenizer(
            embedder.config.prompt + text, truncation=True, max_length=40, padding="max_length", return_tensors="np"
        )
        arrays = {name: tokens[name].astype(np.int32) for name in ("input_ids", "attention_mask")}
        rows.append(np.asarray(embed(embedder.config, embedder.params, arrays))[0])
    return np.stack(rows)


def test_order_is_kept_and_rows_are_right():
    batch = [*texts(21), "", " ", "a" * 500, "Съешь 敏捷"]
    out = encode(EMBEDDER, batch, batch_size=8)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, one_by_one(EMBEDDER, batch), atol=1e-6)


def test_prompt_comes_first():
    embedder = tiny_embedder(pooling="mean", prompt="query: ")
    batch = ["abc", "", "x" * 99]
    out = embedder.encode(batch, batch_size=8)
    np.testing.assert_allclose(out, EMBEDDER.encode([f"query: {text}" for text in batch], batch_size=8), atol=1e-6)
    assert np.abs(out - EMBEDDER.encode(batch, batch_size=8)).max() > 0.01


def test_two_shapes_a_length_of_rows_and_none_twice():
    embed_batch.clear_cache()
    with compilations_of(embed_batch) as compiled:
        encode(EMBEDDER, texts(300), batch_size=16)
        assert compiled() == 2  # rows of 40 tokens: sixteen, and two for the rest
        # Other numbers of texts, other parameters, prompts and remat policies run the same programs.
        encode(EMBEDDER, texts(7), batch_size=16)
        encode(EMBEDDER, texts(8), batch_size=16, params=tiny_embedder(seed=1, pooling="mean").params)
        encode(tiny_embedder(pooling="mean", prompt="query: ", remat="full"), texts(50), batch_size=16)
        assert compiled() == 2


def test_rows_of_several_lengths(monkeypatch):
    monkeypatch.setattr("jaxemb.packing.SHORTEST_ROW", 8)
    shapes = []

    def spy(config, params, input_ids, *rest, **settings):
        shapes.append(input_ids.shape)
        return embed_batch(config, params, input_ids, *rest, **settings)

    monkeypatch.setattr("jaxemb.encoding.texts.embed_batch", spy)
    batch = texts(200, longest=50)
    np.testing.assert_allclose(encode(EMBEDDER, batch, batch_size=16), one_by_one(EMBEDDER, batch), atol=1e-6)
    assert shapes[0] == (4, 40)  # the longest first; as many tokens as 16 rows of 8, rounded up
    assert set(shapes) <= {(4, 40), (1, 40), (4, 32), (1, 32), (8, 16), (1, 16), (16, 8), (2, 8)}
    used = sum(min(len(TOKENIZER(text)["input_ids"]), 40) for text in batch)
    assert 1 - used / sum(rows * length for rows, length in shapes) < 0.1


def test_no_texts():
    embedder = tiny_embedder(dense=DenseConfig(out_features=6))
    assert encode(embedder, []).shape == (0, 6)
    assert list(encode_stream(embedder, iter([]))) == []


def test_one_string_is_no_list():
    with pytest.raises(TypeError, match="not one string"):
        encode(EMBEDDER, "one")


@pytest.mark.parametrize(("data", "fsdp", "sharded"), [(4, 1, False), (2, 2, True), (1, 8, True)])
def test_parameters_on_a_mesh(data, fsdp, sharded):
    mesh = make_mesh(data, fsdp, jax.devices()[: data * fsdp])
    where = param_shardings(mesh, EMBEDDER.params) if sharded else replicated(mesh)
    params = jax.device_put(EMBEDDER.params, where)
    split = [leaf for leaf in jax.tree.leaves(params) if not leaf.sharding.is_fully_replicated]
    assert bool(split) == sharded
    batch = texts(21)
    with jax.transfer_guard("disallow"):
        out = encode(EMBEDDER, batch, batch_size=6, params=params)  # six rows are not divisible by the devices
    np.testing.assert_allclose(out, encode(EMBEDDER, batch, batch_size=8), atol=1e-6)


def test_transfers_are_explicit():
    batch = texts(9)
    expected = encode(EMBEDDER, batch, batch_size=8)
    with jax.transfer_guard("disallow"):
        np.testing.assert_array_equal(encode(EMBEDDER, batch, batch_size=8), expected)


def test_parameters_on_the_host_are_sent_explicitly():
    batch = texts(5)
    expected = encode(EMBEDDER, batch, batch_size=8)
    params = jax.device_get(EMBEDDER.params)
    with jax.transfer_guard("disallow"):
        np.testing.assert_array_equal(encode(EMBEDDER, batch, params=params, batch_size=8), expected)


def test_stream_equals_encode_block_by_block():
    batch = texts(50)
    blocks = list(encode_stream(EMBEDDER, iter(batch), batch_size=8, block_size=20))
    assert [len(block) for block in blocks] == [20, 20, 10]
    np.testing.assert_allclose(np.concatenate(blocks), encode(EMBEDDER, batch, batch_size=8), atol=1e-6)


def test_stream_reads_no_further_than_two_blocks_ahead():
    drawn = itertools.count()
    endless = (f"text {next(drawn)}" for _ in itertools.count())
    given = 0
    for block in itertools.islice(encode_stream(EMBEDDER, endless, batch_size=8, block_size=64), 5):
        given += len(block)
        assert next(drawn) - given <= 2 * 64
    assert given == 5 * 64


def test_progress_goes_to_stderr(capsys):
    encode(EMBEDDER, texts(3), batch_size=8, show_progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Encoding" in captured.err
    assert "3/3" in captured.err
    encode(EMBEDDER, texts(3), batch_size=8)
    assert capsys.readouterr().err == ""


def test_longest_input_is_cut():
    short = tiny_embedder(pooling="mean", max_seq_length=10)
    tokens = TOKENIZER("a b c d e f g h", add_special_tokens=False)["input_ids"]
    assert len(tokens) == 8
    same = encode(short, ["a b c d e f g h", "a b c d e f g h i j k", "a b c d e f g"], batch_size=8)
    np.testing.assert_array_equal(same[0], same[1])
    assert np.abs(same[0] - same[2]).max() > 1e-3
