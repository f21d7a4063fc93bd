import numpy as np
import pytest

from jaxemb.data.shards.record import Example, Layout, decode, decode_many, encode, encode_many, is_twin
from support.shards import LAYOUT, assert_same, some_examples


@pytest.mark.parametrize(("vocabulary", "dtype"), [(16_000, "uint16"), (501_153, "uint32")])
def test_what_was_encoded_is_decoded(vocabulary, dtype):
    examples = some_examples(300, vocabulary=vocabulary)
    records, layout = encode_many(examples, dtype), Layout(3, dtype)
    assert records == [encode(example, dtype) for example in examples]
    assert_same(decode_many(records, layout), examples)
    assert_same([decode(record, layout) for record in records], examples)
    decoded = decode_many(records, layout)
    assert {ids.dtype for example in decoded for ids in example.ids} == {np.dtype(dtype)}
    assert {example.hashes.dtype for example in decoded} == {np.dtype("uint64")}
    kinds = {(len(e.ids), is_twin(e), e.label is None, e.score is None) for e in examples}
    assert len(kinds) == 10, "every kind of example"


def test_a_twin_is_stored_once_and_is_a_twin_again():
    text = np.arange(1000, 1100, dtype=np.uint16)
    other = np.full(5, 9, np.uint16)
    hashes = np.arange(3, dtype=np.uint64)
    twin, copy = Example((text, text, other), hashes), Example((text, text.copy(), other), hashes)
    assert len(encode(copy, "uint16")) - len(encode(twin, "uint16")) > 200
    decoded = decode(encode(twin, "uint16"), LAYOUT)
    assert decoded.ids[1] is decoded.ids[0]
    assert decoded.ids[2].tolist() == [9] * 5
    assert not is_twin(decode(encode(copy, "uint16"), LAYOUT))


def test_a_pair_is_small():
    """Two texts of 20 tokens and their hashes: 2 bytes a token, 3 for a large vocabulary."""
    for token, dtype, most in ((15_000, "uint16", 150), (500_000, "uint32", 190)):
        pair = Example((np.full(20, token), np.full(20, token)), np.zeros(2, np.uint64))
        assert len(encode(pair, dtype)) <= most


@pytest.mark.parametrize(
    ("ids", "hashes", "message"),
    [
        ((70_000,), 1, "not uint16"),
        ((-1,), 1, "not uint16"),
        ((5,), 2, "1 texts have 2 hashes"),
        ((), 0, "0 texts"),
    ],
)
def test_what_does_not_fit_is_refused(ids, hashes, message):
    example = Example(tuple(np.array([one]) for one in ids), np.zeros(hashes, np.uint64))
    with pytest.raises(ValueError, match=message):
        encode(example, "uint16")


def test_records_of_another_layout_are_refused():
    record = encode(Example((np.arange(3),) * 3, np.zeros(3, np.uint64)), "uint16")
    with pytest.raises(ValueError, match="'negative' is not in a record of 2 texts"):
        decode(record, Layout(2, "uint16"))
    large = encode(Example((np.array([70_000]),), np.zeros(1, np.uint64)), "uint32")
    with pytest.raises(ValueError, match="token id of 70000 is not uint16"):
        decode(large, LAYOUT)
    with pytest.raises(ValueError, match="not an example"):
        decode(record[:-1], LAYOUT)
    with pytest.raises(ValueError, match="0 texts and 0 hashes"):
        decode(b"\x0a\x00", LAYOUT)
