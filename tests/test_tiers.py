"""What the default tier leaves out, and what covers it: `docs/testing.md` against the tests themselves."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from support import tiers

TESTS = Path(__file__).parent
TABLE = (TESTS.parent / "docs" / "testing.md").read_text(encoding="utf-8").partition("## What only `--full` runs")[2]
ROWS = [line.split(" | ") for line in TABLE.splitlines() if line.startswith("| `")]
IN_PART = {"test_configs_run.py::shrunk": "test_configs_run.py::test_a_shrunk_config_trains_two_steps"}
"""Fixtures whose cases are sampled, and the tests that have them."""


def functions() -> dict[str, str]:
    """`file::function` -> the source of its decorators."""
    found = {}
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                name = f"{path.relative_to(TESTS)}::{node.name}"
                found[name] = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    return found


DECORATORS = functions()
LEFT_OUT = {name for name, decorators in DECORATORS.items() if "pytest.mark.full" in decorators}
SAMPLED = {name for name, decorators in DECORATORS.items() if "sampled(" in decorators}
WHOLLY = {name for name in LEFT_OUT - SAMPLED if "marks=pytest.mark.full" not in DECORATORS[name]}


def test_the_table_names_each_test_that_left_the_default_tier():
    named = {row[0].removeprefix("| ").strip("`") for row in ROWS}
    assert named == {IN_PART.get(name, name) for name in LEFT_OUT | SAMPLED}
    assert len(WHOLLY) > 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].partition("::")[2].strip("`"))
def test_what_covers_a_test_is_in_the_default_tier(row):
    name = row[0].removeprefix("| ").strip("`")
    assert ("all of it" in row[1]) == (name in WHOLLY)
    file = name.partition("::")[0]
    covering = re.findall(r"`((?:[\w/]+\.py::)?test_\w+)`", row[2])
    covering = [other if "::" in other else f"{file}::{other}" for other in covering]
    assert covering or row[2].startswith(("itself", "none by default: "))
    assert not WHOLLY & set(covering)
    assert set(covering) <= DECORATORS.keys(), "there is such a test"


class Item(SimpleNamespace):
    """What `tiers` asks of a test."""

    __hash__ = object.__hash__

    def get_closest_marker(self, name):
        return getattr(self, name, None)


def selected(items, **options):
    config = SimpleNamespace(
        option=SimpleNamespace(**{"full": False, "smoke": False, "shard": (1, 1), "sample_seed": 0} | options),
        hook=SimpleNamespace(pytest_deselected=lambda items: None),
    )
    kept = list(items)
    tiers.select(config, kept)
    return [item.nodeid for item in kept]


def test_tiers_shards_and_samples():
    full = SimpleNamespace(kwargs={"draw": 2})
    items = [Item(nodeid=f"a.py::test_a[{n}]", **({"full": full} if n > 2 else {})) for n in range(40)]
    items += [Item(nodeid="a.py::test_b", slow=True), Item(nodeid="a.py::test_c", full=SimpleNamespace(kwargs={}))]
    items += [Item(nodeid=f"b.py::test_{n}[{case}]") for n in range(9) for case in "xy"]
    by_seed = [selected(items, sample_seed=seed) for seed in range(20)]
    assert by_seed[3] == selected(items, sample_seed=3)
    assert all(len(kept) == 3 + 2 + 1 + 18 for kept in by_seed)
    assert len({name for kept in by_seed for name in kept}) > 40, "other seeds draw others"
    everything = [item.nodeid for item in items]
    assert selected(items, full=True) == everything
    shards = [selected(items, full=True, shard=(number, 3)) for number in (1, 2, 3)]
    assert sorted(name for shard in shards for name in shard) == sorted(everything)
    assert min(map(len, shards)) > 5
    assert selected(items, smoke=True) == ["a.py::test_a[0]", "b.py::test_0[x]"]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/", "x/2", "1/2/3"])
def test_a_shard_that_there_is_not(text):
    assert tiers.shard_of("2/3") == (2, 3)
    with pytest.raises(ValueError):  # noqa: PT011 - argparse tells it
        tiers.shard_of(text)


OWN_CONFTEST = """
from support.tiers import add_options, choose_seed, pytest_configure_node, select

def pytest_addoption(parser):
    add_options(parser)

def pytest_configure(config):
    choose_seed(config)

def pytest_collection_modifyitems(config, items):
    select(config, items)
"""


def test_all_workers_draw_the_same_cases_without_a_seed(tmp_path):
    """They did not: pytest stopped before the first test, unless `--sample-seed` was given, as `.ci/run` does."""
    pytest.importorskip("xdist")
    (tmp_path / "conftest.py").write_text(OWN_CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = full\n")
    test = "@pytest.mark.parametrize('n', sampled([], range(1000), draw=3))\ndef test_one(n):\n    pass\n"
    (tmp_path / "test_it.py").write_text("import pytest\nfrom support.tiers import sampled\n\n" + test)
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "-p", "no:jaxtyping", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
