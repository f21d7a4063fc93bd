"""What is drawn of a run, out of its metrics."""

import pytest

from jaxemb.reporting.plots import alignment_path, draw_alignment, draw_curves, has_matplotlib, plot_alignment
from jaxemb.runs.directory import RunDirectory
from support.untrained import run_without_training


def test_alignment_and_uniformity_by_step(tmp_path, monkeypatch):
    run = run_without_training(tmp_path)
    assert alignment_path(run) == [(0, 0.0, 0.1), (10, -1.0, 0.2), (20, -2.0, pytest.approx(0.3))]
    assert alignment_path(RunDirectory(tmp_path / "nothing")) == []
    if has_matplotlib():
        assert str(run.alignment_plot) in plot_alignment(run)
        figure = run.alignment_plot.read_text()
        assert figure == draw_alignment(run), "the same each time"
        assert figure.count("<use ") >= 3
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "matplotlib is not installed" in plot_alignment(run)


def test_a_picture_for_each_curve():
    pytest.importorskip("matplotlib")
    points = [(1, 2.0), (2, 1.0)]
    one, four = (draw_curves({f"train/{name}": points for name in names}) for names in ("a", "abcd"))
    assert (one.count('id="axes_'), four.count('id="axes_')) == (1, 4)
