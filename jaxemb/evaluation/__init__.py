"""Bitext retrieval and STS for any function that embeds texts, and MTEB for our embedders."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxemb.evaluation.alignment import AlignmentUniformity, alignment_uniformity
    from jaxemb.evaluation.baselines import score_pools_tfidf, tfidf_encode
    from jaxemb.evaluation.encoders import encode_fns
    from jaxemb.evaluation.masking import brand_names, mask_pair, mask_placeholders
    from jaxemb.evaluation.mteb import MtebModel
    from jaxemb.evaluation.pools import EncodeFn, EncodeFns, Pool, score_pools
    from jaxemb.evaluation.report import Report
    from jaxemb.evaluation.retrieval import retrieval_accuracy
    from jaxemb.evaluation.retrieval_report import Average, PairAccuracy, RetrievalReport, report_from_json
    from jaxemb.evaluation.sts_report import StsReport, StsScore, sts_report_from_json
    from jaxemb.evaluation.suite import Suite
    from jaxemb.evaluation.suites.heldout import build_pools, evaluate_heldout, heldout_report
    from jaxemb.evaluation.suites.parallel import parallel
    from jaxemb.evaluation.suites.sts import sts, sts_tfidf
    from jaxemb.evaluation.suites.tatoeba import tatoeba
    from jaxemb.evaluation.suites.teacher_mse import PoolError, teacher_mse
    from jaxemb.evaluation.tables import comparison_table, report_table, sts_comparison_table, sts_table

# Imported on first use: `jaxemb evaluate --help` reads the suites and must not wait for jax.
_NAMES = {
    "alignment": "AlignmentUniformity alignment_uniformity",
    "baselines": "score_pools_tfidf tfidf_encode",
    "encoders": "encode_fns",
    "masking": "brand_names mask_pair mask_placeholders",
    "mteb": "MtebModel",
    "pools": "EncodeFn EncodeFns Pool score_pools",
    "report": "Report",
    "retrieval": "retrieval_accuracy",
    "retrieval_report": "Average PairAccuracy RetrievalReport report_from_json",
    "sts_report": "StsReport StsScore sts_report_from_json",
    "suite": "Suite",
    "suites.heldout": "build_pools evaluate_heldout heldout_report",
    "suites.parallel": "parallel",
    "suites.sts": "sts sts_tfidf",
    "suites.tatoeba": "tatoeba",
    "suites.teacher_mse": "PoolError teacher_mse",
    "tables": "comparison_table report_table sts_comparison_table sts_table",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = [
    "AlignmentUniformity",
    "Average",
    "EncodeFn",
    "EncodeFns",
    "MtebModel",
    "PairAccuracy",
    "Pool",
    "PoolError",
    "Report",
    "RetrievalReport",
    "StsReport",
    "StsScore",
    "Suite",
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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"jaxemb.evaluation.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'jaxemb.evaluation' has no attribute {name!r}")
