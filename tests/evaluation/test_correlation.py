import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.evaluation.correlation import check_spread, correlations, cosine


def test_equal_sentences_share_their_rank():
    x = np.random.default_rng(1).normal(size=(2000, 7)).astype(np.float32)
    assert set(cosine(x, x * 3)) == {1.0}
    assert list(cosine(np.zeros((1, 2)), np.ones((1, 2)))) == [0.0]
    np.testing.assert_allclose(cosine(x * 1e-12, x[::-1] * 1e9), cosine(x, x[::-1]), atol=1e-6)


def test_correlations_in_float64_by_hand():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=50).astype(np.float32), rng.integers(0, 6, 50).astype(np.float64)  # y has ties
    spearman, pearson = correlations(x, y)

    def ranks(values):
        return np.array([np.sum(values < one) + (np.sum(values == one) + 1) / 2 for one in values])

    assert pearson == pytest.approx(100 * np.corrcoef(x.astype(np.float64), y)[0, 1])
    assert spearman == pytest.approx(100 * np.corrcoef(ranks(x), ranks(y))[0, 1])


def test_a_collapsed_model_is_refused():
    check_spread(np.float32([0.5, 0.6]), "some.csv")
    with pytest.raises(
        UserError, match=r"some\.csv: every pair has the cosine 0\.500000, so there is no correlation: the model's"
    ):
        check_spread(np.float32([0.5, 0.5 + 1e-7]), "some.csv")
