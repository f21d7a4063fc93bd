"""Runs of several processes: equal to those of one, and what they do when one is stopped or dies."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import jaxemb
from support.runs import fill
from support.tiers import sampled

LAUNCHER = Path(__file__).parents[3] / "launch" / "local.py"
WORDS = "one two three four five six seven eight red green blue house tree sun moon cat dog".split()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with pairs: words, and the same words spelled backwards."""
    folder, draw = tmp_path_factory.mktemp("corpus"), random.Random(0)
    lines = []
    for number in range(300):
        words = draw.choices(WORDS, k=draw.randint(2, 8))
        lines.append(f"{' '.join(words)} {number}\t{' '.join(word[::-1] for word in words)} {number}\n")
    (folder / "en-fr.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def config_of(corpus, run, **changes):
    """A config beside `run`, which two seconds train."""
    training = {"steps": 10, "batch_size": 32, "evaluate_every": 5, "checkpoint_every": 5, "log_every": 1}
    values = {
        "output_dir": str(run),
        "data": {
            "root": str(corpus),
            "cache_dir": str(run.parent / "cache"),
            "sources": [{"kind": "tsv", "path": "en-fr.tsv"}],
            "holdout": {"pairs_per_language": 20},
            "max_length": 16,
        },
        "tokenizer": {"vocab_size": 120},
        "model": {
            "encoder": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
            "pooling": "mean",
            "dense": None,
        },
        "objective": {"kind": "labse", "scale": 20.0, "margin": 0.1},
        "optimizer": {"learning_rate": 1e-3, "warmup_steps": 2},
        "training": {**training, **changes.pop("training", {})},
        "evaluation": {"pool_size": 20},
        "export": {"verify": "jax"},
        **changes,
    }
    path = run.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values))
    return path


def environment(**variables):
    """Of a process of its own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("JAX_COORD", "JAX_NUM", "JAX_PROC"))
    }
    return {**kept, "JAX_PLATFORMS": "cpu", **variables}


def launch(config, *flags, processes=2, devices=2, train=()):
    """Starts the launcher."""
    command = [sys.executable, LAUNCHER, "--processes", str(processes), "--cpu-devices", str(devices), *flags]
    return subprocess.Popen(
        [*map(str, command), "--", "--config", str(config), "--resume", *train],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(config, *flags, devices=1):
    """A run of one process."""
    command = [sys.executable, "-m", "jaxemb", "train", "--config", str(config), *flags]
    return subprocess.run(
        command, env=environment(JAX_NUM_CPU_DEVICES=str(devices)), capture_output=True, text=True, timeout=600
    )


def losses(run):
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


def wait_for(process, pattern, seconds=300):
    """Reads what the launcher prints until a line matches; returns the lines."""
    lines, until = [], time.monotonic() + seconds
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return lines
        assert time.monotonic() < until
    raise AssertionError("".join(lines))


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize(("devices", "fsdp"), [(2, 2), (4, 1), (4, 8), (2, 1), (4, 2), (2, 4)])
def test_two_processes_train_as_one(corpus, tmp_path, devices, fsdp):
    mesh = {"data": -1, "fsdp": fsdp}
    one = tmp_path / "one"
    done = train(config_of(corpus, one), devices=1)
    assert done.returncode == 0, done.stderr
    two = tmp_path / "two"
    process = launch(config_of(corpus, two, mesh=mesh), devices=devices)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    expected, found = losses(one), losses(two)
    assert list(expected) == list(found) == list(range(1, 11))
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-5)
    expected, found = (load_file(run / "export" / "model.safetensors") for run in (one, two))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        if "key.bias" not in name:  # its true gradient is zero, of which Adam makes noise
            np.testing.assert_allclose(found[name], tensor, atol=1e-4, err_msg=name)
    assert "[0]" in output
    assert "[1]    " not in output, "only the first process tells"
    assert (two / "results.json").read_text() == (one / "results.json").read_text()


def endless(corpus, run):
    """A config whose checkpoints are those that signals ask for."""
    return config_of(corpus, run, training={"steps": 100_000, "evaluate_every": None, "checkpoint_every": 50_000})


def children(process):
    """Process ids of the workers."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_running(pid):
    """Whether a process is there, and no zombie."""
    status = Path(f"/proc/{pid}/status")
    return status.is_file() and "zombie" not in status.read_text()


