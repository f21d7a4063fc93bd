import jax
import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxemb.evaluation.retrieval import retrieval_accuracy
from jaxemb.search import exact, nearest
from support.noisy_pairs import noisy_pairs


def _float64_nearest(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = a.astype(np.float64), b.astype(np.float64)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    scores = a @ b.T
    return scores.argmax(1), scores.argmax(0)


def test_worked_by_hand():
    a = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)
    b = np.array([[5.0, 0.1], [3.0, 0.0], [0.2, 0.1]], np.float32)
    # b's angles are 1.1, 0 and 26.6 degrees; a's are 0, 90 and 45.
    assert nearest(a, b)[0].tolist() == [1, 2, 2]
    assert nearest(a, b)[1].tolist() == [0, 0, 2]
    assert retrieval_accuracy(a, b) == pytest.approx((100 / 3, 200 / 3))


def test_equals_numpy_in_float64():
    a, b = noisy_pairs(700, 48, noise=1.3)
    index_b, index_a = nearest(a, b)
    expected = _float64_nearest(a, b)
    np.testing.assert_array_equal(index_b, expected[0])
    np.testing.assert_array_equal(index_a, expected[1])
    accuracy = tuple(100 * float(np.mean(index == np.arange(700))) for index in expected)
    assert 30 < accuracy[0] < 99
    assert retrieval_accuracy(a, b) == pytest.approx(accuracy)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 1000))
def test_blocks_change_nothing(rows, columns, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(rows, 6)).astype(np.float32), rng.normal(size=(columns, 6)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "BLOCK", 8)
        found = nearest(a, b)
    expected = _float64_nearest(a, b)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("block", [4, 1024])
def test_of_equal_scores_the_lowest_index_wins(block, monkeypatch):
    monkeypatch.setattr(exact, "BLOCK", block)
    same = np.tile(np.array([[0.3, -0.7, 0.2]], np.float32), (10, 1))
    index_b, index_a = nearest(same, same)
    assert index_b.tolist() == index_a.tolist() == [0] * 10
    assert retrieval_accuracy(same, same) == (10.0, 10.0)
    twins = np.eye(6, dtype=np.float32)[[0, 1, 2, 3, 4, 1, 5, 0]]
    assert nearest(twins, twins)[0].tolist() == [0, 1, 2, 3, 4, 1, 6, 0]


def test_a_row_of_zeros_has_cosine_zero():
    a = np.array([[0.0, 0.0], [0.0, 1.0]], np.float32)
    b = np.array([[-1.0, -1.0], [0.0, 1.0]], np.float32)
    index_b, index_a = nearest(a, b)
    assert index_b.tolist() == [0, 1]
    assert index_a.tolist() == [0, 1]


def test_shapes_that_do_not_fit_are_errors():
    a = np.ones((4, 3), np.float32)
    errors = (ValueError, jaxtyping.TypeCheckError)
    with pytest.raises(errors):
        retrieval_accuracy(a, a[:3])
    with pytest.raises(errors):
        nearest(a, a[:, :2])
    with pytest.raises(ValueError, match="N, M >= 1"):
        nearest(a[:0], a[:0])
    with pytest.raises(ValueError, match="3 texts for 4"):
        retrieval_accuracy(a, a, b_texts=["x", "y", "z"])


def test_only_explicit_transfers():
    a, b = noisy_pairs(20, 8, noise=0.01)
    with jax.transfer_guard("disallow"):
        assert retrieval_accuracy(a, b) == (100.0, 100.0)
