"""Pools of sentence pairs, and their score under any function that embeds texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from jaxemb.evaluation.retrieval_report import PairAccuracy
from jaxemb.texts import Texts, as_texts

EncodeFn = Callable[[Sequence[str]], np.ndarray]
"""Texts to embeddings, float [N, E], one row a text, in order; any norm."""
EncodeFns = EncodeFn | tuple[EncodeFn, EncodeFn]
"""One for all texts, or one for each side of the pairs: that of the anchors, that of the positives."""


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
        for side in ("anchors", "positives"):
            object.__setattr__(self, side, tuple(as_texts(getattr(self, side), f"{self.name}: {side}")))
        if len(self.anchors) != len(self.positives) or not self.anchors:
            raise ValueError(f"{self.name}: {len(self.anchors)} anchors and {len(self.positives)} positives")


def score_pools(encode_fn: EncodeFns, pools: Sequence[Pool]) -> tuple[PairAccuracy, ...]:
    """Accuracy of each pool in both directions.

    All texts go to `encode_fn` in one call, each distinct one once: the English sides of different languages overlap.
    Of two functions each gets those of its side.

    Raises:
      ValueError: if `encode_fn` returns anything but one row a text.
      UserError: if an embedding holds NaN or infinity.
    """
    if not pools:
        return ()
    from jaxemb.evaluation.retrieval import retrieval_accuracy  # imports jax, which `--help` does not need

    anchor, positive = embed_sides(
        encode_fn,
        [text for pool in pools for text in pool.anchors],
        [text for pool in pools for text in pool.positives],
    )
    scored = []
    for pool in pools:
        forward, backward = retrieval_accuracy(
            anchor(pool.anchors), positive(pool.positives), a_texts=pool.anchors, b_texts=pool.positives
        )
        scored.append(PairAccuracy(pool.name, forward, backward, len(pool.anchors), pool.script))
    return tuple(scored)


def embed_sides(encode_fn: EncodeFns, anchors: Texts, positives: Texts) -> tuple[EncodeFn, EncodeFn]:
    """Embeds all texts of both sides, each distinct one once a function.

    Returns: for each side, what gives the embeddings of some of its texts.
    Raises: NotTexts for what is no string; ValueError if a function returns anything but one row a text.
    """
    anchors, positives = as_texts(anchors, "anchors"), as_texts(positives, "positives")
    if isinstance(encode_fn, tuple):
        return _embedded(encode_fn[0], anchors), _embedded(encode_fn[1], positives)
    both = _embedded(encode_fn, [*anchors, *positives])
    return both, both


def _embedded(encode_fn: EncodeFn, texts: Sequence[str]) -> EncodeFn:
    distinct = list(dict.fromkeys(texts))
    embeddings = np.asarray(encode_fn(distinct))
    if embeddings.ndim != 2 or len(embeddings) != len(distinct):
        raise ValueError(f"encode_fn gave an array of shape {embeddings.shape} for {len(distinct)} texts")
    row = {text: i for i, text in enumerate(distinct)}
    return lambda some: embeddings[[row[text] for text in some]]
