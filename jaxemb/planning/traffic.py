"""Collective operations of a compiled program, read from its text."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jaxemb.planning.groups import groups_of, span

_BYTES = {
    "pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8,
    "u64": 8, "f64": 8,
}  # fmt: skip
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|ragged-all-to-all"
_COLLECTIVE = re.compile(rf"= (.*?) ({_KINDS})(-start)?\(")
_BETWEEN = re.compile(r'= \((.*?), u32\[\].*? send\(.*_xla_megascale_transfer_type="(\w+)"')
"""A TPU's transfer to other slices: the compiler has split the collective of all devices in two."""
_CONTINUED = re.compile(r'"async_collective_fusion_config":\{"flag_start":"\d')
"""An operation that another computation started, and that overlaps with the arithmetic of this one."""
_SCATTERS = "all-reduce-scatter"
"""A computation of this name has an all-reduce of which each device keeps only its part, so it is a reduce-scatter."""
_SHAPE = re.compile(r"\b(\w+)\[([\d,]*)\]")
_CALLS = re.compile(r"(?:calls|body|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{%?([\w.\-]+)")
_CONDITION = re.compile(r" while\(.*condition=%?([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_NUMBER = re.compile(r"s32\[\]\S* constant\((\d+)\)")


@dataclass(frozen=True)
class Collective:
    """Collectives of the same kind, on arrays of the same type and size."""

    kind: str
    array: str
    """Type and shape, `bf16[512,768]`, of the array that a device receives, or of the sum of which it keeps a part."""
    size: int
    """Bytes of this array."""
    count: int
    """Number of times per step."""
    devices: int
    """Number of devices in a group."""
    slices: int
    """Number of slices that a group spans."""

    @property
    def sent(self) -> int:
        """Bytes that a device sends to others of its slice in total, with ring algorithms."""
        inside = self.devices // self.slices
        if self.kind == "collective-permute":
            return self.count * self.size * (inside > 1)
        if self.kind in ("all-to-all", "ragged-all-to-all"):
            return self.count * self.size * (inside - 1) // self.devices
        return self.count * self._round * (inside - 1) // inside

    @property
    def crossing(self) -> int:
        """Bytes that a device sends to other slices in total. Each device of a slice has its own ring across slices:
        the devices of a slice first reduce among themselves, then each sends its part.
        """
        if self.kind == "collective-permute":
            return self.count * self.size * (self.slices > 1)
        if self.kind in ("all-to-all", "ragged-all-to-all"):
            return self.count * self.size * (self.slices - 1) // self.slices
        return self.count * self._round * (self.slices - 1) // self.devices

    @property
    def _round(self) -> int:
        """Bytes that pass round a ring; an all-reduce takes two rounds, to reduce and to gather."""
        return self.size * {"all-reduce": 2, "reduce-scatter": self.devices}.get(self.kind, 1)


def collectives(text: str, slice_of: Sequence[int]) -> list[Collective]:
    """The collectives of one execution of a compiled program; those inside loops count once per iteration.

    Args:
      text: from `jax.stages.Compiled.as_text`.
      slice_of: the slice of each device, in the order of the mesh.

    Returns: the largest first.
    """
    lines: dict[str, list[str]] = {}
    entry = current = ""
    for line in text.splitlines():
        if found := _COMPUTATION.match(line.strip()):
            current = found[1]
            lines[current] = []
            entry = current if line.lstrip().startswith("ENTRY") else entry
        elif current:
            lines[current].append(line)
    slices = len(set(slice_of))
    times: Counter[tuple[str, str, int, int, int]] = Counter()

    def run(computation: str, factor: int) -> None:
        for line in lines.get(computation, ()):
            if (found := _COLLECTIVE.search(line)) and not _CONTINUED.search(line):
                devices, across = span(groups_of(line, len(slice_of)), slice_of)
                scatters = computation.startswith(_SCATTERS)
                kind = "reduce-scatter" if scatters else found[2]
                for shape in _results(found[1], started=bool(found[3]) and found[2] != "all-reduce"):
                    if devices > 1:
                        size = _size(shape) // (devices if scatters else 1)
                        times[kind, _name(shape), size, devices, across] += factor
            elif found := _BETWEEN.search(line):
                kind, shape = found[2].lower().replace("_", "-"), _SHAPE.findall(found[1])[0]
                # The input is sent: a device's part for a gather, the whole array for a scatter.
                size = _size(shape) * slices if kind == "all-gather" else _size(shape)
                size = size // slices if kind == "reduce-scatter" else size
                times[kind, _name(shape), size, slices, slices] += factor
            # The number of iterations of a loop is the compiler's, or else the number in its condition; of branches,
            # the first is counted.
            condition = _CONDITION.search(line)
            compared = _NUMBER.findall("\n".join(lines.get(condition[1], ()))) if condition else []
            numbers = _TRIPS.findall(line) or compared
            turns = max(map(int, numbers), default=1)
            for name in (*_CALLS.findall(line), *_BRANCHES.findall(line)):
                run(name, factor * turns)

    run(entry, 1)
    each = [
        Collective(kind, array, size, count, devices, across)
        for (kind, array, size, devices, across), count in times.items()
    ]
    return sorted(each, key=lambda one: -(one.sent + one.crossing))


def _results(text: str, *, started: bool) -> list[tuple[str, str]]:
    """The arrays that an operation returns; if it is `started`, they follow its inputs, and come with extra scalars."""
    shapes = [shape for shape in _SHAPE.findall(text) if shape[0] in _BYTES]
    if started:
        shapes = [shape for shape in shapes if shape != ("u32", "")]
        shapes = shapes[len(shapes) // 2 :]
    return shapes


def _size(shape: tuple[str, str]) -> int:
    return _BYTES[shape[0]] * math.prod(int(d) for d in shape[1].split(",") if d)


def _name(shape: tuple[str, str]) -> str:
    return f"{shape[0]}[{shape[1]}]"
