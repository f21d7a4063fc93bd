import pytest

from jaxemb.data.shards.proto import BYTES, FLOATS, INTEGERS, entries_of, example_of, list_of, name_of, varint


@pytest.mark.parametrize("size", [0, 1, 100, *range(118, 135), 250, 16_370, 16_390, 3_000_000])
def test_google_s_library_reads_it(size):
    """Around the sizes at which a header takes one more byte."""
    from tensorflow_datasets.proto import tf_example_pb2

    integers = b"\x05" * size
    data = example_of(
        [
            (name_of("text"), list_of(BYTES, b"a" * size)),
            (name_of("ids"), list_of(INTEGERS, integers)),
            (name_of("score"), list_of(FLOATS, b"\0\0\x80\x3f")),
            (name_of("label"), list_of(INTEGERS, varint((1 << 64) - 7))),
        ]
    )
    features = tf_example_pb2.Example.FromString(data).features.feature
    assert b"".join(features["text"].bytes_list.value) == b"a" * size
    assert list(features["ids"].int64_list.value) == [5] * size
    assert features["ids"].HasField("int64_list")
    assert list(features["score"].float_list.value) == [1.0]
    assert list(features["label"].int64_list.value) == [-7]
    assert [name for name, _ in entries_of(data)] == [b"text", b"ids", b"score", b"label"]
    assert [body for _, body in entries_of(data)][:3] == [b"a" * size, integers, b"\0\0\x80\x3f"]


def test_what_is_cut_is_refused():
    data = example_of([(name_of("ids"), list_of(INTEGERS, b"\x05" * 20))])
    for end in range(len(data)):
        with pytest.raises(ValueError, match="not an example"):
            entries_of(data[:end])
