import logging
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxemb.errors import UserError
from jaxemb.huggingface.configs import encoder_config_json
from jaxemb.huggingface.tensors import open_tensors, save_tensors
from jaxemb.huggingface.weights import FAMILIES, encoder_from_tensors, encoder_to_tensors
from support.tiny_models import ENCODER, ENCODERS, tiny_embedder

PARAMS = tiny_embedder().params["encoder"]
TENSORS = encoder_to_tensors(PARAMS, ENCODER)


def from_tensors(tensors):
    readers = {name: (lambda array=array: array) for name, array in tensors.items()}
    return encoder_from_tensors(readers, ENCODER, Path("checkpoint"))


def assert_same(ours, expected=PARAMS):
    jax.tree.map(np.testing.assert_array_equal, ours, jax.tree.map(np.asarray, expected))


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
    assert f"missing, and drawn as in a new model: {missing}" in caplog.text
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


# ---------------------------------------------------------------------------------------------------------- the files


def to_params(folder):
    return encoder_from_tensors(open_tensors(folder), ENCODER, folder)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_floating_types(tmp_path, dtype):
    halves = {name: array.astype(dtype) for name, array in TENSORS.items()}
    if dtype is ml_dtypes.bfloat16:
        torch_file = pytest.importorskip("safetensors.torch")
        torch = pytest.importorskip("torch")
        tensors = {name: torch.tensor(array).bfloat16() for name, array in TENSORS.items()}
        torch_file.save_file(tensors, tmp_path / "model.safetensors")
    else:
        save_file(halves, tmp_path / "model.safetensors")
    ours = to_params(tmp_path)
    assert {leaf.dtype for leaf in jax.tree.leaves(ours)} == {np.dtype("float32")}
    assert_same(ours, jax.tree.map(lambda leaf: np.asarray(leaf).astype(dtype).astype(np.float32), PARAMS))


def test_integers_are_no_weights(tmp_path):
    name = "embeddings.LayerNorm.bias"
    save_file(TENSORS | {name: np.zeros(32, np.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=rf"model\.safetensors: {name} is of type I8"):
        to_params(tmp_path)


def write_shards(folder):
    names = sorted(TENSORS)
    place = {name: f"model-0000{1 + number % 2}-of-00002.safetensors" for number, name in enumerate(names)}
    for file in set(place.values()):
        save_file({name: TENSORS[name] for name in names if place[name] == file}, folder / file)
    import json

    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place}))


def test_shards(tmp_path):
    write_shards(tmp_path)
    assert_same(to_params(tmp_path))
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match=r"model-00002-of-00002\.safetensors is missing"):
        to_params(tmp_path)


def test_damaged_index(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": [1]}')
    with pytest.raises(UserError, match=r"index\.json has no `weight_map`"):
        open_tensors(tmp_path)


@pytest.mark.parametrize("keep", [-4, 4, 0])
def test_truncated_file(tmp_path, keep):
    path = tmp_path / "model.safetensors"
    save_file(TENSORS, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        open_tensors(tmp_path)


def test_no_weights(tmp_path):
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        open_tensors(tmp_path)


def test_pickle_is_refused_with_a_command_that_converts_it(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({name: torch.tensor(array) for name, array in TENSORS.items()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="convert them once") as caught:
        open_tensors(tmp_path)
    code = str(caught.value).split('-c "')[1].removesuffix('"')
    exec(code, {})  # the command, as a user would paste it
    assert_same(to_params(tmp_path))


def test_metadata_says_pt(tmp_path):
    from safetensors import safe_open

    save_tensors(TENSORS, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
    saved = load_file(tmp_path / "model.safetensors")
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(saved[name], array)
