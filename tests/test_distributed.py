"""What the flags and the environment say of several processes; and one process alone, which waits for nobody."""

import os
import signal
import socket

import numpy as np
import pytest

from jaxemb import distributed
from jaxemb.errors import UsageError

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_flags_come_before_the_environment(monkeypatch):
    assert distributed._given(None, None, None) == {}
    for name, value in zip(VARIABLES, ("there:1234", "4", "2"), strict=True):
        monkeypatch.setenv(name, value)
    wanted = {"coordinator_address": "there:1234", "num_processes": 4, "process_id": 2}
    assert distributed._given(None, None, None) == wanted
    assert distributed._given("here:99", None, 0) == wanted | {"coordinator_address": "here:99", "process_id": 0}


@pytest.mark.parametrize(
    ("given", "variables", "message"),
    [
        (
            ("localhost:1", None, None),
            {},
            r"also needs --num-processes \(JAX_NUM_PROCESSES\) and --process-id \(JAX_PROCESS_ID\)$",
        ),
        (("localhost:1", 2, None), {}, r"a run of several processes also needs --process-id \(JAX_PROCESS_ID\)"),
        (("localhost", 2, 0), {}, "'localhost' is not HOST:PORT"),
        (("localhost:x", 2, 0), {}, "'localhost:x' is not HOST:PORT"),
        (("localhost:1", 2, 2), {}, "--process-id: 2 is out of range: the 2 processes are numbered 0 to 1"),
        ((None, None, None), {"JAX_NUM_PROCESSES": "two"}, "JAX_NUM_PROCESSES: 'two' is not a number"),
    ],
)
def test_what_is_missing_or_wrong_is_named(given, variables, message, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message):
        distributed._given(*given)


def test_a_port_that_is_in_use_and_one_where_nobody_listens():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        listener.listen()
        port = listener.getsockname()[1]
        distributed._check_port(f"localhost:{port}", 1, timeout=5.0)
        with pytest.raises(UsageError, match=f"port {port} cannot be used on this host"):
            distributed._check_port(f"localhost:{port}", 0, timeout=5.0)
    with pytest.raises(UsageError, match=rf"cannot reach process 0 at localhost:{port} within 0 s"):
        distributed._check_port(f"localhost:{port}", 1, timeout=0.0)


def test_one_process_alone():
    distributed.initialize("localhost:1", 1, 0)  # joins nobody
    assert distributed.is_first()
    assert not distributed.is_one_of_several()
    distributed.wait_for_all("nobody", seconds=0.0)
    distributed.check_same("the config", "anything")
    distributed.disconnect()
    with distributed.first_before_others("the data"):
        pass
    assert distributed.largest(7) == 7
    assert distributed.all_rows(np.arange(3)) == [0, 1, 2]


def test_while_jax_waits_a_signal_has_its_default():
    before = signal.getsignal(signal.SIGTERM)
    with distributed._ended_by_signals():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is before
    assert not distributed._inside_cluster({name: os.environ.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS",)})
