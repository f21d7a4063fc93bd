"""Several processes that train one model: where `jax.distributed` begins, and how they wait for each other."""

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
"""How long processes wait for what only the first one does: reading the data, training a vocabulary, scoring."""
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
    """Joins the other processes of a run; does nothing where there are none.

    What is not given is taken from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or from SLURM (inside
    `srun`) or Open MPI. To be called before any computation.

    Args:
      coordinator_address: `HOST:PORT` of process 0, which must be free there.
      num_processes: of the whole run.
      process_id: of this one, from 0.
      detect: ask JAX which cluster this is, whatever the environment says: a TPU slice of several hosts, say.
      timeout: seconds in which all processes must come.
      heartbeat: seconds without a sign of life after which a process counts as dead and all others end.

    Raises:
      UsageError: if something is missing or contradictory, the port is in use, or the others do not come in time.
    """
    found = _given(coordinator_address, num_processes, process_id)
    options: dict[str, Any] = {
        "initialization_timeout": round(timeout) + 60,  # on which JAX aborts with a stack trace: the timer comes first
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
    timer = threading.Timer(timeout, _nobody_came, (found.get("num_processes"), timeout))
    timer.daemon = True
    timer.start()
    try:
        with _ended_by_signals():
            jax.distributed.initialize(**options)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"the processes of this run cannot begin together: {str(error).splitlines()[0]}") from error
    finally:
        timer.cancel()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C end this process at once: JAX waits where Python hears none, and nothing is open."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    previous = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _given(address: str | None, count: int | None, index: int | None) -> dict[str, Any]:
    """What the flags and the environment say; empty if they say nothing.

    Raises:
      UsageError: if a part of it is missing or wrong.
    """
    values: dict[str, Any] = {"coordinator_address": address, "num_processes": count, "process_id": index}
    for (name, value), variable in zip(values.items(), _VARIABLES.values(), strict=True):
        said = os.environ.get(variable)
        if value is None and said:
            if name != "coordinator_address" and not said.isdigit():
                raise UsageError(f"{variable}: {said!r} is not a number")
            values[name] = said if name == "coordinator_address" else int(said)
    names = [f"{flag} ({variable})" for flag, variable in _VARIABLES.items()]
    missing = [name for name, value in zip(names, values.values(), strict=True) if value is None]
    if len(missing) == len(values):
        return {}
    if missing:
        raise UsageError(f"for several processes {' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing")
    host, _, port = values["coordinator_address"].rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--coordinator-address: {values['coordinator_address']!r} is not HOST:PORT")
    if not 0 <= values["process_id"] < values["num_processes"]:
        raise UsageError(
            f"--process-id: {values['process_id']} is none of the {values['num_processes']} processes, "
            f"which count from 0 to {values['num_processes'] - 1}"
        )
    return values


def _inside_cluster(variables: Mapping[str, str]) -> bool:
    """Whether SLURM or Open MPI started more than one process, of which this is one.

    >>> _inside_cluster({"SLURM_STEP_NUM_TASKS": "4"}), _inside_cluster({"OMPI_COMM_WORLD_SIZE": "1"})
    (True, False)
    """
    counts = (variables.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"))
    return any(count.isdigit() and int(count) > 1 for count in counts)


def _check_port(address: str, index: int, timeout: float) -> None:
    """Finds out early, and says plainly, what JAX would wait for: a free port, or somebody who listens there."""
    host, _, port = address.rpartition(":")
    if index == 0:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", int(port)))
            except OSError as error:
                raise UsageError(
                    f"--coordinator-address: port {port} cannot be used on this host ({error.strerror}); "
                    "choose another, the same for all processes"
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
                f"--coordinator-address: no process 0 at {address} within {timeout:.0f} s ({reason}); is it running, "
                "is the address right, and may this host reach that port?"
            )
        time.sleep(0.5)


def _nobody_came(count: int | None, timeout: float) -> None:
    processes = "processes" if count is None else f"{count} processes"
    print(
        f"error: not all {processes} came within {timeout:.0f} s: are so many running, each with another process id, "
        "and can they reach the coordinator?",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)


def is_first() -> bool:
    """Whether this process is the one that writes and tells; the only one is."""
    return jax.process_index() == 0


def wait_for_all(what: str, seconds: float = WAIT_SECONDS) -> None:
    """Returns when every process has come here.

    Args:
      what: said in the error.
      seconds: how long at most.

    Raises:
      UserError: if one does not come in time.
    """
    if jax.process_count() == 1:
        return
    try:
        multihost.get_barrier_sync_fn()(key=what, timeout_ms=round(1000 * seconds))
    except Exception as error:
        raise UserError(
            f"process {jax.process_index()}: the others did not get to {what!r} within {seconds:.0f} s, or one of them "
            "has ended; its own message tells why"
        ) from error


@contextlib.contextmanager
def first_before_others(what: str) -> Iterator[None]:
    """Inside, the first process works alone; the others come when it has done, and find what it left in the cache."""
    if not is_first():
        wait_for_all(what)
    yield
    if is_first():
        wait_for_all(what)


def check_same(what: str, value: str) -> None:
    """Compares a value of every process with that of the first.

    Raises:
      UsageError: where it is another.
    """
    if jax.process_count() == 1:
        return
    digests = multihost_utils.process_allgather(np.uint32(zlib.crc32(value.encode())))
    if others := [index for index, digest in enumerate(digests) if digest != digests[0]]:
        raise UsageError(f"{what} of process {others[0]} is another than that of process 0: start all with the same")


def largest(value: int) -> int:
    """The largest of the values of all processes."""
    return int(np.max(multihost_utils.process_allgather(np.int32(value))))


def all_rows(rows: np.ndarray) -> list[Any]:
    """The rows of all processes, one after the other."""
    return np.asarray(multihost_utils.process_allgather(rows, tiled=True)).tolist()


def is_one_of_several() -> bool:
    """Whether this process has joined others, and has not parted from them."""
    return jax.distributed.is_initialized()


def part() -> None:
    """Leaves the others when all have come here: nobody takes it for a death."""
    if is_one_of_several():
        jax.distributed.shutdown()


def leave(code: int) -> NoReturn:
    """Ends this process at once, without a word to the others."""
    with contextlib.suppress(OSError):  # who reads what it prints may be gone: the launcher, say
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
