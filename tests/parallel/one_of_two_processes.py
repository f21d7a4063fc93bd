"""What each process of `test_processes` runs: losses over the devices of both against the dense maths."""

import os
import sys

os.environ["JAX_NUM_CPU_DEVICES"] = "4"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax

PORT, NUMBER = map(int, sys.argv[1:])
jax.distributed.initialize(f"localhost:{PORT}", 2, NUMBER, initialization_timeout=120)

import jax.numpy as jnp  # noqa: E402
from jax.experimental.multihost_utils import process_allgather  # noqa: E402
from loss_cases import IN_BATCH  # noqa: E402

from jaxemb.parallel import Across, make_mesh  # noqa: E402
from parallel.test_every_loss import CHUNK, IDS, REAL, Dense, check, value_and_gradients  # noqa: E402

CASES = [
    ("multiple_negatives_ranking/hard", "ring"),
    ("multiple_negatives_ranking/hard", "gather"),
    ("gist/hard", "local"),
    ("siglip", "ring"),
    ("uniformity", "ring"),
    ("cosent", "gather"),
    ("batch_all_triplet", "gather"),
]

assert len(jax.devices()) == 8
assert len(jax.local_devices()) == 4
for name, negatives in CASES:
    weights = jnp.array(REAL, jnp.float32)
    across = Across(make_mesh(4, 2), negatives, tuple(map(jnp.array, IDS)), weights, CHUNK)
    actual = value_and_gradients(IN_BATCH[name], weights, across=across)
    dense = Dense(8 if negatives == "local" else 1, negatives, padded=True, hashed=True)
    wanted = value_and_gradients(IN_BATCH[name], dense.weights_of(0), across=dense)
    check(process_allgather(actual, tiled=True), wanted)
    print(f"{name} {negatives}: equal", flush=True)
