"""Several dense layers after pooling (EmbeddingGemma, stella), with norms between them, in and out."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import DenseConfig, ModelConfig
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError
from jaxemb.huggingface import export, load_model
from jaxemb.models import embedding_size, init
from jaxemb.models.heads import init_dense
from jaxemb.training.resolve import read_config, with_projection
from jaxemb.training.step.freezing import select_trained
from support.model_folders import TEXTS
from support.tiers import sampled
from support.tiny_models import ENCODER, TOKENIZER, embed, tiny_embedder

pytestmark = pytest.mark.usefixtures("one_thread")
SHALLOW = ENCODER.model_copy(update={"num_hidden_layers": 1})
GEMMA = (DenseConfig(out_features=48, activation="identity", bias=False),
         DenseConfig(out_features=20, activation="identity", bias=False))  # fmt: skip
MIXED = (
    DenseConfig(out_features=24, activation="gelu", layer_norm=True, normalize=True),
    DenseConfig(activation="relu", bias=False, normalize=True),
    DenseConfig(out_features=6, layer_norm=True),
)


def theirs(folder):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)


CASES = [(MIXED, {"layer_norm": True, "normalize": False}), (GEMMA, {})]


@pytest.mark.parametrize(("dense", "settings"), sampled(CASES[:1], CASES[1:]))
def test_in_and_out_as_sentence_transformers_has_them(dense, settings, tmp_path):
    model = tiny_embedder(encoder=SHALLOW, pooling="mean", dense=dense, **settings)
    export(model, tmp_path / "out", verify="torch")
    loaded = load_model(tmp_path / "out")
    assert loaded.config.dense_layers == model.config.dense_layers
    assert embedding_size(loaded.config) == loaded.config.dense_layers[-1].out_features
    jax.tree.map(np.testing.assert_array_equal, loaded.params, model.params)
    saved = theirs(tmp_path / "out")
    saved.save(str(tmp_path / "theirs"), create_model_card=False)
    again = load_model(tmp_path / "theirs")
    assert again.config.dense == loaded.config.dense
    np.testing.assert_allclose(again.encode(TEXTS), saved.encode(TEXTS), atol=1e-5)
    kinds = [module["type"].rsplit(".", 1)[-1] for module in json.loads((tmp_path / "out/modules.json").read_text())]
    wanted = {
        GEMMA: "Dense Dense Normalize",
        MIXED: "LayerNorm Dense LayerNorm Normalize Dense Normalize Dense LayerNorm",
    }
    assert kinds == ["Transformer", "Pooling", *wanted[dense].split()]


def test_gradients_are_those_of_sentence_transformers(tmp_path):
    torch = pytest.importorskip("torch")
    model = tiny_embedder(encoder=SHALLOW, pooling="mean", dense=MIXED)
    export(model, tmp_path / "out", verify="jax")
    module = theirs(tmp_path / "out")
    tokens = TOKENIZER(TEXTS[:3], padding=True, return_token_type_ids=False)
    out = module({name: torch.tensor(ids) for name, ids in tokens.items()})["sentence_embedding"]
    weight = np.cos(np.arange(out.numel())).reshape(tuple(out.shape)).astype(np.float32)
    (out * torch.tensor(weight)).sum().backward()
    arrays = {name: jnp.asarray(ids) for name, ids in tokens.items()}

    def loss(dense):
        return jnp.sum(embed(model.config, model.params | {"dense": dense}, arrays) * weight)

    gradient = jax.grad(loss)(model.params["dense"])
    linear = [one.linear for one in module if hasattr(one, "linear")]
    norms = [one.norm for one in module if hasattr(one, "norm")]
    assert (len(linear), len(norms)) == (3, 2)
    for number, layer in enumerate(linear):
        np.testing.assert_allclose(gradient[str(number)]["kernel"].T, layer.weight.grad, atol=1e-5)
    for number, norm in zip((0, 2), norms, strict=True):
        np.testing.assert_allclose(gradient[str(number)]["norm"]["scale"], norm.weight.grad, atol=1e-5)
        np.testing.assert_allclose(gradient[str(number)]["bias"], linear[number].bias.grad, atol=1e-5)


def test_one_layer_lies_in_the_tree_as_ever():
    config = ModelConfig(encoder=SHALLOW, dense=DenseConfig(out_features=5))
    params = jax.jit(init, static_argnums=0)(config, jax.random.key(3))
    _, key, _ = jax.random.split(jax.random.key(3), 3)
    wanted = init_dense(key, ENCODER.hidden_size, 5, ENCODER.initializer_range)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), params["dense"], wanted)
    two = config.model_copy(update={"dense": GEMMA})
    several = jax.eval_shape(partial(init, two), jax.random.key(3))["dense"]
    assert {name: layer["kernel"].shape for name, layer in several.items()} == {"0": (32, 48), "1": (48, 20)}


def values(dense=...):
    return {
        "data": {"sources": [{"kind": "moses", "anchor_path": "a.en", "positive_path": "a.de", "positive_lang": "de"}],
                 "max_length": 16},
        "model": {"encoder": {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 1}}
        | ({} if dense is ... else {"dense": dense}),
        "training": {"steps": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("dense", "expected"),
    [
        (..., DenseConfig()),
        (None, None),
        ({"activation": "gelu"}, DenseConfig(activation="gelu")),
        ([{"out_features": 8}, {}], (DenseConfig(out_features=8), DenseConfig())),
    ],
)
def test_the_setting_is_one_object_null_or_a_list(dense, expected, tmp_path):
    config = read_config(values(dense))
    assert config.model.dense == expected
    (tmp_path / "config.yaml").write_text(config_files.dump(config))
    assert config_files.load_config(tmp_path / "config.yaml") == config
    assert config_files.load_config(tmp_path / "config.yaml", ["--training.steps", "2"]).model.dense == expected


def test_flags_and_errors(tmp_path):
    (tmp_path / "one.yaml").write_text(config_files.dump(read_config(values())))
    (tmp_path / "two.yaml").write_text(config_files.dump(read_config(values([{}, {}]))))
    one = config_files.load_config(tmp_path / "one.yaml", ["--model.dense.activation", "relu"])
    assert one.model.dense == DenseConfig(activation="relu")
    two = config_files.load_config(tmp_path / "two.yaml", ["--model.dense.1.out-features", "7"])
    assert two.model.dense == (DenseConfig(), DenseConfig(out_features=7))
    for dense, message in (
        ({"activatoin": "relu"}, r"model\.dense\.activatoin: unknown key; did you mean `model\.dense\.activation`"),
        ([{}, {"activatoin": "relu"}], r"model\.dense\.1\.activatoin: unknown key; did you mean"),
        ([], r"dense: the list is empty; set it to null for no dense layer"),
        ([{}, {"normalize": True}], r"leave normalize out of the last layer; set model\.normalize instead"),
        ({"normalize": True}, r"leave it out of the only layer; set model\.normalize instead"),
        (3, r"model\.dense: .*got 3"),
    ):
        with pytest.raises(UsageError, match=message):
            read_config(values(dense))


def test_training_names_and_widens_them():
    config = read_config(values([{"out_features": 8}, {}]) | {"training": {"steps": 1, "freeze": ["dense/0/.*"]}})
    part = select_trained(config)({"dense": {"0": {"kernel": 1, "bias": 2}, "1": {"kernel": 3, "bias": 4}}})
    assert part == {"dense": {"1": {"kernel": 3, "bias": 4}}}
    assert with_projection(config, 5).model.dense == (DenseConfig(out_features=8), DenseConfig(out_features=5))
    with pytest.raises(UsageError, match=r"model\.dense\.out_features: 5, but the embeddings of objective.teacher"):
        with_projection(with_projection(config, 5), 6)
