"""How a model is used: truncation, similarity, and the longest input in whatever file it stands."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.config import DenseConfig
from jaxemb.encoding import encode_stream
from jaxemb.encoding.stored import stored_embeddings
from jaxemb.huggingface import export, load_model
from jaxemb.huggingface.files.module_settings import TRANSFORMER_FILES
from jaxemb.models import embedding_size, encoded_size
from jaxemb.training.resolve import read_config, resolve
from support.model_folders import TEXTS, edit
from support.tiny_models import ENCODER, TOKENIZER, tiny_embedder

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def truncated():
    encoder = ENCODER.model_copy(update={"num_hidden_layers": 1})
    return tiny_embedder(encoder=encoder, dense=DenseConfig(out_features=12), truncate_dim=5, similarity="dot")


def test_truncation_and_similarity_go_in_and_out(truncated, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    export(truncated, tmp_path / "out", verify="torch")
    written = json.loads((tmp_path / "out" / "config_sentence_transformers.json").read_text())
    assert (written["truncate_dim"], written["similarity_fn_name"]) == (5, "dot")
    assert "embeddings of 5 dimensions" in (tmp_path / "out" / "README.md").read_text()
    loaded = load_model(tmp_path / "out")
    assert loaded.config == truncated.config
    ours = loaded.encode(TEXTS, batch_size=8)
    assert ours.shape == (len(TEXTS), 5)
    model = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu", local_files_only=True)
    np.testing.assert_allclose(ours, model.encode(TEXTS), atol=1e-5)
    whole = model.encode(TEXTS, truncate_dim=12)
    np.testing.assert_allclose(whole[:, :5], ours, atol=1e-5)  # and not normalised again
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-5)
    assert model.similarity_fn_name == "dot"


def test_what_encodes_truncates_and_what_trains_does_not(truncated, tmp_path):
    assert (embedding_size(truncated.config), encoded_size(truncated.config)) == (12, 5)
    tokens = TOKENIZER(TEXTS[:2], padding=True, return_token_type_ids=False)
    tokens = {name: jnp.asarray(ids) for name, ids in tokens.items()}
    assert jax.eval_shape(truncated.apply, truncated.params, tokens).shape == (2, 12)
    [rows] = encode_stream(truncated, TEXTS)
    assert rows.shape == (len(TEXTS), 5)
    stored = stored_embeddings(truncated, str(tmp_path))
    stored.embed_missing(truncated, TEXTS)
    assert stored.width == 5
    wide = truncated.config.model_copy(update={"truncate_dim": 100})
    assert encoded_size(wide) == 12


def test_a_run_takes_them_over_from_its_checkpoint(truncated):
    values = {
        "data": {"sources": [{"kind": "moses", "anchor_path": "a.en", "positive_path": "a.de", "positive_lang": "de"}],
                 "max_length": 16},
        "model": {"init_from": "somewhere"},
        "training": {"steps": 1},
    }  # fmt: skip
    model = resolve(read_config(values), truncated.config, TOKENIZER).model
    assert (model.truncate_dim, model.similarity) == (5, "dot")
    values["model"] |= {"truncate_dim": 3, "similarity": "manhattan"}
    model = resolve(read_config(values), truncated.config, TOKENIZER).model
    assert (model.truncate_dim, model.similarity) == (3, "manhattan")


@pytest.mark.parametrize("name", TRANSFORMER_FILES)
def test_the_longest_input_in_whatever_file_it_stands(model_folder, name):
    (model_folder / "sentence_bert_config.json").rename(model_folder / name)
    edit(model_folder / name, max_seq_length=11)
    assert load_model(model_folder).config.max_seq_length == 11


def test_the_first_file_that_says_something_counts(model_folder):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    for name, content in zip(TRANSFORMER_FILES, ({}, {"max_seq_length": 9}, {"max_seq_length": 7}), strict=False):
        (model_folder / name).write_text(json.dumps(content))
    model = sentence_transformers.SentenceTransformer(str(model_folder), device="cpu", local_files_only=True)
    assert load_model(model_folder).config.max_seq_length == model.max_seq_length == 9
