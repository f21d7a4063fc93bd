"""What the package of suites finds."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from jaxemb import evaluation
from jaxemb.evaluation import suites as package
from jaxemb.evaluation.suites import commands, in_runs, suites


def test_every_file_is_a_suite_and_the_oldest_come_first():
    assert list(suites())[:5] == ["heldout", "tatoeba", "parallel", "sts", "teacher_mse"]
    assert set(suites()) == {path.stem for path in Path(package.__file__).parent.glob("[a-z]*.py")}
    assert list(commands())[:3] == ["tatoeba", "parallel", "sts"]
    always = {name: suite.key for name, suite in in_runs().items() if suite.always}
    assert always == {"heldout": "systems", "sts": "sts", "teacher_mse": "teacher_mse"}


def test_a_suite_has_the_name_of_its_file(tmp_path, monkeypatch):
    (tmp_path / "toys.py").write_text('from jaxemb.evaluation.suite import Entry\nENTRY = Entry("toy")\n')
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match=r"the suite in toys\.py has the name 'toy': both must be the same"):
        suites()
    del sys.modules["jaxemb.evaluation.suites.toys"], package.toys


def test_reading_the_suites_does_not_import_jax():
    code = (
        "import sys; from jaxemb.evaluation.suites import suites; suites(); "
        "sys.exit(any(name in sys.modules for name in ('jax', 'transformers', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_are_imported_on_first_use_and_shadow_no_module():
    assert set(evaluation.__all__) == set(evaluation._HOMES)
    assert not set(evaluation.__all__) & {file.name for file in pkgutil.iter_modules(evaluation.__path__)}
    assert all(getattr(evaluation, name) is not None for name in evaluation.__all__)
    with pytest.raises(AttributeError, match=r"module 'jaxemb\.evaluation' has no attribute 'stss'"):
        _ = evaluation.stss
