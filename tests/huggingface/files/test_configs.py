import json

import pytest

from jaxemb.errors import UserError
from jaxemb.huggingface.files.configs import SCHEMAS, encoder_config_json, read_encoder_config
from support.families import FAMILIES
from support.tiny_models import ENCODER, ENCODERS


def write(tmp_path, encoder=ENCODER, **changes):
    content = {key: value for key, value in (encoder_config_json(encoder) | changes).items() if value is not ...}
    (tmp_path / "config.json").write_text(json.dumps(content))
    return tmp_path / "config.json"


@pytest.mark.parametrize("family", ENCODERS)
def test_there_and_back(tmp_path, family):
    assert read_encoder_config(write(tmp_path, ENCODERS[family])) == ENCODERS[family]


@pytest.mark.parametrize("family", ENCODERS)
def test_there_and_back_through_transformers(tmp_path, family):
    """transformers 5 writes some settings under other names than it reads (rope_parameters, layer_types)."""
    import transformers

    write(tmp_path, ENCODERS[family])
    theirs = transformers.AutoConfig.from_pretrained(tmp_path)
    assert type(theirs) is type(transformers.AutoConfig.for_model(family))
    theirs.save_pretrained(tmp_path / "again")
    assert read_encoder_config(tmp_path / "again" / "config.json") == ENCODERS[family]


def test_every_size_is_written():
    content = encoder_config_json(ENCODER)
    assert content.keys() >= set(type(ENCODER).model_fields)
    assert content["model_type"] == "bert"
    assert content["architectures"] == ["BertModel"]
    assert content["dtype"] == "float32"


@pytest.mark.parametrize("family", SCHEMAS)
def test_what_is_left_out_is_transformers_default(tmp_path, family):
    import transformers

    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    ours = read_encoder_config(tmp_path / "config.json")
    theirs = transformers.AutoConfig.for_model(family)
    schema = SCHEMAS[family]
    compared = type(ours).model_fields.keys() - schema.fixed.keys()
    compared -= {"global_attn_every_n_layers", "global_rope_theta", "local_rope_theta", "rope_theta"}
    compared -= {"embedding_dropout", "causal"}
    for key in compared:
        wanted = getattr(theirs, schema.names.get(key, key))
        assert wanted is None or getattr(ours, key) == wanted, key
    if family == "modernbert":
        rope = theirs.rope_parameters
        assert ours.global_rope_theta == rope["full_attention"]["rope_theta"]
        assert ours.local_rope_theta == rope["sliding_attention"]["rope_theta"]
        assert ours.embedding_dropout is None  # as `mlp_dropout`
        assert theirs.embedding_dropout == theirs.mlp_dropout
    if family == "qwen3":
        assert ours.causal
        assert not hasattr(theirs, "is_causal")
        assert ours.rope_theta == theirs.rope_parameters["rope_theta"]


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("qwen3", {"use_sliding_window": True}, "use_sliding_window True is not supported"),
        ("qwen3", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type 'default'"),
        ("qwen3", {"num_key_value_heads": 3}, "num_key_value_heads: 3 must divide"),
        ("modernbert", {"norm_bias": True}, "norm_bias True is not supported"),
        ("modernbert", {"layer_types": ["full_attention"] * 2 + ["sliding_attention"] * 2}, "layer_types"),
        ("modernbert", {"layer_types": 3}, "layer_types 3"),
        ("mpnet", {"relative_attention_num_buckets": 16}, "relative_attention_num_buckets: Input should be 32"),
        ("roberta", {"max_position_embeddings": 1}, "max_position_embeddings: 1 leave no room for a token"),
        ("distilbert", {"n_heads": 5}, "num_attention_heads: 5 must divide"),
        (
            "modernbert",
            {"hidden_size": 10**9},
            "hidden_size: Input should be less than or equal to 1048576 (found 1000000000)",
        ),
        ("qwen3", {"head_dim": 10**9}, "head_dim: Input should be less than or equal to 1048576 (found 1000000000)"),
    ],
)
def test_what_a_family_cannot_is_named(tmp_path, family, changes, message):
    path = write(tmp_path, ENCODERS[family], **changes)
    with pytest.raises(UserError) as caught:
        read_encoder_config(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_spellings_of_one_activation(tmp_path):
    assert read_encoder_config(write(tmp_path, hidden_act="gelu_pytorch_tanh")).hidden_act == "gelu_new"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "t5"}, "model_type 't5' is not supported; supported: 'bert', 'roberta'"),
        ({"model_type": ...}, "model_type None is not supported"),
        ({"hidden_act": "mish"}, "hidden_act: Input should be 'gelu', 'gelu_new', 'relu' or 'silu'"),
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


def test_the_rate_of_modernbert_s_embeddings_is_that_of_the_feed_forward_layer_unless_it_is_given():
    config = FAMILIES["modernbert"].model_copy(update={"hidden_dropout_prob": 0.3})
    assert encoder_config_json(config)["embedding_dropout"] == encoder_config_json(config)["mlp_dropout"] == 0.3
    apart = config.model_copy(update={"embedding_dropout": 0.0})
    assert encoder_config_json(apart)["embedding_dropout"] == 0.0
