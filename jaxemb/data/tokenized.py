"""Training examples as token ids, in a separate cache."""

import collections
import copy
import dataclasses
import functools
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tokenizers
import transformers
from jaxtyping import Int

from jaxemb.data.cache import StoredRecords, cached_directory, fingerprint, in_chunks, write_array_record
from jaxemb.data.cut import Cut
from jaxemb.data.prepared import PreparedData
from jaxemb.fast_tokenizer import plain_backend

VERSION = 3
"""Counts up when the same examples and tokenizer would give other ids, or the cache's layout changes."""

log = logging.getLogger(__name__)


@runtime_checkable
class Column(Protocol):
    """One value for each example."""

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """The values at these positions, an array [B, ...]."""


class Tokenized:
    """Token ids of the training examples, by position, and the data that batches are planned from."""

    def __init__(self, path: Path, data: PreparedData) -> None:
        self.path = path
        """The cache's folder."""
        self.lengths: np.ndarray = np.load(path / "lengths.npy", mmap_mode="r")
        """uint16 [N, C], number of tokens of each text of an example (anchor, positive, hard negatives), special tokens
    included."""
        self.sides: tuple[str, ...] = ("anchor", "positive", *map(negative, range(self.lengths.shape[1] - 2)))
        """Names of the texts in a batch."""
        self.languages = data.languages
        """Names of the languages."""
        self.language_of = data.language_of
        """uint16 [N], index into `languages`."""
        self.starts = data.starts
        """int64 [rows], the first example of each row, if some row has several examples; see `PreparedData`."""
        self.hashes: np.ndarray = data.hashes.view(np.uint32).reshape(len(data.hashes), -1, 2)
        """uint32 [N, C, 2], two words of the hash of each text."""
        self._columns: dict[str, Column] = dict(data.columns)
        about = json.loads((path / "tokenized.json").read_text())
        self.cut = {language: Cut(**counts) for language, counts in about["cut"].items()}
        """How much was cut off the texts of each language."""
        self._ids = StoredRecords(path / "ids.arrayrecord", functools.partial(np.frombuffer, dtype=about["dtype"]))

    def __len__(self) -> int:
        return len(self.lengths)

    def token_ids(self, rows: Int[np.ndarray, " B"], step: int = 0) -> list[list[np.ndarray]]:
        """Token ids of the examples at these positions, for each of `sides`; the same in every step."""
        del step
        records = self._ids.__getitems__(rows.tolist())
        # A record has the ids of one text after the other; if both texts are the same, only once.
        lengths = self.lengths[rows].astype(np.int64)
        ends = np.cumsum(lengths, axis=1)
        begins = ends - lengths
        twins = ends[:, -1] != np.array([len(record) for record in records])
        begins[twins], ends[twins] = 0, lengths[twins]
        return [
            [record[begin:end] for record, begin, end in zip(records, begin, end, strict=True)]
            for begin, end in zip(begins.T.tolist(), ends.T.tolist(), strict=True)
        ]

    def columns(self, rows: Int[np.ndarray, " B"]) -> dict[str, np.ndarray]:
        """The other columns of a batch: `SIDE_hash` uint32 [B, 2]; int32 `label`, float32 `score` [B]; and those of
        `with_column`.
        """
        hashes = self.hashes[rows]
        found = {f"{side}_hash": hashes[:, index] for index, side in enumerate(self.sides)}
        return found | {name: np.asarray(values[rows]) for name, values in self._columns.items()}

    def with_column(self, name: str, values: Column) -> "Tokenized":
        """The same examples with one more column."""
        more = copy.copy(self)
        more._columns = {**self._columns, name: values}
        return more


def negative(index: int) -> str:
    """The name of a hard negative in a batch: `negative`, `negative_1`, ..."""
    return f"negative_{index}" if index else "negative"


def pad(texts: Sequence[np.ndarray], length: int, pad_id: int) -> dict[str, np.ndarray]:
    """Token ids padded on the right: `input_ids` and `attention_mask`, int32 [B, S].

    Args:
      texts: token ids of each.
      length: S, at least the longest of them.
      pad_id: token id of the padding.
    """
    mask = np.arange(length) < np.array([len(text) for text in texts])[:, None]
    padded = np.full(mask.shape, pad_id, np.int32)
    padded[mask] = np.concatenate(texts)
    return {"input_ids": padded, "attention_mask": mask.astype(np.int32)}


def tokenize(
    data: PreparedData,
    tokenizer: transformers.PreTrainedTokenizerFast,
    max_length: int,
    prompt: str = "",
    positive_prompt: str | None = None,
) -> Tokenized:
    """Tokenizes the training examples once; the result is cached.

    Args:
      data: the training examples.
      tokenizer: a fast one; it is not changed.
      max_length: most tokens of a text, special tokens included; longer texts are cut at the tokenizer's
        `truncation_side`.
      prompt: text put before every anchor.
      positive_prompt: text put before every positive and hard negative; `prompt` when None.
    """
    backend = plain_backend(tokenizer)
    settings = json.loads(backend.to_str())
    backend.enable_truncation(max_length, direction=tokenizer.truncation_side)
    prompts = (prompt, prompt if positive_prompt is None else positive_prompt)
    key = fingerprint(VERSION, data.path.name, settings, max_length, tokenizer.truncation_side, *dict.fromkeys(prompts))
    path = data.path.parent / f"tokens-{key}"
    return Tokenized(cached_directory(path, functools.partial(_write, data, backend, prompts)), data)


def _write(data: PreparedData, backend: tokenizers.Tokenizer, prompts: tuple[str, str], folder: Path) -> None:
    dtype = np.dtype("<u2" if backend.get_vocab_size() <= 1 << 16 else "<u4")
    lengths = np.zeros(data.hashes.shape, np.uint16)
    special = backend.num_special_tokens_to_add(is_pair=False)
    cut: dict[str, Cut] = collections.defaultdict(Cut)

    def encoded() -> Iterator[bytes]:
        for rows in in_chunks(len(data.train), 1 << 14):
            records = data.train.__getitems__(rows)
            examples = [
                (prompts[0] + record.anchor, *(prompts[1] + text for text in (record.positive, *record.negatives)))
                for record in records
            ]
            # All in one call, each text once: neighbouring pairs often share the English side.
            texts = list(dict.fromkeys(text for example in examples for text in example))
            encodings = backend.encode_batch_fast(texts)
            ids = {text: encoding.ids for text, encoding in zip(texts, encodings, strict=True)}
            lost = {
                text: sum(len(part.ids) - special for part in parts)
                for text, encoding in zip(texts, encodings, strict=True)
                if (parts := encoding.overflowing)
            }
            for row, example, record in zip(rows, examples, records, strict=True):
                each = [ids[text] for text in example]
                lengths[row] = list(map(len, each))
                twin = len(example) == 2 and example[0] == example[1]
                for index, text in enumerate(example[: 1 if twin else None]):
                    language = record.positive_lang if index else record.anchor_lang
                    cut[language].add(len(each[index]) - special, lost.get(text, 0))
                yield np.array(each[0] if twin else list(itertools.chain(*each)), dtype).tobytes()

    write_array_record(folder / "ids.arrayrecord", encoded())
    np.save(folder / "lengths.npy", lengths)
    counts = {language: dataclasses.asdict(one) for language, one in sorted(cut.items())}
    (folder / "tokenized.json").write_text(json.dumps({"dtype": dtype.str, "cut": counts}, ensure_ascii=False))
    log.info("%d examples tokenized, %.1f tokens per text on average", len(lengths), lengths.mean())
