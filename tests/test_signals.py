"""Ctrl-C and SIGTERM: at once, or between two steps."""

import os
import signal
import threading

import pytest

from jaxemb.errors import Stopped
from jaxemb.signals import StopRequest


def send(number):
    os.kill(os.getpid(), number)


def test_at_once_outside_the_loop():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.raises(Stopped) as stopped, StopRequest():
        send(signal.SIGTERM)
    assert stopped.value.exit_code == 75
    with pytest.raises(KeyboardInterrupt), StopRequest():
        send(signal.SIGINT)
    assert before == {number: signal.getsignal(number) for number in before}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_inside_the_loop_it_is_only_remembered(number, code):
    with StopRequest() as stop:
        with stop.deferred():
            assert stop.exit_code is None
            send(number)
            assert stop.exit_code == code
            send(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                send(signal.SIGINT)
        with pytest.raises(Stopped):
            send(signal.SIGTERM)


def test_another_thread_leaves_signals_alone():
    seen = []

    def work():
        with StopRequest() as stop:
            seen.append((signal.getsignal(signal.SIGTERM), stop.exit_code))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(signal.getsignal(signal.SIGTERM), None)]
