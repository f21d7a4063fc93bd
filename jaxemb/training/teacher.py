"""A frozen teacher: its embeddings of the training sentences, computed once and stored on disk, and of any texts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from jaxemb import distributed
from jaxemb.config import DistillationObjective, TrainConfig
from jaxemb.data import PreparedData, Tokenized
from jaxemb.data.cache import in_chunks
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

    def teach(self, data: PreparedData, progress: Callable[[int], None]) -> int:
        """Embeds the anchors that are not stored yet, by this run or another; returns their number.

        `progress` is called with the number of examples that are newly done; the numbers add up to all of them.
        """

        def anchors() -> Iterator[str]:
            for rows in in_chunks(len(data.train), 1 << 14):
                yield from (record.anchor for record in data.train.__getitems__(rows))

        with distributed.first_before_others("the teacher's embeddings"):
            return self._stored.embed_missing(self._embedder, anchors(), progress=progress)

    def examples(self, tokenized: Tokenized, data: PreparedData) -> Tokenized:
        """The training examples with a column `teacher`, float32 [B, E], for their anchors; call `teach` first."""
        rows = self._stored.rows(np.asarray(data.hashes[:, 0]))
        return tokenized.with_column("teacher", _Rows(self._stored, rows))

    def encode(self, texts: Texts) -> np.ndarray:
        """The teacher's embeddings of any texts, [N, E]; each text is embedded once."""
        texts = as_texts(texts)
        with distributed.first_before_others("the teacher's embeddings"):
            self._stored.embed_missing(self._embedder, texts)
        return self._stored.take(self._stored.rows(np.array([text_hash(text) for text in texts], np.uint64)))


@dataclass(frozen=True)
class _Rows:
    """The stored embedding of each example."""

    stored: StoredEmbeddings
    row_of: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.stored.take(self.row_of[rows])


def load_teacher(config: TrainConfig) -> Teacher | None:
    """The teacher of a distillation; None for any other objective.

    Raises:
      UserError: as `jaxemb.load`.
    """
    if not isinstance(config.objective, DistillationObjective):
        return None
    return Teacher(load(config.objective.teacher), config.data.cache_dir)
