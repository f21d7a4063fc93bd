"""Several processes on this host train one run: each with simulated CPU devices, or with a GPU of its own.

    python launch/local.py --processes 2 --cpu-devices 4 -- --config quickstart --output-dir RUN
    python launch/local.py --processes 8 --gpus -- --config labse_finetune --output-dir RUN

What follows `--` goes to `jaxemb train`. Lines of the logs begin with the number of their process. When one dies
the others are ended, and all start again from the last checkpoint, `--max-restarts` times at most. Ctrl-C and SIGTERM
are passed on, so that all stop after a checkpoint. Exit codes are those of `jaxemb train`: 75 means start again.
"""

import argparse
import ctypes
import functools
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from types import FrameType

RESTART, INTERRUPTED, USAGE = 75, 130, 2
GRACE_SECONDS = 20.0
"""Between SIGTERM and SIGKILL, for processes whose peer has died; and for those that end by themselves, as one did."""


def commands(arguments: argparse.Namespace, port: int, attempt: int) -> list[tuple[dict[str, str], list[str]]]:
    """The environment and the command of each process."""
    found = []
    for index in range(arguments.processes):
        environment = {
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
            "JAX_NUM_PROCESSES": str(arguments.processes),
            "JAX_PROCESS_ID": str(index),
        }
        if arguments.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = str(index)
        else:
            environment |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(arguments.cpu_devices)}
        again = ["--resume"] if attempt and "--resume" not in arguments.train else []
        found.append((environment, [sys.executable, "-m", "jaxemb", "train", *arguments.train, *again]))
    return found


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def end_with_parent(launcher: int) -> None:
    """In a worker on Linux: asks for SIGTERM when the launcher is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        if os.getppid() != launcher:  # it went before we asked
            os._exit(128 + signal.SIGTERM)


class Workers:
    """The processes of one attempt."""

    def __init__(self, started: list[tuple[dict[str, str], list[str]]]) -> None:
        # Sessions of their own: a Ctrl-C reaches them once, through this process.
        self.processes = [
            subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=functools.partial(end_with_parent, os.getpid()),
            )
            for environment, command in started
        ]
        self._readers = [threading.Thread(target=self._tell, args=(i,)) for i in range(len(started))]
        for reader in self._readers:
            reader.start()

    def _tell(self, index: int) -> None:
        """Copies the lines of a process to the standard output."""
        for line in self.processes[index].stdout or ():
            sys.stdout.write(f"[{index}] {line.decode(errors='replace')}")
            sys.stdout.flush()

    def send(self, number: int) -> None:
        """Sends a signal to those that run."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    def wait(self) -> list[int]:
        """Waits for all, and once one has failed ends the others; returns the exit codes, first the one that failed."""
        order: list[int] = []
        asks = deadline = None
        while len(order) < len(self.processes):
            time.sleep(0.1)
            done = [index for index, process in enumerate(self.processes) if process.poll() is not None]
            order += [index for index in done if index not in order]
            failed = [code for index in order if (code := self.processes[index].returncode)]
            if failed and asks is None:
                asks = time.monotonic() + GRACE_SECONDS * (failed[0] in (RESTART, INTERRUPTED))
            if asks is not None and deadline is None and time.monotonic() >= asks:
                self.send(signal.SIGTERM)
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                self.send(signal.SIGKILL)
        for reader in self._readers:
            reader.join()
        codes = [self.processes[index].returncode for index in order]
        return sorted(codes, key=lambda code: code == 0)


def main() -> int:
    """Starts the processes, again if need be; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--cpu-devices", type=int, default=1, help="simulated devices of each process")
    parser.add_argument("--gpus", action="store_true", help="a GPU for each process, in place of CPU devices")
    parser.add_argument("--max-restarts", type=int, default=3)
    parser.add_argument("--dry-run", action="store_true", help="print what would run")
    parser.add_argument("train", nargs="+", metavar="FLAG", help="of `jaxemb train`, after --")
    arguments = parser.parse_args()
    if arguments.dry_run:
        for environment, command in commands(arguments, free_port(), attempt=0):
            print(" ".join([*(f"{name}={value}" for name, value in environment.items()), shlex.join(command)]))
        return 0

    stopped: list[int] = []
    workers: Workers | None = None

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        if workers is not None:
            workers.send(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    for attempt in range(arguments.max_restarts + 1):
        workers = Workers(commands(arguments, free_port(), attempt))
        codes = workers.wait()
        if not any(codes):
            return 0
        if stopped:
            return INTERRUPTED if stopped[0] == signal.SIGINT else RESTART
        print(f"launcher: a process ended with exit code {codes[0]} (all: {', '.join(map(str, codes))})", flush=True)
        if codes[0] in (USAGE, INTERRUPTED):
            return codes[0]
        if attempt < arguments.max_restarts:
            print(f"launcher: restart {attempt + 1} of {arguments.max_restarts}", flush=True)
    return codes[0] if codes[0] > 0 else 128 - codes[0]


if __name__ == "__main__":
    sys.exit(main())
