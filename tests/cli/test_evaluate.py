"""`jaxemb evaluate --suite sts`, run in this process."""

import json

import numpy as np
import pytest
from scipy import stats

from jaxemb.cli.evaluate import run
from jaxemb.encoding import Towers
from jaxemb.errors import UsageError
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "tatoeba", "--split", "dev"], "--split: only the suite sts has splits"),
        (["--suite", "sts", "--languages", "deu"], "--languages: only the suite tatoeba"),
        (["--suite", "parallel", "--language-pairs", "en-de"], "--language-pairs: only the suite sts has pairs"),
        (["--suite", "sts", "--language-pairs", "en-de", "ende"], "--language-pairs: 'ende' is no pair of languages"),
        (["--suite", "sts", "--language-pairs", "en-"], "--language-pairs: 'en-' is no pair"),
        (["--suite", "sts", "--language-pairs", "en-de-fr"], "'en-de-fr' is no pair .* such as en-de"),
    ],
)
def test_options_of_another_suite(arguments, message):
    with pytest.raises(UsageError, match=message):
        run(["model", "--data", ".", *arguments])
