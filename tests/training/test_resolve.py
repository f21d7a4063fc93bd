"""What the model to start from decides, and what is refused because it would be overruled."""

import pytest

from jaxemb.config import DenseConfig, ModelConfig
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError
from jaxemb.training.resolve import read_config, resolve
from support.tiny_models import ENCODERS, TOKENIZER

DATA = {"data": {"sources": [{"kind": "tsv", "path": "a.tsv"}], "max_length": 16}, "training": {"steps": 3}}
TEXTS = {"data": {"sources": [{"kind": "text", "path": "a.txt", "language": "en"}], "max_length": 16,
                  "holdout": {"pairs_per_language": 0}}, "training": {"steps": 3}}  # fmt: skip


def base_of(family, **settings):
    return ModelConfig(**{"encoder": ENCODERS[family], "max_seq_length": 40} | settings)


BASE = base_of("bert", pooling="mean", dense=None, normalize=False, prompt="query: ", include_prompt=False)


def resolved(base, model, data=DATA, **sections):
    values = {**data, **sections, "model": {"init_from": "base", **model}}
    return resolve(read_config(values), base, TOKENIZER)


@pytest.mark.parametrize("family", ["bert", "modernbert", "qwen3"])
@pytest.mark.parametrize("rate", [0.1, 0.0, 0.15])
def test_dropout_that_is_given_is_trained_with(family, rate):
    encoder = resolved(base_of(family), {"encoder": {"hidden_dropout_prob": rate}}).model.encoder
    assert encoder.hidden_dropout_prob == rate
    assert encoder.attention_probs_dropout_prob == (0.1 if family == "bert" else 0.0)  # the family's default
    assert encoder.model_type == family


def test_simcse_of_a_checkpoint_without_dropout_does_what_its_error_says():
    objective = {"kind": "simcse"}
    with pytest.raises(UsageError, match=r"set hidden_dropout_prob to 0\.1"):
        resolved(base_of("modernbert"), {}, TEXTS, objective=objective)
    model = {"encoder": {"hidden_dropout_prob": 0.1}}
    assert resolved(base_of("modernbert"), model, TEXTS, objective=objective).model.encoder.hidden_dropout_prob == 0.1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"pooling": "cls"},
            r"model\.pooling: 'cls' here, but 'mean' in model\.init_from \(base\).*set model\.new_head",
        ),
        ({"normalize": True}, r"model\.normalize: True here, but False in"),
        ({"dense": {"activation": "tanh"}}, r"model\.dense: {'activation': 'tanh'} here, but None in"),
        ({"dense": {}}, r"model\.dense: {} here, but None in"),
        ({"include_prompt": True}, r"model\.include_prompt: True here, but False in"),
        ({"training_mlp": True}, r"model\.training_mlp: True here, but False in"),
        ({"encoder": {"num_hidden_layers": 12}}, r"model\.encoder\.num_hidden_layers: 12 here, but 2 in"),
        ({"encoder": {"hidden_act": "relu"}}, r"model\.encoder\.hidden_act: 'relu' here, but 'gelu' in"),
        ({"encoder": {"vocab_size": 7}}, r"model\.encoder\.vocab_size: 7 here, but \d+ in"),
        ({"encoder": {"model_type": "modernbert"}}, r"model\.encoder\.model_type: 'modernbert' here, but 'bert' in"),
        ({"prompt_tokens": 9}, r"model\.prompt_tokens: 9 here, but \d+ in the tokenizer, which decides; leave it out"),
    ],
    ids=str,
)
def test_what_is_given_and_overruled_is_refused(model, message):
    with pytest.raises(UsageError, match=message):
        resolved(BASE, model)


def test_each_setting_of_head_and_encoder_is_refused_where_it_has_its_default_and_the_checkpoint_another_value():
    """Whatever the field is: one that is given is either taken, or the same, or refused."""
    base = base_of("bert", dense=DenseConfig(activation="gelu", bias=False, out_features=8))
    default = ModelConfig().encoder
    for name in type(default).model_fields:
        value = getattr(default, name)
        if name not in ("hidden_dropout_prob", "attention_probs_dropout_prob") and value != getattr(base.encoder, name):
            with pytest.raises(UsageError, match=rf"model\.encoder\.{name}: "):
                resolved(base, {"encoder": {"model_type": "bert", name: value}})
    for name in ("activation", "bias", "out_features"):
        with pytest.raises(UsageError, match=rf"model\.dense\.{name}: "):
            resolved(base, {"dense": {name: getattr(DenseConfig(), name)}})


