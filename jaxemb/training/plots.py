"""What a run draws, with matplotlib where it is installed (`pip install 'jaxemb[plots]'`)."""

import importlib.util
import io

from jaxemb.files import write_atomically
from jaxemb.training.rundir import RunDirectory, read_metrics

Point = tuple[int, float, float]
"""Step, uniformity, alignment."""


def alignment_path(run: RunDirectory) -> list[Point]:
    """Where the run's evaluations found alignment and uniformity, by step."""
    lines = read_metrics(run.metrics) if run.metrics.is_file() else ()
    found = {
        line["step"]: (line["evaluation/uniformity"], line["evaluation/alignment"])
        for line in lines
        if "evaluation/alignment" in line
    }
    return [(step, *found[step]) for step in sorted(found)]


def plot_alignment(run: RunDirectory) -> str:
    """Draws that path to `plots/alignment_uniformity.svg`, as figure 2 of SimCSE has it; says what it did."""
    if importlib.util.find_spec("matplotlib") is None:
        return "alignment and uniformity are not drawn: matplotlib is not installed (pip install 'jaxemb[plots]')"
    from matplotlib.figure import Figure

    steps, uniformity, alignment = zip(*alignment_path(run), strict=True)
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(uniformity, alignment, color="0.7", zorder=1)
    points = axes.scatter(uniformity, alignment, c=steps, zorder=2)
    for place, name in ((0, "begin"), (-1, "end")):
        axes.annotate(name, (uniformity[place], alignment[place]), textcoords="offset points", xytext=(6, 4))
    axes.set(xlabel="uniformity (lower is more even)", ylabel="alignment (lower is closer)")
    figure.colorbar(points, label="step")
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    write_atomically(run.alignment_plot, drawn.getvalue())
    return f"alignment and uniformity drawn to {run.alignment_plot}"
