"""Pools of sentence pairs, and their score under any function that embeds texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jaxemb.evaluation.report import PairAccuracy
from jaxemb.evaluation.retrieval import retrieval_accuracy

EncodeFn = Callable[[Sequence[str]], np.ndarray]
"""Texts to embeddings, float [N, E], one row a text, in order; any norm."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Sentence pairs among which the right partner must be found: `anchors[i]` belongs to `positives[i]`."""

    name: str
    """The language, or the file."""
    anchors: tuple[str, ...]
    """First side."""
    positives: tuple[str, ...]
    """Second side."""
    script: str = ""
    """Script of the second side, where it matters."""

    def __post_init__(self) -> None:
        if len(self.anchors) != len(self.positives) or not self.anchors:
            raise ValueError(f"{self.name}: {len(self.anchors)} anchors and {len(self.positives)} positives")


def score_pools(encode_fn: EncodeFn, pools: Sequence[Pool]) -> tuple[PairAccuracy, ...]:
    """Accuracy of each pool in both directions.

    All texts go to `encode_fn` in one call, each distinct one once: the English sides of different languages overlap.

    Raises:
      ValueError: if `encode_fn` returns anything but one row a text.
      UserError: if an embedding holds NaN or infinity.
    """
    texts = list(dict.fromkeys(text for pool in pools for text in (*pool.anchors, *pool.positives)))
    if not texts:
        return ()
    embeddings = encode_checked(encode_fn, texts)
    row = {text: i for i, text in enumerate(texts)}
    scored = []
    for pool in pools:
        forward, backward = retrieval_accuracy(
            embeddings[[row[text] for text in pool.anchors]],
            embeddings[[row[text] for text in pool.positives]],
            a_texts=pool.anchors,
            b_texts=pool.positives,
        )
        scored.append(PairAccuracy(pool.name, forward, backward, len(pool.anchors), pool.script))
    return tuple(scored)


def encode_checked(encode_fn: EncodeFn, texts: Sequence[str]) -> Float[np.ndarray, "N E"]:
    """The embeddings of `texts`; a ValueError when there is not exactly one row a text."""
    embeddings = np.asarray(encode_fn(texts))
    if embeddings.ndim != 2 or len(embeddings) != len(texts):
        raise ValueError(f"encode_fn gave an array of shape {embeddings.shape} for {len(texts)} texts")
    return embeddings
