import numpy as np
import pytest

from jaxemb.data.shards.varints import decode_varints, encode_varints

EDGES = [
    0,
    1,
    *(edge + step for bits in (7, 14, 21, 28) for edge in (1 << bits,) for step in (-1, 0, 1)),
    (1 << 32) - 1,
]


def reference(value: int) -> bytes:
    """Protocol Buffers' own encoder."""
    from google.protobuf.internal import encoder

    return encoder._VarintBytes(value)


@pytest.mark.parametrize("values", [EDGES, [], [0], [127, 128], EDGES[::-1] * 3])
def test_both_ways_as_protocol_buffers_do(values):
    encoded, sizes = encode_varints(np.array(values, np.int64))
    assert encoded.tobytes() == b"".join(map(reference, values))
    assert sizes.tolist() == [len(reference(value)) for value in values]
    decoded, ends = decode_varints(encoded.tobytes())
    assert decoded.tolist() == values
    assert ends.tolist() == np.cumsum(sizes, dtype=int).tolist()


def test_what_is_cut_or_too_large_is_refused():
    with pytest.raises(ValueError, match="not complete"):
        decode_varints(reference(300)[:1])
    with pytest.raises(ValueError, match="32 bits"):
        decode_varints(reference(1 << 40))