def checkpoints(run):
    """Steps of the whole ones."""
    names = [path.parent.name for path in (run / "checkpoints").glob("*/_CHECKPOINT_METADATA")]
    return sorted(int(name) for name in names if name.isdigit())  # the others are being written


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", sampled([signal.SIGTERM], [signal.SIGINT]))
def test_a_signal_ends_a_process_that_waits_for_the_others(corpus, tmp_path, number):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = free.getsockname()
    flags = ("--coordinator-address", f"localhost:{address[1]}", "--num-processes", "2", "--process-id", "0")
    command = [sys.executable, "-m", "jaxemb", "train", "--config", str(config_of(corpus, tmp_path / "run")), *flags]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            wait_until(lambda: is_listening(address), 120)
            time.sleep(2)  # from then on it waits
            process.send_signal(number)
            process.communicate(timeout=15)
        finally:
            process.kill()
    assert process.returncode in (-number, 128 + number)


def is_listening(address):
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


@pytest.mark.full
@pytest.mark.slow
def test_sigterm_to_one_stops_both_after_the_same_step_and_one_process_goes_on(corpus, tmp_path):
    run = tmp_path / "run"
    config = endless(corpus, run)
    process = launch(config, "--max-restarts", "0")
    wait_for(process, "first step done")
    os.kill(children(process)[1], signal.SIGTERM)
    began = time.monotonic()
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 75, rest
    assert "a process ended with exit code 75 (all: 75, 75)" in rest
    assert time.monotonic() - began < 60
    stopped = re.findall(r"stopped after step (\d+); a checkpoint is written", rest)
    assert len(stopped) == 2
    assert len(set(stopped)) == 1
    step = int(stopped[0])
    assert checkpoints(run) == [step]
    values = yaml.safe_load(config.read_text())
    values["training"]["steps"] = step + 2
    config.write_text(yaml.safe_dump(values))
    done = train(config, "--resume")
    assert done.returncode == 0, done.stderr
    assert f"resuming after step {step}" in done.stdout
    assert max(losses(run)) == step + 2


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_the_launcher_takes_its_workers_with_it(corpus, tmp_path, number):
    run = tmp_path / "run"
    with launch(endless(corpus, run)) as process:
        wait_for(process, "first step done")
        workers = children(process)
        process.send_signal(number)
        codes = {signal.SIGTERM: 75, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}
        assert process.wait(60) == codes[number]
        wait_until(lambda: not any(map(is_running, workers)), 30)
    # With the launcher went the pipe that they print to, so that they may end before a checkpoint.
    assert len(checkpoints(run)) == 1 or number == signal.SIGKILL


