import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.evaluation.retrieval import retrieval_accuracy
from support.noisy_pairs import noisy_pairs


def test_another_row_with_the_wanted_text_is_right():
    a = np.eye(3, dtype=np.float32)[[0, 1, 1]]
    b = np.eye(3, dtype=np.float32)[[0, 1, 1]]
    assert retrieval_accuracy(a, b) == pytest.approx((200 / 3, 200 / 3))
    assert retrieval_accuracy(a, b, b_texts=["x", "y", "y"]) == pytest.approx((100.0, 200 / 3))
    assert retrieval_accuracy(a, b, a_texts=["x", "y", "z"], b_texts=["x", "y", "y"]) == pytest.approx((100, 200 / 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_are_an_error(bad):
    a = np.ones((4, 3), np.float32)
    b = a.copy()
    b[2, 1] = bad
    with pytest.raises(UserError, match=r"1 of 4 embeddings of the second side .*row 2"):
        retrieval_accuracy(a, b)


@pytest.mark.parametrize("noise", [0.5, 1.5, 4.0])
def test_equals_sentence_transformers(noise):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    evaluation = pytest.importorskip(
        "sentence_transformers.evaluation", reason="sentence-transformers is not installed"
    )
    a, b = noisy_pairs(400, 32, noise)
    b[7], b[300], a[9] = b[0], b[10], 0.0
    # Texts that occur twice, on either side.
    a_texts = [f"source {i % 390}" for i in range(400)]
    b_texts = [f"target {i % 380}" for i in range(400)]
    rows = {"source 0": a, "target 0": b}

    class Model:
        def encode(self, sentences, **kwargs):
            return list(torch.from_numpy(rows[sentences[0]]))

    evaluator = evaluation.TranslationEvaluator(a_texts, b_texts)
    evaluator.store_metrics_in_model_card_data = lambda *args: None
    expected = evaluator(Model())
    accuracy = retrieval_accuracy(a, b, a_texts=a_texts, b_texts=b_texts)
    assert accuracy == pytest.approx((100 * expected["src2trg_accuracy"], 100 * expected["trg2src_accuracy"]), abs=1e-9)
    assert 0 < accuracy[0] < 100
