"""The model card."""

import pytest
import yaml

from jaxemb.huggingface import CardInfo, DataSource, export
from support.tiny_models import tiny_embedder


def front_matter(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    _, matter, body = text.split("---\n", 2)
    return yaml.safe_load(matter), body


def test_card(tmp_path):
    card = CardInfo(
        title="Little model",
        languages=("pt-BR", "en", "zh-hant", "pt"),
        licence="apache-2.0",
        base_model="google/bert",
        data=(DataSource("Django", "BSD-3-Clause", 12_345), DataSource("Sphinx")),
        command="jaxemb train --config configs/quickstart.yaml",
        scores=({"language": "de", "accuracy": 71.25}, {"language": "a|b", "accuracy": 3}),
        scores_note="Held-out retrieval.",
    )
    export(tiny_embedder(prompt="query: "), tmp_path / "out", card=card, verify="jax")
    matter, body = front_matter(tmp_path / "out")
    assert matter["language"] == ["en", "pt", "zh"]
    assert matter["license"] == "apache-2.0"
    assert matter["base_model"] == "google/bert"
    assert matter["library_name"] == "sentence-transformers"
    assert {"sentence-transformers", "sentence-similarity", "jaxemb"} <= set(matter["tags"])
    for part in (
        "# Little model",
        "BERT encoder (2 layers, width 32",
        "Texts are prefixed with `query: `",
        "| language | accuracy |",
        "| de | 71.2 |",
        "| a\\|b | 3 |",
        "Held-out retrieval.",
        "| Django | BSD-3-Clause | 12,345 |",
        "| Sphinx | unknown |  |",
        "jaxemb train --config configs/quickstart.yaml",
    ):
        assert part in body


def test_usage_runs_as_written(exported, monkeypatch, quiet_torch):
    code = (exported / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) == 3
    monkeypatch.chdir(exported.parent)
    scope = {}
    exec(code, scope)
    assert scope["embeddings"].shape == (2, 32)


def test_card_of_an_unknown_past(exported):
    matter, body = front_matter(exported)
    assert matter.keys() == {"library_name", "pipeline_tag", "tags"}
    assert "# model" in body
    assert "## Training" not in body
    assert "## Scores" not in body


def test_hub_accepts_the_front_matter(exported):
    hub = pytest.importorskip("huggingface_hub")
    assert hub.ModelCard.load(exported / "README.md").data.library_name == "sentence-transformers"


def test_local_base_model_is_told_but_not_linked(tmp_path):
    from jaxemb.huggingface.card import model_card

    text = model_card(tiny_embedder().config, tmp_path, CardInfo(base_model="/models/mine"), 40, True)
    assert "base_model" not in text.split("---\n")[1]
    assert "Started from `/models/mine`" in text
