"""Two untied towers as a sentence-transformers `Router`: written, read, and those that it writes itself."""

import json

import numpy as np
import pytest

import jaxemb
from jaxemb.config import Prompt
from jaxemb.encoding import Towers
from jaxemb.errors import UsageError, UserError
from jaxemb.huggingface import CardInfo, export, load_model, load_towers
from support.tiny_models import tiny_embedder

TEXTS = ["one two", "", "敏捷的棕色狐狸", "x " * 99]
PROMPTS = {"prompts": (Prompt(name="query", text="ask: "), Prompt(name="document", text="say: "))}


def two_towers(**settings):
    return Towers(tiny_embedder(0, **settings), tiny_embedder(1, **settings))


@pytest.mark.parametrize("settings", [{}, {"pooling": "mean", "dense": None, "normalize": False, **PROMPTS}])
def test_sentence_transformers_routes_queries_and_documents(settings, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    towers = two_towers(**settings)
    report = export(towers, tmp_path / "out", verify="torch")
    assert len(report.differences) == 3
    model = sentence_transformers.SentenceTransformer(str(tmp_path / "out"), device="cpu", local_files_only=True)
    names = (None, None) if not settings else ("query", "document")
    queries, documents = (
        tower.encode(TEXTS, prompt_name=name, batch_size=8)
        for tower, name in zip((towers.anchor, towers.positive), names, strict=True)
    )
    np.testing.assert_allclose(model.encode_query(TEXTS), queries, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.encode_document(TEXTS), documents, rtol=1e-5, atol=1e-5)
    assert np.abs(queries - documents).max() > 0.1
    # What sentence-transformers writes of it, with names of its own, comes in again.
    model.save_pretrained(str(tmp_path / "theirs"))
    assert (tmp_path / "theirs" / "query_0_Transformer").is_dir()
    again = load_towers(tmp_path / "theirs")
    np.testing.assert_allclose(
        again.anchor.encode(TEXTS, batch_size=8), towers.anchor.encode(TEXTS, batch_size=8), atol=1e-5
    )
    np.testing.assert_allclose(
        again.positive.encode(TEXTS, batch_size=8), towers.positive.encode(TEXTS, batch_size=8), atol=1e-5
    )


def test_the_folder_of_both(tmp_path):
    towers = two_towers()
    out = tmp_path / "out"
    report = export(towers, out, card=CardInfo(title="Pair", command="train it"), verify="jax")
    assert set(report.differences) == {"jaxemb", "NumPy"}
    readme = (out / "README.md").read_text()
    assert "# Pair\n" in readme
    assert "encode_query" in readme
    assert "train it" in readme
    assert "Of either folder" in readme
    assert "# Pair: the tower of the positives (documents)\n" in (out / "positive" / "README.md").read_text()
    for side in ("anchor", "positive"):
        wanted = getattr(towers, side).encode(TEXTS, batch_size=8)
        np.testing.assert_allclose(jaxemb.load(out, tower=side).encode(TEXTS, batch_size=8), wanted, atol=1e-6)
        np.testing.assert_allclose(jaxemb.load(out / side).encode(TEXTS, batch_size=8), wanted, atol=1e-6)
    with pytest.raises(UsageError, match="has two towers"):
        load_model(out)
    unlike = Towers(towers.anchor, tiny_embedder(pooling="mean"))
    with pytest.raises(UserError, match=r"differ in more than their weights: export them separately \(--tower\)"):
        export(unlike, tmp_path / "unlike")
    # A model of one tower is both.
    assert load_towers(out / "anchor").tied
    jaxemb.load(out / "anchor", tower="positive")


def test_a_swapped_tower_is_caught(tmp_path, monkeypatch):
    pytest.importorskip("sentence_transformers")
    from jaxemb.huggingface.files import modules

    monkeypatch.setattr(modules, "ROUTES", {"anchor": "document", "positive": "query"})
    with pytest.raises(
        UserError,
        match="for query, sentence-transformers gives different ones from the folder of both towers and from anchor/",
    ):
        export(two_towers(), tmp_path / "out", verify="torch")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"structure": {"query": ["anchor"]}},
            "the routes 'query' are not supported; supported: 'query' and 'document'",
        ),
        ({"structure": []}, "must hold objects `types` and `structure`"),
        ({"types": {}}, "`types` must have the type of each module of 'query'"),
        ({"structure": {"query": ["anchor"], "document": []}}, r"the order Transformer is not supported"),
    ],
)
def test_a_broken_router(change, message, tmp_path):
    out = tmp_path / "out"
    export(two_towers(), out, verify=None)
    path = out / "router_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=message):
        load_towers(out)
