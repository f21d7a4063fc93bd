"""Masked language modelling of Qwen3: refused where it is causal, wherever that is said."""

import pytest

from jaxemb.config import ModelConfig
from jaxemb.errors import UsageError
from jaxemb.training.resolve import read_config, resolve
from support.tiny_models import BOTH_WAYS, ENCODERS, TOKENIZER

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 8, "head_dim": 4, "intermediate_size": 8}


def mlm(**model):
    return read_config(
        {
            "data": {"sources": [{"kind": "text", "path": "a.txt", "language": "en"}], "max_length": 16,
                     "holdout": {"pairs_per_language": 0}},
            "objective": {"kind": "mlm"},
            "model": model,
            "training": {"steps": 1},
        }
    )  # fmt: skip


def test_of_a_new_model_the_setting_decides():
    encoder = {"model_type": "qwen3", **SIZES}
    with pytest.raises(
        UsageError,
        match=r"qwen3 attends to earlier tokens only, so mlm cannot mask its tokens; set model\.encoder\.causal to",
    ):
        mlm(encoder=encoder)
    config = resolve(mlm(encoder=encoder | {"causal": False}), None, TOKENIZER)
    assert config.model.encoder.causal is False


@pytest.mark.parametrize("encoder", [{}, {"model_type": "qwen3"}])
def test_of_a_checkpoint_the_checkpoint_decides(encoder):
    config = mlm(init_from="somewhere", encoder=encoder)
    with pytest.raises(UsageError, match="qwen3 attends to earlier tokens only"):
        resolve(config, ModelConfig(encoder=ENCODERS["qwen3"]), TOKENIZER)
    resolved = resolve(config, ModelConfig(encoder=BOTH_WAYS), TOKENIZER)
    assert resolved.model.encoder.causal is False
