"""Tests mirror the packages: what `jaxemb/a/b.py` does is tested in `tests/a/test_b.py`."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "jaxemb"
MODULES = {
    str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")
}

NOTHING_TO_TEST = {
    "encoding/model.py": "a protocol",
    "errors.py": "exceptions, which say nothing of themselves",
    "objectives/objective.py": "the type of a function",
    "runs/result.py": "what a run gives back: fields",
    "runs/state.py": "a tuple with names",
}
"""Modules without a test of their own, and what they are."""

ELSEWHERE = {
    "data/cut.py": "data/test_tokenized.py",
    "data/pair_keys.py": "data/test_holdout.py",
    "data/preparation.py": "data/test_prepare.py",
    "data/prepared.py": "data/test_prepare.py",
    "data/sources/gettext.py": "data/test_gettext.py",
    "data/sources/jsonl.py": "data/test_labelled_sources.py",
    "data/sources/keyed.py": "data/test_labelled_sources.py",
    "data/sources/moses.py": "data/test_moses.py",
    "data/sources/nli.py": "data/test_labelled_sources.py",
    "data/sources/part.py": "data/test_tsv.py",
    "data/sources/sts.py": "data/test_labelled_sources.py",
    "data/sources/text.py": "data/test_labelled_sources.py",
    "data/sources/tfds.py": "data/test_labelled_sources.py",
    "data/sources/tsv.py": "data/test_tsv.py",
    "evaluation/sts_report.py": "evaluation/test_sts.py",
    "evaluation/tables.py": "evaluation/test_report.py",
    "readers/aligned.py": "evaluation/test_aligned.py",
    "readers/gettext.py": "data/test_catalogues.py",
    "readers/sts.py": "evaluation/test_sts_files.py",
    "runs/results.py": "training/test_run.py",
    "search/exact.py": "evaluation/test_retrieval.py",
    "training/loop.py": "training/test_run.py",
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
