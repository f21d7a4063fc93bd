"""CamemBERT is RoBERTa under another name: in, trained from, and out."""

import json

import numpy as np
import pytest

from jaxemb.config import RobertaConfig
from jaxemb.huggingface import export, load_model
from jaxemb.training.resolve import read_config
from support.model_folders import TEXTS
from support.tiny_models import ENCODERS, tiny_embedder

pytestmark = pytest.mark.usefixtures("one_thread")


def test_camembert_goes_in_and_out(tmp_path):
    transformers = pytest.importorskip("transformers")
    encoder = ENCODERS["roberta"].model_copy(update={"model_type": "camembert", "num_hidden_layers": 1})
    model = tiny_embedder(encoder=encoder, pooling="mean", dense=None)
    report = export(model, tmp_path / "out", verify="torch")
    assert len(report.differences) == 3
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (written["model_type"], written["architectures"]) == ("camembert", ["CamembertModel"])
    assert "CamemBERT encoder" in (tmp_path / "out" / "README.md").read_text()
    loaded = load_model(tmp_path / "out")
    assert loaded.config.encoder == encoder
    # The folder of a task model of transformers, too.
    masked = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "out")
    masked.save_pretrained(tmp_path / "task")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "task" / name).write_bytes((tmp_path / "out" / name).read_bytes())
    np.testing.assert_allclose(load_model(tmp_path / "task").encode(TEXTS), loaded.encode(TEXTS), atol=1e-6)


def test_it_is_a_family_of_a_new_model():
    values = {
        "data": {"sources": [{"kind": "moses", "anchor_path": "a.en", "positive_path": "a.fr", "positive_lang": "fr"}],
                 "max_length": 16},
        "model": {"encoder": {"model_type": "camembert", "hidden_size": 24}},
        "training": {"steps": 1},
    }  # fmt: skip
    encoder = read_config(values).model.encoder
    assert isinstance(encoder, RobertaConfig)
    assert encoder.model_type == "camembert"
