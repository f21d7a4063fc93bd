"""Bitext retrieval and STS for any function that embeds texts, and MTEB for our embedders."""

from jaxemb.evaluation.alignment import AlignmentUniformity, alignment_uniformity
from jaxemb.evaluation.baselines import score_pools_tfidf, tfidf_encode
from jaxemb.evaluation.distillation import PoolError, teacher_mse
from jaxemb.evaluation.heldout import build_pools, evaluate_heldout, heldout_report
from jaxemb.evaluation.masking import brand_names, mask_pair, mask_placeholders
from jaxemb.evaluation.mteb import MtebModel
from jaxemb.evaluation.parallel import parallel
from jaxemb.evaluation.pools import EncodeFn, EncodeFns, Pool, encode_fns, score_pools
from jaxemb.evaluation.report import Average, PairAccuracy, RetrievalReport, report_from_json
from jaxemb.evaluation.retrieval import retrieval_accuracy
from jaxemb.evaluation.sts import sts, sts_tfidf
from jaxemb.evaluation.sts_report import StsReport, StsScore, sts_report_from_json
from jaxemb.evaluation.tables import comparison_table, report_table, sts_comparison_table, sts_table
from jaxemb.evaluation.tatoeba import tatoeba

__all__ = [
    "AlignmentUniformity",
    "Average",
    "EncodeFn",
    "EncodeFns",
    "MtebModel",
    "PairAccuracy",
    "Pool",
    "PoolError",
    "RetrievalReport",
    "StsReport",
    "StsScore",
    "alignment_uniformity",
    "brand_names",
    "build_pools",
    "comparison_table",
    "encode_fns",
    "evaluate_heldout",
    "heldout_report",
    "mask_pair",
    "mask_placeholders",
    "parallel",
    "report_from_json",
    "report_table",
    "retrieval_accuracy",
    "score_pools",
    "score_pools_tfidf",
    "sts",
    "sts_comparison_table",
    "sts_report_from_json",
    "sts_table",
    "sts_tfidf",
    "tatoeba",
    "teacher_mse",
    "tfidf_encode",
]
