"""Qwen3 that attends in both directions: `is_causal` of config.json, which transformers 5.2 and later read."""

import json

import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.huggingface import export, load_model
from support.tiny_models import BOTH_WAYS, tiny_embedder

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["A man plays.", "Съешь же ещё этих мягких булок", "a", "x y z " * 20]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As it is exported, verified by sentence-transformers."""
    embedder = tiny_embedder(encoder=BOTH_WAYS, pooling=("mean", "lasttoken"), dense=None)
    out = tmp_path_factory.mktemp("both_ways") / "model"
    report = export(embedder, out, verify="torch")
    assert len(report.differences) == 3
    return out


def edited(folder, tmp_path, **changes):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).symlink_to(path)
    config = json.loads((folder / "config.json").read_text()) | changes
    (copy / "config.json").unlink()
    (copy / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))
    return copy


def test_it_is_written_and_read_again(folder, tmp_path):
    assert json.loads((folder / "config.json").read_text())["is_causal"] is False
    loaded = load_model(folder)
    assert not loaded.config.encoder.causal
    assert "attends in both directions (transformers 5.2 or later)" in (folder / "README.md").read_text()
    causal = load_model(edited(folder, tmp_path, is_causal=...))
    assert causal.config.encoder.causal
    both, one = loaded.encode(TEXTS), causal.encode(TEXTS)
    assert ((both * one).sum(1) < 0.95)[:2].all()  # it matters


def test_sentence_transformers_pads_on_either_side_and_gives_our_embeddings(folder):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    ours = load_model(folder).encode(TEXTS)
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    for side in ("right", "left"):
        model.tokenizer.padding_side = side
        np.testing.assert_allclose(model.encode(TEXTS, batch_size=4), ours, atol=1e-5)
    one_by_one = model.encode(TEXTS, batch_size=1)  # nothing is padded: transformers leaves the mask out
    np.testing.assert_allclose(one_by_one, ours, atol=1e-5)


def test_a_plain_folder_is_mean_pooled(folder, tmp_path):
    copy = edited(folder, tmp_path)
    (copy / "modules.json").unlink()
    assert load_model(copy).config.pooling == "mean"


@pytest.mark.parametrize(("value", "message"), [(None, "is_causal is null"), (0, "is_causal: Input should be a valid")])
def test_what_is_neither_true_nor_false_is_refused(folder, tmp_path, value, message):
    """Of null transformers makes false."""
    with pytest.raises(UserError, match=message):
        load_model(edited(folder, tmp_path, is_causal=value))
