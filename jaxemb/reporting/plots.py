"""The plots of a run, if matplotlib is installed (`pip install 'jaxemb[plots]'`)."""

import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxemb.files import write_atomically
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics

Point = tuple[int, float, float]
"""Step, uniformity, alignment."""


def alignment_path(run: RunDirectory) -> list[Point]:
    """Alignment and uniformity at each evaluation of the run, by step."""
    lines = read_metrics(run.metrics) if run.metrics.is_file() else ()
    found = {
        line["step"]: (line["evaluation/uniformity"], line["evaluation/alignment"])
        for line in lines
        if "evaluation/alignment" in line
    }
    return [(step, *found[step]) for step in sorted(found)]


def has_matplotlib() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def plot_alignment(run: RunDirectory) -> str:
    """Draws that path to `plots/alignment_uniformity.svg`; returns a message."""
    if not has_matplotlib():
        return "alignment and uniformity are not drawn: matplotlib is not installed (pip install 'jaxemb[plots]')"
    write_atomically(run.alignment_plot, draw_alignment(run))
    return f"alignment and uniformity drawn to {run.alignment_plot}"


def draw_alignment(run: RunDirectory) -> str:
    """That path as SVG, like figure 2 of SimCSE."""
    from matplotlib.figure import Figure

    steps, uniformity, alignment = zip(*alignment_path(run), strict=True)
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(uniformity, alignment, color="0.7", zorder=1)
    points = axes.scatter(uniformity, alignment, c=steps, zorder=2)
    for index, name in ((0, "begin"), (-1, "end")):
        axes.annotate(name, (uniformity[index], alignment[index]), textcoords="offset points", xytext=(6, 4))
    axes.set(xlabel="uniformity (lower is more even)", ylabel="alignment (lower is closer)")
    figure.colorbar(points, label="step")
    return _svg(figure)


def draw_curves(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Values over steps as SVG: one small plot each, three in a row."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(curves) / 3)
    figure = Figure(figsize=(10.5, 2.3 * rows), layout="constrained")
    subplots = list(figure.subplots(rows, 3, squeeze=False).flat)
    for axes, (name, points) in zip(subplots, curves.items(), strict=False):
        few = len(points) < 20
        axes.plot(*zip(*points, strict=True), linewidth=1, marker="o" if few else "", markersize=3)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.ticklabel_format(useOffset=False)  # the offset would overlap the title
        axes.grid(alpha=0.3)
    for axes in subplots[len(curves) :]:
        axes.remove()
    return _svg(figure)


def draw_lengths(counts: np.ndarray, unit: str, limit: int | None) -> str:
    """A histogram of the lengths of texts, as SVG.

    Args:
      counts: how many texts have 0, 1, 2, ... tokens or characters.
      unit: `tokens` or `characters`.
      limit: the longest that is not cut, marked by a line.
    """
    from matplotlib.figure import Figure

    longest = int(np.searchsorted(np.cumsum(counts), 0.999 * counts.sum()))  # the others would be a long, flat tail
    shown = counts[: longest + 1]
    width = max(1, len(shown) // 80)
    shown = np.pad(shown, (0, -len(shown) % width)).reshape(-1, width).sum(axis=1)
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.bar(width * np.arange(len(shown)) - 0.5, 100 * shown / counts.sum(), width, align="edge")
    if limit is not None and limit <= longest:
        axes.axvline(limit + 0.5, color="tab:orange", label="data.max_length cuts what is longer")
        axes.legend(fontsize=9)
    beyond = counts[longest + 1 :].sum()
    more = f" ({beyond:,} longer texts are not shown)" if beyond else ""
    axes.set(xlabel=f"{unit} of a text{more}", ylabel="% of the texts")
    axes.set_xlim(-0.5, width * len(shown) - 0.5)
    axes.set_axisbelow(True)
    axes.grid(axis="y", alpha=0.3)
    return _svg(figure)


def _svg(figure: Any) -> str:
    import matplotlib

    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "jaxemb"}):  # the same each time
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
