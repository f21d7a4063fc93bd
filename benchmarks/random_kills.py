"""Kills random processes of a small run at random times; the run must end with the weights of an undisturbed run.

    python benchmarks/random_kills.py --kills 100

Two processes of two simulated devices train under `launch/local.py`, with parameters sharded over all four devices.
For each kill, the script waits for a phase of the run (start, steps, checkpoint write, evaluation, export) and then a
random time. It freezes all processes (SIGSTOP), so that the run directory shows what the kill interrupts. Then it sends
SIGKILL to process 0 (the coordinator), process 1, the launcher, or all three, as when a host disappears. The launcher
restarts its processes; if the launcher itself was killed, the script starts it again with `--resume`. Each run is
killed several times. Linux only.
"""

import argparse
import collections
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from safetensors.numpy import load_file

from jaxemb.files import is_partial
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics

LAUNCHER = Path(__file__).parents[1] / "launch" / "local.py"
WORDS = "one two three four five six seven eight red green blue house tree sun moon cat dog".split()
STEPS, CHECKPOINT_EVERY, EVALUATE_EVERY = 64, 4, 8
VICTIMS = {"process 0": 3, "process 1": 3, "launcher": 2, "all three": 2}
"""The victims, with their relative frequency."""
PHASES = {"start": 3, "steps": 2, "checkpoint write": 4, "evaluation": 1, "export": 2}
"""The phases, with their relative frequency."""
LONGEST_DELAY = {"start": 8.0, "steps": 1.0, "checkpoint write": 0.15, "evaluation": 0.3, "export": 0.5}
"""The kill comes at most this many seconds after the phase begins."""
KILLS_A_RUN = 12
MARK = "JAXEMB_RANDOM_KILLS"
"""An environment variable that marks all processes of a run, so that remaining ones can be found."""


class Blow(NamedTuple):
    """A planned kill."""

    phase: str
    victim: str
    delay: float
    """Seconds after the phase began."""


class Kill(NamedTuple):
    """A kill that happened."""

    victim: str
    phase: str
    """The phase that it interrupted, judged by the run directory while all processes were frozen."""
    checkpoints: list[int]
    """The steps of the complete checkpoints at this time."""
    restarts: int
    """The number of restarts by launchers up to this time."""


def planned(kills: int, draw: random.Random) -> list[Blow]:
    """Plans the kills of one run, in order; kills in the export come last."""
    phases = [phase for phase, share in PHASES.items() for _ in range(share)]
    phases = (
        draw.sample(phases, kills) if kills < len(phases) else [*phases, *draw.choices(phases, k=kills - len(phases))]
    )
    draw.shuffle(phases)
    phases.sort(key=lambda phase: phase == "export")
    victims = draw.choices(list(VICTIMS), list(VICTIMS.values()), k=kills)
    return [
        Blow(phase, victim, draw.random() * LONGEST_DELAY[phase]) for phase, victim in zip(phases, victims, strict=True)
    ]


def write_config(folder: Path, run: Path) -> Path:
    """Writes the config of a run with small tensors that are still sharded over all devices."""
    draw, lines = random.Random(0), []
    for number in range(300):
        words = draw.choices(WORDS, k=draw.randint(2, 8))
        lines.append(f"{' '.join(words)} {number}\t{' '.join(word[::-1] for word in words)} {number}\n")
    (folder / "en-fr.tsv").write_text("".join(lines), encoding="utf-8")
    values = {
        "output_dir": str(run),
        "mesh": {"data": 1, "fsdp": 4},
        "data": {
            "root": str(folder),
            "cache_dir": str(folder / "cache"),
            "sources": [{"kind": "tsv", "path": "en-fr.tsv"}],
            "holdout": {"pairs_per_language": 20},
            "max_length": 16,
        },
        "tokenizer": {"vocab_size": 120},
        "model": {
            "encoder": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 512},
            "pooling": "mean",
            "dense": None,
        },
        "optimizer": {"learning_rate": 1e-3, "warmup_steps": 2},
        "training": {
            "steps": STEPS, "batch_size": 32, "log_every": 1, "checkpoint_every": CHECKPOINT_EVERY,
            "evaluate_every": EVALUATE_EVERY,
        },
        "evaluation": {"pool_size": 20},
        "export": {"verify": "jax"},
    }  # fmt: skip
    path = run.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(values))
    return path