def test_the_same_as_in_the_checkpoint_may_be_given():
    model = {"pooling": "mean", "dense": None, "normalize": False, "encoder": ENCODERS["bert"].model_dump()}
    assert resolved(BASE, model).model.encoder.vocab_size == ENCODERS["bert"].vocab_size


def test_a_prompt_that_is_given_replaces_the_checkpoint_s_also_by_none():
    assert resolved(BASE, {}).model.prompt == "query: "
    assert resolved(BASE, {"prompt": "x: "}).model.prompt == "x: "
    without = resolved(BASE, {"prompt": ""}).model
    assert without.prompt == ""
    assert without.prompt_tokens == 0
    several = base_of("bert", prompts=({"name": "query", "text": "q: "},))
    assert len(resolved(several, {}).model.prompts) == 1
    assert resolved(several, {"prompts": []}).model.prompts == ()


def test_prompts_of_the_sides_are_offered_by_the_model():
    sides = {"anchor_prompt": "query: ", "positive_prompt": "passage: "}

    def prompts(sides, model, base=None):
        config = read_config({**DATA, "data": {**DATA["data"], **sides}, "model": model})
        return {one.name: one.text for one in resolve(config, base, TOKENIZER).model.prompts}

    assert prompts(sides, {}) == {"query": "query: ", "document": "passage: "}
    assert prompts({"anchor_prompt": ""}, {}) == {"query": ""}
    assert prompts({}, {}) == {}
    other = {"prompts": [{"name": "sts", "text": "s: "}, {"name": "query", "text": "query: "}]}
    assert prompts(sides, other) == {"sts": "s: ", "query": "query: ", "document": "passage: "}
    with pytest.raises(
        UsageError, match=r"data.anchor_prompt: 'q: ', but the prompt 'query' in model.prompts is 'query: '"
    ):
        prompts({"anchor_prompt": "q: "}, other)
    with pytest.raises(UsageError, match=r"data.positive_prompt: .* set model.include_prompt"):
        prompts({"positive_prompt": "p: "}, {"include_prompt": False, "prompt": "x"})


def test_the_longest_input_is_the_checkpoint_s_unless_one_is_given():
    assert resolved(BASE, {}).model.max_seq_length == 40
    assert resolved(BASE, {"max_seq_length": 24}).model.max_seq_length == 24
    assert resolved(BASE, {"max_seq_length": None}).model.max_seq_length == 16  # that of training
    assert resolved(base_of("bert", max_seq_length=8), {}).model.max_seq_length == 16
    assert resolve(read_config(DATA), None, TOKENIZER).model.max_seq_length == 16


def test_a_padding_id_of_ones_own_must_be_the_tokenizer_s():
    values = {**DATA, "model": {"encoder": {"pad_token_id": 3}}}
    with pytest.raises(
        UsageError, match=r"model\.encoder\.pad_token_id: 3 here, but 0 in the tokenizer, which decides; leave it out"
    ):
        resolve(read_config(values), None, TOKENIZER)


def test_what_was_given_stays_known():
    model = {"encoder": {"hidden_dropout_prob": 0.1}, "prompts": []}
    after = resolved(BASE, model).model
    assert after.model_fields_set == {"init_from", "encoder", "prompts"}
    assert after.encoder.model_fields_set == {"hidden_dropout_prob"}


def test_a_run_s_config_starts_from_another_checkpoint(tmp_path):
    given = {"encoder": {"hidden_dropout_prob": 0.1}, "compute_dtype": "bfloat16"}
    path = tmp_path / "config.yaml"
    path.write_text(config_files.dump_resolved(resolved(BASE, given)), encoding="utf-8")
    again = resolve(config_files.load_config(path), BASE, TOKENIZER)  # as --resume does
    assert again == resolved(BASE, given)
    other = base_of("modernbert", pooling="cls", max_seq_length=48)
    model = resolve(config_files.load_config(path, ["--model.init-from", "other"]), other, TOKENIZER).model
    assert model.encoder.model_type == "modernbert"
    assert (model.encoder.hidden_dropout_prob, model.encoder.attention_probs_dropout_prob) == (0.1, 0.0)
    assert (model.init_from, model.pooling) == ("other", "cls")
    assert (model.compute_dtype, model.max_seq_length) == ("bfloat16", 48)
    path.write_text(path.read_text().replace("pooling: mean", "pooling: max", 1), encoding="utf-8")
    with pytest.raises(UsageError, match=r"model\.pooling: 'max' here, but 'cls' in"):
        resolve(config_files.load_config(path, ["--model.init-from", "other"]), other, TOKENIZER)
