"""Training pairs as token ids, in a cache of their own."""

import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tokenizers
import transformers
from jaxtyping import Int, UInt32

from jaxemb.data.cache import StoredRecords, cached_directory, fingerprint, in_chunks, write_array_record
from jaxemb.data.prepared import PreparedData

VERSION = 1
"""Counts up when the same pairs and tokenizer would give other ids, or the cache's layout changes."""

log = logging.getLogger(__name__)


class TokenizedPairs:
    """Token ids of the training pairs, by position, with what batches are planned from."""

    def __init__(self, path: Path, data: PreparedData) -> None:
        self.path = path
        """The cache's folder."""
        self.lengths: np.ndarray = np.load(path / "lengths.npy", mmap_mode="r")
        """uint16 [N, 2], tokens of anchor and positive, special tokens included."""
        self.languages = data.languages
        """Names of the languages."""
        self.language_of = data.language_of
        """uint16 [N], index into `languages`."""
        self.hashes: np.ndarray = data.hashes.view(np.uint32).reshape(-1, 2, 2)
        """uint32 [N, 2, 2], two words of the hash of the anchor's and of the positive's text."""
        dtype = json.loads((path / "tokenized.json").read_text())["dtype"]
        self._ids = StoredRecords(path / "ids.arrayrecord", functools.partial(np.frombuffer, dtype=dtype))

    def __len__(self) -> int:
        return len(self.lengths)

    def token_ids(self, rows: Int[np.ndarray, " B"]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Token ids of each anchor, and of each positive, at these positions."""
        # A record is the anchor's ids and then the positive's.
        records = list(zip(self._ids.__getitems__(rows.tolist()), self.lengths[rows, 0].tolist(), strict=True))
        return [record[:end] for record, end in records], [record[begin:] for record, begin in records]

    def padded(
        self, rows: Int[np.ndarray, " B"], length: int, pad_id: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Anchors and positives at these positions, padded on the right.

        Args:
          rows: positions.
          length: S, at least the longest of them.
          pad_id: token id of the padding.

        Returns: for each side `input_ids` and `attention_mask`, int32 [B, S].
        """

        def side(texts: list[np.ndarray]) -> dict[str, np.ndarray]:
            mask = np.arange(length) < np.array([len(text) for text in texts])[:, None]
            padded = np.full(mask.shape, pad_id, np.int32)
            padded[mask] = np.concatenate(texts)
            return {"input_ids": padded, "attention_mask": mask.astype(np.int32)}

        anchors, positives = self.token_ids(rows)
        return side(anchors), side(positives)

    def text_hashes(self, rows: Int[np.ndarray, " B"]) -> tuple[UInt32[np.ndarray, "B 2"], UInt32[np.ndarray, "B 2"]]:
        """Hashes of the anchors' and the positives' texts at these positions."""
        hashes = self.hashes[rows]
        return hashes[:, 0], hashes[:, 1]


def tokenize(
    data: PreparedData, tokenizer: transformers.PreTrainedTokenizerFast, max_length: int, prompt: str = ""
) -> TokenizedPairs:
    """Tokenises the training pairs, once: the result lies in the cache beside the pairs.

    Args:
      data: the training pairs.
      tokenizer: a fast one; it is left as it is.
      max_length: most tokens of a side, special tokens included; what is longer is cut.
      prompt: text put before both sides.
    """
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    settings["truncation"] = settings["padding"] = None  # left over from earlier calls; ours are set below
    backend = tokenizers.Tokenizer.from_str(json.dumps(settings))
    backend.enable_truncation(max_length)
    key = fingerprint(VERSION, data.path.name, settings, max_length, prompt)
    path = data.path.parent / f"tokens-{key}"
    return TokenizedPairs(cached_directory(path, functools.partial(_write, data, backend, prompt)), data)


def _write(data: PreparedData, backend: tokenizers.Tokenizer, prompt: str, folder: Path) -> None:
    dtype = np.dtype("<u2" if backend.get_vocab_size() <= 1 << 16 else "<u4")
    lengths = np.zeros((len(data.train), 2), np.uint16)

    def encoded() -> Iterator[bytes]:
        for rows in in_chunks(len(data.train), 1 << 14):
            records = data.train.__getitems__(rows)
            # Both sides in one call, each text once: neighbours often share the English side.
            texts = list(
                dict.fromkeys(prompt + text for record in records for text in (record.anchor, record.positive))
            )
            ids = {text: encoding.ids for text, encoding in zip(texts, backend.encode_batch_fast(texts), strict=True)}
            for row, record in zip(rows, records, strict=True):
                anchor, positive = ids[prompt + record.anchor], ids[prompt + record.positive]
                lengths[row] = len(anchor), len(positive)
                yield np.array(anchor + positive, dtype).tobytes()

    write_array_record(folder / "ids.arrayrecord", encoded())
    np.save(folder / "lengths.npy", lengths)
    (folder / "tokenized.json").write_text(json.dumps({"dtype": dtype.str}))
    log.info("%d pairs tokenised, %.1f tokens a side on average", len(lengths), lengths.mean())
