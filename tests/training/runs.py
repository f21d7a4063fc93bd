"""What the tests of whole runs share."""

import contextlib
import os
import subprocess
import sys
import time

from jaxemb.runs.metrics import read_metrics

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def losses_of(run_dir):
    return {
        line["step"]: line["train/loss"] for line in read_metrics(run_dir / "metrics.jsonl") if "train/loss" in line
    }


def ids_of_step(values, step):
    """The ids of a batch, from the same data pipeline."""
    from jaxemb.config import TrainConfig
    from jaxemb.config import files as config_files
    from jaxemb.data import Batches, prepare, tokenize, train_tokenizer

    config = config_files.validate(TrainConfig, values, "test")
    data = prepare(config.data, 0)
    tokenizer = train_tokenizer(data, config.tokenizer, config.data.max_length, 0)
    tokenized = tokenize(data, tokenizer, config.data.max_length, prompt="")
    return Batches(tokenized, config.data, 16, 0).batch(step)["id"].tolist()


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
