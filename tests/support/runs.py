"""What the tests of whole runs share."""

import contextlib
import functools
import os
import random
import subprocess
import sys
import time

import jax
import numpy as np

from jaxemb.config import TrainConfig
from jaxemb.config import files as config_files
from jaxemb.data import gather, train_tokenizer
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics
from support.batches import batches_of, stored

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def losses_of(run_dir):
    return {
        line["step"]: line["train/loss"] for line in read_metrics(run_dir / "metrics.jsonl") if "train/loss" in line
    }


def ids_of_step(values, step):
    """The ids of a batch, from the same data pipeline."""
    config = config_files.validate(TrainConfig, values, "test")
    data = gather(config.data, 0)
    tokenizer = train_tokenizer(data, config.tokenizer, config.data.max_length, 0)
    return batches_of(stored(data, config.data, tokenizer), config.data, 16, 0).batch(step)["id"].tolist()


def start(config, *flags):
    return subprocess.Popen(
        [sys.executable, "-m", "jaxemb", "train", "--config", str(config), *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "JAX_NUM_CPU_DEVICES": "1"},
    )  # fmt: skip


def run_to_the_end(config, *flags):
    """Trains in a process of its own and returns what it printed."""
    process = start(config, *flags)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    return output


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def fill(folder, leave):
    """Leaves so many bytes free."""
    (folder / "ballast").unlink(missing_ok=True)
    with (folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(folder / "ballast", (folder / "ballast").stat().st_size - leave)


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


def leaves(run_dir):
    """All parameters of the newest checkpoint, those of the objective too."""
    from jaxemb.objectives.parameters import init_params
    from jaxemb.runs.checkpoints import Checkpoints

    run = RunDirectory(run_dir)
    like = jax.eval_shape(functools.partial(init_params, run.load_config()), jax.random.key(0))
    with Checkpoints(run.checkpoints) as checkpoints:
        found = jax.tree_util.tree_leaves_with_path(checkpoints.restore_params(like))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in found}
