"""What is drawn of a run, out of its metrics."""

import numpy as np
import pytest

from jaxemb.reporting.plots import (
    alignment_path,
    draw_alignment,
    draw_curves,
    draw_lengths,
    has_matplotlib,
    plot_alignment,
)
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


def test_a_histogram_has_a_bar_for_each_length_up_to_eighty():
    pytest.importorskip("matplotlib")

    few, many, cut = (
        draw_lengths(np.ones(n, np.int64), "tokens", limit) for n, limit in ((5, None), (400, None), (5, 3))
    )
    assert few == draw_lengths(np.ones(5, np.int64), "tokens", None), "the same each time"
    patches = [drawn.count('id="patch_') for drawn in (few, many)]
    assert patches[1] - patches[0] == 80 - 5
    assert "data.max_length" in cut
    assert "data.max_length" not in few
    long_tail = np.r_[np.full(10, 1000), np.zeros(500, np.int64), 3]
    assert "3 longer texts are not shown" in draw_lengths(long_tail, "characters", None)
