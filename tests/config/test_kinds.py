from typing import Annotated

import pytest

from jaxemb.config import DenseConfig, LoraConfig, ModelConfig, ModernBertConfig, Prompt, Settings
from jaxemb.config.files import _keys
from jaxemb.config.kinds import (
    EMBEDDING_KINDS,
    PROGRAM_KINDS,
    Function,
    Kind,
    Training,
    dump_kinds,
    fields_of,
    keep_kinds,
    kinds_of,
)


def settings_in(model):
    """The class and all classes inside its fields, encoders of every family among them."""
    yield model
    for field in model.model_fields.values():
        for _, inner in _keys(field.annotation):
            yield from settings_in(inner)


def test_every_setting_of_a_model_says_what_it_changes():
    """If this fails for a new field: say its kind in its annotation, see `jaxemb.config.kinds`."""
    found = {one.__name__: kinds_of(one) for one in settings_in(ModelConfig)}
    assert found.keys() >= {"ModelConfig", "DenseConfig", "LoraConfig", "Prompt", "BertConfig", "Qwen3Config"}
    assert set().union(*(kinds.values() for kinds in found.values())) == set(Kind)


def test_what_changes_no_embedding():
    """The other direction, that these are all, is measured: see encoding/test_fingerprint.py."""
    others = set(Kind) - EMBEDDING_KINDS
    assert fields_of(ModelConfig, others) >= {
        "init_from", "init_allow", "new_head", "towers", "training_mlp", "similarity", "prompts", "vocab_multiple",
        "remat", "scan_layers",
    }  # fmt: skip
    assert fields_of(ModernBertConfig, others) >= {
        "hidden_dropout_prob", "attention_probs_dropout_prob", "embedding_dropout", "initializer_range"
    }  # fmt: skip
    assert fields_of(LoraConfig, others) >= {"train_head"}


def test_a_field_without_a_kind_or_with_two_is_refused():
    class New(ModelConfig):
        temperature: float = 1.0

    class Unsure(Settings):
        width: Training[Annotated[int, Kind.FUNCTION]] = 1

    with pytest.raises(TypeError, match=r"New\.temperature has 0 kinds: say in its annotation what it changes, for ex"):
        kinds_of(New)
    with pytest.raises(TypeError, match=r"Unsure\.width has 2 kinds"):
        kinds_of(Unsure)


def test_a_family_that_narrows_a_field_says_its_kind_again():
    class Narrowed(LoraConfig):
        rank: Function[Annotated[int, "even"]] = 2

    assert kinds_of(Narrowed)["rank"] is Kind.FUNCTION
    assert kinds_of(Narrowed)["train_head"] is Kind.TRAINING


CONFIG = ModelConfig.model_validate(
    {
        "init_from": "somewhere",
        "lora": LoraConfig(rank=2, train_head=False),
        "encoder": {"hidden_dropout_prob": 0.3, "initializer_range": 0.5, "hidden_size": 24},
        "pooling": "mean",
        "dense": (DenseConfig(out_features=8), DenseConfig()),
        "truncate_dim": 4,
        "prompt": "query: ",
        "prompts": (Prompt(name="a", text="b"),),
        "remat": "full",
        "scan_layers": True,
    }
)


def test_values_of_some_kinds_are_dumped():
    dumped = dump_kinds(CONFIG, EMBEDDING_KINDS)
    assert dumped.keys() == fields_of(ModelConfig, EMBEDDING_KINDS)
    assert dumped["lora"].keys() == {"rank", "alpha", "targets"}
    assert dumped["encoder"]["hidden_size"] == 24
    assert not dumped["encoder"].keys() & {
        "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range"
    }  # fmt: skip
    assert [layer["out_features"] for layer in dumped["dense"]] == [8, None]
    assert dump_kinds(CONFIG, {Kind.USE}) == {"prompts": [{"name": "a", "text": "b"}], "similarity": "cosine"}
    assert dump_kinds(ModelConfig(), EMBEDDING_KINDS)["lora"] is None


def test_other_kinds_go_back_to_their_defaults():
    kept = keep_kinds(CONFIG, PROGRAM_KINDS)
    given = {"pooling": "mean", "truncate_dim": 4, "scan_layers": True, "dense": CONFIG.dense}
    assert kept == ModelConfig.model_validate(
        given | {"lora": LoraConfig(rank=2), "encoder": {"hidden_size": 24, "model_type": "bert"}}
    )
    assert hash(kept) == hash(keep_kinds(kept, PROGRAM_KINDS))
    assert keep_kinds(CONFIG, set(Kind)) == CONFIG


def test_the_order_of_keys_in_a_written_config_stays():
    """The model card holds config.yaml: another order would change it."""
    assert list(ModelConfig().model_dump()) == [
        "init_from", "init_allow", "new_head", "lora", "towers",
        "encoder", "pooling", "include_prompt", "prompt_tokens", "training_mlp", "layer_norm", "dense", "normalize",
        "truncate_dim", "similarity", "max_seq_length", "prompt", "prompts",
        "vocab_multiple", "compute_dtype", "remat", "scan_layers",
    ]  # fmt: skip
