"""Tests mirror the packages: what `jaxemb/a/b.py` does is tested in `tests/a/test_b.py`."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "jaxemb"
MODULES = {
    str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")
}

NOTHING_TO_TEST = {
    "data/shards/contents.py": "fields",
    "data/examples.py": "protocols",
    "encoding/model.py": "a protocol",
    "errors.py": "exceptions, which say nothing of themselves",
    "objectives/objective.py": "the type of a function",
    "runs/result.py": "what a run gives back: fields",
    "runs/state.py": "a tuple with names",
}
"""Modules without a test of their own, and what they are."""

ELSEWHERE = {
    "config/options.py": "config/test_model.py",
    "data/cut.py": "data/test_stored.py",
    "data/pairs/languages.py": "data/pairs/test_holdout.py",
    "data/preparing/finishing.py": "data/preparing/test_local.py",
    "data/gathering/processes.py": "data/gathering/test_cleaning.py",
    "data/preparing/writing.py": "data/preparing/test_local.py",
    "data/sources/jsonl.py": "data/sources/test_labelled_sources.py",
    "data/sources/keyed.py": "data/sources/test_labelled_sources.py",
    "data/sources/nli.py": "data/sources/test_nli_rows.py",
    "data/sources/part.py": "data/sources/test_tsv.py",
    "data/sources/rows.py": "data/sources/test_nli_rows.py",
    "data/sources/sts.py": "data/sources/test_labelled_sources.py",
    "data/sources/text.py": "data/sources/test_labelled_sources.py",
    "data/sources/tfds.py": "data/sources/test_labelled_sources.py",
    "evaluation/encoders.py": "evaluation/test_pools.py",
    "evaluation/report.py": "evaluation/test_tables.py",
    "evaluation/sts_report.py": "evaluation/suites/test_sts.py",
    "evaluation/suite.py": "evaluation/test_suites.py",
    "readers/other_formats.py": "test_bad_text.py",
    "readers/sides.py": "evaluation/suites/test_parallel.py",
    "readers/splits.py": "readers/test_sts_layouts.py",
    "readers/sts.py": "readers/test_sts_files.py",
    "readers/sts_rows.py": "readers/test_sts_layouts.py",
    "readers/tables.py": "readers/test_sts_layouts.py",
    "training/step/program.py": "planning/test_plan.py",
    "training/setup.py": "training/test_run.py",
    "training/loop/stages.py": "training/step/test_stacking.py",
}
"""Modules without a test of their own, and the file that tests them. A new module gets a file of its name instead."""


def own_test(module: str) -> Path:
    """`a/b.py` -> `tests/a/test_b.py`."""
    return TESTS / Path(module).with_name(f"test_{Path(module).name}")


def test_every_module_has_a_test_file_of_its_name():
    without = {module for module in MODULES if not own_test(module).is_file()}
    assert without == NOTHING_TO_TEST.keys() | ELSEWHERE.keys()
    assert not NOTHING_TO_TEST.keys() & ELSEWHERE.keys()


@pytest.mark.parametrize("module", ELSEWHERE)
def test_what_is_tested_elsewhere_is_tested_there(module):
    assert "def test_" in (TESTS / ELSEWHERE[module]).read_text(encoding="utf-8")


def test_the_folders_are_those_of_the_packages_and_two_of_behaviour():
    folders = {str(path.parent.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}
    packages = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("__init__.py")}
    assert folders - packages == {"huggingface/checkpoints", "training/whole_runs"}