@pytest.mark.slow
def test_two_processes_killed_stopped_and_resumed_by_one_train_as_one(corpus, tmp_path, pytestconfig):
    """One is killed, the launcher starts both again; SIGTERM to one stops both; one process resumes.

    The sample seed chooses the victim. All steps are those of a run of one process that nothing happened to.
    """
    run, alone = tmp_path / "run", tmp_path / "alone"
    training = {"steps": 100_000, "evaluate_every": None, "checkpoint_every": 5}
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 512}
    config = config_of(corpus, run, training=training, mesh={"data": -1, "fsdp": 2})
    values = yaml.safe_load(config.read_text())
    values["model"]["encoder"], values["data"]["holdout"] = small, {"pairs_per_language": 0}
    values["optimizer"]["schedule"] = "constant"  # the number of steps will change
    config.write_text(yaml.safe_dump(values))
    process = launch(config, "--max-restarts", "1")
    wait_for(process, "first step done")
    wait_until(lambda: checkpoints(run))
    os.kill(children(process)[pytestconfig.option.sample_seed % 2], signal.SIGKILL)
    shown = "".join(wait_for(process, r"resuming after step \d+") + wait_for(process, "first step done"))
    assert "restart 1 of 1" in shown
    os.kill(children(process)[1 - pytestconfig.option.sample_seed % 2], signal.SIGTERM)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 75, rest
    stopped = re.findall(r"stopped after step (\d+); a checkpoint is written", rest)
    assert len(stopped) == 2
    assert len(set(stopped)) == 1
    step = int(stopped[0])
    assert checkpoints(run)[-1] == step
    values["training"]["steps"], values["mesh"] = step + 2, {"data": 1, "fsdp": 1}
    jaxemb.train(values, resume=True, quiet=True, devices=jax.devices()[:1])
    jaxemb.train({**values, "output_dir": str(alone)}, quiet=True, devices=jax.devices()[:1])
    expected, found = losses(alone), losses(run)
    assert list(expected) == list(found) == list(range(1, step + 3))
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-5)


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    """A run that nothing happens to."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    process = launch(config_of(corpus, run, training=DISTURBED))
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return run


DISTURBED = {"steps": 60, "evaluate_every": None, "checkpoint_every": 10}


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_is_noticed_and_the_run_goes_on_bit_equal(corpus, undisturbed, tmp_path, victim):
    run = tmp_path / "run"
    process = launch(config_of(corpus, run, training=DISTURBED), "--max-restarts", "1")
    wait_for(process, "first step done")
    wait_until(lambda: checkpoints(run))
    os.kill(children(process)[victim], signal.SIGKILL)
    rest, _ = process.communicate(timeout=600)
    assert process.returncode == 0, rest
    assert "restart 1 of 1" in rest
    assert "resuming after step" in rest
    expected, found = (load_file(one / "export" / "model.safetensors") for one in (undisturbed, run))
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def many_checkpoints(corpus, run):
    """A config of some minutes, whose parameters are split over all devices."""
    training = {"steps": 5000, "evaluate_every": None, "checkpoint_every": 20, "keep_checkpoints": 1}
    config = config_of(corpus, run, training=training, mesh={"data": 1, "fsdp": 4})
    values = yaml.safe_load(config.read_text())
    values["data"]["holdout"] = {"pairs_per_language": 0}  # less to compile
    config.write_text(yaml.safe_dump(values))
    return config


def wait_for_checkpoint(run, after=0):
    """Waits for a newer one and returns its step."""
    wait_until(lambda: max(checkpoints(run), default=0) > after, 300)
    return checkpoints(run)[-1]


@pytest.mark.full
@pytest.mark.slow
def test_a_straggler_is_waited_for_or_given_up(corpus, tmp_path):
    run = tmp_path / "run"
    process = launch(many_checkpoints(corpus, run), "--max-restarts", "0", train=["--heartbeat-timeout", "12"])
    step = wait_for_checkpoint(run)
    straggler = children(process)[1]
    os.kill(straggler, signal.SIGSTOP)
    time.sleep(2)
    before = losses(run)
    time.sleep(2)
    assert losses(run) == before, "the other waits"
    os.kill(straggler, signal.SIGCONT)
    wait_for_checkpoint(run, after=max(step, *before))
    os.kill(straggler, signal.SIGSTOP)
    wait_for(process, "stopped sending heartbeats", 60)
    os.kill(straggler, signal.SIGCONT)  # too late: it finds that it is alone
    output, _ = process.communicate(timeout=180)
    assert process.returncode > 0
    assert "launcher: a process ended with exit code" in output


@pytest.mark.full  # test_faults.py fills the disk of one process; a write of one of two fails below
@pytest.mark.slow
def test_a_full_disk_and_a_read_only_one_end_all_processes_with_a_message(corpus, small_disk, tmp_path):
    config, run = tmp_path / "run.yaml", small_disk / "run"
    many_checkpoints(corpus, tmp_path / "run")
    config.write_text(config.read_text().replace(str(tmp_path / "run"), str(run)))

    def ends(cause):
        """Starts, lets `cause` happen after a checkpoint, and returns what was printed."""
        after = max(checkpoints(run), default=0)
        process = launch(config, "--max-restarts", "0")
        wait_for_checkpoint(run, after)
        cause()
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 1, output
        assert "Traceback" not in output
        assert (
            checkpoints(run)[-1] > after
        )  # the older one may be there still: it cannot be removed on a read-only disk
        return output

    assert "cannot be written (No space left on device)" in ends(lambda: fill(small_disk, leave=0))
    (small_disk / "ballast").unlink()
    folder = run / "checkpoints"

    def make_read_only():
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)

    try:
        output = ends(make_read_only)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
    assert f"{folder}: cannot be written (Read-only file system); older checkpoints are whole" in output


def delete_all(folder):
    """Both processes fail."""
    shutil.rmtree(folder, ignore_errors=True)


def occupy_the_name(folder):
    """The first process, which renames a checkpoint when all have written it, fails alone."""
    (folder / "20" / "else").mkdir(parents=True, exist_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "reason"), sampled([(occupy_the_name, "Cannot rename")], [(delete_all, "No such file or directory")])
)
def test_a_write_that_fails_in_one_process_ends_all(corpus, tmp_path, harm, reason):
    """They used to wait for each other, at two barriers, for twenty minutes."""
    run = tmp_path / "run"

    def do_harm():
        while process.poll() is None:
            time.sleep(0.002)
            with contextlib.suppress(FileNotFoundError):
                if any(not path.name.isdigit() for path in (run / "checkpoints").iterdir()):
                    harm(run / "checkpoints")

    with launch(many_checkpoints(corpus, run), "--max-restarts", "0") as process:
        threading.Thread(target=do_harm).start()
        try:
            output, _ = process.communicate(timeout=240)
        finally:
            process.terminate()
    assert process.returncode == 1, output
    assert f"checkpoints: cannot be written ({reason}" in output
    assert "older checkpoints are whole" in output


def test_a_process_ends_at_once_though_nobody_reads_what_it_prints():
    """As when the launcher was killed: it used to wait a minute for the others, after the error of a closed pipe."""
    code = (
        "import atexit, os, sys; from jaxemb import cli, distributed; distributed.is_one_of_several = lambda: True; "
        "atexit.register(os._exit, 99); sys.exit(cli.main(['train', '--config', 'missing.yaml']))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], env=environment(), stdout=writer, stderr=writer, timeout=120)
    os.close(writer)
    assert done.returncode == 1


ADDRESS = "--coordinator-address localhost:{port} --num-processes 2 --process-id "
TAKEN = (r"port \d+ cannot be used", ADDRESS + "0", {})
WRONG = [
    (r"cannot reach process 0 at localhost:\d+ within 1 s", ADDRESS + "1 --connect-timeout 1", {}),
    ("not all 2 processes connected within 1 s", ADDRESS + "0 --connect-timeout 1", {}),
    (r"also needs --num-processes \(JAX_NUM_PROCESSES\) and --process-id \(JAX_PROCESS_ID\)$",
     "--coordinator-address localhost:1234", {}),
    ("--process-id: 2 is out of range: the 2 processes are numbered 0 to 1", "",
     {"JAX_COORDINATOR_ADDRESS": "localhost:1234", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "2"}),
    ("JAX_NUM_PROCESSES: 'two' is not a number", "", {"JAX_NUM_PROCESSES": "two"}),
    ("'localhost' is not HOST:PORT", "--coordinator-address localhost --num-processes 2 --process-id 0", {}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("message", "flags", "variables"), sampled([TAKEN], WRONG))
def test_what_is_wrong_is_said_at_once(corpus, tmp_path, message, flags, variables):
    with socket.socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        port = listener.getsockname()[1]
        if message != TAKEN[0]:
            listener.close()
        command = [sys.executable, "-m", "jaxemb", "train", "--config", str(config_of(corpus, tmp_path / "run"))]
        done = subprocess.run(
            [*command, *flags.format(port=port).split()], env=environment(**variables), capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1, "one message"
