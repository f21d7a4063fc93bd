"""Measures training steps on one accelerator: time, share of the peak and memory, for jaxemb and PyTorch.

    python benchmarks/accelerator.py                         # every case, each in its own process
    python benchmarks/accelerator.py labse torch-labse       # some cases
    python benchmarks/accelerator.py --tiny                  # a small trial, also on a CPU

The steps have full rows of random tokens, the dropout of the configs, and AdamW. The count of operations includes
matrix products with weights and in attention, times three for a step. It excludes recomputation (Chowdhery et al. 2022,
PaLM, arXiv 2204.02311, appendix B). The PyTorch cases need `torch` with CUDA.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.92")

import jax
import numpy as np

from jaxemb import objectives
from jaxemb.config import (
    DataConfig,
    LabseObjective,
    MlmObjective,
    ModelConfig,
    OptimizerConfig,
    TokenizerConfig,
    TrainConfig,
    TrainingConfig,
    TsvSource,
)
from jaxemb.objectives import pretraining
from jaxemb.objectives.flops import model_flops
from jaxemb.objectives.masking import BEGINS, TokenKinds
from jaxemb.objectives.parameters import init_params
from jaxemb.parallel import make_mesh
from jaxemb.planning import CHIPS
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.train_step import init_state, make_train_step, put_batch

BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
MINI = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
LABSE = {"vocabulary": 501_153, "size": BASE, "rows": 512, "length": 64}
MINILM = {"vocabulary": 30_522, "size": MINI, "rows": 256, "length": 64}
PRETRAIN = {"what": "mlm", "vocabulary": 501_153, "size": BASE, "rows": 64, "length": 512}

CASES: dict[str, dict[str, Any]] = {
    "labse": LABSE,
    "labse remat": {**LABSE, "remat": "full"},
    "labse dots": {**LABSE, "remat": "dots"},
    "labse unrolled": {**LABSE, "scan": False},
    "labse no dropout": {**LABSE, "dropout": 0.0},
    "labse float32": {**LABSE, "dtype": "float32"},
    "labse 4096 remat": {**LABSE, "rows": 4096, "remat": "full"},
    "torch-labse": {**LABSE, "torch": True},
    "torch-labse compiled": {**LABSE, "torch": True, "compile": True},
    "minilm": MINILM,
    "minilm unrolled": {**MINILM, "scan": False},
    "torch-minilm": {**MINILM, "torch": True},
    "torch-minilm compiled": {**MINILM, "torch": True, "compile": True},
    "mlm": PRETRAIN,
    "mlm remat": {**PRETRAIN, "remat": "full"},
    "mlm float32 logits": {**PRETRAIN, "logits": "float32"},
}


def config_of(case: dict[str, Any]) -> TrainConfig:
    """The config of a run with the sizes of this case."""
    encoder = {**case["size"], "vocab_size": case["vocabulary"], "max_position_embeddings": max(64, case["length"])}
    if "dropout" in case:
        encoder |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), case["dropout"])
    return TrainConfig(
        data=DataConfig(sources=(TsvSource(path="en-xx.tsv"),), max_length=case["length"]),
        tokenizer=TokenizerConfig(vocab_size=case["vocabulary"]),
        model=ModelConfig(
            encoder=encoder,
            compute_dtype=case.get("dtype", "bfloat16"),
            remat=case.get("remat", "none"),
            scan_layers=case.get("scan", True),
        ),
        objective=MlmObjective() if case.get("what") == "mlm" else LabseObjective(scale=20.0),
        training=TrainingConfig(steps=1000, batch_size=case["rows"]),
    )


def operations(case: dict[str, Any]) -> float:
    """The model's floating-point operations in one step."""
    config = config_of(case)
    params = jax.eval_shape(partial(init_params, config), jax.random.key(0))
    sides = 1 if isinstance(config.objective, MlmObjective) else 2
    return model_flops(config, params, sides * case["rows"] * case["length"])


