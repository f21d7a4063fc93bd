"""Losses as pure functions on arrays: no model, no mesh, no optimizer.

Hyper-parameters go by keyword, `scale` is the inverse temperature everywhere, everything is computed in float32, and a
loss that is a sum over rows returns one value a row for the caller to reduce; one that is not returns a scalar for the
batch, and says so.
"""

from jaxemb.losses.additive_margin import additive_margin_softmax
from jaxemb.losses.classification import classifier_width, pair_features, softmax_classification
from jaxemb.losses.distillation import embedding_distillation, embedding_mse, multilingual_distillation
from jaxemb.losses.duplicates import duplicate_mask
from jaxemb.losses.multiple_negatives import gist, multiple_negatives_ranking
from jaxemb.losses.nested import adaptive_layers, matryoshka
from jaxemb.losses.noise_contrastive import info_nce
from jaxemb.losses.pairs import contrastive, cosine_similarity_mse, online_contrastive
from jaxemb.losses.ranking import angle, cosent
from jaxemb.losses.scale import learned_scale
from jaxemb.losses.score_distillation import distill_kl, margin_mse
from jaxemb.losses.sigmoid import siglip
from jaxemb.losses.similarity import cosine_similarity, normalize

__all__ = [
    "adaptive_layers",
    "additive_margin_softmax",
    "angle",
    "classifier_width",
    "contrastive",
    "cosent",
    "cosine_similarity",
    "cosine_similarity_mse",
    "distill_kl",
    "duplicate_mask",
    "embedding_distillation",
    "embedding_mse",
    "gist",
    "info_nce",
    "learned_scale",
    "margin_mse",
    "matryoshka",
    "multilingual_distillation",
    "multiple_negatives_ranking",
    "normalize",
    "online_contrastive",
    "pair_features",
    "siglip",
    "softmax_classification",
]
