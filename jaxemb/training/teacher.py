"""A frozen teacher: its embeddings of the training sentences, computed once and stored on disk, and of any texts."""

from collections.abc import Callable

import numpy as np

from jaxemb import distributed
from jaxemb.config import DistillationObjective, TrainConfig
from jaxemb.data import Examples, Gathered
from jaxemb.data.pairs.normalize import text_hash
from jaxemb.encoding import Embedder
from jaxemb.encoding.stored import StoredEmbeddings, stored_embeddings
from jaxemb.loading import load
from jaxemb.models import encoded_size
from jaxemb.texts import Texts, as_texts


class Teacher:
    """The teacher of a distillation, with the cache of its embeddings."""

    def __init__(self, embedder: Embedder, cache_dir: str | None) -> None:
        self._embedder = embedder
        self._stored: StoredEmbeddings = stored_embeddings(embedder, cache_dir)
        self.width = encoded_size(embedder.config)
        """Width of its embeddings."""

    def teach(self, data: Gathered, progress: Callable[[int], None]) -> int:
        """Embeds the anchors that are not stored yet, by this run or another; returns their number.

        `progress` is called with the number of examples that are newly done; the numbers add up to all of them.
        """
        anchors = (record.anchor for record in data.records())
        with distributed.first_before_others("the teacher's embeddings"):
            return self._stored.embed_missing(self._embedder, anchors, progress=progress)

    def examples(self, examples: Examples) -> "Taught":
        """The examples with a column `teacher`, float32 [B, E], for their anchors; call `teach` first."""
        return Taught(examples, self._stored)

    def encode(self, texts: Texts) -> np.ndarray:
        """The teacher's embeddings of any texts, [N, E]; each text is embedded once."""
        texts = as_texts(texts)
        with distributed.first_before_others("the teacher's embeddings"):
            self._stored.embed_missing(self._embedder, texts)
        return self._stored.take(self._stored.rows(np.array([text_hash(text) for text in texts], np.uint64)))


class Taught:
    """Examples with a column `teacher`: the stored embedding of the anchor."""

    def __init__(self, examples: Examples, stored: StoredEmbeddings) -> None:
        self._examples, self._stored = examples, stored
        self.sides, self.lengths = examples.sides, examples.lengths

    def __len__(self) -> int:
        return len(self._examples)

    def read(self, rows: np.ndarray, step: int = 0) -> tuple[list[list[np.ndarray]], dict[str, np.ndarray]]:
        """As of `Examples`, with the column."""
        texts, columns = self._examples.read(rows, step)
        hashes = np.ascontiguousarray(columns["anchor_hash"]).view(np.uint64)[:, 0]
        return texts, columns | {"teacher": self._stored.take(self._stored.rows(hashes))}


def load_teacher(config: TrainConfig) -> Teacher | None:
    """The teacher of a distillation; None for any other objective.

    Raises:
      UserError: as `jaxemb.load`.
    """
    if not isinstance(config.objective, DistillationObjective):
        return None
    return Teacher(load(config.objective.teacher), config.data.cache_dir)
