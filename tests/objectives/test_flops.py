from functools import partial

import jax

from jaxemb.config import (
    LabseObjective,
    MlmObjective,
)
from jaxemb.objectives.flops import model_flops
from jaxemb.objectives.parameters import init_params
from support.plans import config


def test_operations_by_hand():
    one = config(LabseObjective())
    params = jax.eval_shape(partial(init_params, one), jax.random.key(0))
    token = 2 * 3 * (4 * 8 * 8 + 2 * 8 * 16) + 4 * 3 * 10 * 8
    assert model_flops(one, params, 320) == 3 * (320 * token + 4 * 16 * 16 * 8)
    other = config(MlmObjective())  # of 8 tokens beside the special ones a fifth is predicted
    assert model_flops(other, params, 160) == 3 * (160 * token + 2 * 16 * 1 * 8 * (8 + 1000))
