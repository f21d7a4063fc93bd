"""The random numbers of a release are pinned, and a run that began with others is told when it goes on."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import BertConfig, MaskingConfig, TrainConfig
from jaxemb.config import files as config_files
from jaxemb.models.attention import attend
from jaxemb.models.dropout import dropout_hashes
from jaxemb.models.layers import Tokens, drop
from jaxemb.objectives.masking import TokenKinds, mask_tokens
from jaxemb.runs import random_bits
from jaxemb.runs.random_bits import changed_since

SENTENCES = {
    "data": {"sources": [{"kind": "text", "path": "a.txt"}], "holdout": {"pairs_per_language": 0}},
    "training": {"steps": 1},
}
NO_DROPOUT = {"encoder": {"attention_probs_dropout_prob": 0.0}}


def config_of(objective, model):
    values = {**SENTENCES, "objective": objective, "model": model}
    return config_files.validate(TrainConfig, values, "test")


@pytest.mark.parametrize(
    ("objective", "model", "changed"),
    [
        ({"kind": "mlm"}, {}, "attention dropout"),
        ({"kind": "mlm"}, NO_DROPOUT, None),
        ({"kind": "mlm", "masking": {"whole_word": True}}, NO_DROPOUT, "whole-word masking"),
        ({"kind": "mlm", "masking": {"whole_word": True}}, {}, "attention dropout and whole-word masking"),
        ({"kind": "simcse", "masking": {"whole_word": True}}, NO_DROPOUT, None),  # mlm_weight is 0
        ({"kind": "simcse", "masking": {"whole_word": True}, "mlm_weight": 0.1}, NO_DROPOUT, "whole-word masking"),
    ],
)
def test_what_has_changed_for_a_run(objective, model, changed):
    assert changed_since(1, config_of(objective, model)) == changed
    assert changed_since(random_bits.VERSION, config_of(objective, model)) is None


def test_the_random_numbers_are_those_of_this_version():
    """Where one of these changes on purpose: raise `random_bits.VERSION`, tell what has changed, and pin it anew."""
    hashes, places = dropout_hashes(jax.random.key(7), jnp.arange(4))[:, None], jnp.arange(9)[None]
    everywhere, encoder = jnp.ones((4, 1, 9), bool), BertConfig(hidden_size=48)
    hidden = drop(jnp.ones((4, 9, 48)), encoder, 0.1, Tokens(everywhere, places, hashes), 5) > 0
    heads, unit = jnp.zeros((4, 3, 9, 9)), jnp.broadcast_to(jnp.eye(9), (4, 3, 9, 9))
    dropped = attend(heads, heads, unit, mask=everywhere, positions=places, hashes=hashes, rate=0.1, site=4, most=512)
    kinds = TokenKinds(1, np.array([0, 0, 0] + [1] * 40 + [2] * 40, np.uint8), 2)
    ids = np.random.default_rng(0).integers(3, 83, (4, 30)).astype(np.int32)
    tokens = {"input_ids": jnp.array(ids), "attention_mask": jnp.ones((4, 30), jnp.int32), "ids": jnp.arange(4)}
    configs = [MaskingConfig(whole_word=words) for words in (False, True)]
    masked = jax.jit(lambda key: [mask_tokens(tokens, key, kinds, one).input_ids for one in configs])(jax.random.key(7))
    found = [zlib.crc32(np.asarray(x).astype(np.int32).tobytes()) for x in (hidden, dropped > 0, *masked)]
    assert (random_bits.VERSION, found) == (2, [1758730284, 4004658516, 1380926798, 3385248085])
