"""Writes tables and figures of the results of `reproduce.py` between the marks in docs/results.md."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from effects import EFFECTS, Effect, result_path
from matplotlib.figure import Figure

BEGIN, END = "<!-- reproduce.py: begin -->\n", "<!-- reproduce.py: end -->"


def write_page(page: Path) -> None:
    """Writes one section for each effect that has results, between the marks of the page."""
    text = page.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    sections = [section(name, effect, page.parent) for name, effect in EFFECTS.items() if results_of(name)]
    page.write_text(before + BEGIN + "\n".join(sections) + END + after, encoding="utf-8")


def results_of(effect: str) -> dict[str, list[dict[str, Any]]]:
    """The results of an effect by variant, one for each seed; variants without results are left out."""
    found = {
        variant.name: [
            json.loads(path.read_text(encoding="utf-8"))
            for seed in variant.seeds
            if (path := result_path(effect, variant, seed)).is_file()
        ]
        for variant in EFFECTS[effect].variants
    }
    return {name: results for name, results in found.items() if results}


def section(name: str, effect: Effect, folder: Path) -> str:
    """A heading, the paper's claim, a table of mean +- deviation, the difference for each seed, and a figure."""
    results = results_of(name)
    shown = [score for score in effect.scores if any(score in one[0]["systems"]["trained"] for one in results.values())]
    lines = [f"### {effect.title}", "", f"The paper: {effect.claim}.", ""]
    lines += [f"| | {' | '.join(effect.scores[score] for score in shown)} | seeds | minutes a run |"]
    lines += ["|---" * (len(shown) + 3) + "|"]
    for variant, runs in results.items():
        cells = [_mean_sd([run["systems"]["trained"][score] for run in runs]) for score in shown]
        minutes = statistics.mean(run["seconds"] for run in runs) / 60
        name_of = _code(variant).replace("|", r"\|")
        lines += [f"| {name_of} | {' | '.join(cells)} | {len(runs)} | {minutes:.1f} |"]
    systems = next(iter(results.values()))[0]["systems"]
    for system, scores in systems.items():
        if system != "trained" and set(shown) & set(scores):
            cells = [f"{scores[score]:.2f}" if score in scores else "" for score in shown]
            lines += [f"| *{system}* | {' | '.join(cells)} | 1 | |"]
    lines += [""]
    for one, other in effect.versus:
        if one in results and other in results:
            by_seed = [{run["seed"]: run["systems"]["trained"] for run in results[which]} for which in (one, other)]
            seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
            gains = [by_seed[0][seed][shown[0]] - by_seed[1][seed][shown[0]] for seed in seeds]
            each = ", ".join(f"{gain:+.2f}" for gain in gains)
            lines += [f"- {_code(one)} minus {_code(other)}, {effect.scores[shown[0]]}: {each} (by seed)."]
    picture = folder / "results" / f"{name}.svg"
    if draw(results, effect, shown, picture):
        lines += ["", f"![{effect.title}](results/{picture.name})"]
    return "\n".join(lines) + "\n"


def _mean_sd(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"


def _code(name: str) -> str:
    return f"`{name}`" if "|" in name else name


def draw(results: Mapping[str, Any], effect: Effect, shown: list[str], path: Path) -> bool:
    """Draws the first score, a point for each seed, and beside it uniformity and alignment of one seed over training.

    Returns: False, without a figure, if fewer than two variants have results.
    """
    if len(results) < 2:
        return False
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    with_path = "alignment" in shown
    left, *right = figure.subplots(1, 1 + with_path, squeeze=False)[0]
    for place, (variant, runs) in enumerate(results.items()):
        values = [run["systems"]["trained"][shown[0]] for run in runs]
        left.scatter(values, [place] * len(values), label=variant)
        if with_path:
            curve = [one for one in runs[0]["curve"] if "alignment" in one]
            right[0].plot([one["uniformity"] for one in curve], [one["alignment"] for one in curve], marker=".")
            right[0].set(xlabel="uniformity", ylabel="alignment", title="path of one seed, from the right")
    left.set(yticks=range(len(results)), yticklabels=list(results), xlabel=effect.scores[shown[0]])
    left.invert_yaxis()
    left.grid(axis="x", alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "jaxemb"}):  # the same each time
        figure.savefig(path, metadata={"Date": None})
    return True
