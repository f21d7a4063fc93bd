import numpy as np
import pytest

from jaxemb.planning.groups import groups_of, span

GROUPS = [
    ("replica_groups={{0,1},{2,3}}, x", [[0, 1], [2, 3]]),
    ("replica_groups={{3}}", [[3]]),
    ("replica_groups={}, x", [[0, 1, 2, 3, 4, 5, 6, 7]]),
    ("channel_id=1", [[0, 1, 2, 3, 4, 5, 6, 7]]),
    ("source_target_pairs={{0,1},{1,0}}, x", [[0, 1], [1, 0]]),
    ("replica_groups=[2,4]<=[8], x", [[0, 1, 2, 3], [4, 5, 6, 7]]),
    ("replica_groups=[4,2]<=[2,4]T(1,0), x", [[0, 4], [1, 5], [2, 6], [3, 7]]),
    ("replica_groups=[2,4]<=[2,2,2]T(1,0,2), x", [[0, 1, 4, 5], [2, 3, 6, 7]]),
    ("replica_groups=mesh['x'=2,'y'=4] {'y'}, x", [[0, 1, 2, 3], [4, 5, 6, 7]]),
    ("replica_groups=mesh['x'=2,'y'=4] {'x'}, x", [[0, 4], [1, 5], [2, 6], [3, 7]]),
    ("replica_groups=mesh['x'=2,'y'=4] {'x','y'}, x", [[0, 1, 2, 3, 4, 5, 6, 7]]),
    ("replica_groups=mesh['x'=2,'y'=4] {'y','x'}, x", [[0, 4, 1, 5, 2, 6, 3, 7]]),
    ("replica_groups=mesh['x'=8] {'x':(1)2}, x", [[0, 4], [1, 5], [2, 6], [3, 7]]),
    ("replica_groups=mesh['x'=8] {'x':(2)2}, x", [[0, 2], [1, 3], [4, 6], [5, 7]]),
    ("replica_groups=mesh['x'=2,'y'=2], device_ids=(0,2,1,3) {'y'}, x", [[0, 2], [1, 3]]),
    ("replica_groups=mesh['x'=2,'y'=2], device_ids=([2,2]T(1,0)) {'y'}, x", [[0, 2], [1, 3]]),
]


@pytest.mark.parametrize(("line", "groups"), GROUPS)
def test_replica_groups(line, groups):
    assert np.array(groups_of(f"%a = f32[4]{{0}} all-reduce(%x), {line}", 8)).tolist() == groups


def test_slices_that_groups_lie_in():
    two = [0, 0, 0, 0, 1, 1, 1, 1]
    for line, expected in (
        ("replica_groups=[2,4]<=[8]", (4, 1)),
        ("replica_groups=[4,2]<=[2,4]T(1,0)", (2, 2)),
        ("replica_groups={}", (8, 2)),
        ("replica_groups={{0,1},{3,4}}", (2, 2)),
    ):
        assert span(groups_of(line, 8), two) == expected
