"""The groups of devices that take part in a collective, read from its line in a compiled program."""

import itertools
import math
import re
from collections.abc import Sequence

import numpy as np

_PAIRS = re.compile(r"source_target_pairs=(\{\{[\d,{}]*\}\})")
_LISTED = re.compile(r"replica_groups=(\{\{[\d,{}]*\}\})")
_IOTA = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(([^{]*)\))? \{([^}]*)\}")
_AXIS = re.compile(r"'([^']*)'(?::\((\d+)\)(\d+))?")
_RESHAPED = re.compile(r"\[([\d,]+)\](?:T\(([\d,]+)\))?")


def groups_of(line: str, devices: int) -> np.ndarray | list[list[int]]:
    """The groups of a collective, or its pairs of sender and receiver, as positions in the mesh.

    Args:
      line: the line of the program.
      devices: number of devices of the mesh; they are one group if the line names none.
    """
    if found := _PAIRS.search(line) or _LISTED.search(line):
        return [_numbers(group) for group in found[1].strip("{}").split("},{")]
    if found := _IOTA.search(line):
        shape, dims, order = (_numbers(part or "") for part in found.groups())
        return _iota(dims, order).reshape(shape)
    if found := _MESH.search(line):
        return _of_mesh(found[1], found[2], found[3])
    return [list(range(devices))]


def span(groups: np.ndarray | list[list[int]], slice_of: Sequence[int]) -> tuple[int, int]:
    """The number of devices and the number of slices of the group that spans the most slices.

    Args:
      groups: of `groups_of`.
      slice_of: the slice of each device, in the order of the mesh.
    """
    spans = [(len({slice_of[one] for one in group}), len(group)) for group in groups]
    slices, devices = max(spans)
    return devices, slices


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _iota(dims: list[int], order: list[int]) -> np.ndarray:
    """All devices in the order `[dims]T(order)`, flattened."""
    devices = np.arange(math.prod(dims)).reshape(dims)
    return (devices.transpose(order) if order else devices).reshape(-1)


def _of_mesh(axes: str, device_ids: str | None, chosen: str) -> np.ndarray:
    """Groups along some axes of a mesh, or along parts of axes: `'x':(2)4` is a part of size 4 after one of size 2."""
    sizes = {name: int(size) for name, size in re.findall(r"'([^']*)'=(\d+)", axes)}
    along = [(name, int(before or 1), int(size or sizes[name])) for name, before, size in _AXIS.findall(chosen)]
    if device_ids is None:
        devices = np.arange(math.prod(sizes.values()))
    elif found := _RESHAPED.match(device_ids):
        devices = _iota(_numbers(found[1]), _numbers(found[2] or ""))
    else:
        devices = np.array(_numbers(device_ids))
    dims: list[int] = []
    dim_of: dict[tuple[str, int], int] = {}
    for name, whole in sizes.items():
        edges = {1, whole}.union(*({before, before * size} for axis, before, size in along if axis == name))
        for low, high in itertools.pairwise(sorted(edges)):
            dim_of[name, low] = len(dims)
            dims.append(high // low)
    inner = [dim_of[axis, before] for axis, before, size in along if size > 1]
    outer = [dim for dim in range(len(dims)) if dim not in inner]
    count = math.prod(dims[dim] for dim in inner)
    return devices.reshape(dims).transpose(outer + inner).reshape(-1, count)
