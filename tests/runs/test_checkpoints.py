import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxemb.errors import UserError
from jaxemb.runs.checkpoints import Checkpoints
from jaxemb.runs.state import TrainState


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


def test_a_checkpoint_of_another_architecture_or_a_damaged_one_is_named(tmp_path):
    params = {"encoder": {"kernel": jnp.ones((3, 4))}, "bias": jnp.ones(2)}
    state = TrainState(jnp.int32(7), params, {"moment": jnp.ones(2)})
    with Checkpoints(tmp_path / "checkpoints", keep=2) as checkpoints:
        checkpoints.save(state, 0, {}, wait=True)

    def refused(like):
        with pytest.raises(UserError) as error, Checkpoints(tmp_path / "checkpoints") as checkpoints:
            checkpoints.restore_params(like)
        assert str(error.value).endswith("; there are checkpoints of steps 7")
        return str(error.value).partition("checkpoints/7: the checkpoint ")[2]

    other = "has another architecture than config.yaml, or is damaged: "
    wider = {**params, "encoder": {"kernel": jnp.ones((3, 5))}}
    assert refused(wider).startswith(other + "encoder/kernel is [3, 4], but [3, 5] in the config")
    assert refused({"encoder": params["encoder"]}).startswith(other + "bias is [2], but not in the config")
    assert refused({**params, "scale": jnp.ones(1)}).startswith(other + "scale is not there, but [1] in the config")
    metadata = tmp_path / "checkpoints" / "7" / "params" / "_METADATA"
    metadata.write_bytes(metadata.read_bytes()[:-20])
    assert refused(params).startswith("is damaged; ")
