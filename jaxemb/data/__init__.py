"""Sources of training examples, cleaning, the held-out set, tokenization and batches."""

from jaxemb.data.batches import Batches, Examples
from jaxemb.data.pairs.records import Record
from jaxemb.data.preparation import prepare
from jaxemb.data.prepared import PreparedData
from jaxemb.data.sequences import Sequences
from jaxemb.data.tokenized import Tokenized, tokenize
from jaxemb.data.tokenizer import train_tokenizer
from jaxemb.data.tokenizer_normalizer import with_normalizer

__all__ = [
    "Batches",
    "Examples",
    "PreparedData",
    "Record",
    "Sequences",
    "Tokenized",
    "prepare",
    "tokenize",
    "train_tokenizer",
    "with_normalizer",
]
