"""Parameters by their paths, such as `encoder/layers/attention/query/kernel`."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import jax


def list_paths(params: Any) -> list[str]:
    """Paths of all leaves of a tree of dicts, arrays or their shapes.

    >>> list_paths({"dense": {"kernel": 1, "bias": 2}})
    ['dense/bias', 'dense/kernel']
    """
    return ["/".join(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


OBJECTIVE = "objective"
"""The key of the parameters that an objective trains in addition to the model."""


def model_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without those of the objective.

    >>> model_params({"encoder": 1, "objective": {"classifier": 2}})
    {'encoder': 1}
    """
    return {name: tree for name, tree in params.items() if name != OBJECTIVE}


def is_stacked(path: Sequence[Any]) -> bool:
    """Whether a leaf holds all layers, one after the other along its first axis: a parameter, an adapter, a moment.

    >>> tree = {"encoder": {"layers": {"scale": 1}, "norm": 2}, "lora": {"encoder/layers/query/kernel": {"a": 3}}}
    >>> [is_stacked(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    [True, False, True]
    """
    return "encoder/layers/" in "/".join(str(getattr(key, "key", "")) for key in path)


def at_path(params: Mapping[str, Any], path: str) -> Any:
    """The value at a path.

    Raises:
      KeyError: if there is none.
    """
    tree: Any = params
    for key in path.split("/"):
        tree = tree[key]
    return tree


def with_leaves(params: dict[str, Any], leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The same tree with the leaves at some paths replaced.

    >>> with_leaves({"dense": {"kernel": 1, "bias": 2}}, {"dense/bias": 3})
    {'dense': {'kernel': 1, 'bias': 3}}
    """
    changed = dict(params)
    for path, leaf in leaves.items():
        *parents, last = path.split("/")
        tree = changed
        for key in parents:
            tree[key] = tree = dict(tree[key])
        tree[last] = leaf
    return changed


def nearest(pattern: str, paths: Sequence[str]) -> str:
    """For a message: the paths closest to a pattern that matches none.

    >>> nearest("encoder/layer/output", ["dense/bias", "encoder/layers/output/bias", "encoder/layers/output/kernel"])
    'the nearest are encoder/layers/output/bias, encoder/layers/output/kernel'
    """
    near = difflib.get_close_matches(pattern, paths, n=3, cutoff=0.4) or list(paths)[:3]
    return f"the nearest are {', '.join(near)}"
