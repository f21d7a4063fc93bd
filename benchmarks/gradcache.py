"""Measures time and memory of a GradCache step in chunks, compared with a direct step on the same batch.

    python benchmarks/gradcache.py --rows 64 --chunks 8 16 32

The model has MiniLM's shape (6 layers, width 384); rows have 64 tokens; dropout is on; the loss is LaBSE's. Chunks need
one more forward pass, so by operations the ratio is at least 4/3.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

from jaxemb import models, objectives
from jaxemb.config import BertConfig, LabseObjective, ModelConfig, OptimizerConfig
from jaxemb.parallel import make_mesh
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.train_step import init_state, make_train_step, put_batch

MODEL = ModelConfig(
    encoder=BertConfig(
        vocab_size=30_522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
)  # fmt: skip


def batch(rows: int, length: int) -> dict:
    rng = np.random.default_rng(0)

    def side() -> dict:
        ids = rng.integers(5, 30_000, (rows, length)).astype(np.int32)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    hashes = rng.integers(0, 2**32, (2, rows, 2)).astype(np.uint32)
    return {
        "anchor": side(),
        "positive": side(),
        "anchor_hash": hashes[0],
        "positive_hash": hashes[1],
        "id": np.arange(rows).astype(np.uint32),
        "weight": np.ones(rows, np.float32),
    }


class Step:
    """A compiled training step with its state."""

    def __init__(self, chunk: int | None, rows: int, length: int) -> None:
        mesh = make_mesh(devices=jax.devices()[:1])
        optimizer = optimizers.build(OptimizerConfig(), 1000)
        self.state = init_state(models.init(MODEL, jax.random.key(0)), optimizer, mesh)
        self.batch = put_batch(batch(rows, length), mesh)
        objective = objectives.build(LabseObjective(chunk=chunk), MODEL, mesh)
        step = make_train_step(objective, optimizer, mesh, self.state, seed=0)
        self.run = step.lower(self.state, self.batch).compile()
        self.memory = self.run.memory_analysis().temp_size_in_bytes
        self()

    def __call__(self) -> float:
        """Takes one step; returns its seconds."""
        began = time.perf_counter()
        self.state, metrics = self.run(self.state, self.batch)
        jax.block_until_ready(metrics)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64, help="pairs of the batch")
    parser.add_argument("--length", type=int, default=64, help="tokens a row")
    parser.add_argument("--chunks", type=int, nargs="+", default=[8, 16, 32], help="rows at a time")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    steps = {chunk: Step(chunk, arguments.rows, arguments.length) for chunk in (None, *arguments.chunks)}
    seconds: dict[int | None, list[float]] = {chunk: [] for chunk in steps}
    for _ in range(arguments.rounds):
        for chunk, step in steps.items():
            seconds[chunk].append(step())
    for chunk, step in steps.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[chunk], seconds[None], strict=True))
        name = "direct" if chunk is None else f"chunk {chunk}"
        print(
            f"{name:10} {statistics.median(seconds[chunk]):6.2f} s  {ratio:.2f} of direct  {step.memory / 1e9:.2f} GB"
        )


if __name__ == "__main__":
    main()
