"""Collective operations of a compiled program, read from its text."""

import math
import re
from collections import Counter
from dataclasses import dataclass

_BYTES = {
    "pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8,
    "u64": 8, "f64": 8,
}  # fmt: skip
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|ragged-all-to-all"
_COLLECTIVE = re.compile(rf"= (.*?) ({_KINDS})(-start)?\(")
_SHAPE = re.compile(r"\b(\w+)\[([\d,]*)\]")
_CALLS = re.compile(r"(?:calls|body|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{%?([\w.\-]+)")
_CONDITION = re.compile(r" while\(.*condition=%?([\w.\-]+)")
_ALONE = re.compile(r"replica_groups=(?:\{\{\d+\}|\[\d+,1\])")
"""Each device is a group of its own: an axis of one, along which nothing is sent."""
_NUMBER = re.compile(r"s32\[\]\S* constant\((\d+)\)")


@dataclass(frozen=True)
class Collective:
    """Operations of one kind on arrays of one type and size."""

    kind: str
    array: str
    """Type and shape of what a device gets, such as `bf16[512,768]`."""
    size: int
    """Its bytes."""
    count: int
    """How often in a step."""

    @property
    def sent(self) -> int:
        """Bytes that a device sends, by rings over many devices, in all of them."""
        return self.count * self.size * (2 if self.kind == "all-reduce" else 1)


def collectives(text: str) -> list[Collective]:
    """The collectives that one run of a compiled program executes, those inside loops counted as often as they turn.

    Args:
      text: of `jax.stages.Compiled.as_text`.

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
    times: Counter[tuple[str, str, int]] = Counter()

    def run(computation: str, factor: int) -> None:
        for line in lines.get(computation, ()):
            if (found := _COLLECTIVE.search(line)) and not _ALONE.search(line):
                shapes = [(kind, dims) for kind, dims in _SHAPE.findall(found[1]) if kind in _BYTES]
                # What is started gives its inputs back, too: the last array is the result.
                for kind, dims in shapes[-1:] if found[3] else shapes:
                    size = _BYTES[kind] * math.prod(int(d) for d in dims.split(",") if d)
                    times[found[2], f"{kind}[{dims}]", size] += factor
            # A loop turns as often as the number that its condition compares with; of branches the first is taken.
            condition = _CONDITION.search(line)
            numbers = _NUMBER.findall("\n".join(lines.get(condition[1], ()))) if condition else []
            turns = max(map(int, numbers), default=1)
            for name in (*_CALLS.findall(line), *_BRANCHES.findall(line)):
                run(name, factor * turns)

    run(entry, 1)
    each = [Collective(kind, array, size, count) for (kind, array, size), count in times.items()]
    return sorted(each, key=lambda one: -one.sent)
