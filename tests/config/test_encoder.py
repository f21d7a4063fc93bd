"""Sizes that the settings of an encoder imply, and those that do not go together."""

import pytest
from pydantic import TypeAdapter, ValidationError

from jaxemb.config.encoder import (
    MODEL_TYPES,
    BertConfig,
    Encoder,
    ModernBertConfig,
    MPNetConfig,
    Qwen3Config,
    RobertaConfig,
)


def test_the_longest_text_leaves_out_the_positions_before_it():
    assert BertConfig(max_position_embeddings=512).max_tokens == 512
    assert RobertaConfig(max_position_embeddings=514).max_tokens == 512
    assert MPNetConfig().max_tokens == 512
    assert RobertaConfig(max_position_embeddings=514, pad_token_id=5).max_tokens == 508


def test_a_head_is_as_wide_as_it_is_said_or_as_the_width_leaves():
    assert BertConfig(hidden_size=96, num_attention_heads=4).head_size == 24
    assert Qwen3Config(hidden_size=96, num_attention_heads=4, num_key_value_heads=2, head_dim=10).head_size == 10


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: BertConfig(hidden_size=10, num_attention_heads=3), "num_attention_heads"),
        (lambda: RobertaConfig(max_position_embeddings=2), "max_position_embeddings"),
        (lambda: ModernBertConfig(hidden_size=15, num_attention_heads=5), "num_attention_heads"),
        (lambda: Qwen3Config(num_attention_heads=4, num_key_value_heads=3), "num_key_value_heads"),
        (lambda: Qwen3Config(head_dim=9), "head_dim"),
    ],
)
def test_sizes_that_do_not_go_together(make, key):
    with pytest.raises(ValidationError, match=f"Value error, {key}: "):
        make()


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_a_family_is_chosen_by_its_name(name):
    family = TypeAdapter(Encoder).validate_python({"model_type": name})
    assert family.model_type == name
    assert TypeAdapter(Encoder).validate_python(family) == family
    assert isinstance(TypeAdapter(Encoder).validate_python({}), BertConfig)
