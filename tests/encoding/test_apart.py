import gc

import jax
import numpy as np
import pytest

from jaxemb.encoding import apart
from jaxemb.encoding.apart import layers_apart
from jaxemb.models import apply
from jaxemb.parallel import make_mesh, replicated
from support.tiers import sampled
from support.tiny_models import ENCODERS, TOKENIZER, tiny_embedder

CASES = [("bert", "mean"), ("modernbert", "first_last_mean"), ("qwen3", "lasttoken")]


@pytest.mark.parametrize(
    ("family", "pooling"),
    sampled(CASES[:2], [CASES[2], *((family, "mean") for family in ENCODERS if family not in dict(CASES))], draw=1),
)
def test_layer_by_layer_is_the_stack(family, pooling):
    embedder = tiny_embedder(encoder=ENCODERS[family], pooling=pooling, dense=None)
    config, params = embedder.config, embedder.params
    one_by_one = layers_apart(config, params)
    assert "layers" not in one_by_one["encoder"]
    assert one_by_one["encoder"]["layer_1"] is not None
    ids = np.array([TOKENIZER("abc def")["input_ids"]], np.int32)
    tokens = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    found = [np.asarray(jax.jit(apply, static_argnums=0)(config, p, tokens)) for p in (params, one_by_one)]
    np.testing.assert_allclose(*found, atol=1e-6)


def test_views_come_and_go_with_the_stacks():
    gc.collect()
    before = len(apart._views)
    embedder = tiny_embedder()
    config, params = embedder.config, embedder.params
    views = layers_apart(config, params)["encoder"]
    assert layers_apart(config, {**params})["encoder"]["layer_0"] is views["layer_0"], "made once"
    kernel = params["encoder"]["layers"]["intermediate"]["kernel"]
    other = {**params["encoder"]["layers"], "intermediate": {"kernel": kernel + 1, "bias": kernel[:, 0]}}
    changed = layers_apart(config, {**params, "encoder": {**params["encoder"], "layers": other}})["encoder"]
    np.testing.assert_array_equal(changed["layer_1"]["intermediate"]["kernel"], np.asarray(kernel)[1] + 1)
    # A training step gives its buffers up: what was read of them stays what it was.
    wanted = np.array(kernel[1])
    jax.jit(lambda stack: stack + 1, donate_argnums=0)(kernel)
    np.testing.assert_array_equal(views["layer_1"]["intermediate"]["kernel"], wanted)
    assert len(apart._views) == before + 2
    del embedder, params, kernel, other
    gc.collect()
    assert len(apart._views) == before


def test_where_they_stay_stacked():
    params = tiny_embedder().params
    host = jax.device_get(params)
    assert "layer_0" in layers_apart(tiny_embedder().config, host)["encoder"]
    for settings, stacked in (
        ({"scan_layers": True}, params),
        ({}, jax.device_put(params, replicated(make_mesh(2, 1, jax.devices()[:2])))),
        ({"lora": {"rank": 2}}, tiny_embedder(lora={"rank": 2}).params),
    ):
        assert layers_apart(tiny_embedder(**settings).config, stacked) is stacked
