"""Losses as pure functions on arrays: no model, no mesh, no optimizer.

Hyper-parameters go by keyword, `scale` is the inverse temperature everywhere, everything is computed in float32, and a
loss that is a sum over rows returns one value a row for the caller to reduce.
"""

from jaxemb.losses.additive_margin import additive_margin_softmax
from jaxemb.losses.batch_triplet import (
    batch_all_triplet,
    batch_hard_soft_margin_triplet,
    batch_hard_triplet,
    batch_semi_hard_triplet,
)
from jaxemb.losses.contrastive import info_nce
from jaxemb.losses.contrastive_tension import contrastive_tension, contrastive_tension_in_batch
from jaxemb.losses.duplicates import duplicate_mask
from jaxemb.losses.masked_lm import gather_positions, masked_lm
from jaxemb.losses.regularizers import alignment, global_orthogonal, uniformity
from jaxemb.losses.similarity import cosine_similarity, normalize
from jaxemb.losses.triplet import mega_batch_margin, triplet

__all__ = [
    "additive_margin_softmax",
    "alignment",
    "batch_all_triplet",
    "batch_hard_soft_margin_triplet",
    "batch_hard_triplet",
    "batch_semi_hard_triplet",
    "contrastive_tension",
    "contrastive_tension_in_batch",
    "cosine_similarity",
    "duplicate_mask",
    "gather_positions",
    "global_orthogonal",
    "info_nce",
    "masked_lm",
    "mega_batch_margin",
    "normalize",
    "triplet",
    "uniformity",
]
