"""The script of the results page: one run, tried out small, and the page of results that are there."""

import gzip
import importlib
import json
import sys
from pathlib import Path

import pytest

from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = """
training: {steps: 4, batch_size: 8, evaluate_every: 2, checkpoint_every: 2, stacking: null}
optimizer: {warmup_steps: 1}
tokenizer: {vocab_size: 120}
model: {encoder: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}}
"""


@pytest.fixture
def reproduce(tmp_path, monkeypatch):
    """The script; its results go to a folder of the test."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    module, effects = (importlib.import_module(name) for name in ("reproduce", "effects"))
    monkeypatch.setattr(effects, "RESULTS", tmp_path / "results")
    return module


def call(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *map(str, arguments)])
    module.main()


@pytest.mark.full
@pytest.mark.slow
def test_a_run_is_trained_once_and_told(reproduce, tmp_path, monkeypatch, capfd):
    words = "one two three four five six seven eight red green blue house".split()
    texts = [" ".join(words[(n * k) % 12] for k in (1, 5, 7)) for n in range(60)]
    for folder in ("bitext", "stsb"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bitext/en-de.tsv.gz").write_bytes(gzip.compress("".join(f"{a}\tx\n" for a in texts).encode()))
    scored = "".join(f"{a},{b},{n % 6}\n" for n, (a, b) in enumerate(zip(texts, texts[1:] + texts[:1], strict=True)))
    (tmp_path / "stsb/en.dev.csv.gz").write_bytes(gzip.compress(scored.encode()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = ("run", "start", "--data", tmp_path, "--work", tmp_path / "work", "--change", TINY)
    call(reproduce, monkeypatch, *command)
    (path,) = (tmp_path / "results").iterdir()
    assert path.name == "start.mlm.0.json"
    told = json.loads(path.read_text())
    assert [one["step"] for one in told["curve"]] == [0, 2, 4]
    trained = told["systems"]["trained"]
    assert trained["STS en.dev"] == pytest.approx(told["curve"][-1]["sts_spearman"])
    assert trained["best sts_spearman"] == max(one["sts_spearman"] for one in told["curve"][1:])
    assert trained.keys() >= {"alignment", "uniformity"}
    assert told["seconds"] > 0
    (vocabulary,) = (tmp_path / "work/tokenizers").glob("*/tokenizer.json")
    assert vocabulary.read_text() == (tmp_path / "work/start/mlm-0/tokenizer/tokenizer.json").read_text()
    capfd.readouterr()
    call(reproduce, monkeypatch, *command)
    assert "start, mlm" not in capfd.readouterr().out  # it is there


def test_every_run_is_named_once_and_comes_after_what_it_starts_from(reproduce):
    runs = list(reproduce.runs_of(list(reproduce.EFFECTS)))
    paths = [reproduce.result_path(*run) for run in runs]
    files = [reproduce.beside(reproduce.directory(Path("work"), *run), ".yaml") for run in runs]
    assert len(set(files)) == len(set(paths)) == len(runs)
    done = set()
    for effect, variant, seed in runs:
        if variant.start is not None:
            base, of, its = reproduce.start_of(variant, seed)
            assert (base, of.name, its) in done
        done.add((effect, variant.name, seed))
    assert {effect for effect, _, _ in done} == set(reproduce.EFFECTS)


def test_every_config_is_valid(reproduce, monkeypatch):
    for name in ("DATA", "INIT", "TEACHER"):
        monkeypatch.setenv(f"JAXEMB_{name}", "somewhere")
    for effect, variant, _ in reproduce.runs_of(list(reproduce.EFFECTS)):
        path = reproduce.ROOT / "configs" / f"{variant.config}.yaml"
        values = reproduce.merge(config_files.read_yaml(path), variant.change)
        config = config_files.validate(
            TrainConfig, config_files.resolve_environment(values), f"{effect} {variant.name}"
        )
        assert (config.model.init_from is None) == (variant.start is None)


def test_the_page_tells_means_deviations_and_differences(reproduce, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    values = {"dropout 0.1": (70.0, 72.0, 74.0), "one mask": (60.0, 61.0, 65.0)}
    for variant in reproduce.EFFECTS["simcse"].variants:
        for seed, score in enumerate(values.get(variant.name, ())):
            trained = {"STS en.dev": score, "best sts_spearman": score + 1, "alignment": 0.2, "uniformity": -2.0}
            curve = [{"step": step, "alignment": 0.1 * step, "uniformity": -step} for step in (1, 2)]
            result = {
                "seed": seed,
                "seconds": 90,
                "systems": {"before training": {"STS en.dev": 50.0}, "trained": trained},
            }
            path = reproduce.result_path("simcse", variant, seed)
            path.write_text(json.dumps(result | {"curve": curve}))
    page = tmp_path / "page.md"
    page.write_text("# Results\n\n<!-- reproduce.py: begin -->\nold\n<!-- reproduce.py: end -->\nlast line\n")
    for _ in range(2):  # the second time it is the same
        call(reproduce, monkeypatch, "page", "--page", page)
        text = page.read_text()
        assert "| dropout 0.1 | 72.00 ± 2.00 | 73.00 ± 2.00 | 0.20 ± 0.00 | -2.00 ± 0.00 | 3 | 1.5 |" in text
        assert "| *before training* | 50.00 |" in text
        assert "dropout 0.1 minus one mask, STSb dev: +10.00, +11.00, +9.00 (by seed)" in text
        assert "no dropout" not in text.split("|---")[1]  # has no result
        assert text.startswith("# Results\n\n<!--")
        assert text.endswith("<!-- reproduce.py: end -->\nlast line\n")
    assert (tmp_path / "results" / "simcse.svg").read_text().startswith("<?xml")
