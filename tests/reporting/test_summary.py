"""What a finished run shows."""

import re

from jaxemb.encoding import Towers
from jaxemb.encoding.towers import as_towers
from jaxemb.reporting.summary import print_result, print_seeds
from jaxemb.runs.result import TrainResult
from support.tiny_models import tiny_embedder


def test_seeds_with_mean_and_deviation(capsys):
    print_seeds({3: {"held-out all": 70.0, "STS [en]": 61.0}, 1: {"held-out all": 74.0, "STS [en]": 61.0}})
    shown = capsys.readouterr().out
    assert "2 seeds" in shown
    rows = [re.split(r"[\s│]+", line.strip(" │")) for line in shown.splitlines() if "│" in line]
    assert ["held-out", "all", "72.00", "2.83", "70.00", "74.00"] in rows
    assert ["STS", "[en]", "61.00", "0.00", "61.00", "61.00"] in rows


def test_how_to_use_what_was_written(tmp_path, capsys):
    one = tiny_embedder()
    print_result(TrainResult(as_towers(one), tmp_path / "run", None))
    assert f"run directory: {tmp_path / 'run'}" in capsys.readouterr().out
    print_result(TrainResult(as_towers(one), tmp_path / "run", tmp_path / "run" / "export"))
    shown = capsys.readouterr().out
    assert f'model = load("{tmp_path}/run/export")' in shown
    assert "tower=" not in shown
    print_result(TrainResult(Towers(one, tiny_embedder(seed=1)), tmp_path / "run", tmp_path / "run" / "export"))
    shown = capsys.readouterr().out
    assert "model.encode_document" in shown
    assert 'tower="anchor"' in shown
