import jax
import numpy as np
import pytest

from jaxemb.models import apply
from jaxemb.models.towers import SIDES, init_towers, tower_params
from support.tiny_models import tiny_embedder


def test_parameters_of_two_towers_are_not_applied_as_one():
    embedder = tiny_embedder()
    tokens = {name: np.ones((1, 4), np.int32) for name in ("input_ids", "attention_mask")}
    with pytest.raises(ValueError, match=r"params hold two towers: apply params\['anchor'\] to anchors"):
        apply(embedder.config, {"anchor": embedder.params, "positive": embedder.params}, tokens)


def test_untied_towers_start_alike_in_memory_of_their_own():
    config = tiny_embedder().config.model_copy(update={"towers": "untied"})
    params = init_towers(config, jax.random.key(0))
    assert params.keys() == set(SIDES)
    for one, other in zip(jax.tree.leaves(params["anchor"]), jax.tree.leaves(params["positive"]), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.unsafe_buffer_pointer() != other.unsafe_buffer_pointer()
    assert tower_params(config, params, "positive") is params["positive"]
    tied = tiny_embedder()
    assert tower_params(tied.config, tied.params, "positive") is tied.params
