"""The tiers of the suite: `pytest` covers every behaviour, `pytest --full` runs every case of every matrix.

A case marked `full` is left out by default; of the left-out cases of some tests the sample seed draws a few.
`docs/testing.md` tells what runs where.
"""

import random
import secrets
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

SMOKE_TESTS = 1
"""Of each file in a smoke run."""


def sampled(always: Sequence[Any], more: Sequence[Any], draw: int = 0) -> list[Any]:
    """For `parametrize`: cases that run always, and more of the same, of which the default tier draws some.

    Args:
      always: what covers the matrix.
      more: further cases, which all run with `--full`; a tuple holds a value for each argument of the test.
      draw: how many of `more` the sample seed adds to the default tier.
    """
    mark = pytest.mark.full(draw=draw)
    return [*always, *(pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=mark) for case in more)]


def shard_of(text: str) -> tuple[int, int]:
    """The two numbers of `--shard I/N`, 1 <= I <= N."""
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise ValueError
    return int(number), int(count)


def add_options(parser: pytest.Parser) -> None:
    """Options of pytest."""
    group = parser.getgroup("tiers of jaxemb's tests")
    group.addoption("--full", action="store_true", help="run every case of every test, and fuzz at length")
    group.addoption(
        "--smoke",
        action="store_true",
        help=f"run {SMOKE_TESTS} test of each file, its first case, none that is slow",
    )
    group.addoption(
        "--shard", metavar="I/N", type=shard_of, default=(1, 1), help="run the I-th of N equal parts, I from 1 to N"
    )
    group.addoption(
        "--sample-seed", metavar="SEED", type=int,
        help="draw this sample of the cases that only --full runs; without it, another sample each time",
    )  # fmt: skip


def choose_seed(config: pytest.Config) -> None:
    """Draws the sample seed where none is given; a worker of xdist takes the one that was drawn for all."""
    if hasattr(config, "workerinput"):
        config.option.sample_seed = config.workerinput["sample_seed"]
    elif config.option.sample_seed is None:
        config.option.sample_seed = secrets.randbelow(10**6)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hands the seed to a worker: xdist copies the options as they stand on the command line."""
    node.workerinput["sample_seed"] = node.config.option.sample_seed


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the tests of the chosen tier and shard."""
    kept = items if config.option.full else default_tier(items, config.option.sample_seed)
    if config.option.smoke:
        kept = smoke(kept)
    number, count = config.option.shard
    chosen = {item for item in kept if zlib.crc32(item.nodeid.encode()) % count == number - 1}
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def default_tier(items: Sequence[pytest.Item], seed: int) -> list[pytest.Item]:
    """What is not marked `full`, and of each test as many of the marked cases as it wants drawn."""
    kept = {item for item in items if not item.get_closest_marker("full")}
    for name, cases in by_test(item for item in items if item not in kept).items():
        draw = min(cases[0].get_closest_marker("full").kwargs.get("draw", 0), len(cases))
        kept.update(random.Random(f"{seed} {name}").sample(cases, draw))
    return [item for item in items if item in kept]


def smoke(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The first case of the first test of each file, without slow ones."""
    first: dict[str, list[pytest.Item]] = {}
    for name, cases in by_test(item for item in items if not item.get_closest_marker("slow")).items():
        first.setdefault(name.partition("::")[0], []).append(cases[0])
    return [item for tests in first.values() for item in tests[:SMOKE_TESTS]]


def by_test(items: Iterable[pytest.Item]) -> dict[str, list[pytest.Item]]:
    """The cases of each test."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return cases
