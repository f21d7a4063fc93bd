"""Several processes that train one model: how `jax.distributed` is started, and how processes wait for each other."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from jaxemb.errors import UsageError, UserError

WAIT_SECONDS = 4 * 3600.0
"""How long processes wait for work of the primary process: reading the data, training a vocabulary, scoring."""
_VARIABLES = {
    "--coordinator-address": "JAX_COORDINATOR_ADDRESS",
    "--num-processes": "JAX_NUM_PROCESSES",
    "--process-id": "JAX_PROCESS_ID",
}


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    detect: bool = False,
    timeout: float = 300.0,
    heartbeat: float = 20.0,
) -> None:
    """Connects to the other processes of a run; does nothing if there are none. Call it before any computation.

    Missing arguments are read from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or from SLURM (inside
    `srun`) or Open MPI.

    Args:
      coordinator_address: `HOST:PORT` of process 0; the port must be free there.
      num_processes: number of processes of the run.
      process_id: number of this process, from 0.
      detect: let JAX detect the cluster, whatever the environment says; for a TPU slice of several hosts, for example.
      timeout: seconds within which all processes must connect.
      heartbeat: seconds without a heartbeat after which a process counts as dead and all others exit.

    Raises:
      UsageError: if something is missing or contradictory, the port is in use, or a process does not connect in time.
    """
    found = _given(coordinator_address, num_processes, process_id)
    options: dict[str, Any] = {
        "initialization_timeout": round(timeout) + 60,  # JAX then aborts with a stack trace: our timer is earlier
        "heartbeat_timeout_seconds": round(heartbeat),
        "shutdown_timeout_seconds": 60,
    }
    if found:
        if found["num_processes"] == 1:
            return
        _check_port(found["coordinator_address"], found["process_id"], timeout)
        options |= found
    elif not detect and not _inside_cluster(os.environ):
        return
    timer = threading.Timer(timeout, _give_up, (found.get("num_processes"), timeout))
    timer.daemon = True
    timer.start()
    try:
        with _ended_by_signals():
            jax.distributed.initialize(**options)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"the processes of this run cannot connect: {str(error).splitlines()[0]}") from error
    finally:
        timer.cancel()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C end this process at once: while JAX waits, Python handles no signals, and nothing is
    open that must be closed.
    """
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _given(address: str | None, count: int | None, index: int | None) -> dict[str, Any]:
    """The values of the flags and the environment; empty if there are none.

    Raises:
      UsageError: if only some are given, or one is wrong.
    """
    values: dict[str, Any] = {"coordinator_address": address, "num_processes": count, "process_id": index}
    for (name, value), variable in zip(values.items(), _VARIABLES.values(), strict=True):
        found = os.environ.get(variable)
        if value is None and found:
            if name != "coordinator_address" and not found.isdigit():
                raise UsageError(f"{variable}: {found!r} is not a number")
            values[name] = found if name == "coordinator_address" else int(found)
    names = [f"{flag} ({variable})" for flag, variable in _VARIABLES.items()]
    missing = [name for name, value in zip(names, values.values(), strict=True) if value is None]
    if len(missing) == len(values):
        return {}
    if missing:
        raise UsageError(f"a run of several processes also needs {' and '.join(missing)}")
    host, _, port = values["coordinator_address"].rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--coordinator-address: {values['coordinator_address']!r} is not HOST:PORT")
    if not 0 <= values["process_id"] < values["num_processes"]:
        raise UsageError(
            f"--process-id: {values['process_id']} is out of range: the {values['num_processes']} processes are "
            f"numbered 0 to {values['num_processes'] - 1}"
        )
    return values


def _inside_cluster(variables: Mapping[str, str]) -> bool:
    """Whether SLURM or Open MPI started this process as one of several.

    >>> _inside_cluster({"SLURM_STEP_NUM_TASKS": "4"}), _inside_cluster({"OMPI_COMM_WORLD_SIZE": "1"})
    (True, False)
    """
    counts = (variables.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"))
    return any(count.isdigit() and int(count) > 1 for count in counts)


def _check_port(address: str, index: int, timeout: float) -> None:
    """Checks early what JAX would wait for without a clear message: a free port, or a process that listens on it."""
    host, _, port = address.rpartition(":")
    if index == 0:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", int(port)))
            except OSError as error:
                raise UsageError(
                    f"--coordinator-address: port {port} cannot be used on this host ({error.strerror}); "
                    "choose another port, the same for all processes"
                ) from error
        return
    until, reason = time.monotonic() + timeout, "nobody listens"
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
            return
        except OSError as error:
            reason = error.strerror or str(error)
        if time.monotonic() > until:
            raise UsageError(
                f"--coordinator-address: cannot reach process 0 at {address} within {timeout:.0f} s ({reason}); is it "
                "running, is the address right, and can this host reach that port?"
            )
        time.sleep(0.5)


def _give_up(count: int | None, timeout: float) -> None:
    processes = "processes" if count is None else f"{count} processes"
    print(
        f"error: not all {processes} connected within {timeout:.0f} s: are all of them running, does each have its own "
        "process id, and can each reach the coordinator?",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)


def is_first() -> bool:
    """Whether this is the primary process, which writes files and prints; true for a single process."""
    return jax.process_index() == 0


def wait_for_all(what: str, seconds: float = WAIT_SECONDS) -> None:
    """Returns when every process has reached this call.

    Args:
      what: name of this point for the error message.
      seconds: longest time to wait.

    Raises:
      UserError: if a process does not arrive in time.
    """
    if jax.process_count() == 1:
        return
    try:
        multihost.get_barrier_sync_fn()(key=what, timeout_ms=round(1000 * seconds))
    except Exception as error:
        raise UserError(
            f"process {jax.process_index()}: the others did not reach {what!r} within {seconds:.0f} s, or one of them "
            "has exited; see its own error message"
        ) from error


@contextlib.contextmanager
def first_before_others(what: str) -> Iterator[None]:
    """Inside, the primary process runs first; the others run when it has finished, and find its results cached."""
    if not is_first():
        wait_for_all(what)
    yield
    if is_first():
        wait_for_all(what)


def check_same(what: str, value: str) -> None:
    """Checks that a value is the same on all processes.

    Raises:
      UsageError: if it is not.
    """
    if jax.process_count() == 1:
        return
    digests = multihost_utils.process_allgather(np.uint32(zlib.crc32(value.encode())))
    if others := [index for index, digest in enumerate(digests) if digest != digests[0]]:
        raise UsageError(f"{what} of process {others[0]} differs from that of process 0: start all with the same")


def largest(value: int) -> int:
    """The maximum of the values of all processes."""
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def all_rows(rows: np.ndarray) -> list[Any]:
    """The rows of all processes, concatenated."""
    return np.asarray(multihost_utils.process_allgather(rows, tiled=True)).tolist()


def is_one_of_several() -> bool:
    """Whether this process is connected to others."""
    return jax.distributed.is_initialized()


def disconnect() -> None:
    """Disconnects from the others once all have reached this call, so that none of them takes this for a crash."""
    if is_one_of_several():
        jax.distributed.shutdown()


def leave(code: int) -> NoReturn:
    """Exits at once, without notifying the others."""
    with contextlib.suppress(OSError):  # the reader of stdout, such as the launcher, may be gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
