"""Draws held-out accuracy and training loss of runs over their steps (needs `pip install matplotlib`).

python benchmarks/curves.py docs/curves.svg "from scratch=runs/small" "from a checkpoint=runs/tuned"
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from jaxemb.runs.metrics import read_metrics

SERIES = {"all_accuracy": "all", "Latin_script_accuracy": "Latin script", "other_scripts_accuracy": "other scripts"}


def smooth(values: np.ndarray, width: int = 9) -> np.ndarray:
    """The running mean; at the ends it uses fewer values."""
    ones = np.convolve(np.ones_like(values), np.ones(width), "same")
    return np.convolve(values, np.ones(width), "same") / ones


def draw(name: str, run: Path, accuracy: plt.Axes, loss: plt.Axes) -> None:
    lines = list(read_metrics(run / "metrics.jsonl"))
    for key, label in SERIES.items():
        points = [(line["step"], line[f"evaluation/{key}"]) for line in lines if f"evaluation/{key}" in line]
        accuracy.plot(*zip(*points, strict=True), marker="o", label=f"{label} ({points[-1][1]:.1f})")
    accuracy.set(title=name, ylabel="held-out retrieval, %")
    accuracy.legend(loc="lower right")
    steps, losses = np.array([(line["step"], line["train/loss"]) for line in lines if "train/loss" in line]).T
    loss.plot(steps, losses, alpha=0.25, color="tab:gray")
    loss.plot(steps, smooth(losses), color="tab:red")
    loss.set(xlabel="step", ylabel="training loss", yscale="log")
    for axes in (accuracy, loss):
        axes.grid(alpha=0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    arguments = parser.parse_args()
    mpl.rcParams["svg.hashsalt"] = "jaxemb"  # equal numbers give an identical file
    _, axes = plt.subplots(
        2, len(arguments.runs), figsize=(5 * len(arguments.runs), 6), sharex="col", squeeze=False, layout="constrained"
    )
    for column, run in enumerate(arguments.runs):
        name, _, path = run.partition("=")
        draw(name, Path(path), axes[0, column], axes[1, column])
    plt.savefig(arguments.output, metadata={"Date": None} if arguments.output.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
