"""Token ids of the texts of a chunk, without special tokens and uncut, in a file beside the chunk."""

import functools
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import tokenizers
import transformers

from jaxemb.data.cache import fingerprint, in_chunks
from jaxemb.data.gathering.chunks import Chunk
from jaxemb.fast_tokenizer import plain_backend
from jaxemb.files import atomic_file

VERSION = 1
"""Counts up when the same texts and tokenizer would give other ids, or the file's layout changes."""
_TEXTS = 1 << 14
"""Rows that are tokenized in one call."""
_MOST = 0xFFFF
"""Most tokens that are kept of a text."""


@dataclass(frozen=True)
class Encoding:
    """How the texts of a preparation become token ids."""

    backend: tokenizers.Tokenizer
    """Without truncation and padding."""
    prefix: tuple[int, ...]
    """Special tokens before each text."""
    suffix: tuple[int, ...]
    """Special tokens after each text."""
    dtype: str
    """NumPy's name of the type of a token id: `<u2` or `<u4`."""
    truncation_side: str
    """Side on which texts are cut when a batch is made."""
    hash: str
    """Fingerprint of the backend's settings and vocabulary."""

    @classmethod
    def of(cls, tokenizer: transformers.PreTrainedTokenizerFast) -> "Encoding":
        """The encoding of a fast tokenizer, which is not changed."""
        backend = plain_backend(tokenizer)
        prefix, suffix = _special_tokens(backend)
        dtype = "<u2" if backend.get_vocab_size() <= 1 << 16 else "<u4"
        settings = json.loads(backend.to_str())
        return cls(backend, prefix, suffix, dtype, tokenizer.truncation_side, fingerprint(VERSION, settings))


def _special_tokens(backend: tokenizers.Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special tokens before and after a text."""
    encoding = backend.encode("a")
    first = encoding.special_tokens_mask.index(0)
    last = len(encoding) - encoding.special_tokens_mask[::-1].index(0)
    return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])


class Tokens:
    """Token ids of the rows of a chunk, opened as a memory map."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @functools.cached_property
    def _table(self) -> pa.Table:
        with pa.memory_map(str(self.path)) as file:
            return pa.ipc.open_file(file).read_all()

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """uint16 [rows, T], number of tokens of each text: anchor, positive, hard negatives."""
        texts = int(self._table.schema.metadata[b"texts"])
        return self._table["lengths"].chunk(0).values.to_numpy(zero_copy_only=True).reshape(-1, texts)

    @functools.cached_property
    def ids(self) -> np.ndarray:
        """All ids, one text after the other. The positive of a twin has no ids: they are those of its anchor."""
        return self._table["ids"].chunk(0).values.to_numpy(zero_copy_only=True)

    @functools.cached_property
    def ends(self) -> np.ndarray:
        """int64 [rows + 1]: the ids of a row are those from `ends[row]` to `ends[row + 1]`."""
        return self._table["ids"].chunk(0).offsets.to_numpy(zero_copy_only=True)

    @functools.cached_property
    def twins(self) -> np.ndarray:
        """Bool [rows], whether anchor and positive are the same text, stored once."""
        return np.diff(self.ends) < self.lengths.sum(axis=1)

    def of_row(self, row: int) -> list[np.ndarray]:
        """Token ids of the texts of a row. A twin's are the same object twice."""
        ids = self.ids[self.ends[row] : self.ends[row + 1]]
        lengths = self.lengths[row].tolist()
        if len(ids) < sum(lengths):
            return [ids, ids]
        stops = list(itertools.accumulate(lengths))
        return [ids[stop - length : stop] for length, stop in zip(lengths, stops, strict=True)]


def tokenize_chunk(chunk: Chunk, encoding: Encoding, prompts: tuple[str, str]) -> Tokens:
    """Tokenizes the texts of a chunk, each once; does nothing if the file is there.

    Args:
      chunk: cleaned rows; all have the same number of hard negatives.
      encoding: the tokenizer.
      prompts: text put before each anchor, and before each positive and hard negative.
    """
    path = chunk.path.with_suffix(f".{fingerprint(encoding.hash, *prompts)}.tokens")
    if not path.is_file():
        _write(path, chunk, encoding, prompts)
    return Tokens(path)


def token_ids_of(
    columns: Sequence[Sequence[str]], backend: tokenizers.Tokenizer, dtype: str, prompts: tuple[str, str]
) -> list[list[np.ndarray]]:
    """The token ids of columns of texts: those of the anchors, of the positives, of each hard negative.

    Args:
      columns: of texts of the same examples.
      backend: the tokenizer, without truncation and padding.
      dtype: of the ids.
      prompts: text put before each anchor, and before each positive and hard negative.

    Returns: a list for each column. Equal texts with their prompts are tokenized once, and have the same array.
    """
    asked = [dict.fromkeys(prompts[index > 0] + text for text in column) for index, column in enumerate(columns)]
    distinct = list(dict.fromkeys(itertools.chain(*asked)))
    encoded = backend.encode_batch_fast(distinct, add_special_tokens=False)
    found = {text: np.array(one.ids[:_MOST], dtype) for text, one in zip(distinct, encoded, strict=True)}
    return [[found[prompts[index > 0] + text] for text in column] for index, column in enumerate(columns)]


def _write(path: Path, chunk: Chunk, encoding: Encoding, prompts: tuple[str, str]) -> None:
    texts = 2 + chunk.negatives
    flat = pa.uint16() if encoding.dtype == "<u2" else pa.uint32()
    schema = pa.schema(
        {"lengths": pa.list_(pa.uint16(), texts), "ids": pa.large_list(flat)}, metadata={"texts": str(texts)}
    )
    lengths = np.zeros((len(chunk), texts), np.uint16)
    ids: list[np.ndarray] = []
    counts = np.zeros(len(chunk) + 1, np.int64)
    for rows in in_chunks(len(chunk), _TEXTS):
        part = chunk.table.slice(rows.start, len(rows))
        columns: list[Sequence[str]] = [part["anchor"].to_pylist(), part["positive"].to_pylist()]
        if texts > 2:
            columns += zip(*part["negatives"].to_pylist(), strict=True)
        each = token_ids_of(columns, encoding.backend, encoding.dtype, prompts)
        for index, column in enumerate(each):
            lengths[rows.start : rows.stop, index] = [len(one) for one in column]
        for row, examples in enumerate(zip(*each, strict=True), start=rows.start):
            own = examples[:1] if texts == 2 and examples[0] is examples[1] else examples
            ids += own
            counts[row + 1] = sum(map(len, own))
    values = pa.array(np.concatenate(ids), flat) if ids else pa.array([], flat)
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(lengths.reshape(-1)), texts),
        pa.LargeListArray.from_arrays(pa.array(np.cumsum(counts)), values),
    ]
    table = pa.Table.from_arrays(
        [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema
    )
    with atomic_file(path) as partial, pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table, max_chunksize=max(1, len(table)))
