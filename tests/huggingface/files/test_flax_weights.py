"""Checkpoints under the names of transformers' old Flax classes, written here by Flax itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from safetensors.numpy import load_file, save_file

from jaxemb.config import RobertaConfig
from jaxemb.errors import UserError
from jaxemb.huggingface import load_model
from jaxemb.huggingface.files.configs import encoder_config_json
from jaxemb.huggingface.files.modules import write_json_files
from jaxemb.huggingface.files.tokenizer import save_tokenizer
from jaxemb.huggingface.files.weights import encoder_to_tensors
from support.tiny_models import ENCODER, tiny_embedder

SIZES = {"vocab_size": ENCODER.vocab_size, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ENCODERS = {
    "bert": ENCODER,
    "roberta": RobertaConfig(**SIZES, intermediate_size=48, max_position_embeddings=49, pad_token_id=0),
}


def old_names(tensors):
    """The tree of FlaxBertModel and FlaxRobertaModel, by hand."""
    tree = {}
    for name, tensor in tensors.items():
        *parents, owner, kind = name.split(".")
        if kind == "weight":
            kind = "scale" if owner == "LayerNorm" else "embedding" if owner.endswith("embeddings") else "kernel"
        node = tree
        for key in (*parents, owner):
            node = node.setdefault(key, {})
        node[kind] = tensor.T if kind == "kernel" else tensor
    return tree


@pytest.fixture
def flax_folder(tmp_path):
    """(embedder, its tree, a function that writes the folder with a tree)."""

    def make(family, dtype=jnp.float32):
        embedder = tiny_embedder(encoder=ENCODERS[family], pooling="mean", dense=None)
        tree = old_names(encoder_to_tensors(embedder.params["encoder"], embedder.config.encoder))
        assert tree["encoder"]["layer"]["1"]["intermediate"]["dense"]["kernel"].shape == (32, 48)
        write_json_files({"config.json": encoder_config_json(embedder.config.encoder)}, tmp_path)
        save_tokenizer(embedder.tokenizer, tmp_path)
        return embedder, jax.tree.map(lambda leaf: np.asarray(jnp.asarray(leaf, dtype)), tree)

    return make


def write(folder, tree):
    (folder / "flax_model.msgpack").write_bytes(serialization.msgpack_serialize(tree))


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("task_model", [False, True])
def test_flax_weights_are_the_same_to_the_bit(flax_folder, tmp_path, family, task_model):
    embedder, tree = flax_folder(family)
    tree["pooler"] = {"dense": {"kernel": np.eye(32, dtype=np.float32), "bias": np.zeros(32, np.float32)}}
    head = {"bert": "cls", "roberta": "lm_head"}[family]
    write(tmp_path, {family: tree, head: {"bias": np.zeros(3, np.float32)}} if task_model else tree)
    jax.tree.map(np.testing.assert_array_equal, load_model(tmp_path).params, embedder.params)


def test_flax_weights_in_bfloat16(flax_folder, tmp_path):
    embedder, tree = flax_folder("bert", jnp.bfloat16)
    write(tmp_path, tree)
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16).astype(jnp.float32), embedder.params)
    jax.tree.map(np.testing.assert_array_equal, load_model(tmp_path).params, rounded)


def test_safetensors_are_taken_where_there_are_both(exported, model_folder):
    (model_folder / "flax_model.msgpack").write_bytes(b"not looked at")
    tensors = load_file(exported / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, model_folder / "model.safetensors")
    table = load_model(model_folder).params["encoder"]["word_embeddings"]["embedding"]
    np.testing.assert_array_equal(table, tensors["embeddings.word_embeddings.weight"] + 1)


def test_a_missing_array(flax_folder, tmp_path):
    _, tree = flax_folder("bert")
    del tree["encoder"]["layer"]["1"]["output"]["dense"]["kernel"]
    write(tmp_path, tree)
    with pytest.raises(UserError, match=r"missing \(1\): encoder\.layer\.1\.output\.dense\.weight"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-9], "is damaged or not a Flax file"),
        (lambda data: b"", "is damaged or not a Flax file"),
        (lambda data: b"garbage", "is damaged or not a Flax file"),
        (lambda data: serialization.msgpack_serialize([1, 2]), "holds no object"),
        (lambda data: serialization.msgpack_serialize({"a": {"kernel": np.ones(3)}}), "a/kernel has 1 dimensions"),
        (
            lambda data: serialization.msgpack_serialize({"a": {"bias": np.ones(3, int)}}),
            "a/bias is not a floating array",
        ),
        (
            lambda data: serialization.msgpack_serialize({"a": {"bias": "text"}}),
            "a/bias is not a floating array but str",
        ),
        (
            lambda data: serialization.msgpack_serialize({"a": {"scale": np.ones(3), "weight": np.ones(3)}}),
            r"two arrays are called a\.weight",
        ),
    ],
)
def test_damaged_flax_weights(flax_folder, tmp_path, change, message):
    _, tree = flax_folder("bert")
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(change(serialization.msgpack_serialize(tree)))
    with pytest.raises(UserError, match=f"flax_model.msgpack.*{message}"):
        load_model(tmp_path)
