"""`jaxemb evaluate`, run in this process: the suite `sts`, and one that is added."""

import json
import re
import sys

import numpy as np
import pytest
from scipy import stats

from jaxemb.cli.evaluate import run
from jaxemb.encoding import Towers
from jaxemb.errors import UsageError
from jaxemb.evaluation import suites
from support.tiny_models import tiny_embedder

PAIRS = [("a cat", "a dog", 2.5), ("one, two", "three", 0.0), ("a bird", "birds", 4.0), ("x y z", "a dog", 1.0)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    embedder = tiny_embedder(prompt="say: ")
    monkeypatch.setattr("jaxemb.loading.load_towers", lambda model, tower: Towers(embedder, embedder))
    (tmp_path / "2015").mkdir()
    (tmp_path / "2015" / "images.test.tsv").write_text("".join(f"{score}\t{a}\t{b}\n" for a, b, score in PAIRS))
    (tmp_path / "en.dev.csv").write_text("".join(f'"{a}","{b}",{score}\n' for a, b, score in PAIRS[:3]))
    return tmp_path


def _spearman(pairs, prompt):
    embedder = tiny_embedder(prompt=prompt)
    a, b = (embedder.encode([pair[side] for pair in pairs]) for side in (0, 1))
    return 100 * stats.spearmanr(np.sum(a * b, axis=1), [pair[2] for pair in pairs]).statistic


def test_sts_on_the_command_line(folder, capsys):
    assert run(["model", "--suite", "sts", "--data", ".", "--json", "scores.json", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "STS15" in shown
    assert "en.dev" not in shown
    scores = json.loads((folder / "scores.json").read_text())
    wanted = _spearman(PAIRS, "say: ")
    assert (scores["model"], scores["suite"], scores["split"]) == ("model", "sts", "test")
    assert scores["sets"]["STS15"]["spearman"] == pytest.approx(wanted)
    assert scores["sets"]["STS15"]["subsets"]["images"]["n"] == 4
    assert f"{wanted:.2f}" in shown
    run(["model", "--suite", "sts", "--data", ".", "--split", "dev", "--prompt", "", "--json", "dev.json", "--quiet"])
    scores = json.loads((folder / "dev.json").read_text())
    assert scores["sets"]["en.dev"]["spearman"] == pytest.approx(_spearman(PAIRS[:3], ""))


def test_a_prompt_for_each_side(folder):
    arguments = ["model", "--suite", "sts", "--data", ".", "--json", "scores.json", "--quiet"]
    assert run([*arguments, "--anchor-prompt", "query: ", "--positive-prompt", "long passage: "]) == 0
    first, second = (
        tiny_embedder(prompt=prompt).encode([pair[side] for pair in PAIRS])
        for side, prompt in enumerate(("query: ", "long passage: "))
    )
    wanted = 100 * stats.spearmanr(np.sum(first * second, axis=1), [pair[2] for pair in PAIRS]).statistic
    assert json.loads((folder / "scores.json").read_text())["sets"]["STS15"]["spearman"] == pytest.approx(wanted)
    assert run([*arguments, "--anchor-prompt", ""]) == 0  # the other side keeps the model's own


def test_cross_lingual_sts_on_the_command_line(folder, capsys):
    german = [("eine katze", "ein hund", 2.5), ("eins, zwei", "drei", 0.0), ("ein vogel", "vogel", 4.0)]
    (folder / "de.dev.csv").write_text("".join(f'"{a}","{b}",{score}\n' for a, b, score in german))
    arguments = ["model", "--suite", "sts", "--data", ".", "--split", "dev", "--quiet", "--json", "scores.json"]
    assert run([*arguments, "--language-pairs", "en-de", "de-de"]) == 0
    shown = capsys.readouterr().out
    scores = json.loads((folder / "scores.json").read_text())
    crossed = [(one[0], other[1], one[2]) for one, other in zip(PAIRS, german, strict=False)]
    assert list(scores["sets"]) == ["en-de", "de-de"]
    assert scores["sets"]["en-de"]["spearman"] == pytest.approx(_spearman(crossed, "say: "))
    assert "en-de" in shown
    assert "en.dev" not in shown


def test_columns_of_aligned_files_on_the_command_line(folder):
    """Columns as in WikiMatrix (extract.py of LASER), with a header as of ted2020.tsv.gz (sbert.net)."""
    rows = [("1.2", "a cat", "a cat"), ("1.1", "a dog", "a dog"), ("1.0", "x y z", "x y z")]
    (folder / "x.tsv").write_text("".join("\t".join(row) + "\n" for row in [("margin", "en", "7"), *rows]))
    arguments = ["model", "--suite", "parallel", "--data", "x.tsv", "--quiet", "--json", "scores.json"]
    for columns in (["--anchor-column", "en", "--positive-column", "2"], ["--header", "--anchor-column", "1"]):
        if "--header" in columns:
            columns += ["--positive-column", "2"]
        assert run([*arguments, *columns]) == 0
        (scores,) = json.loads((folder / "scores.json").read_text())["languages"].values()
        assert scores["n"] == 3
    run([*arguments, "--anchor-column", "1", "--positive-column", "2"])
    (scores,) = json.loads((folder / "scores.json").read_text())["languages"].values()
    assert scores["n"] == 4  # the header is a pair, too
    with pytest.raises(UsageError, match=r"^--header: only the suite parallel has files with a header$"):
        run(["model", "--suite", "sts", "--data", ".", "--header"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "tatoeba", "--split", "dev"], "--split: only the suites parallel and sts have splits"),
        (["--suite", "sts", "--languages", "deu"], "--languages: only the suite tatoeba"),
        (["--suite", "parallel", "--language-pairs", "en-de"], "--language-pairs: only the suite sts has pairs"),
        (
            ["--suite", "sts", "--language-pairs", "en-de", "ende"],
            "--language-pairs: 'ende' is not a pair of languages",
        ),
        (["--suite", "sts", "--language-pairs", "en-"], "--language-pairs: 'en-' is not a pair of languages joined by"),
        (["--suite", "sts", "--language-pairs", "en-de-fr"], "'en-de-fr' is not a pair .* such as en-de"),
    ],
)
def test_options_of_another_suite(arguments, message):
    with pytest.raises(UsageError, match=message):
        run(["model", "--data", ".", *arguments])


PROBE = """
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxemb.errors import UsageError
from jaxemb.evaluation.report import Report, ReportTable
from jaxemb.evaluation.suite import Command, Entry, Flag

TIMES = Flag("--times", has="repetitions", help="how often", settings={"type": int})
SPLIT = Flag(
    "--split",
    has="splits to choose from",
    help="the split to score: files of a folder, rows of a file (default: test)",
    settings={"choices": ["train", "dev", "test"]},
)


@dataclass(frozen=True)
class Probe:
    path: Path
    times: int

    def evaluate(self, encode_fn):
        texts = self.path.read_text().splitlines()
        encode = encode_fn if callable(encode_fn) else encode_fn[0]
        a, b = encode(texts * self.times), encode(texts * self.times)
        cosine = float(np.mean(np.sum(a * b, axis=1)))
        row = (self.path.name, f"{cosine:.3f}", str(len(a)))
        table = ReportTable("mean cosine", ("file",), ("cosine", "n"), (row,))
        return Report("probe", table, {"suite": "probe", "cosine": cosine})

    def baseline(self):
        return None


def suite_of(arguments):
    if len(arguments.data) > 1:
        raise UsageError("--data: the suite probe takes one file")
    return Probe(arguments.data[0], TIMES.value(arguments) or 1)


ENTRY = Entry(
    "probe",
    Command(
        about="Probe: is a sentence itself?",
        files="DIR is a file,\\na sentence a line",
        suite_of=suite_of,
        flags=(TIMES, SPLIT),
    ),
)
"""


@pytest.fixture
def probe(folder, monkeypatch):
    """One more file among the suites, for the time of a test."""
    (folder / "suites").mkdir()
    (folder / "suites" / "probe.py").write_text(PROBE)
    (folder / "probe.txt").write_text("a cat\na dog\n")
    monkeypatch.setattr(suites, "__path__", [*suites.__path__, str(folder / "suites")])
    yield folder
    sys.modules.pop("jaxemb.evaluation.suites.probe", None)
    vars(suites).pop("probe", None)


def test_a_new_suite_is_one_file(probe, capsys):
    arguments = ["model", "--suite", "probe", "--data", "probe.txt", "--quiet"]
    assert run([*arguments, "--times", "3", "--json", "scores.json"]) == 0
    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert "model: mean cosine (probe)".split() in rows
    assert ["probe.txt", "1.000", "6"] in rows
    scores = json.loads((probe / "scores.json").read_text())
    assert scores == {"model": "model", "suite": "probe", "cosine": pytest.approx(1, abs=1e-6)}
    with pytest.raises(UsageError, match="--data: the suite probe takes one file"):
        run([*arguments, "--data", "probe.txt", "probe.txt"])
    with pytest.raises(UsageError, match=r"^--times: only the suite probe has repetitions$"):
        run(["model", "--suite", "sts", "--data", ".", "--times", "3"])
    with pytest.raises(UsageError, match=r"^--split: only the suites parallel and sts and probe have splits to choose"):
        run(["model", "--suite", "tatoeba", "--data", ".", "--split", "dev"])
    assert run([*arguments, "--split", "dev"]) == 0


def test_help_tells_a_new_suite(probe, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        run(["--help"])
    shown = capsys.readouterr().out
    assert re.search(r"--suite \{tatoeba,parallel,sts,.*probe.*\}", shown)
    assert "\nProbe: is a sentence itself?\n" in shown.partition("options:")[0]
    assert "  --times TIMES         probe: how often\n" in shown
    assert "sts, probe: the split to score: files of a folder, rows of a file (default: test)" in shown
    assert shown.count("--split {train,dev,test}") == 2  # in the usage and in the list
    assert re.search(r"\n  probe +DIR is a file,\n            +a sentence a line\n", shown)


def test_without_it_there_is_no_probe(folder, capsys):
    with pytest.raises(SystemExit):
        run(["model", "--suite", "probe", "--data", "."])
    assert "invalid choice: 'probe' (choose from" in capsys.readouterr().err
