import pytest

from jaxemb.data.beam.pipeline import Plan
from jaxemb.data.beam.shards import Target
from jaxemb.data.gathering.units import Unit
from jaxemb.data.preparing.writing import MOST_LANES


@pytest.mark.parametrize(
    ("size", "ranges"), [(0, MOST_LANES), (100 << 20, MOST_LANES), (2000 << 20, 512), (10**15, 1 << 14)]
)
def test_ranges_grow_with_the_data_and_divide_into_lanes(config, size, ranges):
    units = tuple(Unit(0, n, n + 1, size // 4, "") for n in range(4))
    assert Plan(config, 0, units, Target("", "", "uint16", ())).ranges == ranges
