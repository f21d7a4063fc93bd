import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxemb.config import DenseConfig, Prompt
from jaxemb.encoding import Embedder
from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_model
from jaxemb.huggingface.verify import SENTENCES
from support.model_folders import listing
from support.tiers import sampled
from support.tiny_models import ENCODER, ENCODERS, TOKENIZER, tiny_embedder

POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
TEXTS = [*SENTENCES, "x " * 200, "敏捷" * 100]
MODELS = {
    "labse": {},
    "mean": {"pooling": "mean", "dense": None},
    "narrow": {"dense": DenseConfig(out_features=8)},
    "identity": {"dense": DenseConfig(activation="identity"), "normalize": False},
    "prompt": {"pooling": "mean", "prompt": "query: ", "max_seq_length": 21},
    "tanh gelu": {"encoder": ENCODER.model_copy(update={"hidden_act": "gelu_new", "layer_norm_eps": 1e-5})},
    "all poolings": {"pooling": POOLINGS, "dense": None},
    "layer norm": {"pooling": "max", "layer_norm": True, "dense": DenseConfig(activation="gelu", bias=False)},
    "prompts": {
        "pooling": ("mean", "lasttoken"), "dense": None, "include_prompt": False, "prompt": "query: ",
        "prompt_tokens": 7, "prompts": (Prompt(name="q", text="query: "), Prompt(name="d", text="doc: ")),
    },
    "padded vocabulary": {"vocab_multiple": 64},
    "training head": {"training_mlp": True},
}  # fmt: skip
COVERING = [("bert", "labse"), ("roberta", "prompts"), ("distilbert", "all poolings"), ("mpnet", "layer norm"),
            ("modernbert", "padded vocabulary"), ("qwen3", "identity")]  # fmt: skip
"""Six of seven families (XLM-R is RoBERTa under another name); poolings, dense layers, a norm, prompts, padding."""
MORE = [
    (family, name)
    for family in ENCODERS
    for name in MODELS
    if (family, name) not in COVERING and (family == "bert" or "encoder" not in MODELS[name])
]


@pytest.mark.parametrize(("family", "name"), sampled(COVERING, MORE, draw=1))
def test_sentence_transformers_gives_our_embeddings(family, name, tmp_path, quiet_torch):
    last = {"pooling": "lasttoken"} if family == "qwen3" else {}  # its first token sees no other
    embedder = tiny_embedder(**{"encoder": ENCODERS[family], **last, **MODELS[name]})
    report = export(embedder, tmp_path / "out", verify="torch")
    assert len(report.differences) == 3
    assert max(report.differences.values()) <= 1e-5
    model = quiet_torch.SentenceTransformer(str(tmp_path / "out"), device="cpu", local_files_only=True)
    assert model.max_seq_length == embedder.config.max_seq_length
    theirs = model.encode(TEXTS)
    ours = embedder.encode(TEXTS, batch_size=8)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)
    for prompt in embedder.config.prompts:
        theirs = model.encode(TEXTS, prompt_name=prompt.name)
        np.testing.assert_allclose(theirs, embedder.encode(TEXTS, prompt_name=prompt.name, batch_size=8), atol=1e-5)
    # The comparison can fail: embeddings of different texts are apart.
    assert np.abs(ours[0] - ours[1]).max() > 0.05


def test_a_prompt_as_long_as_the_input(tmp_path, quiet_torch):
    """What pooling leaves out is the prompt as it is cut, so that something is left to pool."""
    prompts = tuple(Prompt(name=name, text=text) for name, text in (("long", "a long prompt: "), ("short", "a: ")))
    embedder = tiny_embedder(pooling="mean", dense=None, include_prompt=False, max_seq_length=9, prompts=prompts)
    embedder = embedder.with_prompt("another long prompt: ")
    export(embedder, tmp_path / "out", verify="jax")
    model = quiet_torch.SentenceTransformer(str(tmp_path / "out"), device="cpu", local_files_only=True)
    for name in (None, "long", "short"):
        ours = embedder.encode(TEXTS[:9], prompt_name=name)
        np.testing.assert_allclose(model.encode(TEXTS[:9], prompt_name=name), ours, atol=1e-5)
        assert np.linalg.norm(ours, axis=1).min() > 0.99


