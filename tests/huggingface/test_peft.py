"""Folders of adapters that PEFT wrote, read without it and merged into the base model that they name."""

import json
import shutil

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxemb
from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_model
from jaxemb.huggingface.files.weights import encoder_to_tensors
from jaxemb.huggingface.peft import ADAPTER, ADAPTER_CONFIG
from support.model_folders import TEXTS, edit
from support.tiny_models import ENCODERS, tiny_embedder

# PEFT asks for what transformers 5 renamed.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to True:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*rank_pattern.*use_rslora:UserWarning"),
]
SETTINGS = {
    "patterns": {
        "target_modules": ["query", "key", "dense"], "rank_pattern": {"query": 2, r"layer\.1\.output\.dense": 5},
        "alpha_pattern": {r"encoder\.layer\.0\..*\.key": 9},
    },
    "rank-stabilised, embeddings": {
        "target_modules": ["value", "word_embeddings"], "use_rslora": True, "fan_in_fan_out": True,
        "init_lora_weights": "gaussian",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peft") / "base"
    export(tiny_embedder(pooling="mean", dense=None), folder, verify="jax")
    return folder


@pytest.fixture(scope="module")
def written(base, tmp_path_factory):
    """A folder of PEFT for each of the settings, and the merged weights."""
    torch = pytest.importorskip("torch")
    import peft
    import transformers

    found = {}
    for name, settings in SETTINGS.items():
        torch.manual_seed(0)
        encoder = transformers.AutoModel.from_pretrained(base)
        config = peft.LoraConfig(r=4, lora_alpha=7, task_type="FEATURE_EXTRACTION", **settings)
        model = peft.get_peft_model(encoder, config)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "lora_" in key:
                    parameter += 0.3 * torch.randn_like(parameter)
        folder = tmp_path_factory.mktemp("adapters") / "adapter"
        model.save_pretrained(folder)
        merged = {key: tensor.numpy() for key, tensor in model.merge_and_unload().state_dict().items()}
        found[name] = folder, merged
    return found


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written["patterns"][0], tmp_path / "adapter")


@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_merged_as_peft_merges_it(written, base, name):
    folder, merged = written[name]
    loaded = load_model(folder)  # the tokenizer is that of the base
    tensors = encoder_to_tensors(jax.device_get(loaded.params["encoder"]), loaded.config.encoder)
    plain = encoder_to_tensors(jax.device_get(load_model(base).params["encoder"]), loaded.config.encoder)
    for key, tensor in tensors.items():
        np.testing.assert_allclose(tensor, merged[key], atol=1e-6, err_msg=key)
    changed = {key for key, tensor in tensors.items() if np.abs(tensor - plain[key]).max() > 0.01}
    assert len(changed) == {"patterns": 10, "rank-stabilised, embeddings": 3}[name]
    assert loaded.config.pooling == "mean"


def test_sentence_transformers_embeds_alike(written, base, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = shutil.copytree(base, tmp_path / "whole", ignore=shutil.ignore_patterns("config.json", "model.*"))
    (folder / "1_Pooling/config.json").write_bytes((base / "1_Pooling/config.json").read_bytes())
    shutil.copytree(written["patterns"][0], folder, dirs_exist_ok=True)
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    ours = jaxemb.load(folder).encode(TEXTS)
    np.testing.assert_allclose(ours, model.encode(TEXTS), atol=1e-5)
    assert np.abs(ours - load_model(base).encode(TEXTS)).max() > 0.05


def test_the_base_in_the_cache_of_the_hub(folder, base, tmp_path, monkeypatch):
    from huggingface_hub import constants

    edit(folder / ADAPTER_CONFIG, base_model_name_or_path="owner/name")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        UserError, match=r"the base model 'owner/name' .* is not there in the Hub's cache \(`hf download"
    ):
        load_model(folder)
    commit = "0123456789" * 4
    place = tmp_path / "cache" / "models--owner--name"
    shutil.copytree(base, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    assert load_model(folder).config.max_seq_length == 40
    edit(folder / ADAPTER_CONFIG, revision=commit)
    assert load_model(folder).config.max_seq_length == 40
    edit(folder / ADAPTER_CONFIG, revision="9876543210" * 4)
    with pytest.raises(UserError, match="is not there"):
        load_model(folder)


def with_tensor(folder, name, tensor):
    tensors = load_file(folder / ADAPTER)
    save_file({key: value for key, value in (tensors | {name: tensor}).items() if value is not None}, folder / ADAPTER)


A = "base_model.model.encoder.layer.0.attention.self.query.lora_A.weight"
PROBLEMS = {
    "another method": (lambda f: edit(f / ADAPTER_CONFIG, peft_type="IA3"), "peft_type 'IA3' is not supported"),
    "DoRA": (lambda f: edit(f / ADAPTER_CONFIG, use_dora=True), "use_dora True is not supported; merge it"),
    "whole modules": (lambda f: edit(f / ADAPTER_CONFIG, modules_to_save=["pooler"]), r"modules_to_save \['pooler'\]"),
    "biases": (lambda f: edit(f / ADAPTER_CONFIG, bias="lora_only"), "bias 'lora_only' is not supported"),
    "another start": (lambda f: edit(f / ADAPTER_CONFIG, init_lora_weights="pissa"), "init_lora_weights 'pissa'"),
    "layers twice": (lambda f: edit(f / ADAPTER_CONFIG, layer_replication=[[0, 2]]), r"layer_replication \[\[0, 2\]\]"),
    "an option to come": (lambda f: edit(f / ADAPTER_CONFIG, use_new=True), "use_new True is not supported"),
    "no pattern": (lambda f: edit(f / ADAPTER_CONFIG, rank_pattern={"(": 3}), "rank_pattern .* is not supported"),
    "another rank": (lambda f: edit(f / ADAPTER_CONFIG, rank_pattern={}), "config.json says rank 4"),
    "no rank": (lambda f: edit(f / ADAPTER_CONFIG, r=0), "rank 0 and alpha 7"),
    "no base": (lambda f: edit(f / ADAPTER_CONFIG, base_model_name_or_path=None), "base_model_name_or_path None"),
    "the base is gone": (
        lambda f: edit(f / ADAPTER_CONFIG, base_model_name_or_path="/no/where"),
        r"the base model '/no/where' .* not there",
    ),
    "another base": (
        lambda f: edit(f / ADAPTER_CONFIG, base_model_name_or_path=str(f.parent / "distilbert")),
        "an adapter of encoder.layer.0.* which the base model .* does not have",
    ),
    "no adapters": (lambda f: (f / ADAPTER).unlink(), "adapter_model.safetensors"),
    "pickles": (lambda f: (f / ADAPTER).rename(f / "adapter_model.bin"), "only there as a pickle"),
    "half of one": (lambda f: with_tensor(f, A, None), "query has B only"),
    "a magnitude": (
        lambda f: with_tensor(f, A.replace("lora_A.weight", "lora_magnitude_vector"), np.ones(3, np.float32)),
        "lora_magnitude_vector is not a LoRA adapter that jaxemb knows",
    ),
    "another width": (lambda f: with_tensor(f, A, np.ones((2, 31), np.float32)), r"adapter has shape \[32, 31\]"),
}  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_problems_are_named(folder, problem, monkeypatch):
    damage, message = PROBLEMS[problem]
    damage(folder)
    if problem == "another base":
        export(tiny_embedder(encoder=ENCODERS["distilbert"], dense=None), folder.parent / "distilbert", verify="jax")
    with pytest.raises(UserError, match=message) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)
    assert "config.json is missing" not in str(caught.value)


def test_what_peft_writes_is_judged_by_what_it_says(folder):
    """All its options that are off, and those that only training has."""
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    assert len(config) > 25
    edit(folder / ADAPTER_CONFIG, lora_dropout=0.3, inference_mode=False, target_modules="all-linear", new_option=False)
    load_model(folder)
