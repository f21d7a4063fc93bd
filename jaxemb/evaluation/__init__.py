"""Bitext retrieval and STS for any function that embeds texts, and MTEB for our embedders."""

from jaxemb.evaluation.alignment import AlignmentUniformity, alignment_uniformity
from jaxemb.evaluation.baselines import score_pools_tfidf, tfidf_encode
from jaxemb.evaluation.masking import brand_names, mask_pair, mask_placeholders
from jaxemb.evaluation.mteb import MtebModel
from jaxemb.evaluation.pools import EncodeFn, EncodeFns, Pool, encode_fns, score_pools
from jaxemb.evaluation.retrieval import retrieval_accuracy
from jaxemb.evaluation.retrieval_report import Average, PairAccuracy, RetrievalReport, report_from_json
from jaxemb.evaluation.sts_report import StsReport, StsScore, sts_report_from_json
from jaxemb.evaluation.suites.heldout import build_pools, evaluate_heldout, heldout_report
from jaxemb.evaluation.suites.parallel import parallel
from jaxemb.evaluation.suites.sts import sts, sts_tfidf
from jaxemb.evaluation.suites.tatoeba import tatoeba
from jaxemb.evaluation.suites.teacher_mse import PoolError, teacher_mse
from jaxemb.evaluation.tables import comparison_table, report_table, sts_comparison_table, sts_table

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
