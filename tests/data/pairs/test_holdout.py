import numpy as np
import pytest

from jaxemb.config import HoldoutConfig
from jaxemb.data.pairs.holdout import MAX_LANGUAGE_SHARE, PairKeys, choose_heldout


def random_keys(pairs=20_000, sides=3000, languages=12, seed=0):
    rng = np.random.default_rng(seed)
    # Few English sides are common, and languages differ in size by two orders of magnitude.
    english = (rng.pareto(0.7, pairs) * 100).astype(np.int64) % sides
    language = np.minimum(rng.geometric(0.3, pairs) - 1, languages - 1)
    return PairKeys(
        english=english.astype(np.uint64),
        words=english % 5,
        target=rng.integers(0, sides, pairs).astype(np.uint64),
        language=language,
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("wanted", "max_share"), [(150, 0.1), (1000, 0.5)])  # the latter more than there is
def test_invariants(seed, wanted, max_share):
    keys = random_keys(seed=seed)
    config = HoldoutConfig(pairs_per_language=wanted, max_share=max_share, min_words=2)
    pool, removed = choose_heldout(keys, config, seed)
    assert len(pool) > 300
    # No English side is on both sides of the cut, and all that was cut off is for the sake of a pool.
    held, trained = set(keys.english[pool].tolist()), set(keys.english[~removed].tolist())
    assert not held & trained
    assert held == set(keys.english[removed].tolist())
    assert len(held) <= max_share * len(np.unique(keys.english))
    assert keys.words[pool].min() >= 2
    assert (keys.english[pool] != keys.target[pool]).all()
    for language in range(12):
        rows = pool[keys.language[pool] == language]
        assert len(rows) <= wanted
        assert len(np.unique(keys.english[rows])) == len(np.unique(keys.target[rows])) == len(rows)
        mine = keys.language == language
        assert (removed & mine).sum() <= MAX_LANGUAGE_SHARE * mine.sum()


def test_all_languages_get_their_pool_where_they_can():
    keys = PairKeys(
        english=np.tile(np.arange(2000, dtype=np.uint64), 8),
        words=np.full(16_000, 3),
        target=np.arange(16_000, dtype=np.uint64) + np.uint64(10**6),
        language=np.repeat(np.arange(8), 2000),
    )
    pool, removed = choose_heldout(keys, HoldoutConfig(pairs_per_language=100), 0)
    assert np.bincount(keys.language[pool]).tolist() == [100] * 8
    assert removed.sum() == 800  # the same English sides for all, so that nothing is cut off in vain


def test_the_seed_decides():
    keys, config = random_keys(), HoldoutConfig(pairs_per_language=50)
    first, again, other = (choose_heldout(keys, config, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert len(np.intersect1d(first, other)) < 0.9 * len(first)


def test_no_split():
    pool, removed = choose_heldout(random_keys(), HoldoutConfig(pairs_per_language=0), 0)
    assert len(pool) == 0
    assert not removed.any()
