import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.evaluation.pools import Pool
from jaxemb.evaluation.suites.teacher_mse import PoolError, teacher_mse

POOLS = [
    Pool("de", ("one", "two", "one"), ("eins", "zwei", "ein")),
    Pool("fr", ("two", "three"), ("deux", "eins")),
]


def _encoder(seed, width=4, called=None):
    texts = sorted({text for pool in POOLS for text in (*pool.anchors, *pool.positives)})
    table = dict(zip(texts, np.random.default_rng(seed).normal(size=(len(texts), width)), strict=True))

    def encode_fn(some):
        if called is not None:
            called.append(list(some))
        return np.array([table[text] for text in some], np.float32)

    return encode_fn


def test_a_number_worked_by_hand():
    vectors = {"one": [1, 2], "two": [0, 0], "eins": [2, 0], "zwei": [0, 3]}  # 1, 4, 0, 9

    def encode_fn(texts):
        return np.array([vectors[text] for text in texts], np.float32)

    pools = [Pool("de", ("one", "two"), ("eins", "zwei")), Pool("nl", ("two",), ("eins",))]
    assert teacher_mse(encode_fn, encode_fn, pools) == [PoolError("de", 3.5, 2), PoolError("nl", 2.0, 1)]
    assert teacher_mse(encode_fn, encode_fn, []) == []


def test_sentence_transformers_reports_a_hundred_times_it():
    evaluation = pytest.importorskip("sentence_transformers.evaluation")
    student, teacher = _encoder(0), _encoder(1)

    class Model:
        """What the evaluator asks of a model."""

        def __init__(self, encode_fn):
            self.encode_fn = encode_fn

        def encode(self, sentences, **kwargs):
            return self.encode_fn(sentences)

    for pool, found in zip(POOLS, teacher_mse(student, teacher, POOLS), strict=True):
        evaluator = evaluation.MSEEvaluator(
            list(pool.anchors), list(pool.positives), teacher_model=Model(teacher), write_csv=False
        )
        evaluator.store_metrics_in_model_card_data = lambda *_: None
        assert 100 * found.mse == pytest.approx(-evaluator(Model(student))["negative_mse"], rel=1e-6)
        assert found.mse > 0.1


def test_of_unit_vectors_it_is_their_cosine():
    def unit(encode_fn):
        return lambda texts: encode_fn(texts) / np.linalg.norm(encode_fn(texts), axis=1, keepdims=True)

    student, teacher = unit(_encoder(0)), unit(_encoder(1))
    (found,) = teacher_mse(student, teacher, POOLS[:1])
    cosine = (student(POOLS[0].positives) * teacher(POOLS[0].anchors)).sum(1).mean()
    assert found.mse == pytest.approx(2 * (1 - cosine) / 4, rel=1e-5)


def test_each_text_goes_once_to_its_own_model():
    of_student, of_teacher = [], []
    teacher_mse(_encoder(0, called=of_student), _encoder(0, called=of_teacher), POOLS)
    assert of_teacher == [["one", "two", "three"]]
    assert of_student == [["eins", "zwei", "ein", "deux"]]


def test_errors_are_for_people():
    with pytest.raises(UserError, match="student's embeddings have 3 dimensions and the teacher's 4"):
        teacher_mse(_encoder(0, width=3), _encoder(0), POOLS)

    def nan(texts):
        return np.full((len(texts), 4), np.nan)

    with pytest.raises(UserError, match="3 of 3 embeddings of the student, of de, hold NaN"):
        teacher_mse(nan, _encoder(0), POOLS)
    with pytest.raises(UserError, match="embeddings of the teacher, of de, hold NaN"):
        teacher_mse(_encoder(0), nan, POOLS)
    with pytest.raises(ValueError, match=r"shape \(1, 4\) for 4 texts"):
        teacher_mse(lambda texts: _encoder(0)(texts[:1]), _encoder(0), POOLS)
