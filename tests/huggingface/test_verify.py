"""What an export loses is seen, and nothing is left."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxemb.encoding import Embedder
from jaxemb.errors import UserError
from jaxemb.huggingface import VerifyReport, export, load_model, reference, verify_export
from jaxemb.huggingface.files import weights as weight_map
from jaxemb.huggingface.verify import SENTENCES
from support.model_folders import listing
from support.tiny_models import ENCODERS, TOKENIZER, tiny_embedder


def swap(monkeypatch):
    """The table with query and key exchanged, as a slip would leave it."""
    names = {"query": "key", "key": "query"}

    def exchanged(entry):
        path = tuple(names.get(part, part) for part in entry.path)
        return dataclasses.replace(entry, path=path)

    for family, known in weight_map.FAMILIES.items():
        table = tuple(exchanged(entry) for entry in known.table)
        assert table != known.table
        monkeypatch.setitem(weight_map.FAMILIES, family, dataclasses.replace(known, table=table))


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "modernbert"])
def test_swapped_names_are_caught_without_torch(tmp_path, monkeypatch, family):
    swap(monkeypatch)
    embedder = tiny_embedder(encoder=ENCODERS[family])
    # Our own loader reads by the same table and cannot see it: NumPy does.
    with pytest.raises(UserError, match="reloaded through NumPy, they differ by"):
        export(embedder, tmp_path / "out", verify="jax")
    assert listing(tmp_path) == []


def test_swapped_names_are_caught_by_torch_and_told_by_layer(tmp_path, monkeypatch, quiet_torch):
    swap(monkeypatch)
    embeddings = tiny_embedder().encode(SENTENCES, batch_size=8)
    monkeypatch.setattr(reference, "embed", lambda *_: embeddings)  # sees nothing
    with pytest.raises(UserError, match=r"reloaded through sentence-transformers .* they differ by") as caught:
        export(tiny_embedder(), tmp_path / "out", verify="torch")
    gaps = dict(line.strip().split(": ") for line in str(caught.value).splitlines()[2:])
    assert gaps.keys() == {"embeddings", "layer 1", "layer 2"}
    assert float(gaps["embeddings"]) <= 1e-5 < 1e-3 < float(gaps["layer 1"])
    assert listing(tmp_path) == []


def test_what_our_loader_sees_alone(exported):
    other = tiny_embedder(seed=1)
    with pytest.raises(UserError, match="reloaded through jaxemb, they differ by"):
        verify_export(other, exported, "jax")


def test_nan_is_a_difference(tmp_path):
    embedder = tiny_embedder()
    params = embedder.params | {"dense": jax.tree.map(lambda leaf: leaf * np.nan, embedder.params["dense"])}
    with pytest.raises(UserError, match="differ by nan"):
        export(Embedder(embedder.config, params, TOKENIZER), tmp_path / "out", verify="jax")
    assert listing(tmp_path) == []


def test_without_sentence_transformers(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("jaxemb.huggingface.verify.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install sentence-transformers"):
        export(tiny_embedder(), tmp_path / "out", verify="torch")
    with caplog.at_level("INFO"):
        report = export(tiny_embedder(), tmp_path / "out", verify="auto")
    assert list(report.differences) == ["jaxemb", "NumPy"]
    assert "verified by jaxemb's own loader and in NumPy, not by sentence-transformers" in caplog.text
    assert "texts embedded alike: largest difference 0.0e+00 through jaxemb, " in str(report)


def test_a_check_of_ones_own_or_none(tmp_path):
    seen = []

    def check(towers, folder):
        seen.append((towers.tied, (folder / "model.safetensors").is_file()))
        return VerifyReport({"me": 0.0}, 3)

    assert export(tiny_embedder(), tmp_path / "own", verify=check).differences == {"me": 0.0}
    assert seen == [(True, True)]
    unverified = export(tiny_embedder(), tmp_path / "none", verify=None)
    assert (unverified.differences, str(unverified)) == ({}, "not verified")
    assert load_model(tmp_path / "none").config.encoder == tiny_embedder().config.encoder

    def refuse(towers, folder):
        raise UserError("not good enough")

    with pytest.raises(UserError, match="not good enough"):
        export(tiny_embedder(), tmp_path / "refused", verify=refuse)
    assert listing(tmp_path / "own")
    assert not (tmp_path / "refused").exists()
