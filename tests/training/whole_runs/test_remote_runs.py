"""Whole runs behind a URL, stopped, killed and gone on with on another machine, which has nothing but the URL."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import fsspec
import jax
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import jaxemb
from jaxemb.errors import UsageError
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.storage import remote
from jaxemb.runs.storage.mirror import mirror
from jaxemb.runs.storage.store import Store
from jaxemb.training.seeds import train_seeds
from support.runs import losses_of, run_to_the_end, wait_for


def on_another_machine(values, folder):
    """The values with a cache that is empty."""
    return {**values, "data": {**values["data"], "cache_dir": str(folder)}}


@pytest.mark.slow
def test_another_machine_goes_on_bit_for_bit(values, tmp_path, monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setattr(remote, "SECONDS_BETWEEN_LOOKS", 0.01)
    values["training"].update(steps=6, keep_checkpoints=1, evaluate_every=2)
    values["export"] = {"verify": "jax"}
    whole = jaxemb.train(values, quiet=True)
    values["output_dir"] = url = "memory://bucket/run/"
    with pytest.raises(UsageError, match="several runs need an output_dir on this machine"):
        train_seeds(jaxemb.config.TrainConfig.model_validate_json(json.dumps(values)), [0, 1])
    jaxemb.train({**values, "training": {**values["training"], "steps": 4}}, quiet=True)
    found = jaxemb.train(on_another_machine(values, tmp_path / "other"), resume=True, quiet=True)
    assert found.run_dir.is_relative_to(tmp_path / "other" / "runs")
    assert losses_of(found.run_dir) == losses_of(whole.run_dir)
    metric = RunDirectory(whole.run_dir).scores("all_accuracy")
    assert RunDirectory(found.run_dir).scores("all_accuracy") == metric
    for one, other in zip(jax.tree.leaves(found.embedder.params), jax.tree.leaves(whole.embedder.params), strict=True):
        np.testing.assert_array_equal(one, other)
    # The best and the newest checkpoint lie there, the former although the other machine never had it.
    best = RunDirectory(whole.run_dir).best_step()
    names = set(Store(url).units())
    assert {name for name in names if name.startswith("checkpoints/")} == {f"checkpoints/{step}" for step in {best, 6}}
    # What any tool reads from the bucket: the run and its export, as in a directory.
    bucket = fsspec.filesystem("memory")
    bucket.get("/bucket/run", str(tmp_path / "copy"), recursive=True)
    texts = ["one two", "Haus"]
    for model in ("copy", "copy/export", "copy@best" if best != 6 else "copy@6"):
        jaxemb.load(tmp_path / model).encode(texts)
    copied = jaxemb.load(tmp_path / "copy" / "export").encode(texts)
    np.testing.assert_array_equal(copied, jaxemb.load(whole.export_dir).encode(texts))
    again = jaxemb.train(on_another_machine(values, tmp_path / "third"), resume=True, quiet=True)
    assert losses_of(again.run_dir) == losses_of(whole.run_dir), "it is finished"
    assert set(Store(url).units()) == names
    np.testing.assert_array_equal(again.embedder.encode(texts), whole.embedder.encode(texts))


SLOW = """
import sys, time
from fsspec.implementations.local import LocalFileSystem
def put_file(fs, source, target, **options):
    content = open(source, "rb").read()
    with open(target, "wb", buffering=0) as file:
        file.write(content[: len(content) // 2])
        time.sleep(0.1)
        file.write(content[len(content) // 2 :])
LocalFileSystem.put_file = put_file
from jaxemb.cli import main
sys.exit(main())
"""


@pytest.mark.full
@pytest.mark.slow
def test_kill_9_during_an_upload_then_another_machine_goes_on_bit_equal(values, tmp_path):
    """The store is a folder that takes its time, in which files grow under their names."""
    values["data"]["holdout"], values["export"] = {"pairs_per_language": 0}, {"enabled": False}  # less to compile
    values["training"].update(steps=200, checkpoint_every=10, keep_checkpoints=1)
    config, slow = tmp_path / "config.yaml", tmp_path / "slow.py"
    slow.write_text(SLOW)
    config.write_text(json.dumps(values))
    run_to_the_end(config, "--output-dir", str(tmp_path / "whole"))
    bucket = tmp_path / "bucket" / "run"
    url = f"file://{bucket}"

    def committed():
        return {path.stem for path in (bucket / "_jaxemb" / "commits" / "checkpoints").glob("*.json")}

    def under_way():
        return {path.name for path in bucket.glob("checkpoints/*")} - committed()

    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    process = subprocess.Popen(
        [sys.executable, slow, "train", "--config", config, "--output-dir", url, "--quiet"], env=environment
    )
    wait_for(lambda: committed() and under_way() and max(map(int, under_way())) > max(map(int, committed())))
    process.kill()
    process.communicate()
    seen = RunDirectory(tmp_path / "seen")
    mirror(Store(url), Store(url).units(), seen.path, lambda line: None)
    (step,) = seen.steps
    assert step < 200
    assert str(step) in committed()
    assert set(range(1, step + 1)) <= losses_of(seen.path).keys()
    jaxemb.load(seen.path).encode(["one two"])
    cache = tmp_path / "other"
    shown = run_to_the_end(config, "--output-dir", url, "--resume", "--data.cache-dir", str(cache))
    assert f"resuming after step {step}" in shown
    assert f"committed to {url}" in shown
    assert committed() == {"200"}
    assert not under_way()
    (again,) = (cache / "runs").glob("run-*/run")
    assert losses_of(again) == losses_of(tmp_path / "whole")
    for copy in (again, bucket):
        one, other = (jaxemb.load(run).encode(["one two", "Haus"]) for run in (copy, tmp_path / "whole"))
        np.testing.assert_array_equal(one, other)


@pytest.mark.full
@pytest.mark.slow
def test_two_processes_leave_when_all_is_committed(values, tmp_path):
    values["training"].update(steps=100_000, checkpoint_every=50_000)
    values["output_dir"] = url = f"file://{tmp_path / 'bucket' / 'run'}"
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values))
    launcher = Path(__file__).parents[3] / "launch" / "local.py"
    command = [sys.executable, launcher, "--processes", "2", "--cpu-devices", "2", "--max-restarts", "0"]
    with subprocess.Popen(
        [*map(str, command), "--", "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        shown = []
        for line in process.stdout:
            shown.append(line)
            if "first step done" in line:
                break
        process.send_signal(signal.SIGTERM)
        rest = "".join([*shown, *process.stdout])
    assert process.returncode == 75, rest
    assert rest.count("a checkpoint is written. Continue with the same command and --resume.") == 2
    assert rest.index("committed to file://") < rest.index("[0] stopped after step")
    mirror(Store(url), Store(url).units(), tmp_path / "seen", lambda line: None)
    (step,) = RunDirectory(tmp_path / "seen").steps
    assert f"stopped after step {step};" in rest


@pytest.mark.slow
def test_processes_must_see_the_same_mirror(values, tmp_path):
    values["data"].pop("cache_dir")
    values["output_dir"] = f"file://{tmp_path / 'bucket' / 'run'}"
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(values))
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jaxemb", "train", "--config", str(config), "--num-processes", "2"]
    processes = [
        subprocess.Popen(
            [*command, "--coordinator-address", f"localhost:{port}", "--process-id", str(index)],
            env={**os.environ, "JAX_NUM_CPU_DEVICES": "1", "XDG_CACHE_HOME": str(tmp_path / f"cache{index}")},
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert {process.returncode for process in processes} == {2}, errors
    assert "the mirror of file://" in errors[0] + errors[1]
    assert (
        "(set data.cache_dir or XDG_CACHE_HOME to a folder that all hosts see), of process 1" in errors[0] + errors[1]
    )
