"""Sources of training examples, cleaning, the held-out set, tokenization, shards and batches."""

from jaxemb.data.batches import Batches, Part
from jaxemb.data.examples import Examples
from jaxemb.data.gathering.gather import Gathered, gather
from jaxemb.data.order.order import Order
from jaxemb.data.pairs.records import Record
from jaxemb.data.preparing.local import cached_shards, write_shards
from jaxemb.data.preparing.tokens import Encoding
from jaxemb.data.sequences import Sequences
from jaxemb.data.stored import StoredData
from jaxemb.data.vocabulary.normalizer import with_normalizer
from jaxemb.data.vocabulary.train import train_tokenizer

__all__ = [
    "Batches",
    "Encoding",
    "Examples",
    "Gathered",
    "Order",
    "Part",
    "Record",
    "Sequences",
    "StoredData",
    "cached_shards",
    "gather",
    "train_tokenizer",
    "with_normalizer",
    "write_shards",
]
