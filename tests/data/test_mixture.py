import numpy as np
import pytest

from jaxemb.data.mixture import PERIOD, Mixture

LANGUAGE_OF = np.random.default_rng(0).permutation(np.repeat([0, 2, 3], [500, 300, 47]))
"""Of 847 examples; nothing is in language 1."""


def mixture(exponent, seed=0):
    return Mixture(LANGUAGE_OF, 4, exponent, seed)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_languages_are_weighted(exponent):
    drawn = np.bincount(LANGUAGE_OF[mixture(exponent).examples(np.arange(PERIOD))], minlength=4) / PERIOD
    sizes = np.array([500, 0, 300, 47])
    weights = np.where(sizes > 0, sizes.astype(float) ** exponent, 0.0)
    np.testing.assert_allclose(drawn, weights / weights.sum(), atol=0.004)


def test_with_exponent_one_each_epoch_is_another_permutation_of_all():
    epochs = mixture(1.0).examples(np.arange(3 * 847)).reshape(3, 847)
    for epoch in epochs:
        assert sorted(epoch) == list(range(847))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (epochs[one] == epochs[other]).mean() < 0.05


@pytest.mark.parametrize("language", [0, 2, 3])
def test_each_language_has_epochs_of_its_own(language):
    """Past the end of a period, where its table of languages begins again and the epochs do not."""
    rows = mixture(0.3).examples(np.arange(PERIOD + 5000))
    own, members = rows[LANGUAGE_OF[rows] == language], np.flatnonzero(language == LANGUAGE_OF)
    whole = len(own) // len(members)
    assert whole > 30
    epochs = own[: whole * len(members)].reshape(whole, len(members))
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(members, (whole, 1)))
    assert len(np.unique(epochs, axis=0)) > 0.99 * whole


@pytest.mark.parametrize("exponent", [0.3, 1.0])
def test_seeking_is_free(exponent):
    whole = mixture(exponent).examples(np.arange(2 * PERIOD))
    for positions in (np.arange(10), np.arange(PERIOD - 5, PERIOD + 5), np.array([100_000]), np.arange(0)):
        np.testing.assert_array_equal(mixture(exponent).examples(positions), whole[positions])
    assert 0 <= mixture(exponent).examples(np.array([10**15]))[0] < 847


def test_a_position_far_away_is_counted_from_the_start_of_the_run():
    """By hand: every period has the same languages, so a language comes as often in each."""
    one = mixture(0.3)
    counts = np.bincount(LANGUAGE_OF[one.examples(np.arange(PERIOD))], minlength=4)
    far = one.examples(np.arange(7 * PERIOD, 8 * PERIOD))
    np.testing.assert_array_equal(LANGUAGE_OF[far], LANGUAGE_OF[one.examples(np.arange(PERIOD))])
    drawn = far[LANGUAGE_OF[far] == 3]
    into_epoch = 7 * counts[3] % 47  # 47 examples an epoch
    rest = drawn[-into_epoch % 47 :]
    epochs = rest[: len(rest) // 47 * 47].reshape(-1, 47)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), np.tile(np.flatnonzero(LANGUAGE_OF == 3), (len(epochs), 1)))


def test_the_seed_draws_the_order_of_languages_and_of_examples():
    one, other = (mixture(0.5, seed).examples(np.arange(PERIOD)) for seed in (3, 4))
    assert (LANGUAGE_OF[one] != LANGUAGE_OF[other]).any()
    np.testing.assert_array_equal(np.bincount(LANGUAGE_OF[one]), np.bincount(LANGUAGE_OF[other]))
    for language in (0, 2, 3):
        assert (one[LANGUAGE_OF[one] == language] != other[LANGUAGE_OF[other] == language]).any()
    assert (mixture(1.0, 3).examples(np.arange(50)) != mixture(1.0, 4).examples(np.arange(50))).any()
