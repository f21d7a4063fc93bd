import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.evaluation import alignment
from jaxemb.evaluation.alignment import alignment_uniformity
from jaxemb.losses import uniformity
from jaxemb.readers.sts import StsPairs, read_sts
from support.tiny_models import tiny_embedder


def angles(texts):
    """At the angle, in degrees, that the text is; longer than 1."""
    radians = np.deg2rad([float(text) for text in texts])
    return np.stack([np.cos(radians), np.sin(radians)], 1) * np.arange(2, 2 + len(texts))[:, None]


def by_hand(encode_fn, pairs, min_score):
    sentences = sorted({*pairs.first, *pairs.second})
    rows = np.asarray(encode_fn(sentences), np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    row = dict(zip(sentences, rows, strict=True))
    apart = [
        ((row[a] - row[b]) ** 2).sum()
        for a, b, score in zip(pairs.first, pairs.second, pairs.scores, strict=True)
        if score >= min_score
    ]
    potentials = [np.exp(-2 * ((x - y) ** 2).sum()) for x, y in itertools.combinations(rows, 2)]
    return np.mean(apart), np.log(np.mean(potentials)), len(apart), len(sentences)


def test_a_number_worked_by_hand():
    # Alignment of the pairs scored 4 and 5: squared distances 2 (90 degrees) and 4 (180), the mean 3. Sentences at 0,
    # 90 and 180 degrees: squared distances 2, 2, 4.
    pairs = StsPairs("x", ("0", "180", "0"), ("90", "0", "0"), (4.0, 5.0, 3.9))
    found = alignment_uniformity(angles, pairs)
    assert found.alignment == pytest.approx(3, abs=1e-6)
    assert found.uniformity == pytest.approx(np.log((2 * np.exp(-4) + np.exp(-8)) / 3), abs=1e-6)
    assert (found.positives, found.sentences) == (2, 3)
    assert alignment_uniformity(angles, pairs, min_score=4.001).positives == 1


@pytest.mark.parametrize("rows", [7, 64, 1000])
def test_float64_by_hand(monkeypatch, rows):
    monkeypatch.setattr(alignment, "_ROWS", rows)
    rng = np.random.default_rng(0)
    words = [f"{i}" for i in range(150)]  # several sentences come again
    first, second = (tuple(rng.choice(words, 90).tolist()) for _ in range(2))
    pairs = StsPairs("x", first, second, tuple((rng.integers(0, 11, 90) / 2).tolist()))
    table = rng.normal(size=(150, 5)) * 3 + 1

    def encode_fn(texts):
        return table[[int(text) for text in texts]]

    found = alignment_uniformity(encode_fn, pairs, min_score=2.5)
    assert found == pytest.approx(by_hand(encode_fn, pairs, 2.5), abs=1e-5)
    distinct = encode_fn(sorted({*pairs.first, *pairs.second})).astype(np.float32)
    assert found.uniformity == pytest.approx(float(uniformity(jnp.asarray(distinct))), abs=1e-5)


def test_errors_are_for_people():
    pairs = StsPairs("some.csv", ("0", "1"), ("1", "2"), (1.0, 3.5))
    with pytest.raises(UserError, match=r"some\.csv: no pair has a score of 4 or more \(the highest is 3\.5\).*lower"):
        alignment_uniformity(angles, pairs)
    with pytest.raises(UserError, match=r"some\.csv: all sentences are the same"):
        alignment_uniformity(angles, StsPairs("some.csv", ("0", "0"), ("0", "0"), (1.0, 5.0)))
    with pytest.raises(UserError, match=r"of 3 embeddings of some\.csv hold NaN"):
        alignment_uniformity(lambda texts: np.full((len(texts), 2), np.nan), pairs, min_score=3.0)


@pytest.mark.full
@pytest.mark.slow
def test_the_sts_benchmark(real_data):
    pairs = read_sts(real_data / "stsb" / "en.test.csv.gz")
    embedder = tiny_embedder(pooling="mean")
    embeddings = dict(zip(texts := sorted({*pairs.first, *pairs.second}), embedder.encode(texts), strict=True))

    def encode_fn(some):
        return np.array([embeddings[text] for text in some])

    found = alignment_uniformity(encode_fn, pairs)
    assert (found.positives, found.sentences) == (338, 2552)
    assert alignment_uniformity(encode_fn, pairs, min_score=4.001).positives == 231
    x = encode_fn(texts).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    squared = np.maximum(2 - 2 * x @ x.T, 0)[np.triu_indices(len(x), 1)]
    assert found.uniformity == pytest.approx(np.log(np.exp(-2 * squared).mean()), abs=1e-5)
