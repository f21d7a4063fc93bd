import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.parallel import make_mesh
from jaxemb.runs.state import TrainState
from jaxemb.training.loop.stepping import Hook, run_loop, to_devices

MESH = make_mesh(2, 1, jax.devices()[:2])


@jax.jit
def double(state, batch):
    """A step whose loss is the sum of the batch."""
    metrics = {"loss": jnp.sum(batch["x"]), "gradient_norm": jnp.float32(1.0), "tokens": jnp.int32(3)}
    return TrainState(state.step + 1, state.params * 2, state.opt_state), metrics


def batches(count):
    for index in range(count):
        yield index, {"x": np.full(4, index + 1.0, np.float32), "id": np.arange(4) + 10 * index}


class Noted(Hook):
    """Writes down what happens."""

    def __init__(self, due=()):
        self.events, self.due = [], due

    def launched(self, step):
        self.events.append(f"launched {step}")

    def finished(self, done):
        self.events.append(f"finished {done.step}: {done.values['loss']:g} of {done.batch.ids[0]}")

    def is_due(self, step):
        return step in self.due

    def act(self, state):
        self.events.append(f"act after {int(state.step)} with {int(state.params)}")

    def ended(self, state):
        self.events.append(f"ended after {int(state.step)}")


def run(hooks, count=3):
    state = jax.device_put(TrainState(jnp.int32(0), jnp.float32(1.0), ()), jax.sharding.NamedSharding(MESH, jax.P()))
    return run_loop(state, {"main": double}, to_devices(batches(count), MESH), hooks)


def test_metrics_are_read_when_the_next_step_is_under_way():
    hook = Noted()
    state = run([hook])
    assert float(state.params) == 8.0
    assert hook.events == [
        "launched 1",
        "finished 1: 4 of 0",
        "launched 2",
        "finished 2: 8 of 10",
        "launched 3",
        "finished 3: 12 of 20",
        "ended after 3",
    ]


def test_a_hook_acts_on_steps_that_have_finished():
    hook = Noted(due=(2,))
    run([Hook(), hook])
    assert hook.events[2:6] == ["launched 2", "finished 2: 8 of 10", "act after 2 with 4", "launched 3"]


def test_hooks_act_in_their_order_and_each_is_asked_after_the_one_before_it():
    """A signal that arrives while a checkpoint is written stops the run after the same step."""
    first, last = Noted(due=(1,)), Noted()
    first.act = lambda state: setattr(last, "due", (int(state.step),))
    run([first, last])
    assert "act after 1 with 2" in last.events


def test_what_a_hook_raises_ends_the_loop():
    hook = Noted(due=(2,))

    def stop(state):
        raise KeyboardInterrupt

    hook.act = stop
    with pytest.raises(KeyboardInterrupt):
        run([hook])
    assert "launched 3" not in hook.events
    assert not any(event.startswith("ended") for event in hook.events)


def test_all_values_leave_out_what_is_not_logged():
    class Values(Hook):
        def finished(self, done):
            assert done.values == {"loss": 4.0, "gradient_norm": 1.0, "tokens": 3.0}
            assert done.all_values() == {"loss": 4.0, "gradient_norm": 1.0}

    run([Values()], count=1)
