import logging

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxemb.config import DenseConfig
from jaxemb.encoding import Embedder
from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_model
from support.model_folders import TEXTS, edit, modules
from support.tiny_models import TOKENIZER, tiny_embedder


def test_old_schema(exported):
    loaded, original = load_model(exported), tiny_embedder()
    dense = DenseConfig(out_features=32)
    assert loaded.config == original.config.model_copy(update={"dense": dense})
    jax.tree.map(np.testing.assert_array_equal, loaded.params, original.params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(loaded.params))


def test_what_sentence_transformers_saves_itself(exported, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(exported), device="cpu", local_files_only=True)
    model.prompts, model.default_prompt_name = {"query": "query: "}, "query"
    model.save(str(tmp_path / "saved"), create_model_card=False)
    assert "models.Transformer" not in (tmp_path / "saved" / "modules.json").read_text()
    loaded = load_model(tmp_path / "saved")
    assert loaded.config.prompt == "query: "
    np.testing.assert_allclose(loaded.encode(TEXTS, batch_size=8), model.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize(
    ("in_sentence_bert", "in_tokenizer", "expected"),
    [(11, 40, 11), (None, 17, 17), (..., 17, 17), (None, 10**30, 48), (400, 40, 48)],
)
def test_longest_input(model_folder, in_sentence_bert, in_tokenizer, expected):
    edit(model_folder / "sentence_bert_config.json", max_seq_length=in_sentence_bert)
    edit(model_folder / "tokenizer_config.json", model_max_length=in_tokenizer)
    assert load_model(model_folder).config.max_seq_length == expected


@pytest.mark.parametrize(
    ("prompts", "name", "expected"),
    [({"query": "query: ", "doc": ""}, "query", "query: "), ({"query": "query: "}, None, ""), (..., ..., "")],
)
def test_default_prompt(model_folder, prompts, name, expected):
    edit(model_folder / "config_sentence_transformers.json", prompts=prompts, default_prompt_name=name)
    assert load_model(model_folder).config.prompt == expected


def test_dense_without_bias(model_folder):
    tensors = load_file(model_folder / "2_Dense/model.safetensors")
    save_file({"linear.weight": tensors["linear.weight"]}, model_folder / "2_Dense/model.safetensors")
    edit(model_folder / "2_Dense/config.json", bias=False)
    loaded = load_model(model_folder)
    assert "bias" not in loaded.params["dense"]
    expected = tiny_embedder()
    expected.params["dense"]["bias"] *= 0
    np.testing.assert_allclose(loaded.encode(TEXTS), expected.encode(TEXTS), atol=1e-6)


def test_left_out_tensors_are_logged(exported, caplog):
    with caplog.at_level(logging.INFO):
        load_model(exported)
    assert "not used by the embedder: pooler.dense.bias, pooler.dense.weight" in caplog.text


POOLING, DENSE = "1_Pooling/config.json", "2_Dense/config.json"
SENTENCE_BERT, PROMPTS = "sentence_bert_config.json", "config_sentence_transformers.json"
PROBLEMS = {
    "unknown pooling": (
        lambda f: edit(f / POOLING, pooling_mode="attention"),
        [POOLING, "pooling attention is not supported; supported, in this order: cls, max, mean"],
    ),
    "poolings in another order": (
        lambda f: edit(f / POOLING, pooling_mode=["mean", "cls"]),
        [POOLING, "pooling mean + cls is not supported"],
    ),
    "include_prompt": (lambda f: edit(f / POOLING, include_prompt="no"), [POOLING, "include_prompt 'no'"]),
    "module": (
        lambda f: modules(f, "Transformer", "Pooling", "LSTM"),
        ["modules.json", "'sentence_transformers.models.LSTM' is not supported; supported: Transformer, Pooling"],
    ),
    "module of somebody else": (
        lambda f: modules(f, "Transformer", "Pooling", prefix="custom."),
        ["modules.json", "'custom.Transformer' is not supported"],
    ),
    "order": (
        lambda f: modules(f, "Transformer", "Dense", "Pooling"),
        ["modules.json", "Transformer -> Dense -> Pooling is not supported"],
    ),
    "normalised before the dense layer": (
        lambda f: modules(f, "Transformer", "Pooling", "Normalize", "Dense"),
        ["modules.json", "Normalize -> Dense is not supported"],
    ),
    "a dense layer of another width than the one before it": (
        lambda f: [modules(f, "Transformer", "Pooling", "Dense", "Dense"), edit(f / DENSE, in_features=31)],
        [DENSE, "in_features is 31"],
    ),
    "two norms": (
        lambda f: modules(f, "Transformer", "Pooling", "Normalize", "Normalize"),
        ["modules.json", "Normalize -> Normalize is not supported"],
    ),
    "no pooling": (lambda f: modules(f, "Transformer"), ["the order Transformer is not supported"]),
    "modules are no list": (lambda f: (f / "modules.json").write_text("{}"), ["modules.json must hold a list"]),
    "modules are no JSON": (lambda f: (f / "modules.json").write_text("["), ["modules.json is not readable JSON"]),
    "pooling is missing": (lambda f: (f / POOLING).unlink(), [POOLING, "is missing"]),
    "dense is missing": (lambda f: (f / DENSE).unlink(), [DENSE, "is missing"]),
    "dense weights are missing": (
        lambda f: (f / "2_Dense/model.safetensors").unlink(),
        ["2_Dense/model.safetensors is missing"],
    ),
    "activation": (
        lambda f: edit(f / DENSE, activation_function="torch.nn.modules.activation.ELU"),
        [DENSE, "'torch.nn.modules.activation.ELU' is not supported; supported: torch.nn.modules.activation.Tanh"],
    ),
    "residual": (lambda f: edit(f / DENSE, use_residual=True), [DENSE, "use_residual"]),
    "dense of another vector": (
        lambda f: edit(f / DENSE, module_input_name="token_embeddings"),
        [DENSE, "module_input_name 'token_embeddings' is not supported"],
    ),
    "dense of another width": (lambda f: edit(f / DENSE, in_features=31), [DENSE, "in_features is 31", "32"]),
    "dense of no width": (lambda f: edit(f / DENSE, out_features=...), [DENSE, "out_features must be"]),
    "dense of a wrong shape": (
        lambda f: edit(f / DENSE, out_features=16),
        ["2_Dense", "linear.weight has the shape [32, 32]; config.json says [16, 32]"],
    ),
    "dense with a tensor too few": (
        lambda f: save_file({"linear.weight": np.eye(32, dtype=np.float32)}, f / "2_Dense/model.safetensors"),
        ["2_Dense", "missing tensors: linear.bias; unexpected: none"],
    ),
    "lower case": (lambda f: edit(f / SENTENCE_BERT, do_lower_case="yes"), ["do_lower_case 'yes' must be true"]),
    "another similarity": (
        lambda f: edit(f / PROMPTS, similarity_fn_name="maxsim"),
        [PROMPTS, "similarity_fn_name 'maxsim'", "cosine"],
    ),
    "no dimensions": (lambda f: edit(f / PROMPTS, truncate_dim=0), [PROMPTS, "truncate_dim 0 must be a positive"]),
    "arguments of transformers": (
        lambda f: edit(f / SENTENCE_BERT, model_args={"trust_remote_code": True, "num_labels": 3}),
        [SENTENCE_BERT, "model_args.num_labels (3)"],
    ),
    "no pooling mode": (lambda f: edit(f / POOLING, pooling_mode=[]), [POOLING, "pooling (none) is not supported"]),
    "special tokens in texts": (
        lambda f: edit(f / "tokenizer_config.json", split_special_tokens=True),
        ["tokenizer_config.json", "split_special_tokens True is not supported"],
    ),
    "no attention mask": (
        lambda f: edit(f / "tokenizer_config.json", model_input_names=["input_ids"]),
        ["tokenizer_config.json", "model_input_names ['input_ids'] is not supported"],
    ),
    "longest input": (lambda f: edit(f / SENTENCE_BERT, max_seq_length=0), [SENTENCE_BERT, "max_seq_length 0"]),
    "another task": (
        lambda f: edit(f / SENTENCE_BERT, transformer_task="fill-mask"),
        [SENTENCE_BERT, "transformer_task 'fill-mask' is not supported"],
    ),
    "a sparse encoder": (
        lambda f: edit(f / PROMPTS, model_type="SparseEncoder"),
        [PROMPTS, "model_type 'SparseEncoder' is not supported"],
    ),
    "a prompt that is not there": (
        lambda f: edit(f / PROMPTS, default_prompt_name="query"),
        [PROMPTS, "default_prompt_name 'query' is not one"],
    ),
    "another architecture": (
        lambda f: edit(f / "config.json", model_type="t5"),
        ["config.json", "model_type 't5' is not supported; supported: 'bert'"],
    ),
    "no config": (lambda f: (f / "config.json").unlink(), ["config.json is missing"]),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), ["no tokenizer"]),
    "another model's tokenizer": (
        lambda f: edit(f / "config.json", vocab_size=9),
        [f"the tokenizer has {len(TOKENIZER)} entries, but vocab_size is 9"],
    ),
    "other sizes": (lambda f: edit(f / "config.json", num_hidden_layers=3), ["missing (16): encoder.layer.2"]),
    "truncated weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-100]),
        ["model.safetensors is damaged"],
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_problems_are_named(model_folder, problem):
    damage, words = PROBLEMS[problem]
    damage(model_folder)
    with pytest.raises(UserError) as caught:
        load_model(model_folder)
    for word in words:
        assert word in str(caught.value)


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        load_model(tmp_path / "none")


def test_lower_case_is_fine_where_the_tokenizer_does_it(tmp_path):
    from tokenizers import normalizers
    from transformers import PreTrainedTokenizerFast

    backend = TOKENIZER.backend_tokenizer.__class__.from_str(TOKENIZER.backend_tokenizer.to_str())
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    uncased = PreTrainedTokenizerFast(tokenizer_object=backend, **TOKENIZER.special_tokens_map)
    model = tiny_embedder()
    export(Embedder(model.config, model.params, uncased), tmp_path / "model", verify="jax")
    edit(tmp_path / "model" / SENTENCE_BERT, do_lower_case=True)
    loaded = load_model(tmp_path / "model")
    # The two share a packed row, at different places: equal but for the order of sums.
    np.testing.assert_allclose(*loaded.encode(["ABC", "abc"], batch_size=8), atol=1e-6)
