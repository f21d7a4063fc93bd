import pytest

from jaxemb.models.paths import at_path, list_paths, with_leaves

PARAMS = {"encoder": {"layers": {"query": {"kernel": 1, "bias": 2}}, "norm": {"scale": 3}}, "dense": {"kernel": 4}}


def test_every_path_leads_to_its_leaf():
    assert {path: at_path(PARAMS, path) for path in list_paths(PARAMS)} == {
        "encoder/layers/query/kernel": 1,
        "encoder/layers/query/bias": 2,
        "encoder/norm/scale": 3,
        "dense/kernel": 4,
    }
    with pytest.raises(KeyError):
        at_path(PARAMS, "encoder/layers/key/kernel")


def test_other_leaves_are_another_tree():
    changed = with_leaves(PARAMS, {"encoder/layers/query/bias": 7, "dense/kernel": 8})
    assert (at_path(changed, "encoder/layers/query/bias"), at_path(changed, "dense/kernel")) == (7, 8)
    assert at_path(PARAMS, "encoder/layers/query/bias") == 2, "the tree that was given stays"
    assert changed["encoder"]["norm"] is PARAMS["encoder"]["norm"]
