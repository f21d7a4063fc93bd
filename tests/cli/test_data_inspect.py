"""`jaxemb data inspect`: its page, its numbers, and what it refuses."""

import json

import pytest

from jaxemb.cli import data
from jaxemb.config import files as config_files
from jaxemb.errors import UsageError
from jaxemb.reporting.data_page import data_page
from jaxemb.reporting.display import Display
from jaxemb.training.inspecting import inspect_config

CONFIG = """
data:
  root: {folder}
  cache_dir: {folder}/cache
  sources: [{{kind: tsv, path: en-de.tsv}}]
  holdout: {{pairs_per_language: 2}}
  max_length: 8
tokenizer: {{vocab_size: 60}}
training: {{steps: 1, batch_size: 4}}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [f"{first} {second}" for first in ("red", "green", "blue") for second in ("apple", "pear", "fig", "plum")]
    lines = "".join(f"{word}\t{word[::-1]}\n" for word in words)
    (tmp_path / "en-de.tsv").write_text(lines + "red apple\telppa der\n")
    path = tmp_path / "my.yaml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def test_the_page_and_the_numbers_of_a_config(config, capsys):
    assert data.run(["inspect", str(config), "--json", "data.json", "--data.holdout.pairs-per-language", "0"]) == 0
    printed = capsys.readouterr().out
    assert "duplicate" in printed
    assert "data.html: " in printed
    told = json.loads((config.parent / "data.json").read_text())
    assert told["totals"] | {"bad_lines": 0} == {
        "read": 13, "train": 12, "heldout": 0, "dropped": {"duplicate": 1}, "bad_lines": 0,
    }  # fmt: skip
    flags = ["--data.holdout.pairs-per-language", "0"]
    report = inspect_config(config_files.load_config(config, flags), Display(quiet=True))
    assert json.loads(json.dumps(report)) == told
    assert (config.parent / "data.html").read_text() == data_page(str(config), report)


def test_prepared_data(config, capsys):
    assert data.run(["prepare", "--config", str(config), "--output", "prepared", "--quiet"]) == 0
    assert data.run(["inspect", "prepared", "--output", "page.html", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    page = (config.parent / "page.html").read_text()
    assert "11 examples to train on · 1 language · 1 held out" in page
    assert "Held-out pairs" in page
    assert data.run(["inspect", str(config), "--data.prepared", "prepared", "--json", "both.json", "--quiet"]) == 0
    assert json.loads((config.parent / "both.json").read_text())["padding"][0]["length_buckets"] is None
    with pytest.raises(UsageError, match=r"--data.max-length: changes a config, but prepared is prepared data"):
        data.run(["inspect", "prepared", "--data.max-length", "4"])


def test_mistakes_are_named(config, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty: is not finished \(no manifest.json\)"):
        data.run(["inspect", "empty"])
    with pytest.raises(UsageError, match="--workers: 0 is not a positive number"):
        data.run(["inspect", str(config), "--workers", "0"])
    with pytest.raises(UsageError, match="neither a file nor a config"):
        data.run(["inspect", "nothing"])
