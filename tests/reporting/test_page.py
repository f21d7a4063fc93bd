"""The page of a run, and how a browser shows it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from jaxemb.reporting.page import curves_of, page_of
from jaxemb.runs.results import reports_from_json
from support.untrained import run_without_training

pytest.importorskip("matplotlib")


@pytest.fixture
def run(tmp_path):
    return run_without_training(tmp_path)


def finish(run):
    """What it writes when it ends: scores and the data report."""
    language = {"en->xx": 70.0, "xx->en": 80.5, "mean": 75.25, "n": 100, "script": "Latin"}
    average = {"en->xx": 70.0, "xx->en": 80.5, "mean": 75.25, "present": 1, "of": 1}
    heldout = {"suite": "heldout", "languages": {"de": language}, "averages": {"all": average}, "notes": ["a < b"]}
    sets = {name: {"spearman": value, "pearson": 0.0, "n": 10} for name, value in (("en", 61.5), ("de", 62.5))}
    sts = {"suite": "sts", "split": "dev", "sets": sets, "notes": []}
    values = {"systems": heldout, "sts": sts, "teacher_mse": {"de": 0.0125}}
    reports = reports_from_json({suite: {"trained": found} for suite, found in values.items()})
    run.save_results(20, None, reports)
    counts = {"read": 1300, "train": 1234, "heldout": 20, "dropped": {"too_long": 46}}
    told = {
        "totals": counts, "languages": {"de": counts}, "train_hash": "",
        "bad_lines": [{"file": "en-de.tsv", "lines": 9, "bad": 1, "first": "en-de.tsv:7: '<script>'"}],
        "sources": [{"source": "en-de.tsv", "licence": None, "files": 1, "pairs": 1234}],
        "cut": {"de": {"texts": 200, "cut_texts": 3, "tokens": 2000, "cut_tokens": 50}},
    }  # fmt: skip
    run.data_report.write_text(json.dumps(told))


def test_a_page_tells_the_run(run):
    under_way = page_of(run)
    assert "20 of 20 steps · not finished · batches of 1,024" in under_way
    assert "<h2>Curves" in under_way
    assert "train/negatives_per_query 63" in under_way
    for absent in ("<h2>Scores", "<h2>Data", "not finite"):
        assert absent not in under_way
    finish(run)
    run.not_finite.write_text('{"step": 21}')
    page = page_of(run)
    assert "· finished ·" in page
    assert "Step 21 ended the run" in page
    for cells in (
        "<td>trained</td><td>75.25</td>",  # macro average
        "<td>de</td><td>75.25</td>",
        "<td>trained</td><td>61.50</td><td>62.50</td><td>62.00</td>",
        "<td>trained</td><td>1.25</td>",
        "<td>all</td><td>1,300</td><td>1,234</td><td>20</td><td>46</td>",
        "<td>too_long</td><td>46</td>",
        "<td>de</td><td>200</td><td>1.5%</td><td>2.5%</td>",
        "<td>en-de.tsv</td><td>1</td><td>1,234</td><td>unknown</td>",
    ):
        assert cells in page, cells
    assert "batch_size: 1024" in page
    assert page.count("<img ") == 2
    # What others wrote is text, and nothing is fetched.
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert "a &lt; b" in page
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)


def test_steps_that_were_taken_again_count_once(run):
    curves = curves_of(run)
    assert [step for step, _ in curves["train/loss"]] == list(range(1, 21))
    assert dict(curves["train/loss"])[10] == 0.25


def test_a_browser_shows_it(run, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here to look at the page with")
    finish(run)
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text(page_of(run), encoding="utf-8")

    def colours(path: Path) -> np.ndarray:
        """How often each is seen, [R, G, B, count]."""
        from matplotlib.image import imread

        pixels = (imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3)
        return np.column_stack(np.unique(pixels, axis=0, return_counts=True))

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,2400"]
    command = [browser, *flags, f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert picture.is_file(), done.stderr
    seen = {tuple(colour): count for *colour, count in colours(picture).tolist()}
    assert seen.get((0x1F, 0x77, 0xB4), 0) > 300, "the curves"
    assert seen.get((0xFD, 0xE7, 0x25), 0) > 20, "the last point of alignment and uniformity"
    assert sum(seen.values()) * 0.5 < seen[(255, 255, 255)] < sum(seen.values()) * 0.99
