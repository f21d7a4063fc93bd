"""Random kills of a run of two processes, as `benchmarks/random_kills.py` does a hundred of."""

import importlib
from collections import Counter
from pathlib import Path

import pytest


@pytest.mark.full
@pytest.mark.slow
def test_a_dozen_random_kills_change_nothing(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    kills = importlib.import_module("random_kills").kill_randomly(12, seed=215, folder=tmp_path)
    assert len(kills) == 12
    phases = Counter(kill.phase for kill in kills)
    assert phases["checkpoint write"] >= 2, phases
    assert phases.keys() >= {"start", "export"}, phases
    assert {kill.victim for kill in kills} == {"process 0", "process 1", "launcher", "all three"}
