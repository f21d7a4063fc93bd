import logging
from pathlib import Path

import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.huggingface.files.configs import encoder_config_json
from jaxemb.huggingface.files.tensors import save_tensors
from jaxemb.huggingface.files.weights import FAMILIES, encoder_from_tensors, encoder_to_tensors
from support.model_folders import PARAMS, TENSORS, assert_same
from support.tiny_models import ENCODER, ENCODERS, tiny_embedder


def from_tensors(tensors):
    readers = {name: (lambda array=array: array) for name, array in tensors.items()}
    return encoder_from_tensors(readers, ENCODER, Path("checkpoint"))


def test_there_and_back_is_bit_equal():
    ours = from_tensors(TENSORS)
    assert_same(ours)
    again = encoder_to_tensors(ours, ENCODER)
    assert again.keys() == TENSORS.keys()
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(again[name], array)


def test_checkpoint_of_transformers_there_and_back_is_bit_equal(tmp_path):
    torch = pytest.importorskip("torch")
    import transformers

    torch.manual_seed(0)
    model = transformers.BertModel(transformers.BertConfig(**encoder_config_json(ENCODER)), add_pooling_layer=False)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)  # biases and norms, too
    theirs = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    again = encoder_to_tensors(from_tensors(theirs), ENCODER)
    assert again.keys() == theirs.keys()
    for name, array in theirs.items():
        assert again[name].tobytes() == array.tobytes(), name
    # And what we write loads there, with nothing missing or left over.
    save_tensors(again, tmp_path / "model.safetensors")
    model.config.save_pretrained(tmp_path)
    _, report = transformers.BertModel.from_pretrained(tmp_path, add_pooling_layer=False, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_kernels_are_transposed_and_layers_stacked():
    name = "encoder.layer.1.intermediate.dense.weight"
    assert TENSORS[name].shape == (48, 32)
    np.testing.assert_array_equal(TENSORS[name], PARAMS["layers"]["intermediate"]["kernel"][1].T)


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"bert.{name}",
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
    ],
    ids=["prefix", "gamma and beta"],
)
def test_old_and_prefixed_names(rename):
    assert_same(from_tensors({rename(name): array for name, array in TENSORS.items()}))


def test_known_leftovers_are_logged_and_buffers_ignored(caplog):
    more = {
        "bert.pooler.dense.weight": np.zeros((32, 32)),
        "bert.pooler.dense.bias": np.zeros(32),
        "cls.predictions.bias": np.zeros(5),
        "bert.embeddings.position_ids": np.arange(48)[None],
    }
    with caplog.at_level(logging.INFO):
        assert_same(from_tensors({f"bert.{name}": array for name, array in TENSORS.items()} | more))
    assert "cls.predictions.bias, pooler.dense.bias, pooler.dense.weight" in caplog.text
    assert "position_ids" not in caplog.text


def test_missing_and_unexpected_are_both_listed():
    tensors = dict(TENSORS)
    tensors["encoder.layer.0.attention.self.kwery.weight"] = tensors.pop("encoder.layer.0.attention.self.query.weight")
    with pytest.raises(UserError) as caught:
        from_tensors(tensors)
    assert "missing (1): encoder.layer.0.attention.self.query.weight" in str(caught.value)
    assert "unexpected (1): encoder.layer.0.attention.self.kwery.weight" in str(caught.value)


def test_a_head_that_is_not_known_is_no_leftover():
    with pytest.raises(UserError, match=r"unexpected \(1\): classifier\.weight"):
        from_tensors(TENSORS | {"classifier.weight": np.zeros((2, 32))})


def test_what_may_be_missing_or_left_over(caplog):
    missing = "encoder.layer.1.output.dense.bias"
    tensors = {name: array for name, array in TENSORS.items() if name != missing} | {"classifier.weight": np.zeros(2)}
    readers = {name: (lambda array=array: array) for name, array in tensors.items()}
    allow = r"classifier\..*|encoder\.layer\.1\.output\.dense\.bias"
    ours = encoder_from_tensors(readers, ENCODER, Path("checkpoint"), allow)
    assert f"missing, so initialized as in a new model: {missing}" in caplog.text
    assert not ours["layers"]["output"]["bias"][1].any()  # biases begin at zero
    ours["layers"]["output"]["bias"][1] = PARAMS["layers"]["output"]["bias"][1]
    assert_same(ours)
    with pytest.raises(UserError, match=r"missing \(1\): encoder.*\n.*unexpected \(0\): none\n.*init_allow"):
        encoder_from_tensors(readers, ENCODER, Path("checkpoint"), r"classifier.*")


@pytest.mark.parametrize("family", ENCODERS)
def test_every_family_there_and_back_under_the_names_of_task_models(family):
    config = ENCODERS[family]
    params = tiny_embedder(encoder=config).params["encoder"]
    tensors = encoder_to_tensors(params, config)
    readers = {FAMILIES[family].prefix + name: (lambda array=array: array) for name, array in tensors.items()}
    ours = encoder_from_tensors(readers, config, Path("checkpoint"))
    if family == "modernbert":
        params["layers"]["attention_norm"]["scale"] = params["layers"]["attention_norm"]["scale"].at[0].set(1)  # inert
    assert_same(ours, params)
    again = encoder_to_tensors(ours, config)
    assert all(again[name].tobytes() == array.tobytes() for name, array in tensors.items())


def test_more_layers_than_config_says():
    more = {"encoder.layer.2.output.dense.bias": np.zeros(32)}
    with pytest.raises(UserError, match=r"unexpected \(1\): encoder\.layer\.2\.output\.dense\.bias"):
        from_tensors(TENSORS | more)


def test_two_names_for_one_tensor():
    name = "embeddings.LayerNorm.weight"
    with pytest.raises(UserError, match=f"two tensors are called {name}"):
        from_tensors(TENSORS | {f"bert.{name}": TENSORS[name]})


@pytest.mark.parametrize(
    ("name", "shape"),
    [("embeddings.word_embeddings.weight", (7, 32)), ("encoder.layer.1.output.dense.weight", (48, 32))],
)
def test_shapes_follow_config(name, shape):
    with pytest.raises(UserError, match=rf"{name} has the shape \[{shape[0]}, 32\]; config.json asks for \["):
        from_tensors(TENSORS | {name: np.zeros(shape, np.float32)})


def test_wrong_parameters_are_not_written():
    wrong = {**PARAMS, "word_embeddings": {"embedding": np.zeros((9, 32))}}
    with pytest.raises(ValueError, match="word_embeddings/embedding"):
        encoder_to_tensors(wrong, ENCODER)
