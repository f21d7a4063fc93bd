"""From texts to embeddings: the one path for training's evaluation, `evaluate`, `encode` and export."""

from jaxemb.encoding.files import encode_file
from jaxemb.encoding.texts import encode, encode_stream

__all__ = ["encode", "encode_file", "encode_stream"]
