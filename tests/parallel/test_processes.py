"""Two processes of four devices each are as good as one of eight."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.dense_losses import PAIRS

TESTS = Path(__file__).parents[1]
SOME = [
    ("multiple_negatives_ranking/hard", "ring"),
    ("gist/hard", "local"),
    ("uniformity", "ring"),
    ("cosent", "gather"),
]


@pytest.mark.slow
@pytest.mark.parametrize("cases", [SOME, pytest.param(PAIRS, marks=pytest.mark.full)], ids=["some", "all"])
def test_losses_over_two_processes_equal_the_dense_maths(cases):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    paths = os.pathsep.join([str(TESTS), *sys.path])
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "support.one_of_two_processes", str(port), str(number), *map(" ".join, cases)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        for number in range(2)
    ]
    outputs = [process.communicate(timeout=3600)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
        assert output.count(": equal") == len(cases)