def environment(folder: Path, mark: str) -> dict[str, str]:
    """The environment of all processes of a run."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("JAX_")},
        # Compilation is most of a restart, so compile fast and run slowly.
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02",
        "PYTHONUNBUFFERED": "1",
        MARK: mark,
    }


def environment_of(pid: int) -> dict[str, str]:
    """The environment of a process; empty if it is gone or a zombie."""
    try:
        lines = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(line.partition("=")[::2] for line in lines if line)


def is_stopped(pid: int) -> bool:
    """Whether a process no longer runs: it is stopped, a zombie or gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
    except OSError:
        return True


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits until `condition` holds.

    Raises:
      TimeoutError: if it does not hold within `seconds`.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.01)


class KilledRun:
    """A run under the launcher, which is started again after each kill that ends it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.run = RunDirectory(folder / name)
        self.log = folder / f"{name}.log"
        self._folder, self._begin = folder, 0
        self._config = write_config(folder, self.run.path)
        self._mark = f"{os.getpid()} {self.run.path}"
        self._last: Kill | None = None
        self.start()

    def start(self) -> None:
        """Starts the launcher."""
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, LAUNCHER, "--processes", 2, "--cpu-devices", 2, "--max-restarts", 1000]
        with self.log.open("ab") as log:
            self._launcher = subprocess.Popen(
                [*map(str, command), "--", "--config", str(self._config), "--resume"],
                env=environment(self._folder, self._mark), stdout=log, stderr=log,
            )  # fmt: skip

    def processes(self) -> dict[int, str]:
        """The names of the launcher and its processes that exist now, by process id."""
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (variables := environment_of(int(folder.name))).get(MARK) == self._mark:
                # Between fork and exec, a process still has the environment of the launcher.
                found[int(folder.name)] = f"process {variables.get('JAX_PROCESS_ID', 'unborn')}"
        return found | ({self._launcher.pid: "launcher"} if self._launcher.pid in found else {})

    def said(self) -> str:
        """The output of the processes since the last restart."""
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace").rpartition("launcher: restart")[2]

    def _restarts(self) -> int:
        return self.log.read_bytes().count(b"launcher: restart")

    def phase(self) -> str:
        """The phase of the run, judged by its files and its output."""
        said = self.said()
        at_end = f"resuming after step {STEPS}\n" in said  # only scoring and the export are left
        if not at_end and "first step done" not in said:
            return "start"
        if any(not path.name.isdigit() for path in self.run.checkpoints.iterdir()):
            return "checkpoint write"
        if any(path.name.startswith(".export") and is_partial(path) for path in self.run.path.iterdir()):
            return "export"
        if "exported to" in said:
            return "end"
        lines = list(read_metrics(self.run.metrics))
        step = max(line["step"] for line in lines)
        scored = any(line["step"] == step and "train/loss" not in line for line in lines)
        if at_end or (step in self.run.steps and step % EVALUATE_EVERY == 0 and not scored):
            return "evaluation"
        return "steps" if step < STEPS else "end"

    def strike(self, blow: Blow) -> Kill | None:
        """Waits for the phase and the delay, freezes all processes, and kills; returns None if the run ended before."""

        def ended() -> bool:
            return self._launcher.poll() is not None

        wanted = {"process 0", "process 1", "launcher"} if blow.victim == "all three" else {blow.victim}
        wait_until(lambda: ended() or blow.phase in ("start", self.phase()), 900, f"phase {blow.phase}")
        time.sleep(blow.delay)
        wait_until(lambda: ended() or wanted <= set(self.processes().values()), 60, "the victim is there")
        there = self.processes()
        for pid in there:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(map(is_stopped, there)), 10, "all are frozen")
        if ended():
            return None
        kill = Kill(blow.victim, self.phase(), self.run.steps, self._restarts())
        self._check_resumed()
        for pid, name in there.items():
            os.kill(pid, signal.SIGKILL if name in wanted else signal.SIGCONT)
        self._last = kill
        return kill

    def _check_resumed(self) -> None:
        """Checks that the run resumed from the newest checkpoint that was complete at the last kill, or a later one."""
        if self._last is None or not (found := re.search(r"resuming after step (\d+)\n", said := self.said())):
            assert self._last is None or not self._last.checkpoints or "model of" not in said, "it began anew"
            return
        newest, step = max(self._last.checkpoints, default=0), int(found[1])
        # A surviving process may complete a checkpoint, or write another one.
        assert step == newest if self._last.victim == "all three" else step >= newest, f"{step} after {newest}"

    def recover(self, kill: Kill) -> float:
        """Waits until the launcher, or this script, has started all processes again; returns the seconds."""
        began = time.monotonic()
        if kill.victim.startswith("process"):
            wait_until(lambda: self._restarts() > kill.restarts, 90, "the launcher starts all again")
        else:
            self._launcher.wait()
            wait_until(lambda: not self.processes(), 90, "without the launcher all processes end")
            self.start()
        return time.monotonic() - began

    def finish(self) -> None:
        """Waits for the end of the run; checks the exit code 0 and that no process or partial file is left."""
        wait_until(lambda: self._launcher.poll() is not None, 900, "the run ends")
        assert self._launcher.returncode == 0, f"exit code {self._launcher.returncode}"
        self._check_resumed()
        wait_until(lambda: not self.processes(), 5, "no process is left over")
        unfinished = [path for path in self.run.checkpoints.iterdir() if not path.name.isdigit()]
        unfinished += [path for path in self.run.path.iterdir() if is_partial(path)]
        assert not unfinished, f"left over: {unfinished}"


def assert_equal(found: RunDirectory, expected: RunDirectory) -> None:
    """Checks that the weights, the scores and the loss of each step are equal, bit for bit."""
    weights = [load_file(run.export / "model.safetensors") for run in (found, expected)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[1].items():
        np.testing.assert_array_equal(weights[0][name], tensor, err_msg=name)
    assert found.results.read_text() == expected.results.read_text()
    losses = [
        {line["step"]: line["train/loss"] for line in read_metrics(run.metrics) if "train/loss" in line}
        for run in (found, expected)
    ]
    assert losses[0] == losses[1]
    assert list(losses[0]) == list(range(1, STEPS + 1))


def kill_randomly(kills: int, seed: int, folder: Path) -> list[Kill]:
    """Trains one undisturbed run, then kills other runs and compares each with it.

    Raises:
      AssertionError, TimeoutError: if a run does not end like the undisturbed one; has the end of the log.
    """
    draw, done = random.Random(seed), list[Kill]()
    run = undisturbed = KilledRun(folder, "undisturbed")
    try:
        undisturbed.finish()
        while len(done) < kills:
            run, before = KilledRun(folder, f"run-{len(done)}"), len(done)
            for blow in planned(min(KILLS_A_RUN, kills - len(done)), draw):
                if (kill := run.strike(blow)) is None:
                    break
                done.append(kill)
                seconds, steps = run.recover(kill), ", ".join(map(str, kill.checkpoints)) or "none"
                print(
                    f"kill {len(done)}: {kill.victim}, {kill.phase} (whole checkpoints: {steps}); started again after "
                    f"{seconds:.1f} s",
                    flush=True,
                )
            run.finish()
            assert_equal(run.run, undisturbed.run)
            print(f"the run ends as the undisturbed one, after {len(done) - before} kills", flush=True)
    except (AssertionError, TimeoutError) as error:
        tail = "\n".join(run.log.read_text(errors="replace").splitlines()[-60:])
        raise type(error)(f"{error}\n{tail}") from error
    finally:
        for pid in run.processes():
            os.kill(pid, signal.SIGKILL)
    return done


def table(kills: list[Kill]) -> str:
    """A Markdown table of the number of kills by phase and victim."""
    counts = collections.Counter((kill.phase, kill.victim) for kill in kills)
    phases = [phase for phase in (*PHASES, "end") if any(phase == kill.phase for kill in kills)]
    rows = [[phase, *(counts[phase, victim] for victim in VICTIMS)] for phase in phases]
    rows = [[*row, sum(row[1:])] for row in rows]
    rows.append(["all", *(sum(row[i] for row in rows) for i in range(1, len(VICTIMS) + 2))])
    lines = [["killed in", *VICTIMS, "all"], ["---"] * (len(VICTIMS) + 2), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        kills = kill_randomly(arguments.kills, arguments.seed, Path(folder))
    print(table(kills))
    print(f"{len(kills)} kills in {(time.monotonic() - began) / 60:.0f} minutes; all runs end as the undisturbed one")


if __name__ == "__main__":
    main()
