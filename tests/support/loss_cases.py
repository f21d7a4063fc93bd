"""Every public loss with arguments for it: what the proof over meshes runs through.

A loss enters the proof by a line here; one that is public and has none fails `test_every_public_loss_has_a_case`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxemb import losses
from jaxemb.losses.parts.ranking_softmax import DIRECTIONS

ROWS, WIDTH, HARD = 24, 6, 2
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


QUERIES = normal(ROWS, WIDTH)
DOCUMENTS = QUERIES + normal(ROWS, WIDTH)
HARD_NEGATIVES = QUERIES[:, None] + 1.5 * normal(ROWS, HARD, WIDTH)
HAS_HARD_NEGATIVE = RNG.random((ROWS, HARD)) < 0.7  # a row has none, one or two
IDS = np.stack([RNG.integers(0, 9, ROWS), np.zeros(ROWS)], axis=1).astype(np.uint32)
HARD_IDS = np.stack([RNG.integers(0, 9, (ROWS, HARD)), np.zeros((ROWS, HARD))], axis=2).astype(np.uint32)
GUIDE = {"guide_queries": normal(ROWS, 5), "guide_documents": normal(ROWS, 5)}
QUEUE = normal(7, WIDTH)
CLASSES = RNG.integers(0, 5, ROWS)
BINARY = RNG.integers(0, 2, ROWS)
SCORES = RNG.integers(0, 6, ROWS).astype(np.float32)
KERNEL = normal(3 * WIDTH, 3)


@dataclass(frozen=True)
class Case:
    """A loss and its arguments."""

    loss: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    """Positional arguments; those of floats are differentiated."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Keyword arguments that may be learnt; differentiated, too."""
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Keyword arguments of one value a row."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Other keyword arguments."""
    ring: bool = False
    """May go round a ring."""

    def call(self, arrays: Any, numbers: Any, keep: Any = slice(None), **more: Any) -> Any:
        """The loss of the rows `keep`, of other arrays of the same shapes."""
        rows = {name: jnp.asarray(array)[keep] for name, array in self.rows.items()}
        return self.loss(*(jnp.asarray(array)[keep] for array in arrays), **numbers, **rows, **self.others, **more)


PAIR, TRIPLE = (QUERIES, DOCUMENTS), (QUERIES, DOCUMENTS, HARD_NEGATIVES)
SCALE = {"scale": 5.0}
BOTH_WAYS = {"directions": ("query_to_doc", "doc_to_query"), "partition": "per_direction"}
GIST_HARD = GUIDE | {"guide_hard_negatives": normal(ROWS, HARD, 5), "has_hard_negative": HAS_HARD_NEGATIVE}
HARDNESS = {"directions": DIRECTIONS, "hardness_mode": "all_negatives", "queue": jnp.asarray(QUEUE)}
NESTED = losses.matryoshka(losses.multiple_negatives_ranking, dims=(6, 3), weights=(1.0, 0.5))

