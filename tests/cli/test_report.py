"""`jaxemb report`."""

import pytest

from jaxemb.cli import report
from jaxemb.errors import UsageError
from jaxemb.reporting.page import page_of
from support.untrained import run_without_training


@pytest.fixture
def run(tmp_path):
    return run_without_training(tmp_path)


def test_command(run, tmp_path, capsys):
    assert report.run([str(run.path)]) == 0
    assert f"{run.path / 'report.html'}: " in capsys.readouterr().out
    assert (run.path / "report.html").read_text() == page_of(run)
    with pytest.raises(UsageError, match=r"nothing: no run here \(no config.yaml\)"):
        report.run([str(tmp_path / "nothing")])
