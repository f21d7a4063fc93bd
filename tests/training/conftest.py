import copy
import random
import subprocess

import pytest

import jaxemb
from tests.training.runs import TINY

ENGLISH = "one two three four five six seven eight nine ten red green blue house tree river".split()
GERMAN = "eins zwei drei vier fünf sechs sieben acht neun zehn rot grün blau Haus Baum Fluss".split()


def values_in(folder):
    """A config that trains a tiny model for four steps in a few seconds, and its data."""
    chosen = random.Random(0)
    rows = [[chosen.randrange(16) for _ in range(chosen.randint(2, 5))] for _ in range(200)]
    lines = ["\t".join(" ".join(words[i] for i in row) for words in (ENGLISH, GERMAN)) for row in rows]
    (folder / "en-de.tsv").write_text("\n".join(lines) + "\n")
    return {
        "output_dir": str(folder / "run"),
        "data": {
            "root": str(folder),
            "sources": [{"kind": "tsv", "path": "en-de.tsv"}],
            "cache_dir": str(folder / "cache"),
            "holdout": {"pairs_per_language": 20},
            "max_length": 16,
        },
        "tokenizer": {"vocab_size": 120},
        "model": {"encoder": TINY},
        "optimizer": {"schedule": "constant", "learning_rate": 1e-3},
        "training": {"steps": 4, "batch_size": 16, "log_every": 1, "checkpoint_every": 2},
        "export": {"verify": "jax"},
    }


@pytest.fixture
def values(tmp_path):
    """A config of its own, and its data; without an export, whose verification compiles as much as the run."""
    return values_in(tmp_path) | {"export": {"enabled": False}}


@pytest.fixture(scope="module")
def _whole(tmp_path_factory):
    values = values_in(tmp_path_factory.mktemp("whole"))
    return values, jaxemb.train(values, quiet=True)


@pytest.fixture
def whole(_whole):
    """A finished run that the tests of a file share, with a copy of its config: they write into copies of it only."""
    values, result = _whole
    return copy.deepcopy(values), result


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
