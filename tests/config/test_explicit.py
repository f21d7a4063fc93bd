"""What counts as given: by a file, a flag, a Python call, and a run's own config.yaml."""

import pytest
import yaml

from jaxemb.config import BertConfig, DataConfig, DenseConfig, ModelConfig, TrainConfig, TrainingConfig, TsvSource
from jaxemb.config import files as config_files
from jaxemb.config.explicit import given_paths, with_given
from jaxemb.errors import UsageError
from jaxemb.training.resolve import read_config

DATA = {"data": {"sources": [{"kind": "tsv", "path": "a.tsv"}]}, "training": {"steps": 3}}
MODEL = {
    "init_from": "${BASE}",
    "pooling": "cls",
    "dense": {"activation": "tanh"},
    "encoder": {"num_hidden_layers": 12},
}
GIVEN = {"init_from", "pooling", "dense.activation", "encoder.num_hidden_layers"}


@pytest.fixture(autouse=True)
def base(monkeypatch):
    monkeypatch.setenv("BASE", "some/model")


def given_of_model(config):
    return given_paths(config.model)


def python_call(**sections):
    return TrainConfig(
        data=DataConfig(sources=(TsvSource(path="a.tsv"),)), training=TrainingConfig(steps=3), **sections
    )


def written(path, values):
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_values_that_equal_the_default_are_given_in_yaml_and_as_python_values(tmp_path):
    values = {**DATA, "model": MODEL}
    config = config_files.load_config(written(tmp_path / "c.yaml", values))
    assert config.model.init_from == "some/model"
    assert given_of_model(config) == given_of_model(read_config(values)) == GIVEN
    assert given_paths(config) == {f"model.{path}" for path in GIVEN} | {"data.sources", "training.steps"}


def test_flags_are_given_and_make_nothing_else_so(tmp_path):
    path = written(tmp_path / "c.yaml", {**DATA, "model": {"encoder": {"model_type": "modernbert"}}})
    flags = ["--model.encoder.hidden-dropout-prob=0.0", "--model.normalize", "True", "--training.batch-size", "64"]
    config = config_files.load_config(path, flags)
    assert given_of_model(config) == {"encoder.model_type", "encoder.hidden_dropout_prob", "normalize"}
    assert given_paths(config.training) == {"steps", "batch_size"}


def test_a_call_in_python():
    config = python_call(model=ModelConfig(encoder=BertConfig(num_hidden_layers=12), dense=DenseConfig()))
    assert given_of_model(read_config(config)) == {"encoder.num_hidden_layers", "dense"}


def test_a_run_records_what_it_filled_in(tmp_path):
    given = read_config({**DATA, "model": {**MODEL, "prompts": []}})
    sizes = given.model.encoder.model_copy(update={"hidden_size": 384, "vocab_size": 99})
    resolved = given.model_copy(
        update={"model": given.model.model_copy(update={"encoder": sizes, "prompt": "query: "})}
    )
    path = tmp_path / "config.yaml"
    path.write_text(config_files.dump_resolved(with_given(resolved, given_paths(given))), encoding="utf-8")
    again = config_files.load_config(path)
    assert again.model.encoder.hidden_size == 384
    assert again.model.prompt == "query: "
    assert given_of_model(again) == GIVEN | {"prompts"}
    assert given_of_model(read_config(yaml.safe_load(path.read_text()))) == GIVEN | {"prompts"}
    # A value that somebody changes there counts as given, also to what is its default.
    text = path.read_text().replace("prompt: 'query: '", "prompt: ''", 1)
    text = text.replace("hidden_size: 384", "hidden_size: 192", 1)
    path.write_text(text, encoding="utf-8")
    assert given_of_model(config_files.load_config(path)) == GIVEN | {"prompts", "prompt", "encoder.hidden_size"}
    assert given_of_model(config_files.load_config(path, ["--model.normalize", "True"])) > GIVEN | {"normalize"}
    path.write_text(text[: text.index("filled_in:")] + "filled_in: 3\n")
    with pytest.raises(UsageError, match=r"config\.yaml: filled_in: expected `path: value` lines"):
        config_files.load_config(path)


def test_of_an_older_run_s_config_what_is_not_the_default_is_given(tmp_path):
    config = python_call(model=ModelConfig(encoder=BertConfig(hidden_size=32, num_attention_heads=2)))
    path = tmp_path / "config.yaml"
    path.write_text(config_files.RESOLVED + config_files.dump(config), encoding="utf-8")
    assert given_of_model(config_files.load_config(path)) == {"encoder.hidden_size", "encoder.num_attention_heads"}
    path.write_text(config_files.dump(config), encoding="utf-8")  # somebody's own file: all of it is given
    assert given_of_model(config_files.load_config(path)) > {"pooling", "normalize", "encoder.hidden_dropout_prob"}
