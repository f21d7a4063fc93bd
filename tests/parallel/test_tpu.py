"""What is compiled for a TPU topology; needs libtpu (`pip install -e ".[tpu]"`), and no TPU."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command):
    """A benchmark in a process of its own."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


needs_libtpu = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed")


@pytest.mark.full
@needs_libtpu
def test_a_ring_of_eight_chips_needs_less_memory_than_published():
    """Inf-CL (arXiv 2410.17243) reports 0.18 GB for 32k rows on eight GPUs."""
    shown = run("benchmarks/loss_memory.py", "--tpu", "v5e:2x4", "--rows", "32768", "--negatives", "ring")
    found = {name: float(size) for name, size in re.findall(r"rows +(\w+) +([\d.]+) GB", shown)}
    assert found.keys() == {"ring"}, shown
    assert 0 < found["ring"] < 0.18
