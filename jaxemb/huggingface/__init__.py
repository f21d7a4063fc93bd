"""Hugging Face and sentence-transformers folders: strict loading, and an export that verifies itself."""

from jaxemb.huggingface.adapter import export_adapter
from jaxemb.huggingface.card import CardInfo, DataSource
from jaxemb.huggingface.exporting import export
from jaxemb.huggingface.files.modules import check_exportable
from jaxemb.huggingface.files.tokenizer import load_tokenizer, save_tokenizer
from jaxemb.huggingface.load import load_model, load_towers
from jaxemb.huggingface.servers import check_served
from jaxemb.huggingface.trimming import trim_vocabulary, vocabulary_report
from jaxemb.huggingface.upload import push
from jaxemb.huggingface.verify import Verifier, VerifyReport, verify_export, verify_with_torch

__all__ = [
    "CardInfo",
    "DataSource",
    "Verifier",
    "VerifyReport",
    "check_exportable",
    "check_served",
    "export",
    "export_adapter",
    "load_model",
    "load_tokenizer",
    "load_towers",
    "push",
    "save_tokenizer",
    "trim_vocabulary",
    "verify_export",
    "verify_with_torch",
    "vocabulary_report",
]