def test_pooler_output_is_the_embedding_where_bert_has_one(exported):
    torch = pytest.importorskip("torch")
    import transformers

    model, report = transformers.AutoModel.from_pretrained(exported, output_loading_info=True)
    assert not any(report.values())
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    tokens = tokenizer(TEXTS[:5], padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        out = model.eval()(**tokens).pooler_output
    out = torch.nn.functional.normalize(out).numpy()
    np.testing.assert_allclose(out, tiny_embedder().encode(TEXTS[:5], batch_size=8), atol=1e-5)
    assert "`pooler_output` is the embedding, before L2 normalisation" in (exported / "README.md").read_text()


def test_pooler_is_an_identity_elsewhere(tmp_path):
    export(tiny_embedder(pooling="mean", dense=None), tmp_path / "out", verify="jax")
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    np.testing.assert_array_equal(tensors["pooler.dense.weight"], np.eye(32))
    assert not np.any(tensors["pooler.dense.bias"])
    assert "do not use `AutoModel`'s `pooler_output`" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    "family",
    sampled(["bert", "modernbert"], [family for family in ENCODERS if family not in ("bert", "modernbert")], 1),
)
def test_auto_model_takes_every_tensor(family, tmp_path):
    torch = pytest.importorskip("torch")
    import transformers

    embedder = tiny_embedder(encoder=ENCODERS[family], dense=None, vocab_multiple=64)
    export(embedder, tmp_path / "out", verify="jax")
    model, report = transformers.AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(report.values())
    assert model.dtype == torch.float32
    assert model.get_input_embeddings().weight.shape[0] == embedder.config.encoder.vocab_size


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype, tmp_path):
    embedder = tiny_embedder()
    assert max(export(embedder, tmp_path / "out", verify="auto", dtype=dtype).differences.values()) <= 1e-5
    assert {str(array.dtype) for array in load_file(tmp_path / "out" / "model.safetensors").values()} == {dtype}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == dtype
    # What has been rounded once goes through unchanged, bit for bit.
    export(load_model(tmp_path / "out"), tmp_path / "again", verify="jax", dtype=dtype)
    for name in ("model.safetensors", "2_Dense/model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_a_pooling_that_sentence_transformers_has_not(tmp_path):
    with pytest.raises(UserError, match="sentence-transformers has no first_last_mean"):
        export(tiny_embedder(pooling="first_last_mean", dense=None), tmp_path / "out")


def test_old_schema(exported):
    modules = json.loads((exported / "modules.json").read_text())
    assert [module["type"] for module in modules] == [
        f"sentence_transformers.models.{kind}" for kind in ("Transformer", "Pooling", "Dense", "Normalize")
    ]
    assert [module["path"] for module in modules] == ["", "1_Pooling", "2_Dense", "3_Normalize"]
    pooling = json.loads((exported / "1_Pooling/config.json").read_text())
    assert [key for key, value in pooling.items() if value is True] == ["pooling_mode_cls_token"]
    assert json.loads((exported / "sentence_bert_config.json").read_text()) == {
        "max_seq_length": 40, "do_lower_case": False,
    }  # fmt: skip
    assert json.loads((exported / "tokenizer_config.json").read_text())["model_max_length"] == 40
    prompts = json.loads((exported / "config_sentence_transformers.json").read_text())
    assert prompts == {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}


def test_parameters_on_a_mesh_and_bfloat16_compute_are_exported_in_float32(tmp_path):
    from jaxemb.parallel import make_mesh, replicated

    embedder = tiny_embedder(compute_dtype="bfloat16")
    placed = jax.device_put(embedder.params, replicated(make_mesh(2, 2, jax.devices()[:4])))
    report = export(Embedder(embedder.config, placed, TOKENIZER), tmp_path / "out", verify="jax")
    assert report.differences == {name: pytest.approx(0, abs=1e-6) for name in ("jaxemb", "NumPy")}
    loaded = load_model(tmp_path / "out")
    assert loaded.config.compute_dtype == "float32"
    jax.tree.map(np.testing.assert_array_equal, loaded.params, embedder.params)


# --------------------------------------------------------------------------------------- what goes wrong is not kept


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_interrupted_export_leaves_nothing(tmp_path, error):
    def stop(towers, folder):
        assert not (tmp_path / "out").exists()  # not even a kill here would leave the final name
        assert (folder / "model.safetensors").exists()
        raise error

    with pytest.raises(error):
        export(tiny_embedder(), tmp_path / "out", verify=stop)
    assert listing(tmp_path) == []


def test_tokenizer_of_another_model(tmp_path):
    small = tiny_embedder(encoder=ENCODER.model_copy(update={"vocab_size": 9}))
    with pytest.raises(UserError, match="entries, but vocab_size is 9"):
        export(small, tmp_path / "out", verify="jax")
    assert listing(tmp_path) == []


def test_existing_output_is_kept(exported):
    before = listing(exported)
    with pytest.raises(UserError, match="exists and is not empty: choose another output directory or remove it"):
        export(tiny_embedder(), exported, verify="jax")
    assert listing(exported) == before
