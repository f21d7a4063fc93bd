from hypothesis import given
from hypothesis import strategies as st

from jaxemb.data.pairs.records import Record, decode_record, encode_record

text = st.text(st.characters(codec="utf-8"))


@given(
    st.lists(text, min_size=6, max_size=6),
    st.lists(text),
    st.none() | st.integers(),
    st.none() | st.floats(allow_nan=False),
)
def test_round_trip(texts, negatives, label, score):
    record = Record(texts[0], texts[1], tuple(negatives), label, score, *texts[2:])
    assert decode_record(encode_record(record)) == record
