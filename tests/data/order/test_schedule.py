from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxemb.data.order.keys import key_of
from jaxemb.data.order.schedule import LARGEST, Schedule, _scaled


def lane(schedule, start, stop, number=0):
    return schedule.at(np.full(stop - start, number), np.arange(start, stop))


def simulated(weights, seed, positions, number=0):
    """One position after the other, with Python's integers: each node of the tree counts what it sent left."""
    size = 1 << (len(weights) - 1).bit_length()
    padded = [*weights, *[0] * (size - len(weights))]
    period = sum(weights)
    sent, found = {}, []
    for position in range(positions):
        key, first, width = key_of(seed, 0x5C4E, number, position // period), 0, size
        while width > 1:
            left, total = sum(padded[first : first + width // 2]), sum(padded[first : first + width])
            level = width.bit_length() - 2
            phase = int(key_of(0, key, first, level)[0]) % total
            counts = sent.setdefault((position // period, first, width), [0, 0])
            # How many of one more position go left; if that is one more than before, this one does.
            right = (sum(counts) + 1) * left + phase < (counts[0] + 1) * total
            counts[right] += 1
            first += width // 2 * right
            width //= 2
        found.append(first)
    return found


@pytest.mark.parametrize("weights", [[3], [1, 1], [5, 0, 3, 1], [2, 7, 1, 1, 40], [0, 0, 9, 0, 4, 1, 0]])
def test_it_is_the_sequence_of_a_simulation(weights):
    positions = 3 * sum(weights) + 2
    groups, before = lane(Schedule(np.array([weights]), seed=4), 0, positions)
    assert groups.tolist() == simulated(weights, 4, positions)
    seen = [0] * len(weights)
    for group, count in zip(groups.tolist(), before.tolist(), strict=True):
        assert count == seen[group]
        seen[group] += 1


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any), st.integers(0, 2**32))
def test_each_period_has_each_group_as_often_as_its_weight_says(weights, seed):
    period = sum(weights)
    groups, _ = lane(Schedule(np.array([weights]), seed), 5 * period, 7 * period)
    for part in groups.reshape(2, period):
        assert np.bincount(part, minlength=len(weights)).tolist() == weights


def test_any_part_has_about_its_share():
    weights = np.random.default_rng(0).integers(0, 1000, 60)
    schedule = Schedule(weights[None], 0)
    for start in (0, 17, 5000):
        drawn = np.bincount(lane(schedule, start, start + 2000)[0], minlength=60)
        # Each of six levels adds less than one to the error at either end.
        assert np.abs(drawn - weights / weights.sum() * 2000).max() < 12


def test_lanes_and_seeds_and_periods_differ():
    weights = np.array([[5, 3, 8, 4]] * 3)
    schedule = Schedule(weights, 0)
    sequences = [lane(schedule, 0, 20)[0], lane(schedule, 20, 40)[0], lane(schedule, 0, 20, 2)[0]]
    sequences.append(lane(Schedule(weights, 1), 0, 20)[0])
    assert len({tuple(sequence) for sequence in sequences}) == 4


def test_seeking_is_free_and_lanes_are_read_together():
    schedule = Schedule(np.array([[5, 2, 9], [1, 0, 30]]), 3)
    whole = [lane(schedule, 0, 500, number) for number in (0, 1)]
    places = np.array([499, 3, 77, 250, 3])
    lanes = np.array([1, 0, 1, 0, 1])
    for index, values in enumerate(schedule.at(lanes, places)):
        assert values.tolist() == [whole[number][index][place] for number, place in zip(lanes, places, strict=True)]
    group, before = schedule.at(np.array([0]), np.array([10**17 * 16]))
    assert before.item() == 10**17 * [5, 2, 9][group.item()]  # the first of a period


def test_weights_near_the_largest():
    """Products need 100 bits: against whole numbers of any size."""
    weights = [LARGEST // 3, 1, LARGEST // 5, LARGEST // 4 + 7]
    schedule = Schedule(np.array([weights]), 0)
    total = sum(weights)
    ends = np.array([total - 1, total // 2, total // 7, total * 5 + 12345])
    groups, before = schedule.at(np.zeros(4, np.int64), ends)
    for end, group, count in zip(ends.tolist(), groups.tolist(), before.tolist(), strict=True):
        expected = Fraction(end * weights[group], total)
        assert abs(count - expected) < 3
    last = schedule.at(np.zeros(1, np.int64), np.array([total - 1]))
    assert last[1].item() == weights[last[0].item()] - 1


@given(st.integers(2, LARGEST - 1), st.data())
def test_products_are_exact(total, data):
    q, a = (data.draw(st.integers(0, total - 1)) for _ in range(2))
    # Quotients at and just below a whole number, which float64 does not tell apart.
    phase = (data.draw(st.sampled_from([0, -1, 1]) | st.integers(0, total - 1)) - q * a) % total
    quotient, remainder = _scaled(*(np.array([value]) for value in (q, a, phase, total)))
    assert (quotient.item(), remainder.item()) == divmod(q * a + phase, total)


@pytest.mark.parametrize("weights", [[[0, 0]], [[1, 2], [0, 0]], [[LARGEST, 1]]])
def test_what_is_no_schedule(weights):
    with pytest.raises(ValueError, match="must add up to 1 or more"):
        Schedule(np.array(weights), 0)
