"""A frozen teacher: its embeddings of the training sentences, made once and kept on disk, and its errors' measure."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxemb.config import DistillationObjective, TrainConfig
from jaxemb.data import PreparedData, Tokenized
from jaxemb.data.cache import in_chunks
from jaxemb.data.normalize import text_hash
from jaxemb.encoding.stored import StoredEmbeddings, stored_embeddings
from jaxemb.loading import load
from jaxemb.models import Embedder, embedding_size


class Teacher:
    """The teacher of a distillation, with the cache of its embeddings."""

    def __init__(self, embedder: Embedder, cache_dir: str | None) -> None:
        self._embedder = embedder
        self._stored: StoredEmbeddings = stored_embeddings(embedder, cache_dir)
        self.width = embedding_size(embedder.config)
        """Width of its embeddings."""

    def teach(self, data: PreparedData) -> int:
        """Embeds the anchors that it has not embedded yet, in this run or another; returns their number."""

        def anchors() -> Iterator[str]:
            for rows in in_chunks(len(data.train), 1 << 14):
                yield from (record.anchor for record in data.train.__getitems__(rows))

        return self._stored.embed_missing(self._embedder, anchors())

    def examples(self, tokenized: Tokenized, data: PreparedData) -> "Taught":
        """The training examples with its embeddings of their anchors; `teach` comes first."""
        return Taught(tokenized, self._stored, data)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Its embeddings of any texts, [N, E], each embedded once."""
        self._stored.embed_missing(self._embedder, texts)
        return self._stored.take(self._stored.rows(np.array([text_hash(text) for text in texts], np.uint64)))


class Taught:
    """Tokenised pairs, each with the teacher's embedding of its anchor: see `data.batches.Examples`."""

    def __init__(self, tokenized: Tokenized, stored: StoredEmbeddings, data: PreparedData) -> None:
        self._tokenized, self._stored = tokenized, stored
        self._rows = stored.rows(np.asarray(data.hashes[:, 0]))
        self.lengths, self.sides = tokenized.lengths, tokenized.sides
        self.languages, self.language_of = tokenized.languages, tokenized.language_of

    def __len__(self) -> int:
        return len(self._tokenized)

    def token_ids(self, rows: np.ndarray, step: int) -> list[list[np.ndarray]]:
        """Token ids of sentences and translations."""
        return self._tokenized.token_ids(rows, step)

    def columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Beside what the pairs have `teacher`, float32 [B, E]."""
        return {**self._tokenized.columns(rows), "teacher": self._stored.take(self._rows[rows])}

    def finished(self, batch: dict[str, Any], rows: np.ndarray, step: int) -> dict[str, Any]:
        """The batch as it is."""
        return self._tokenized.finished(batch, rows, step)


def load_teacher(config: TrainConfig) -> Teacher | None:
    """The teacher of a distillation; None for any other objective.

    Raises:
      UserError: as `jaxemb.load`.
    """
    if not isinstance(config.objective, DistillationObjective):
        return None
    return Teacher(load(config.objective.teacher), config.data.cache_dir)