IN_BATCH: dict[str, Case] = {
    "multiple_negatives_ranking": Case(losses.multiple_negatives_ranking, PAIR, SCALE, ring=True),
    "multiple_negatives_ranking/hard": Case(
        losses.multiple_negatives_ranking,
        TRIPLE,
        SCALE | {"margin": 0.1, "hardness": 2.0, "hard_negative_weight": 3.0},
        {"has_hard_negative": HAS_HARD_NEGATIVE, "document_ids": IDS, "hard_negative_ids": HARD_IDS},
        HARDNESS,
        ring=True,
    ),
    "multiple_negatives_ranking/both_ways": Case(
        losses.multiple_negatives_ranking, TRIPLE, SCALE | {"margin": 0.3}, others=BOTH_WAYS, ring=True
    ),
    "multiple_negatives_ranking/decoupled": Case(
        losses.multiple_negatives_ranking, PAIR, SCALE, others={"decoupled": True}, ring=True
    ),
    "additive_margin_softmax": Case(losses.additive_margin_softmax, PAIR, SCALE | {"margin": 0.3}, ring=True),
    "gist": Case(losses.gist, PAIR, SCALE | {"guide_margin": 0.1}, GUIDE, ring=True),
    "gist/hard": Case(losses.gist, TRIPLE, SCALE, GIST_HARD, {"guide_strategy": "relative"}, ring=True),
    "matryoshka": Case(NESTED, TRIPLE, SCALE, ring=True),
    "adaptive_layers": Case(
        lambda q, d, **options: losses.adaptive_layers(losses.siglip)((q, d), {1: (2.0 * d, q)}, **options),
        PAIR,
        SCALE,
        ring=True,
    ),
    "siglip": Case(losses.siglip, PAIR, SCALE | {"bias": -2.0}, ring=True),
    "uniformity": Case(losses.uniformity, (QUERIES,), {"t": 2.0}, ring=True),
    "global_orthogonal": Case(losses.global_orthogonal, (QUERIES + 1.0,)),
    "contrastive_tension_in_batch": Case(losses.contrastive_tension_in_batch, PAIR, SCALE, ring=True),
    "cosent": Case(losses.cosent, (*PAIR, SCORES), SCALE),
    "angle": Case(losses.angle, (*PAIR, SCORES), SCALE),
    "online_contrastive": Case(losses.online_contrastive, (*PAIR, BINARY), {"margin": 0.9}),
    "mega_batch_margin": Case(losses.mega_batch_margin, PAIR, {"positive_margin": 0.9, "negative_margin": 0.1}),
    "batch_hard_triplet": Case(losses.batch_hard_triplet, (QUERIES, CLASSES), {"margin": 1.0}),
    "batch_hard_soft_margin_triplet": Case(losses.batch_hard_soft_margin_triplet, (QUERIES, CLASSES)),
    "batch_semi_hard_triplet": Case(
        losses.batch_semi_hard_triplet, (QUERIES, CLASSES), {"margin": 1.0}, others={"distance": "cosine"}
    ),
    "batch_all_triplet": Case(losses.batch_all_triplet, (QUERIES, CLASSES), {"margin": 1.0}),
}

ROW_BY_ROW: dict[str, Case] = {
    "info_nce": Case(lambda q, **options: losses.info_nce(q, jnp.asarray(DOCUMENTS), **options), (QUERIES,), SCALE),
    "cosine_similarity_mse": Case(losses.cosine_similarity_mse, (*PAIR, SCORES)),
    "contrastive": Case(losses.contrastive, (*PAIR, BINARY), {"margin": 0.9}),
    "softmax_classification": Case(
        lambda u, v, y: losses.softmax_classification(u, v, y, jnp.asarray(KERNEL)), (*PAIR, CLASSES % 3)
    ),
    "triplet": Case(losses.triplet, (*PAIR, HARD_NEGATIVES[:, 0])),
    "embedding_mse": Case(losses.embedding_mse, PAIR),
    "multilingual_distillation": Case(losses.multilingual_distillation, (*PAIR, HARD_NEGATIVES[:, 0])),
    "embedding_distillation": Case(losses.embedding_distillation, PAIR),
    "margin_mse": Case(losses.margin_mse, (*TRIPLE, normal(ROWS, HARD))),
    "distill_kl": Case(losses.distill_kl, (normal(ROWS, 4), normal(ROWS, 4)), {"temperature": 2.0}),
    "alignment": Case(losses.alignment, PAIR),
    "contrastive_tension": Case(losses.contrastive_tension, (*PAIR, BINARY)),
    "masked_lm": Case(
        lambda h, y: losses.masked_lm(h, y, jnp.asarray(KERNEL), None, chunk=4), (normal(ROWS, 3), CLASSES)
    ),
}

NO_LOSS = {
    "classifier_width",
    "cosine_similarity",
    "duplicate_mask",
    "gather_positions",
    "learned_scale",
    "normalize",
    "pair_features",
}
"""Public functions beside the losses."""
