import numpy as np
import pytest

from jaxemb.config import DataConfig, TsvSource
from jaxemb.data.order.layout import stored_layout
from jaxemb.data.order.weights import PERIOD, lane_weights, rates

GROUPS = [(0, "en", "de"), (0, "en", "fr"), (1, "de", "en"), (1, "en", "ja"), (1, "en", "th")]
COUNTS = np.array([[60, 10, 30, 20, 0], [40, 10, 50, 20, 0]])
"""Sources of 120 and 120 rows; 180 of German, 20 of French, 40 of Japanese, none of Thai."""


def shares(weights=(1.0, 1.0), **settings):
    """The share of each group of the whole."""
    sources = tuple(TsvSource(path="x.tsv", weight=weight) for weight in weights)
    layout = stored_layout(GROUPS, COUNTS)
    rate = rates(layout, DataConfig(sources=sources, **settings))
    assert rate[-1] == 0
    share = rate * COUNTS.sum(axis=0)
    return share / share.sum()


def normed(*values):
    return np.array(values) / sum(values)


def test_by_hand():
    np.testing.assert_allclose(shares(), normed(100, 20, 80, 40, 0))
    np.testing.assert_allclose(shares((1.0, 3.0)), normed(100, 20, 3 * 80, 3 * 40, 0))
    # Each language of the same share, within it by rows.
    np.testing.assert_allclose(shares(language_exponent=0.0), normed(100 / 180, 1, 80 / 180, 1, 0))
    root = 180**0.5
    np.testing.assert_allclose(
        shares(language_exponent=0.5), normed(100 / 180 * root, 20**0.5, 80 / 180 * root, 40**0.5, 0)
    )
    np.testing.assert_allclose(shares(language_cap=30), normed(30 * 100 / 180, 20, 30 * 80 / 180, 30, 0))
    np.testing.assert_allclose(
        shares(language_cap=30, language_exponent=0.0), normed(100 / 180, 1, 80 / 180, 1, 0)
    )  # the cap is of rows, before the exponent


def test_sources_as_often_as_their_weights_say():
    layout = stored_layout([(0, "en", "de"), (1, "en", "de")], np.array([[900, 100]]))
    sources = (TsvSource(path="x", weight=1.0), TsvSource(path="y", weight=3.0))
    rate = rates(layout, DataConfig(sources=sources, source_exponent=0.0))
    np.testing.assert_allclose(rate * [900, 100] / (rate @ [900, 100]), [0.25, 0.75])
    rate = rates(layout, DataConfig(sources=sources, source_exponent=0.5))
    np.testing.assert_allclose(rate[1] * 100 / (rate[0] * 900), 3 / 3)  # 3 * sqrt(100) beside sqrt(900)


def test_rows_that_are_drawn_equally_have_exact_epochs():
    counts = np.array([[3, 0, 7], [4, 0, 1]])
    assert lane_weights(counts, np.array([0.3, 0.0, 0.3])) is counts


def test_shares_are_right_where_groups_are_missing_from_lanes():
    draw = np.random.default_rng(0)
    sizes = np.array([100_000, 20_000, 300, 40, 9, 0])
    counts = np.stack([draw.multinomial(size, np.full(16, 1 / 16)) for size in sizes], axis=1)
    assert ((counts == 0).sum(axis=0) > 0).tolist() == [False, False, False, True, True, True]
    rate = np.divide(sizes**0.3, sizes, out=np.zeros(6), where=sizes > 0)
    weights = lane_weights(counts, rate)
    assert (weights.sum(axis=1) == PERIOD).all()  # lanes come equally often
    assert ((weights > 0) == (counts > 0)).all()
    expected = sizes**0.3 * (sizes > 0)
    np.testing.assert_allclose(weights.sum(axis=0) / weights.sum(), expected / expected.sum(), rtol=2e-4)


def test_a_group_that_lacks_lanes_gets_what_they_give():
    """Half of the whole cannot come from one lane of four; that lane then has hardly anything else."""
    counts = np.array([[100, 5], [100, 0], [100, 0], [100, 0]])
    weights = lane_weights(counts, np.array([0.5 / 400, 0.5 / 5]))
    assert weights[0, 1] > 0.98 * PERIOD
    assert (weights[1:, 0] == PERIOD).all()


def test_a_lane_without_rows_has_no_weights():
    assert lane_weights(np.array([[5, 1], [0, 0]]), np.array([1.0, 2.0]))[1].tolist() == [0, 0]


@pytest.mark.parametrize("groups", [1, 300])
def test_the_smallest_share_is_not_lost(groups):
    counts = np.array([[10**9] * groups + [1]])
    weights = lane_weights(counts, np.array([1.0] * groups + [1e-9]))
    assert weights.min() == 1
    assert weights.sum() == PERIOD
