"""A run as one HTML page that holds all it shows: `jaxemb report`."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from jaxemb.data.cut import Cut
from jaxemb.errors import UserError
from jaxemb.evaluation import Report
from jaxemb.reporting.plots import alignment_path, draw_alignment, draw_curves, has_matplotlib
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics
from jaxemb.runs.results import Reports

Curves = dict[str, list[tuple[int, float]]]
"""Steps and values of each metric, by its name in `metrics.jsonl`."""

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.2rem; margin-top: 2.5rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .7rem 0;
  display: block; overflow-x: auto }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap }
th:first-child, td:first-child { text-align: left } caption { text-align: left; color: #888; white-space: nowrap }
img { max-width: 100%; background: white; border-radius: 6px }
pre { overflow-x: auto; background: #8881; padding: 1rem }
summary { cursor: pointer; margin: .7rem 0 } .warning { border-left: 4px solid #c60; padding-left: .8rem }
"""


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
    facts = [f"{config.objective.kind}", f"{taken:,} of {config.training.steps:,} steps", state]
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
    title = escape(run.path.resolve().name)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}: a run of jaxemb</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        "<body>\n" + "\n".join(filter(None, sections)) + "\n</body>\n</html>\n"
    )


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


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table; numbers are written with two decimals, counts with commas."""

    def shown(value: Any) -> str:
        if value is None:
            return ""
        return f"{value:.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(value)

    lines = ["".join(f"<td>{shown(value)}</td>" for value in row) for row in rows]
    headings = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption>{escape(caption)}</caption>\n<tr>{headings}</tr>\n{body}\n</table>"


def _by_system(caption: str, scores: Mapping[str, Mapping[str, float]]) -> str:
    """Systems down, scores across."""
    names = list(dict.fromkeys(name for one in scores.values() for name in one))
    return _table(
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
    return _table(caption, [part, *scores], [[name, *(one.get(name) for one in scores.values())] for name in names])


def _picture(drawn: str, about: str) -> str:
    encoded = base64.b64encode(drawn.encode()).decode()
    return f'<img alt="{escape(about)}" src="data:image/svg+xml;base64,{encoded}">'


def _curves(curves: Curves) -> str:
    drawn = {name: points for name, points in curves.items() if len({value for _, value in points}) > 1}
    steady = {name: points[-1][1] for name, points in curves.items() if name not in drawn}
    first = ["train/loss", *sorted(name for name in drawn if name.startswith("evaluation/"))]
    order = sorted(drawn, key=lambda name: (first.index(name) if name in first else len(first), name))
    parts = ["<h2>Curves</h2>"]
    if order:
        parts += [_picture(draw_curves({name: drawn[name] for name in order}), "metrics over steps")]
    if steady:
        told = ", ".join(f"{escape(name)} {value:g}" for name, value in sorted(steady.items()))
        parts += [f"<p>Constant: {told}.</p>"]
    return "\n".join(parts) if len(parts) > 1 else ""


def _alignment(run: RunDirectory) -> str:
    if len(alignment_path(run)) < 2:
        return ""
    return f"<h2>Alignment and uniformity</h2>\n{_picture(draw_alignment(run), 'alignment over uniformity')}"


def _data(run: RunDirectory) -> str:
    if not run.data_report.is_file():
        return ""
    report = json.loads(run.data_report.read_text(encoding="utf-8"))
    head = ["", "read", "train", "held out", "dropped"]

    def row(name: str, one: Mapping[str, Any]) -> list[Any]:
        return [name, one["read"], one["train"], one["heldout"], sum(one["dropped"].values())]

    languages = report["languages"]
    why = report["totals"]["dropped"]
    sources = [[one["source"], one["files"], one["pairs"], one["licence"] or "unknown"] for one in report["sources"]]
    bad = [[one["file"], one["bad"], one["first"]] for one in report["bad_lines"]]
    cut = {name: Cut(**counts) for name, counts in report.get("cut", {}).items()}
    shares = [[name, one.texts, f"{one.share:.1%}", f"{one.token_share:.1%}"] for name, one in cut.items()]
    parts = [
        "<h2>Data</h2>",
        _table("Examples", head, [row("all", report["totals"])]),
        "<details><summary>by language</summary>"
        + _table("Examples", head, [row(name, one) for name, one in languages.items()])
        + "</details>",
        _table("Why examples were dropped", ["reason", "examples"], why.items()) if why else "",
        _table("Sources", ["source", "files", "examples", "licence"], sources),
        "<details><summary>texts that are longer than data.max_length</summary>"
        + _table("Training texts", ["language", "texts", "cut", "tokens cut off"], shares)
        + "</details>"
        if shares
        else "",
        _table("Bad lines that were left out", ["file", "lines", "the first"], bad) if bad else "",
    ]
    return "\n".join(filter(None, parts))
