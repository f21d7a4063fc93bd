"""One fingerprint for each model: two models with the same fingerprint give the same embeddings."""

import hashlib
import json

import jax
import numpy as np

from jaxemb.config.kinds import EMBEDDING_KINDS, dump_kinds
from jaxemb.data import cache
from jaxemb.encoding.model import Model
from jaxemb.models import Params

VERSION = 1
"""Counts up when the same model would give the same text another embedding."""

_ONE_TOWER = {"towers": "tied", "vocab_multiple": 1}
"""These settings change no embedding. They are constants here, because fingerprints of earlier releases, which name
folders of a cache, contain them."""


def fingerprint(embedder: Model) -> str:
    """20 hexadecimal digits that change with all that embeddings depend on: settings, prompt, tokenizer, weights.

    `jaxemb.config.kinds` says which settings these are. Where a model was loaded from does not count, nor does what
    only its training has (dropout rates, for example) or how it is computed (`scan_layers`). Named prompts and
    `similarity` do not count either: they change no embedding of this embedder.

    Reads all weights and the tokenizer: two seconds for 120M parameters and 250,000 word pieces.
    """
    config = embedder.config
    settings = dump_kinds(config, EMBEDDING_KINDS) | _ONE_TOWER
    del settings["max_seq_length"]  # `longest_input` is hashed in its place: null means the encoder's own
    tokenizer = json.loads(embedder.tokenizer.backend_tokenizer.to_str())
    tokenizer["truncation"] = tokenizer["padding"] = None  # left over from earlier calls
    side = embedder.tokenizer.truncation_side
    weights = _digest(_used_weights(embedder))
    return cache.fingerprint(VERSION, settings, config.longest_input, tokenizer, side, weights)


def _used_weights(embedder: Model) -> Params:
    """The parameters without those that only training has, and without the padding of the embedding table."""
    params = {name: leaf for name, leaf in embedder.params.items() if name != "training_mlp"}
    encoder = params["encoder"]
    table = encoder["word_embeddings"]["embedding"][: embedder.config.encoder.vocab_size]
    return {**params, "encoder": {**encoder, "word_embeddings": {"embedding": table}}}


def _digest(params: Params) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.ascontiguousarray(jax.device_get(leaf))
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape} ".encode())
        digest.update(array.view(np.uint8).data)
    return digest.hexdigest()
