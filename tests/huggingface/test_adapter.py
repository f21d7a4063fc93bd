"""Adapters in PEFT's format, loaded by PEFT and sentence-transformers."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import (
    BertConfig,
    DenseConfig,
    DistilBertConfig,
    LoraConfig,
    ModelConfig,
    ModernBertConfig,
    MPNetConfig,
    Qwen3Config,
)
from jaxemb.encoding import Embedder
from jaxemb.errors import UserError
from jaxemb.huggingface import adapter, export, export_adapter, load_model
from jaxemb.huggingface.files.weights import FAMILIES, encoder_to_tensors
from support.tiny_models import BOTH_WAYS, ENCODER, embed, tiny_embedder

# PEFT asks for what transformers 5 renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
ATTENTION = r"encoder/layers/attention/(query|key|value|output)/kernel"
EVERYWHERE = r"encoder/.*kernel"
FEED_FORWARD = r"encoder/layers/(intermediate|output)/kernel"
_CONFIGS = {
    "bert": BertConfig,
    "distilbert": DistilBertConfig,
    "mpnet": MPNetConfig,
    "qwen3": Qwen3Config,
    "modernbert": ModernBertConfig,
}
SIZES = ENCODER.model_dump(exclude={"model_type", "type_vocab_size", "max_position_embeddings", "layer_norm_eps"})
MODELS = {
    "bert": (ENCODER, ATTENTION),
    "bert, feed-forward": (ENCODER, FEED_FORWARD),
    "mpnet": (MPNetConfig(**{**SIZES, "pad_token_id": 1}, max_position_embeddings=50), ATTENTION),
    "qwen3": (
        Qwen3Config(
            **{**SIZES, "hidden_act": "silu"}, num_key_value_heads=2, head_dim=10, max_position_embeddings=48
        ),
        EVERYWHERE,
    ),
    "modernbert": (ModernBertConfig(**SIZES, max_position_embeddings=48, local_attention=6), EVERYWHERE),
    "modernbert, two of three": (
        ModernBertConfig(**SIZES, max_position_embeddings=48, local_attention=6),
        r"encoder/layers/(attention/(query|value)|gate)/kernel",
    ),
}  # fmt: skip


def adapted(encoder, targets, **settings):
    lora = LoraConfig(rank=3, alpha=5.0, targets=targets)
    return tiny_embedder(encoder=encoder, lora=lora, **({"pooling": "mean", "dense": None} | settings))


@pytest.fixture
def save_base(tmp_path):
    """Writes the model that was adapted to a folder, which other tests verify."""

    def save(embedder, name="base"):
        plain = embedder.config.model_copy(update={"lora": None})
        params = {name: tree for name, tree in embedder.params.items() if name != "lora"}
        export(Embedder(plain, params, embedder.tokenizer), tmp_path / name, verify=None)
        return tmp_path / name

    return save


def hidden_states(model, tokens):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return model(**{name: torch.tensor(np.asarray(ids)) for name, ids in tokens.items()}).last_hidden_state.numpy()


@pytest.mark.parametrize("name", MODELS)
def test_peft_loads_our_adapters(name, tmp_path, save_base):
    pytest.importorskip("torch")
    import peft
    import transformers

    encoder, targets = MODELS[name]
    embedder = adapted(encoder, targets, normalize=False)
    base = save_base(embedder)
    out = export_adapter(embedder, tmp_path / "adapter", base=str(base))
    written = json.loads((out / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == str(base)
    plain = transformers.AutoModel.from_pretrained(base).eval()
    rng = np.random.default_rng(0)
    tokens = {
        "input_ids": rng.integers(5, 90, (3, 9)).astype(np.int64),
        "attention_mask": (np.arange(9)[None] < np.array([[9], [4], [6]])).astype(np.int64),
    }
    before = hidden_states(plain, tokens)
    model = peft.PeftModel.from_pretrained(plain, out).eval()
    theirs = hidden_states(model, tokens)
    real = tokens["attention_mask"].astype(bool)
    assert np.abs(theirs - before)[real].max() > 0.1
    ours = embed(embedder.config, embedder.params, jax.tree.map(lambda ids: jnp.asarray(ids, jnp.int32), tokens))
    pooled = (theirs * real[:, :, None]).sum(1) / real.sum(1, keepdims=True)
    np.testing.assert_allclose(pooled, ours, atol=1e-5)
    merged = model.merge_and_unload().state_dict()
    wanted = encoder_to_tensors(jax.device_get(embedder.merged().params["encoder"]), encoder)
    read = encoder_to_tensors(jax.device_get(load_model(out).params["encoder"]), encoder)
    for key, tensor in wanted.items():
        np.testing.assert_allclose(merged[key].numpy(), tensor, rtol=1e-6, atol=1e-6, err_msg=key)
        np.testing.assert_allclose(read[key], tensor, rtol=1e-6, atol=1e-6, err_msg=key)


@pytest.mark.parametrize(
    ("family", "targets", "expected"),
    [
        ("bert", ATTENTION, ["query", "key", "value", "attention.output.dense"]),
        ("bert", EVERYWHERE, ["query", "key", "value", "output.dense", "intermediate.dense"]),
        ("bert", FEED_FORWARD, ["intermediate.dense", "encoder.layer.0.output.dense", "encoder.layer.1.output.dense"]),
        ("distilbert", ATTENTION, ["q_lin", "k_lin", "v_lin", "out_lin"]),
        ("distilbert", r"encoder/.*/output/kernel", ["out_lin", "lin2"]),
        ("mpnet", ATTENTION, ["q", "k", "v", "o"]),
        ("qwen3", ATTENTION, ["q_proj", "k_proj", "v_proj", "o_proj"]),
        ("modernbert", ATTENTION, ["Wqkv", "attn.Wo"]),
        ("modernbert", EVERYWHERE, ["Wqkv", "Wo", "Wi"]),
    ],
)
def test_names_end_as_no_other_module_does(family, targets, expected):
    """PEFT takes what ends so: not the pooler, nor attention's output for the feed-forward layer's."""
    table = FAMILIES[family].table
    kernels = {"/".join(("encoder", *entry.path)) for entry in table if entry.path[-1] == "kernel"}
    found = {path: {} for path in kernels if re.fullmatch(targets, path)}
    modules = adapter._modules(ModelConfig(encoder=_CONFIGS[family](num_hidden_layers=2)), found)
    names = [one for name in modules for one in adapter._short_names(name, modules, family, 2)]
    assert list(dict.fromkeys(names)) == expected


def test_sentence_transformers_loads_adapters_and_head(tmp_path, save_base):
    """With `peft` installed the folder is a whole model: the trained dense layer and layer norm are in it."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    embedder = adapted(ENCODER, ATTENTION, layer_norm=True, dense=DenseConfig(out_features=8), prompt="query: ")
    base = save_base(embedder)
    head = {name: jax.tree.map(lambda x: x + 0.1, embedder.params[name]) for name in ("layer_norm", "dense")}
    trained = Embedder(embedder.config, {**embedder.params, **head}, embedder.tokenizer)
    out = export_adapter(trained, tmp_path / "adapter", base=str(base))
    assert {path.name for path in out.iterdir()} == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "modules.json", "1_Pooling", "2_LayerNorm",
        "3_Dense", "config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer.json",
        "tokenizer_config.json", "special_tokens_map.json",
    }  # fmt: skip
    model = sentence_transformers.SentenceTransformer(str(out), device="cpu", local_files_only=True)
    texts = ["one two", "a longer text with several words", "敏捷", ""]
    ours = trained.merged().encode(texts)
    np.testing.assert_allclose(model.encode(texts), ours, atol=1e-5)
    np.testing.assert_allclose(load_model(out).encode(texts), ours, atol=1e-6)  # and so do we
    assert np.abs(load_model(base).encode(texts) - ours).max() > 0.05
    export(trained, tmp_path / "whole")  # merged
    np.testing.assert_allclose(load_model(tmp_path / "whole").encode(texts), ours, atol=1e-6)


