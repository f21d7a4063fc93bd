"""Files of weights."""

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxemb.errors import UserError
from jaxemb.huggingface.files.tensors import open_tensors, save_tensors
from jaxemb.huggingface.files.weights import encoder_from_tensors
from support.model_folders import PARAMS, TENSORS, assert_same
from support.tiny_models import ENCODER


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
