"""Memory of a step of LaBSE's pre-training (configs/labse_pretrain.yaml), compiled for a TPU topology without a TPU.

    python benchmarks/pretraining_memory.py                                  # 256 chips of v5e, 501,153 word pieces
    python benchmarks/pretraining_memory.py --vocabulary-chunk 600000        # all logits at once: does not fit
    python benchmarks/pretraining_memory.py --fsdp 4

Needs `pip install libtpu`. Nothing is run. Every row is full: 8,192 sequences of 512 tokens, all layers.
"""

import argparse
import os
from functools import partial
from pathlib import Path

os.environ |= {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1", "JAX_OPTIMIZATION_LEVEL": "O0"}
os.environ |= {"JAXEMB_DATA": "not read", "JAXEMB_TOKENIZER": "not read"}

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies

from jaxemb.config import TrainConfig
from jaxemb.config.files import load_config
from jaxemb.objectives.masking import BEGINS, TokenKinds
from jaxemb.objectives.pretraining import pretraining
from jaxemb.parallel import batch_sharding, make_mesh
from jaxemb.training import optimizer as optimizers
from jaxemb.training.parameters import init_params
from jaxemb.training.step import abstract_state, make_train_step

CONFIG = Path(__file__).parents[1] / "configs" / "labse_pretrain.yaml"


def compiled(config: TrainConfig, mesh: jax.sharding.Mesh):
    """The training step, of rows that one sequence each fills."""
    model = config.model
    kinds = TokenKinds(4, np.full(model.encoder.vocab_size, BEGINS, np.uint8), special=2)
    optimizer = optimizers.build(config.optimizer, config.training.steps)
    shapes = jax.eval_shape(partial(init_params, config), jax.random.key(0))
    state = abstract_state(shapes, optimizer, mesh)
    step = make_train_step(pretraining(config.objective, model, mesh, kinds), optimizer, mesh, state, seed=0)
    rows, length, sharding = config.training.batch_size, config.data.max_length, batch_sharding(mesh)

    def array(*shape, dtype=jnp.int32):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    text = {"input_ids": array(rows, length), "segment_ids": array(rows, length)}
    text["slots"] = array(mesh.size, rows // mesh.size)
    batch = {"text": text, "id": array(rows, dtype=jnp.uint32), "weight": array(rows, dtype=jnp.float32)}
    return step.lower(state, batch).compile()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpu", metavar="TOPOLOGY", default="v5e:16x16")
    parser.add_argument("--fsdp", type=int, default=1)
    parser.add_argument("--vocabulary", type=int, default=501_153)
    parser.add_argument("--vocabulary-chunk", type=int, default=8192)
    arguments = parser.parse_args()
    settings = ["--objective.masking.vocabulary-chunk", str(arguments.vocabulary_chunk)]
    settings += ["--model.encoder.vocab-size", str(arguments.vocabulary), "--model.scan-layers", "True"]
    config = load_config(CONFIG, settings)
    devices = topologies.get_topology_desc(platform="tpu", topology_name=arguments.tpu).devices
    mesh = make_mesh(-1, arguments.fsdp, devices)
    print(f"{mesh.size} x {devices[0].device_kind}, mesh data={mesh.shape['data']} fsdp={mesh.shape['fsdp']}")
    try:
        used = compiled(config, mesh).memory_analysis()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        print(f"does not fit: {str(error).splitlines()[0]}")
        return
    state, step = used.argument_size_in_bytes / 2**30, used.temp_size_in_bytes / 2**30
    print(
        f"a chip: {used.peak_memory_in_bytes / 2**30:.2f} GiB at the peak; {state:.2f} of state, {step:.2f} temporary"
    )


if __name__ == "__main__":
    main()
