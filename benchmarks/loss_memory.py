"""Measures the memory of the in-batch softmax: temporary bytes per device of the compiled value and gradient.

    python benchmarks/loss_memory.py                       # compiled for eight devices of this machine's CPU
    python benchmarks/loss_memory.py --tpu v5e:2x4         # for a TPU topology; needs `pip install libtpu`, no TPU
    python benchmarks/loss_memory.py --time --rows 4096    # step time of ring against gather, run on the CPU devices

Without --time the script only compiles. It also prints what Inf-CL (arXiv 2410.17243) reports for eight A800 GPUs:
0.18, 0.72 and 6.53 GB at 32k, 128k and 1M rows.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")

import jax
import jax.numpy as jnp

from jaxemb import losses
from jaxemb.parallel import Across, batch_sharding, make_mesh

ROWS = (8_192, 32_768, 131_072, 1_048_576)
INF_CL = {32_768: 0.18, 131_072: 0.72, 1_048_576: 6.53}


def value_and_gradient(mesh: jax.sharding.Mesh, negatives: str, chunk: int):
    def loss(queries, documents):
        across = Across(mesh, negatives, chunk=chunk)
        both = {"directions": ("query_to_doc", "doc_to_query"), "partition": "per_direction"}
        return losses.multiple_negatives_ranking(queries, documents, scale=50.0, across=across, **both).mean()

    return jax.jit(jax.value_and_grad(loss, (0, 1)))


def compiled(mesh, negatives: str, rows: int, width: int, chunk: int):
    x = jax.ShapeDtypeStruct((rows, width), jnp.float32, sharding=batch_sharding(mesh))
    return value_and_gradient(mesh, negatives, chunk).lower(x, x).compile()


def measure_time(mesh, rows: int, width: int, chunk: int, rounds: int) -> None:
    keys = jax.random.split(jax.random.key(0))
    batch = [jax.device_put(jax.random.normal(key, (rows, width)), batch_sharding(mesh)) for key in keys]
    steps = {name: value_and_gradient(mesh, name, chunk) for name in ("gather", "ring")}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        jax.block_until_ready(step(*batch))
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.perf_counter()
            jax.block_until_ready(step(*batch))
            seconds[name].append(time.perf_counter() - began)
    for name, found in seconds.items():
        print(f"{name:8} {statistics.median(found):.3f} s  (rounds: {' '.join(f'{s:.3f}' for s in found)})")
    ratios = [ring / gather for ring, gather in zip(seconds["ring"], seconds["gather"], strict=True)]
    print(f"ring / gather {statistics.median(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tpu", metavar="TOPOLOGY", help="compile for this TPU topology, as in v5e:2x4")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS, help="rows of the global batch")
    parser.add_argument("--width", type=int, default=512, help="width of the embeddings (Inf-CL: 512)")
    parser.add_argument("--negatives", nargs="*", default=["gather", "ring"], choices=["gather", "ring"])
    parser.add_argument("--chunk", type=int, default=1024, help="ring: rows scored at a time")
    parser.add_argument("--time", action="store_true", help="run ring against gather instead of compiling")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    devices = jax.devices()
    if arguments.tpu:
        from jax.experimental import topologies

        devices = topologies.get_topology_desc(platform="tpu", topology_name=arguments.tpu).devices
    mesh = make_mesh(devices=devices)
    print(f"{len(devices)} x {devices[0].device_kind}, width {arguments.width}, chunk {arguments.chunk}, float32")
    for rows in arguments.rows:
        if arguments.time:
            measure_time(mesh, rows, arguments.width, arguments.chunk, arguments.rounds)
            continue
        for negatives in arguments.negatives:
            try:
                used = compiled(mesh, negatives, rows, arguments.width, arguments.chunk).memory_analysis()
                found = f"{used.temp_size_in_bytes / 1e9:8.3f} GB"
            except jax.errors.JaxRuntimeError as error:
                found = "does not fit" if "RESOURCE_EXHAUSTED" in str(error) else f"failed: {error}"
            beside = f"   (Inf-CL {INF_CL[rows]} GB)" if negatives == "ring" and rows in INF_CL else ""
            print(f"{rows:9,} rows  {negatives:7} {found}{beside}", flush=True)


if __name__ == "__main__":
    main()
