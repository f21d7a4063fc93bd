"""Adapters in PEFT's format, loaded by PEFT and sentence-transformers."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny_models import ENCODER, embed, tiny_embedder

from jaxemb.config import LoraConfig, ModernBertConfig, MPNetConfig, Qwen3Config
from jaxemb.errors import UserError
from jaxemb.huggingface import VerifyReport, export, export_adapter
from jaxemb.huggingface.weights import encoder_to_tensors
from jaxemb.models import Embedder

pytestmark = [
    # PEFT and sentence-transformers call what transformers 5 renamed.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
ATTENTION = r"encoder/layers/attention/(query|key|value|output)/kernel"
EVERYWHERE = r"encoder/.*kernel"
SIZES = ENCODER.model_dump(exclude={"model_type", "type_vocab_size", "max_position_embeddings", "layer_norm_eps"})
MODELS = {
    "bert": (ENCODER, ATTENTION),
    "bert, feed-forward": (ENCODER, r"encoder/layers/(intermediate|output)/kernel"),
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
TEXTS = ["one two", "a longer text with several words", "敏捷", ""]


def adapted(encoder, targets, **settings):
    lora = LoraConfig(rank=3, alpha=5.0, targets=targets)
    return tiny_embedder(encoder=encoder, lora=lora, **({"pooling": "mean", "dense": None} | settings))


@pytest.fixture
def save_base(tmp_path, monkeypatch):
    """Writes the model that was adapted to a folder, which other tests verify."""
    monkeypatch.setattr("jaxemb.huggingface.export.verify_export", lambda *_: VerifyReport({}, 0))

    def save(embedder, name="base"):
        plain = embedder.config.model_copy(update={"lora": None})
        params = {name: tree for name, tree in embedder.params.items() if name != "lora"}
        export(Embedder(plain, params, embedder.tokenizer), tmp_path / name)
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
    adapter = json.loads((out / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == str(base)
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
    for key, tensor in wanted.items():
        np.testing.assert_allclose(merged[key].numpy(), tensor, rtol=1e-6, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("targets", [ATTENTION, EVERYWHERE])
def test_target_modules_are_those_that_were_adapted(targets, tmp_path):
    """Whatever PEFT would match by the end of a name: never the pooler, nor attention for the feed-forward layer."""
    wanted = {
        ("bert", ATTENTION): ["query", "key", "value", "attention.output.dense"],
        ("bert", EVERYWHERE): ["query", "key", "value", "output.dense", "intermediate.dense"],
        ("distilbert", ATTENTION): ["q_lin", "k_lin", "v_lin", "out_lin"],
        ("mpnet", ATTENTION): ["q", "k", "v", "o"],
        ("qwen3", ATTENTION): ["q_proj", "k_proj", "v_proj", "o_proj"],
        ("modernbert", ATTENTION): ["Wqkv", "attn.Wo"],
        ("modernbert", EVERYWHERE): ["Wqkv", "Wo", "Wi"],
    }
