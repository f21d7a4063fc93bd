import json

import pytest
from tiny_models import ENCODER

from jaxemb.errors import UserError
from jaxemb.huggingface.configs import encoder_config_json, read_encoder_config


def write(tmp_path, **changes):
    content = {key: value for key, value in (encoder_config_json(ENCODER) | changes).items() if value is not ...}
    (tmp_path / "config.json").write_text(json.dumps(content))
    return tmp_path / "config.json"


def test_there_and_back(tmp_path):
    assert read_encoder_config(write(tmp_path)) == ENCODER


def test_every_size_is_written():
    content = encoder_config_json(ENCODER)
    assert content.keys() >= set(type(ENCODER).model_fields)
    assert content["model_type"] == "bert"
    assert content["architectures"] == ["BertModel"]
    assert content["dtype"] == "float32"


def test_transformers_reads_the_same(tmp_path):
    import transformers

    write(tmp_path)
    theirs = transformers.AutoConfig.from_pretrained(tmp_path)
    assert isinstance(theirs, transformers.BertConfig)
    for key in type(ENCODER).model_fields:
        assert getattr(theirs, key) == getattr(ENCODER, key), key


def test_what_is_left_out_is_transformers_default(tmp_path):
    import transformers

    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    ours, theirs = read_encoder_config(tmp_path / "config.json"), transformers.BertConfig()
    for key in type(ours).model_fields:
        assert getattr(ours, key) == getattr(theirs, key), key


def test_spellings_of_one_activation(tmp_path):
    assert read_encoder_config(write(tmp_path, hidden_act="gelu_pytorch_tanh")).hidden_act == "gelu_new"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "model_type 'roberta' is not supported; supported: 'bert'"),
        ({"model_type": ...}, "model_type None is not supported"),
        ({"hidden_act": "silu"}, "hidden_act: Input should be 'gelu', 'gelu_new' or 'relu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key' is not supported"),
        ({"is_decoder": True}, "is_decoder True is not supported"),
        ({"hidden_size": "32"}, "hidden_size: Input should be a valid integer"),
        ({"num_attention_heads": 5}, "num_attention_heads: 5 must divide"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(UserError) as caught:
        read_encoder_config(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [("{", "is not readable JSON"), ("[]", "must hold a JSON object")])
def test_broken_file(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=message):
        read_encoder_config(tmp_path / "config.json")
    with pytest.raises(UserError, match=r"other\.json is missing"):
        read_encoder_config(tmp_path / "other.json")
