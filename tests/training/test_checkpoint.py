import jax
import jax.numpy as jnp
import numpy as np

from jaxemb.training.checkpoint import Checkpoints
from jaxemb.training.step import TrainState


def test_a_step_that_is_being_saved_may_be_saved_again(tmp_path):
    """As Ctrl-C does when it comes right after a checkpoint: it used to end with an error of Orbax."""
    params = {"weights": jnp.arange(1 << 20, dtype=jnp.float32)}
    state = TrainState(jax.device_put(jnp.int32(50)), params, {"moment": params["weights"] + 1})
    with Checkpoints(tmp_path / "checkpoints", keep=2) as checkpoints:
        checkpoints.save(state, 0, {})
        checkpoints.save(state, 0, {}, wait=True)
        assert checkpoints.steps == [50]
        checkpoints.save(state, 0, {}, wait=True)
        restored = checkpoints.restore(state)
    np.testing.assert_array_equal(restored.params["weights"], params["weights"])