def timed(step: Callable[[], None], wait: Callable[[], None], steps: int, rounds: int) -> list[float]:
    """The seconds per step, for each round."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        found.append((time.perf_counter() - began) / steps)
    return found


def ours(case: dict[str, Any], steps: int, rounds: int, kernels: int) -> dict[str, Any]:
    """Measures the step in jaxemb."""
    rows, length, config = case["rows"], case["length"], config_of(case)
    mesh = make_mesh(1, 1, jax.devices()[:1])
    optimizer = optimizers.build(OptimizerConfig(learning_rate=1e-5), 1000)
    rng = np.random.default_rng(0)

    def side() -> dict[str, np.ndarray]:
        ids = rng.integers(1000 % case["vocabulary"], case["vocabulary"], (rows, length)).astype(np.int32)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    batch = {"id": np.arange(rows, dtype=np.uint32), "weight": np.ones(rows, np.float32)}
    if isinstance(config.objective, MlmObjective):
        if "logits" in case:  # the behaviour before the logits used the compute dtype of the model
            whole = pretraining.masked_lm_over_mesh
            pretraining.masked_lm_over_mesh = lambda *x, **y: whole(*x, **{**y, "dtype": case["logits"]})
        kinds = TokenKinds(4, np.full(case["vocabulary"], BEGINS, np.uint8), special=2)
        objective = objectives.build(config.objective, config.model, mesh, kinds=kinds)
        batch["text"] = side()
    else:
        objective = objectives.build(config.objective, config.model, mesh)
        hashes = rng.integers(0, 2**32, (2, rows, 2)).astype(np.uint32)
        batch |= {"anchor": side(), "positive": side(), "anchor_hash": hashes[0], "positive_hash": hashes[1]}

    state = init_state(jax.jit(partial(init_params, config))(jax.random.key(0)), optimizer, mesh)
    began = time.perf_counter()
    placed = put_batch(batch, mesh)
    program = make_train_step(objective, optimizer, mesh, state, seed=0).lower(state, placed).compile()
    compiled = time.perf_counter() - began
    metrics: dict[str, Any] = {}

    def step() -> None:
        nonlocal state, metrics
        state, metrics = program(state, placed)

    def wait() -> None:
        jax.block_until_ready(state)

    step()
    step()
    wait()
    seconds = timed(step, wait, steps, rounds)
    if kernels:
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                step()
                wait()
            path = next(Path(folder).rglob("*.xplane.pb"))
            print_kernels(jax.profiler.ProfileData.from_file(str(path)), kernels)
    analysis, stats = program.memory_analysis(), jax.devices()[0].memory_stats() or {}
    planned = analysis.argument_size_in_bytes + analysis.temp_size_in_bytes if analysis else 0
    return {
        "device": jax.devices()[0].device_kind,
        "versions": f"jax {jax.__version__}",
        "seconds": seconds,
        "compilation": compiled,
        "planned_gib": planned / 2**30,
        "peak_gib": stats.get("peak_bytes_in_use", 0) / 2**30,
        "loss": float(metrics["loss"]),
    }


def print_kernels(trace: Any, count: int) -> None:
    """Prints the kernels that took longest on the device, by name."""
    totals: dict[str, list[float]] = {}
    for plane in trace.planes:
        if "GPU" in plane.name or "TPU" in plane.name:
            for line in plane.lines:
                if line.name.startswith(("Stream", "XLA Ops")):
                    for event in line.events:
                        totals.setdefault(event.name, []).append(event.duration_ns / 1e6)
    if not totals:
        print("no kernels among", [(plane.name, line.name) for plane in trace.planes for line in plane.lines])
    whole = sum(sum(times) for times in totals.values())
    print(f"{whole:.1f} ms in {sum(map(len, totals.values()))} kernels")
    for name, times in sorted(totals.items(), key=lambda item: -sum(item[1]))[:count]:
        print(f"  {sum(times):8.2f} ms  {len(times):5} x  {name[:90]}")


def theirs(case: dict[str, Any], steps: int, rounds: int) -> dict[str, Any]:
    """Measures the same step in PyTorch: transformers' BERT, fused attention, autocast to bfloat16, fused AdamW."""
    import torch
    from transformers import BertConfig, BertModel

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")
    rows, length = case["rows"], case["length"]
    shape = {"vocab_size": case["vocabulary"], "max_position_embeddings": max(64, length), **case["size"]}
    model = BertModel(BertConfig(attn_implementation="sdpa", **shape)).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=device.type == "cuda")
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000 % case["vocabulary"], case["vocabulary"], (2, rows, length), generator=generator).to(
        device
    )
    mask = torch.ones_like(ids[0])
    labels = torch.arange(rows, device=device)
    run = torch.compile(model) if case.get("compile") else model

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            sides = [run(input_ids=side, attention_mask=mask).pooler_output for side in ids]
        left, right = (torch.nn.functional.normalize(side.float()) for side in sides)
        scores = 20.0 * (left @ right.T - 0.3 * torch.eye(rows, device=device))
        loss = torch.nn.functional.cross_entropy(scores, labels) + torch.nn.functional.cross_entropy(scores.T, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    began = time.perf_counter()
    step()
    wait()
    compiled = time.perf_counter() - began
    step()
    wait()
    seconds = timed(step, wait, steps, rounds)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else 0
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    return {
        "device": name,
        "versions": f"torch {torch.__version__}",
        "seconds": seconds,
        "compilation": compiled,
        "peak_gib": peak / 2**30,
    }


def shrunk(case: dict[str, Any]) -> dict[str, Any]:
    return {**case, "size": TINY, "vocabulary": 1000, "rows": min(16, case["rows"]), "length": 16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"one of {', '.join(CASES)}")
    parser.add_argument("--steps", type=int, default=10, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="file to which each case appends one JSON line")
    parser.add_argument(
        "--kernels", type=int, default=0, metavar="N", help="also print the N kernels that take longest"
    )
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--here", action="store_true", help="run one case, in this process")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(CASES):
        sys.exit(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if not arguments.here:
        print(f"{'case':24} {'ms a step':>10} {'rows/s':>9} {'TFLOP/s':>8} {'of peak':>8} {'peak GiB':>9}  first step")
        for name in arguments.cases or CASES:
            subprocess.run([sys.executable, *sys.argv[:1], *_options(sys.argv[1:], arguments.cases), "--here", name])
        return
    (name,) = arguments.cases
    case = shrunk(CASES[name]) if arguments.tiny else CASES[name]
    if case.get("torch"):
        found = theirs(case, arguments.steps, arguments.rounds)
    else:
        found = ours(case, arguments.steps, arguments.rounds, arguments.kernels)
    seconds = statistics.median(found["seconds"])
    rate, chip = operations(case) / seconds, CHIPS.get(found["device"])
    share = f"{rate / chip.flops:8.1%}" if chip else f"{'?':>8}"
    line = f"{name:24} {1000 * seconds:10.1f} {case['rows'] / seconds:9.0f} {rate / 1e12:8.1f} {share}"
    print(f"{line} {found['peak_gib']:9.1f} {found['compilation']:9.1f} s", flush=True)
    if arguments.json:
        with open(arguments.json, "a", encoding="utf-8") as file:
            file.write(json.dumps({"case": name, **case, "operations": operations(case), **found}) + "\n")


def _options(given: list[str], cases: list[str]) -> list[str]:
    return [word for word in given if word not in cases]


if __name__ == "__main__":
    main()
