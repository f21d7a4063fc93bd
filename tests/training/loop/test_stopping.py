"""One process; `whole_runs/test_several_processes.py` sends signals to one of two."""

import jax
import numpy as np
import pytest

from jaxemb.errors import Stopped
from jaxemb.runs.state import TrainState
from jaxemb.signals import StopRequest
from jaxemb.training.loop.stepping import DeviceBatch, FinishedStep
from jaxemb.training.loop.stopping import Stopping


class Saved(list):
    def __call__(self, state, *, wait):
        assert wait
        self.append(int(state.step))


def state(step):
    return TrainState(np.int32(step), None, None)


@pytest.fixture
def stop():
    return StopRequest()


def test_a_signal_stops_after_the_step_with_a_checkpoint(stop):
    saved = Saved()
    stopping = Stopping(stop, saved, steps=9)
    assert not stopping.is_due(3)
    stop.exit_code = 75
    assert stopping.is_due(4)
    with pytest.raises(Stopped, match=r"^stopped after step 4; a checkpoint is written$") as caught:
        stopping.act(state(4))
    assert caught.value.exit_code == 75
    assert caught.value.together
    assert saved == [4]


@pytest.mark.parametrize(("step", "note"), [(5, ""), (9, r" \(the last one\), before the evaluation")])
def test_a_signal_in_the_last_step_of_a_stage_is_seen(stop, step, note):
    stopping = Stopping(stop, Saved(), steps=9)
    stopping.ended(state(step))  # no signal: the run goes on
    stop.exit_code = 130
    with pytest.raises(Stopped, match=rf"^stopped after step {step}{note}; a checkpoint is written$"):
        stopping.ended(state(step))


def test_batches_of_several_processes_carry_the_request(stop, monkeypatch):
    batches = [(0, {"id": 1}), (1, {"id": 2})]
    assert list(Stopping(stop, Saved(), 9).with_request(batches)) == batches
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    stopping = Stopping(stop, Saved(), 9)
    stream = stopping.with_request(batches)
    assert next(stream)[1]["stop"].tolist() == [0] * jax.local_device_count()
    stop.exit_code = 75  # this process alone does not stop: it asks the others
    assert stopping.code is None
    assert next(stream)[1]["stop"].tolist() == [75] * jax.local_device_count()
    stopping.finished(FinishedStep(DeviceBatch(2, {}, np.arange(4), 8), {"stop": 75}))
    assert stopping.code == 75
