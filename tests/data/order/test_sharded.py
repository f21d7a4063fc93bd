import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from jaxemb.data.order.sharded import Contents, Frame, ShardedExamples, ShardedSources
from jaxemb.errors import UserError
from support.sharded import fake_shards

PAIR = Contents(("anchor", "positive"))


def tokenizer_of(prefix, suffix):
    """A tokenizer of words w0 to w99, with these special tokens around a text."""
    names = {f"w{n}": n for n in range(100)} | {f"[{n}]": n for n in (*prefix, *suffix)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(names, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    template = " ".join([*(f"[{n}]" for n in prefix), "$A", *(f"[{n}]" for n in suffix)])
    special = [(f"[{n}]", n) for n in (*prefix, *suffix)]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    return tokenizer


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_length", [4, 64, 512])
@pytest.mark.parametrize(("prefix", "suffix"), [((101,), (102,)), ((), (103,)), ((101, 104), (102,)), ((), ())])
def test_it_is_what_the_tokenizer_cuts(prefix, suffix, max_length, side):
    draw = np.random.default_rng(0)
    edges = [max_length + more for more in (-4, -3, -2, -1, 0, 1)]
    lengths = (0, 1, *edges, *draw.integers(1, 900, 20))
    texts = [" ".join(f"w{n}" for n in draw.integers(1, 100, length)) for length in lengths]
    tokenizer = tokenizer_of(prefix, suffix)
    uncut = [np.array(one.ids, np.uint16) for one in tokenizer.encode_batch(texts, add_special_tokens=False)]
    tokenizer.enable_truncation(max_length, direction=side)
    expected = [one.ids for one in tokenizer.encode_batch(texts)]
    frame = Frame(prefix, suffix, max_length, side)
    sequences = frame.sequences(uncut)
    assert [sequence.tolist() for sequence in sequences] == expected
    assert {sequence.dtype for sequence in sequences} == {np.dtype(np.int32)}
    assert frame.lengths(np.array([len(text) for text in uncut])).tolist() == list(map(len, expected))
    assert frame.sequences([]) == []


def test_no_room_for_a_text():
    with pytest.raises(
        UserError, match=r"data\.max_length: 2 leaves no room for a text beside the tokenizer's 2 special"
    ):
        Frame((1,), (2,), 2)


def test_examples_as_batches_take_them():
    shards = fake_shards(texts=3)
    contents = Contents(("anchor", "positive"), ("label", "score"))
    examples = ShardedExamples(shards, 347, Frame((1,), (2, 3), 20, "left"), contents)
    rows = np.array([300, 5, 5, 112])
    assert len(examples) == 347
    texts, columns = examples.read(rows)
    lengths = examples.lengths[rows]
    assert lengths.dtype == np.uint16
    assert lengths.shape == (4, 2)
    stored = shards.examples(rows)
    for side in (0, 1):
        assert [len(text) for text in texts[side]] == lengths[:, side].tolist()
        for text, example in zip(texts[side], stored, strict=True):
            assert text.tolist() == [1, *example.ids[side][-17:], 2, 3]
    assert [text.tolist() for text in examples.read(rows, 7)[0][1]] == [text.tolist() for text in texts[1]]
    assert columns.keys() == {"anchor_hash", "positive_hash", "label", "score"}
    hashes = np.stack([example.hashes for example in stored])
    for side in (0, 1):
        assert columns[("anchor_hash", "positive_hash")[side]].dtype == np.uint32
        whole = columns[("anchor_hash", "positive_hash")[side]].astype(np.uint64)
        np.testing.assert_array_equal(whole[:, 0] | whole[:, 1] << np.uint64(32), hashes[:, side])
    assert (columns["label"].dtype, columns["label"].tolist()) == (np.int32, [0, 2, 2, 1])
    assert (columns["score"].dtype, columns["score"].tolist()) == (np.float32, [37.5, 0.625, 0.625, 14.0])


def test_sources_that_differ_are_apart():
    labelled = Contents(("anchor", "positive"), ("label",))
    frame = Frame((1,), (2,), 20)
    sources = ShardedSources(fake_shards(), 347, frame, (PAIR, labelled, PAIR))
    assert "label" not in sources.of_sources(frozenset({0})).read(np.array([3]))[1]
    assert "label" in sources.of_sources(frozenset({1})).read(np.array([3]))[1]
    assert sources.of_sources(frozenset({0, 2})).sides == ("anchor", "positive")
    with pytest.raises(
        UserError,
        match=r"data\.sources\.0 \(anchor, positive\) and of data\.sources\.1 \(anchor, positive, label\) do not fit "
        r"one batch; set data\.batches: one_source",
    ):
        sources.of_sources(frozenset({0, 1}))


def test_the_texts_of_sources_that_differ():
    """Of which a batch may have both: labels and hard negatives are left out."""
    frame, rows = Frame((1,), (2,), 20), np.array([3, 200])
    contents = (Contents(("anchor", "positive", "negative"), ("label",)), PAIR)
    examples = ShardedSources(fake_shards(texts=3), 347, frame, contents).texts_only()
    assert (len(examples), examples.sides) == (347, ("anchor", "positive"))
    texts, columns = examples.read(rows)
    assert examples.lengths[rows].T.tolist() == [[len(text) for text in side] for side in texts]
    assert columns.keys() == {"anchor_hash", "positive_hash"}
