"""A run as one HTML page that holds all it shows: `jaxemb report`."""

import json
from collections.abc import Mapping
from html import escape

from jaxemb.errors import UserError
from jaxemb.evaluation import Report
from jaxemb.reporting.data_page import data_sections
from jaxemb.reporting.html import document, picture, table
from jaxemb.reporting.plots import alignment_path, draw_alignment, draw_curves, has_matplotlib
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics
from jaxemb.runs.results import Reports

Curves = dict[str, list[tuple[int, float]]]
"""Steps and values of each metric, by its name in `metrics.jsonl`."""


def page_of(run: RunDirectory) -> str:
    """The page of a run, under way or finished; needs matplotlib.

    Raises:
      UsageError: if there is no run.
      UserError: if matplotlib is not installed.
    """
    config = run.load_config()
    if not has_matplotlib():
        raise UserError("jaxemb report draws with matplotlib, which is not installed: pip install 'jaxemb[plots]'")
    results, curves = run.load_results(), curves_of(run)
    taken = max((step for points in curves.values() for step, _ in points), default=0)
    done = results is not None and results.step == config.training.steps
    state = "finished" if done else "not finished"
    kinds = " + ".join(objective.kind for objective in config.trained_objectives.values())
    facts = [kinds, f"{taken:,} of {config.training.steps:,} steps", state]
    facts += [f"batches of {config.training.batch_size:,}", f"checkpoints: {', '.join(map(str, run.steps)) or 'none'}"]
    sections = [
        f"<h1>{escape(run.path.resolve().name)}</h1>\n<p>{escape(' · '.join(facts))}</p>",
        _not_finite(run),
        _scores(results.reports) if results is not None else "",
        _curves(curves),
        _alignment(run),
        _data(run),
        f"<h2>Config</h2>\n<pre>{escape(run.config.read_text(encoding='utf-8'))}</pre>",
    ]
    return document(f"{run.path.resolve().name}: a run of jaxemb", sections)


def curves_of(run: RunDirectory) -> Curves:
    """What `metrics.jsonl` says of each metric; of a step that was taken again, after a kill, the newest."""
    found: dict[str, dict[int, float]] = {}
    for line in read_metrics(run.metrics) if run.metrics.is_file() else ():
        for name, value in line.items():
            if "/" in name:
                found.setdefault(name, {})[line["step"]] = value
    return {name: sorted(points.items()) for name, points in found.items()}


def _not_finite(run: RunDirectory) -> str:
    if not run.not_finite.is_file():
        return ""
    told = json.loads(run.not_finite.read_text(encoding="utf-8"))
    return (
        f'<p class="warning">Step {told["step"]} ended the run, because its loss or gradient was not finite '
        f"({escape(run.not_finite.name)} has the details).</p>"
    )


def _by_system(caption: str, scores: Mapping[str, Mapping[str, float]]) -> str:
    """Systems down, scores across."""
    names = list(dict.fromkeys(name for one in scores.values() for name in one))
    return table(
        caption, ["system", *names], [[name, *(one.get(key) for key in names)] for name, one in scores.items()]
    )


def _scores(reports: Reports) -> str:
    parts = [part for by_system in reports.by_suite.values() for part in _section(by_system)]
    return "\n".join(["<h2>Scores</h2>", *filter(None, parts)]) if parts else ""


def _section(reports: Mapping[str, Report]) -> list[str]:
    """What one suite found, of all systems."""
    found = {system: report.page for system, report in reports.items() if report.page is not None}
    if not found:
        return []
    first = next(iter(found.values()))
    details = {system: page.details for system, page in found.items()}
    notes = dict.fromkeys(note for report in reports.values() for note in report.notes)
    return [
        _by_system(first.caption, {system: page.scores for system, page in found.items()}),
        f"<details><summary>by {escape(first.part)}</summary>"
        f"{_by_part(first.details_caption, first.part, details)}</details>"
        if first.part
        else "",
        "".join(f"<p>{escape(note)}</p>" for note in notes),
    ]


def _by_part(caption: str, part: str, scores: Mapping[str, Mapping[str, float]]) -> str:
    """Parts, such as languages, down, systems across."""
    names = list(dict.fromkeys(name for one in scores.values() for name in one))
    return table(caption, [part, *scores], [[name, *(one.get(name) for one in scores.values())] for name in names])


def _curves(curves: Curves) -> str:
    drawn = {name: points for name, points in curves.items() if len({value for _, value in points}) > 1}
    steady = {name: points[-1][1] for name, points in curves.items() if name not in drawn}
    first = ["train/loss", *sorted(name for name in drawn if name.startswith("evaluation/"))]
    order = sorted(drawn, key=lambda name: (first.index(name) if name in first else len(first), name))
    parts = ["<h2>Curves</h2>"]
    if order:
        parts += [picture(draw_curves({name: drawn[name] for name in order}), "metrics over steps")]
    if steady:
        told = ", ".join(f"{escape(name)} {value:g}" for name, value in sorted(steady.items()))
        parts += [f"<p>Constant: {told}.</p>"]
    return "\n".join(parts) if len(parts) > 1 else ""


def _alignment(run: RunDirectory) -> str:
    if len(alignment_path(run)) < 2:
        return ""
    return f"<h2>Alignment and uniformity</h2>\n{picture(draw_alignment(run), 'alignment over uniformity')}"


def _data(run: RunDirectory) -> str:
    if not run.data_report.is_file():
        return ""
    return "\n".join(["<h2>Data</h2>", *data_sections(json.loads(run.data_report.read_text(encoding="utf-8")), "h3")])
