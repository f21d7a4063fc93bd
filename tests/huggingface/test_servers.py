"""What text-embeddings-inference and vLLM read of an export, and what they would misread."""

import dataclasses
import json

import pytest

from jaxemb.config import DenseConfig, Prompt
from jaxemb.encoding import Towers
from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_model
from jaxemb.huggingface.servers import SERVERS, keys_of_tei, misread, servers_note
from support.tiny_models import ENCODER, ENCODERS, tiny_embedder, tiny_tokenizer

MEAN = {"pooling": "mean", "dense": None}
QWEN3 = {"encoder": ENCODERS["qwen3"], "pooling": "lasttoken", "dense": None}


def with_side(side):
    tokenizer = tiny_tokenizer()
    tokenizer.truncation_side = side
    return dataclasses.replace(tiny_embedder(**MEAN), tokenizer=tokenizer)


def found(server, embedder, **more):
    return " | ".join(what for what, _ in misread(embedder.config, embedder.tokenizer, server, **more))


# Settings, and what each server says of them: nothing where it gives our embeddings.
CASES = {
    "cls": ({"dense": None}, "", ""),
    "mean": (MEAN, "", ""),
    "labse": ({}, "", "ignores dense layers"),
    "linear": (MEAN | {"dense": DenseConfig(out_features=8, activation="identity")}, "", "ignores dense layers"),
    "gelu": (MEAN | {"dense": DenseConfig(activation="gelu")}, "no dense layer with gelu", "ignores dense layers"),
    "two poolings": (
        {"pooling": ("cls", "mean"), "dense": None},
        "uses only cls pooling of cls + mean",
        "uses only one pooling of cls + mean",
    ),
    "two others": (
        {"pooling": ("max", "mean"), "dense": None},
        "uses only mean pooling of max + mean",
        "uses only one pooling of max + mean",
    ),
    "max": ({"pooling": "max", "dense": None}, "has no max pooling", "its own default instead of max pooling"),
    "sqrt": ({"pooling": "mean_sqrt_len_tokens", "dense": None}, "has no mean_sqrt_len", "uses mean pooling for mean"),
    "weighted": ({"pooling": "weightedmean", "dense": None}, "has no weightedmean pooling", "its own default"),
    "last token": ({"pooling": "lasttoken", "dense": None}, "last-token pooling for decoders only", ""),
    "layer norm": (MEAN | {"layer_norm": True}, "has no layer norm", "has no layer norm"),
    "layer norm after dense": (
        MEAN | {"dense": DenseConfig(layer_norm=True)}, "no layer norm after a dense", "no layer norm after a dense",
    ),
    "normalised between": (
        MEAN | {"dense": (DenseConfig(normalize=True), DenseConfig())},
        "normalises after the last dense layer only",
        "ignores dense layers",
    ),
    "two dense layers": (MEAN | {"dense": (DenseConfig(out_features=9), DenseConfig())}, "", "ignores dense layers"),
    "truncated": (MEAN | {"truncate_dim": 5}, "gives all dimensions", "gives all dimensions"),
    "prompt": (MEAN | {"prompt": "query: "}, "does not put the prompt ('query: ')", "does not put the prompt"),
    "named prompts": (MEAN | {"prompts": (Prompt(name="q", text="query: "),)}, "", ""),
    "prompt left out": (
        MEAN | {"prompts": (Prompt(name="q", text="query: "),), "include_prompt": False},
        "counts the prompt's tokens", "counts the prompt's tokens",
    ),
    "not normalised": (MEAN | {"normalize": False}, "normalises embeddings unless", ""),
    "qwen3": (QWEN3, "", ""),
    "qwen3 by its first": (QWEN3 | {"pooling": "cls"}, "pads on the left", ""),
    "qwen3 with gelu": (
        QWEN3 | {"encoder": ENCODERS["qwen3"].model_copy(update={"hidden_act": "gelu"})}, "", "no Qwen3 with gelu",
    ),
    "qwen3 both ways": (
        QWEN3 | {"encoder": ENCODERS["qwen3"].model_copy(update={"causal": False})}, "attends causally", "",
    ),
    "modernbert": (MEAN | {"encoder": ENCODERS["modernbert"]}, "", ""),
    "modernbert with relu": (
        MEAN | {"encoder": ENCODERS["modernbert"].model_copy(update={"hidden_act": "relu"})}, "",
        "uses gelu instead of relu",
    ),
    "xlm-roberta": (MEAN | {"encoder": ENCODERS["xlm-roberta"]}, "", ""),
    "distilbert": (MEAN | {"encoder": ENCODERS["distilbert"]}, "", "has no distilbert encoder"),
    "mpnet": (MEAN | {"encoder": ENCODERS["mpnet"]}, "", "has no mpnet encoder"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_each_would_misread(name):
    settings, *wanted = CASES[name]
    embedder = tiny_embedder(**settings)
    for server, message in zip(SERVERS, wanted, strict=True):
        said = found(server, embedder)
        assert message in said
        assert bool(message) == bool(said), (server, said)
    note = servers_note(embedder.config, embedder.tokenizer)
    assert ("text-embeddings-inference (" in note, "vLLM (" in note) == tuple(map(bool, wanted))
    assert "\n" not in note


def test_what_the_tokenizer_and_two_towers_make_of_it():
    assert found("tei", with_side("left")) == "cuts long texts at their end"
    assert found("vllm", with_side("left")) == ""
    assert found("tei", tiny_embedder(**MEAN), towers=True) == found("vllm", tiny_embedder(**MEAN), towers=True)
    assert "not a Router" in found("tei", tiny_embedder(**MEAN), towers=True)


@pytest.mark.parametrize(
    ("server", "settings", "message"),
    [
        ("tei", {"pooling": ("cls", "mean"), "dense": None}, "uses only cls pooling .* train with `model.pooling`"),
        ("tei", MEAN | {"prompt": "query: "}, "start the server with `--default-prompt-name default`"),
        ("vllm", {}, "ignores dense layers .*--target tei may do, or train with `model.dense: null`"),
    ],
)  # fmt: skip
def test_a_target_refuses_it_and_names_the_way_out(server, settings, message, tmp_path):
    with pytest.raises(UserError, match=message) as error:
        export(tiny_embedder(**settings), tmp_path / "out", target=server)
    assert "Or export without --target and use sentence-transformers" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_two_towers_are_refused_and_the_card_tells(tmp_path):
    towers = Towers(tiny_embedder(**MEAN), tiny_embedder(seed=1, **MEAN))
    with pytest.raises(UserError, match="not a Router of two: export each tower separately"):
        export(towers, tmp_path / "out", target="vllm")
    export(towers, tmp_path / "out", verify=None)
    note = "with text-embeddings-inference (it reads one model, not a Router of two) or with vLLM (it reads"
    assert note in (tmp_path / "out/README.md").read_text()
    assert "Do not serve" not in (tmp_path / "out/anchor/README.md").read_text()


# --------------------------------------------------------------------- the files as servers want them, key by key


# What the structs of text-embeddings-inference 0d124dc have no default for.
KEYS = {
    "bert": "hidden_act hidden_dropout_prob hidden_size initializer_range intermediate_size layer_norm_eps "
    "max_position_embeddings num_attention_heads num_hidden_layers pad_token_id type_vocab_size vocab_size",
    "distilbert": "activation dim hidden_dim max_position_embeddings n_heads n_layers pad_token_id vocab_size",
    "mpnet": "attention_probs_dropout_prob hidden_act hidden_dropout_prob hidden_size initializer_range "
    "intermediate_size layer_norm_eps max_position_embeddings num_attention_heads num_hidden_layers "
    "relative_attention_num_buckets vocab_size",
    "modernbert": "attention_bias attention_dropout bos_token_id classifier_activation cls_token_id eos_token_id "
    "global_attn_every_n_layers global_rope_theta hidden_activation hidden_size initializer_cutoff_factor "
    "initializer_range intermediate_size local_attention local_rope_theta max_position_embeddings norm_bias norm_eps "
    "num_attention_heads num_hidden_layers pad_token_id sep_token_id vocab_size",
    "qwen3": "attention_bias eos_token_id hidden_act hidden_size intermediate_size max_position_embeddings "
    "num_attention_heads num_hidden_layers num_key_value_heads rms_norm_eps rope_theta use_sliding_window vocab_size",
}
KEYS |= {"roberta": KEYS["bert"], "xlm-roberta": KEYS["bert"]}


@pytest.mark.parametrize("family", ENCODERS)
def test_config_json_has_what_text_embeddings_inference_needs(family, tmp_path):
    from jaxemb.huggingface.files.configs import encoder_config_json

    embedder = tiny_embedder(encoder=ENCODERS[family], **MEAN)
    content = encoder_config_json(embedder.config.encoder) | keys_of_tei(embedder.config.encoder, embedder.tokenizer)
    missing = [key for key in KEYS[family].split() if content.get(key) is None]
    assert missing == []
    assert content["architectures"]
    assert content["model_type"] == family


def test_they_are_written_and_change_nothing(tmp_path):
    embedder = tiny_embedder(encoder=ENCODERS["modernbert"], **MEAN)
    export(embedder, tmp_path / "out", verify="jax", target="tei")
    content = json.loads((tmp_path / "out/config.json").read_text())
    ids = {name: embedder.tokenizer.convert_tokens_to_ids(name) for name in ("[CLS]", "[SEP]")}
    assert (content["cls_token_id"], content["bos_token_id"]) == (ids["[CLS]"],) * 2
    assert (content["sep_token_id"], content["eos_token_id"]) == (ids["[SEP]"],) * 2
    assert load_model(tmp_path / "out").config.encoder == embedder.config.encoder
    bare = dataclasses.replace(embedder, tokenizer=tiny_tokenizer())
    for name in ("cls_token", "sep_token"):
        setattr(bare.tokenizer, name, None)
    assert "needs bos_token_id, eos_token_id, cls_token_id, sep_token_id in config.json" in found("tei", bare)
    assert ENCODER.model_type == "bert"
