"""A model with its tokenizer, and the single code path from texts to embeddings."""

from jaxemb.encoding.embedder import Embedder, count_prompt_tokens
from jaxemb.encoding.files import encode_file
from jaxemb.encoding.texts import encode, encode_stream
from jaxemb.encoding.towers import Towers, towers_of

__all__ = [
    "Embedder",
    "Towers",
    "count_prompt_tokens",
    "encode",
    "encode_file",
    "encode_stream",
    "towers_of",
]
