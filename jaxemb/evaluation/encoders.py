"""The functions by which a model embeds the texts of a suite."""

from functools import partial
from typing import Any

from jaxemb.encoding import Towers, encode
from jaxemb.evaluation.pools import EncodeFns


def encode_fns(towers: Towers, **settings: Any) -> EncodeFns:
    """`encode` of each tower, with these settings."""
    anchor, positive = (partial(encode, tower, **settings) for tower in (towers.anchor, towers.positive))
    return anchor if towers.tied else (anchor, positive)
