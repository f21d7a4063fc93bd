"""An example as a record: a `tf.train.Example` that TensorFlow Datasets reads with its own feature specs.

Its features, in this order (`tfds_metadata.py` describes them for TFDS):

- `hashes`: 8 bytes for each of the T texts, little-endian.
- the token ids of each text, as integers, named by `text_names`. A second text that is the very same as the first is
  left out.
- `label` and `score`, if the example has them.

Integers take as many bytes as they need: for a vocabulary of 501,153 a quarter less than uint32.
"""

import dataclasses
import functools
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxemb.data.pairs.records import text_names
from jaxemb.data.shards.proto import (
    BYTES,
    FLOATS,
    INTEGERS,
    entries_of,
    example_of,
    list_of,
    name_of,
    read_varint,
    varint,
)
from jaxemb.data.shards.varints import decode_varints, encode_varints


@dataclasses.dataclass(slots=True, eq=False)
class Example:
    """The token ids of T texts: anchor, positive, hard negatives."""

    ids: tuple[np.ndarray, ...]
    """T arrays of token ids, without special tokens and uncut. If text 1 is text 0, it is the same array."""
    hashes: np.ndarray
    """uint64 [T], a stable hash of each text."""
    label: int | None = None
    score: float | None = None


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the records of all shards of a manifest have in common."""

    texts: int
    """Most texts that an example has."""
    dtype: str
    """Of the token ids: uint16 or uint32."""

    @property
    def names(self) -> tuple[str, ...]:
        """The features of the texts."""
        return text_names(self.texts)


def encode(example: Example, dtype: Any) -> bytes:
    """The record of an example.

    Args:
      example: its texts have between 0 and any number of ids.
      dtype: of the token ids; a larger one is refused.

    Raises:
      ValueError: if an id does not fit, or the numbers of texts and hashes differ.
    """
    return encode_many([example], dtype)[0]


def encode_many(examples: Sequence[Example], dtype: Any) -> list[bytes]:
    """The records of these examples; many at a time are several times as fast as one by one."""
    stored = [_stored(example) for example in examples]
    texts = [text for each in stored for text in each]
    sizes = np.array([len(text) for text in texts], np.int64)
    ids = np.concatenate(texts) if texts else np.zeros(0, np.int64)
    if len(ids) and (ids.min() < 0 or ids.max() > np.iinfo(dtype).max):
        raise ValueError(f"token ids of {ids.min()} to {ids.max()} are not {np.dtype(dtype)}")
    encoded, widths = encode_varints(ids)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(widths, dtype=np.int64)])[np.cumsum(sizes)].tolist()
    data, begin, at = encoded.tobytes(), 0, 0
    records = []
    for example, each in zip(examples, stored, strict=True):
        entries = [(_HASHES, list_of(BYTES, example.hashes.astype("<u8").tobytes()))]
        names = _names(len(example.ids))
        for name in names if len(each) == len(names) else names[:1] + names[2:]:
            entries.append((name, list_of(INTEGERS, data[begin : ends[at]])))
            begin, at = ends[at], at + 1
        if example.label is not None:
            entries.append((_LABEL, list_of(INTEGERS, varint(example.label & (1 << 64) - 1))))
        if example.score is not None:
            entries.append((_SCORE, list_of(FLOATS, struct.pack("<f", example.score))))
        records.append(example_of(entries))
    return records


def decode(data: bytes, layout: Layout) -> Example:
    """The example of a record.

    Raises:
      ValueError: if it is not a record of this layout.
    """
    return decode_many([data], layout)[0]


def decode_many(records: Sequence[bytes], layout: Layout) -> list[Example]:
    """The examples of these records; many at a time are several times as fast as one by one.

    Raises:
      ValueError: if one is not a record of this layout.
    """
    known = {name.encode() for name in layout.names}
    texts: list[bytes] = []
    hashes: list[bytes] = []
    found: list[tuple[int, int, int | None, float | None]] = []
    for data in records:
        count, before, label, score = 0, len(texts), None, None
        for name, body in entries_of(data):
            if name in known:
                texts.append(body)
            elif name == b"hashes":
                count = len(body) // 8
                hashes.append(body)
            elif name == b"label":
                label = _signed(body)
            elif name == b"score":
                (score,) = struct.unpack("<f", body)
            else:
                raise ValueError(f"{name!r} is not in a record of {layout.texts} texts")
        stored = len(texts) - before
        if not stored or not 0 <= count - stored <= 1:
            raise ValueError(f"a record has {stored} texts and {count} hashes")
        found.append((count, stored, label, score))
    values, ends = decode_varints(b"".join(texts))
    borders = np.cumsum([0] + [len(text) for text in texts])
    cuts = np.searchsorted(ends, borders, side="right").tolist()
    if len(values) and values.max() > np.iinfo(layout.dtype).max:
        raise ValueError(f"a token id of {values.max()} is not {layout.dtype}")
    ids = values.astype(layout.dtype)
    all_hashes, at, text = np.frombuffer(b"".join(hashes), "<u8"), 0, 0
    examples = []
    for count, stored, label, score in found:
        each = tuple(ids[cuts[i] : cuts[i + 1]] for i in range(text, text + stored))
        if stored < count:
            each = (each[0], *each)
        examples.append(Example(each, all_hashes[at : at + count], label, score))
        text, at = text + stored, at + count
    return examples


def is_twin(example: Example) -> bool:
    """Whether the second text is the very same as the first; it is stored once."""
    return len(example.ids) > 1 and example.ids[1] is example.ids[0]


_HASHES, _LABEL, _SCORE = name_of("hashes"), name_of("label"), name_of("score")


@functools.cache
def _names(texts: int) -> tuple[bytes, ...]:
    return tuple(map(name_of, text_names(texts)))


def _stored(example: Example) -> tuple[np.ndarray, ...]:
    if not len(example.ids) == len(example.hashes) > 0:
        raise ValueError(f"{len(example.ids)} texts have {len(example.hashes)} hashes")
    return example.ids[:1] + example.ids[2:] if is_twin(example) else example.ids


def _signed(body: bytes) -> int:
    value, _ = read_varint(body, 0)
    return value - (1 << 64) if value >> 63 else value