def test_what_was_written_is_read_again(tmp_path, monkeypatch):
    embedder = adapted(ENCODER, ATTENTION)
    wrong = adapter._tensors

    def swapped(name, module, config):
        for key, tensor in wrong(name, module, config):
            yield key, -tensor if "layer.1.attention.self.key.lora_B" in key else tensor

    monkeypatch.setattr(adapter, "_tensors", swapped)
    with pytest.raises(
        UserError, match=r"layer\.1\.attention\.self\.key\.weight with its adapter differs from the trained model by"
    ):
        export_adapter(embedder, tmp_path / "out", base="a/name")
    assert not (tmp_path / "out").exists()


def test_a_base_that_computes_otherwise_is_refused(tmp_path, save_base):
    both = adapted(BOTH_WAYS, ATTENTION)
    causal = both.config.model_copy(update={"encoder": both.config.encoder.model_copy(update={"causal": True})})
    base = save_base(Embedder(causal, both.params, both.tokenizer))
    with pytest.raises(UserError, match="not the model that was adapted: causal is True there, not False"):
        export_adapter(both, tmp_path / "out", base=str(base))
    assert json.loads((save_base(both, "again") / "config.json").read_text())["is_causal"] is False
    out = export_adapter(both, tmp_path / "out", base=str(tmp_path / "again"))
    assert not load_model(out).config.encoder.causal
