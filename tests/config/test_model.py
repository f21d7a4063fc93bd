"""Widths and lengths that the settings of a model imply, and those that do not go together."""

import pytest
from pydantic import ValidationError

from jaxemb.config import BertConfig, DenseConfig, LoraConfig, ModelConfig

WIDE = BertConfig(hidden_size=24, num_attention_heads=2, vocab_size=100, max_position_embeddings=32)


def test_widths():
    assert ModelConfig(encoder=WIDE, pooling="mean").poolings == ("mean",)
    two = ModelConfig(encoder=WIDE, pooling=("cls", "mean"), dense=(DenseConfig(out_features=7), DenseConfig()))
    assert two.pooled_size == 48
    assert [layer.out_features for layer in two.dense_layers] == [7, 7]
    assert [layer.out_features for layer in ModelConfig(encoder=WIDE).dense_layers] == [24]
    assert ModelConfig(encoder=WIDE, dense=None).dense_layers == ()


def test_lengths():
    assert ModelConfig(encoder=WIDE).longest_input == 32
    assert ModelConfig(encoder=WIDE, max_seq_length=16).longest_input == 16
    assert [ModelConfig(encoder=WIDE, vocab_multiple=n).table_rows for n in (1, 50, 64)] == [100, 100, 128]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"pooling": ("mean", "cls")}, "pooling"),
        ({"pooling": ("mean", "mean")}, "pooling"),
        ({"pooling": ()}, "pooling"),
        ({"init_allow": "("}, "init_allow"),
        ({"dense": ()}, "dense"),
        ({"dense": DenseConfig(normalize=True)}, r"dense\.normalize"),
        ({"dense": (DenseConfig(), DenseConfig(normalize=True))}, "dense"),
    ],
)
def test_settings_that_do_not_go_together(settings, key):
    with pytest.raises(ValidationError, match=f"Value error, {key}: "):
        ModelConfig(encoder=WIDE, **settings)


def test_the_targets_of_adapters_are_a_pattern():
    with pytest.raises(ValidationError, match="Value error, targets: "):
        LoraConfig(targets="(query|key")
