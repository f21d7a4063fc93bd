"""Losses as pure functions on arrays: no model, no mesh, no optimizer.

Hyper-parameters are keyword arguments, `scale` is always the inverse temperature, and everything is computed in
float32. A loss that is a sum over rows returns one value per row for the caller to reduce. Any other loss returns a
scalar for the batch, and its documentation says so.
"""

from jaxemb.losses.additive_margin import additive_margin_softmax
from jaxemb.losses.batch_triplet import (
    batch_all_triplet,
    batch_hard_soft_margin_triplet,
    batch_hard_triplet,
    batch_semi_hard_triplet,
)
from jaxemb.losses.classification import classifier_width, pair_features, softmax_classification
from jaxemb.losses.distillation import embedding_distillation, embedding_mse, multilingual_distillation
from jaxemb.losses.multiple_negatives import gist, multiple_negatives_ranking
from jaxemb.losses.nested import adaptive_layers, matryoshka
from jaxemb.losses.noise_contrastive import info_nce
from jaxemb.losses.pairs import contrastive, cosine_similarity_mse, online_contrastive
from jaxemb.losses.parts.duplicates import duplicate_mask
from jaxemb.losses.parts.similarity import cosine_similarity, normalize
from jaxemb.losses.ranking import angle, cosent
from jaxemb.losses.regularizers import alignment, global_orthogonal, uniformity
from jaxemb.losses.scale import learned_scale
from jaxemb.losses.score_distillation import distill_kl, margin_mse
from jaxemb.losses.sigmoid import siglip
from jaxemb.losses.tension import contrastive_tension, contrastive_tension_in_batch
from jaxemb.losses.triplets import mega_batch_margin, triplet
from jaxemb.losses.vocabulary import gather_positions, masked_lm

__all__ = [
    "adaptive_layers",
    "additive_margin_softmax",
    "alignment",
    "angle",
    "batch_all_triplet",
    "batch_hard_soft_margin_triplet",
    "batch_hard_triplet",
    "batch_semi_hard_triplet",
    "classifier_width",
    "contrastive",
    "contrastive_tension",
    "contrastive_tension_in_batch",
    "cosent",
    "cosine_similarity",
    "cosine_similarity_mse",
    "distill_kl",
    "duplicate_mask",
    "embedding_distillation",
    "embedding_mse",
    "gather_positions",
    "gist",
    "global_orthogonal",
    "info_nce",
    "learned_scale",
    "margin_mse",
    "masked_lm",
    "matryoshka",
    "mega_batch_margin",
    "multilingual_distillation",
    "multiple_negatives_ranking",
    "normalize",
    "online_contrastive",
    "pair_features",
    "siglip",
    "softmax_classification",
    "triplet",
    "uniformity",
]
