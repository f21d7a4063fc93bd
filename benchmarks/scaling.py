"""Plans LaBSE's configs for accelerators without having them, and writes the tables of docs/scaling.md.

    python benchmarks/scaling.py                 # all plans that have no result yet, then the page
    python benchmarks/scaling.py --again         # all plans
    python benchmarks/scaling.py --page          # the page only

The script runs nothing on an accelerator. It compiles the steps (`jaxemb plan`), which takes about 40 s on a CPU for
each; steps for TPUs are compiled without optimization (--fast). Plans for TPUs need `pip install 'jaxemb[tpu]'`, plans
for GPUs need JAX's CUDA plugin.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "scaling"
PAGE = ROOT / "docs" / "scaling.md"
GIB = 2**30
VOCABULARY = ("--model.encoder.vocab-size", "501153")
V5E_16 = ("--topology", "v5e:4x4", "--fast")
ONE_GPU = ("--topology", "h200:1", *VOCABULARY)
MLM_64 = (*ONE_GPU, "--training.batch-size", "64")

TOPOLOGIES = {
    "v5e-16": V5E_16,
    "v5e-256": ("--topology", "v5e:16x16", "--fast"),
    "v6e-256": ("--topology", "v6e:16x16", "--fast"),
    "v4-1024": ("--topology", "v4:8x8x8", "--fast"),
    "8 x H100": ("--topology", "h100:8"),
}
TABLES: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "finetune": {
        "v5e-8": ("labse_finetune", ("--topology", "v5e:2x4", "--fast", *VOCABULARY)),
        **{name: ("labse_finetune", (*flags, *VOCABULARY)) for name, flags in TOPOLOGIES.items()},
    },
    "pretrain": {name: ("labse_pretrain", (*flags, *VOCABULARY)) for name, flags in TOPOLOGIES.items()},
    "slices": {
        "v5e-16, two slices": ("labse_finetune", (*V5E_16, "--slices", "2", *VOCABULARY)),
        "8 x H100, four nodes": ("labse_finetune", ("--topology", "h100:8", "--slices", "4", *VOCABULARY)),
        "v5e-16, fsdp 16": ("labse_finetune", (*V5E_16, *VOCABULARY, "--mesh.fsdp", "16")),
        "v5e-256, fsdp 16": ("labse_finetune", (*TOPOLOGIES["v5e-256"], *VOCABULARY, "--mesh.fsdp", "16")),
    },
    "measured": {
        "labse": (
            "labse_finetune",
            (*ONE_GPU, "--training.batch-size", "512", "--model.remat", "none"),
        ),
        "labse 4096 remat": ("labse_finetune", ONE_GPU),
        "mlm": ("labse_pretrain", (*MLM_64, "--model.remat", "none")),
        "mlm remat": ("labse_pretrain", MLM_64),
    },
}
"""For each table and row, a config and flags of `jaxemb plan`. Rows of the last table are cases of `accelerator.py`."""


def result_path(table: str, row: str) -> Path:
    """The file with the numbers of a plan."""
    return RESULTS / f"{table}_{row.replace(',', '').replace(' ', '_')}.json"


def command(config: str, flags: tuple[str, ...]) -> list[str]:
    """The command-line arguments of `jaxemb`."""
    return ["plan", "--config", config, *flags]


def make_plan(table: str, row: str) -> None:
    """Makes the plan of one row.

    Raises:
      RuntimeError: if planning failed; a plan that does not fit is no failure.
    """
    path, (config, flags) = result_path(table, row), TABLES[table][row]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    print(f"{table}, {row}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "jaxemb", *command(config, flags), "--json", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92"},
        capture_output=True,
        text=True,
    )
    if not path.is_file():
        raise RuntimeError(f"{table}, {row}: {done.stderr}")
    print(done.stdout, flush=True)


def plans(table: str) -> dict[str, dict[str, Any]]:
    """The numbers of each row that has a plan."""
    found = {row: result_path(table, row) for row in TABLES[table]}
    return {row: json.loads(path.read_text(encoding="utf-8")) for row, path in found.items() if path.is_file()}


def times(plan: dict[str, Any]) -> tuple[float, float]:
    """Seconds per step: if all parts overlap, and if none do."""
    return max(plan["seconds"].values()), sum(plan["seconds"].values())


def mfu(plan: dict[str, Any], seconds: float) -> float:
    """The model's operations as a share of what the chips could do in this time."""
    return plan["model_flops"] / plan["devices"] / plan["chip"]["flops"] / seconds


def plan_table(name: str) -> list[str]:
    """A table with one row for each plan."""
    lines = [
        "| devices | rows a chip | peak of memory, GiB | parameters, optimizer, rest | MB sent | MB to other slices "
        "| ms a step | bound by | rows at balance | MFU | million examples a day | hours (lower bound) |",
        "|---" * 12 + "|",
    ]
    for row, plan in plans(name).items():
        shown = f"{row} ({plan['devices']} {plan['device']})"
        rows = f"{plan['batch_size'] / plan['devices']:g}"
        if not plan["fits"]:
            held = f"{plan['params'] / GIB:.2f}, {plan['optimizer'] / GIB:.2f}"
            lines += [
                f"| {shown} | {rows} | **does not fit** {plan['memory'] / GIB:.0f} | {held}, too much |" + " |" * 8
            ]
            continue
        low, high = times(plan)
        parts_of = plan["seconds"]
        by = max(parts_of, key=lambda part: parts_of[part])
        states = 2 * (plan["params"] + plan["optimizer"]) / plan["chip"]["memory_bandwidth"]
        fixed = max(states, sum(seconds for part, seconds in parts_of.items() if part in ("network", "between slices")))
        balance = plan["batch_size"] / plan["devices"] * fixed / parts_of["arithmetic"]
        days = [86400 * plan["batch_size"] / seconds / 1e6 for seconds in (high, low)]
        hours = [plan["steps"] * seconds / 3600 for seconds in (low, high)]
        parts = ", ".join(f"{plan[part] / GIB:.2f}" for part in ("params", "optimizer", "temporary"))
        crossing = f"{plan['crossing'] / 1e6:,.0f}" if plan["slices"] > 1 else ""
        lines += [
            f"| {shown} | {rows} | {plan['peak'] / GIB:.2f} of {plan['memory'] / GIB:.0f} | {parts} "
            f"| {plan['sent'] / 1e6:,.0f} | {crossing} | {1000 * low:,.1f} to {1000 * high:,.1f} | {by} "
            f"| {balance:,.0f} | {mfu(plan, high):.0%} to {mfu(plan, low):.0%} | {days[0]:,.0f} to {days[1]:,.0f} "
            f"| {hours[0]:,.1f} to {hours[1]:,.1f} |"
        ]
    return lines


def measured_table() -> list[str]:
    """A table that compares plans with measured steps (`accelerator.py`)."""
    path = ROOT / "benchmarks" / "accelerator_h200.jsonl"
    ran = {case["case"]: case for case in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    lines = [
        "| case | planned peak, GiB | measured peak | planned ms | measured ms | measured / lower bound "
        "| measured MFU |",
        "|---" * 7 + "|",
    ]
    for row, plan in plans("measured").items():
        low, high = times(plan)
        seconds = min(ran[row]["seconds"])
        lines += [
            f"| {row} | {plan['peak'] / GIB:.2f} | {ran[row]['peak_gib']:.2f} "
            f"| {1000 * low:,.0f} to {1000 * high:,.0f} | {1000 * seconds:,.0f} | {seconds / low:.1f} "
            f"| {mfu(plan, seconds):.0%} |"
        ]
    return lines


def commands(table: str) -> list[str]:
    """A code block with the command of each row."""
    lines = [f"jaxemb {' '.join(command(config, flags))}  # {row}" for row, (config, flags) in TABLES[table].items()]
    return ["", "```sh", *lines, "```"]


def write_page(page: Path) -> None:
    """Writes each table and its commands between its marks."""
    text = page.read_text(encoding="utf-8")
    for name in TABLES:
        begin, end = f"<!-- scaling.py: {name} -->\n", f"<!-- scaling.py: end of {name} -->"
        before, after = text.split(begin)[0], text.split(end)[1]
        table = measured_table() if name == "measured" else plan_table(name)
        text = before + begin + "\n".join([*table, *commands(name)]) + "\n" + end + after
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="also plan rows that have a result")
    parser.add_argument("--page", action="store_true", help="only write the page")
    arguments = parser.parse_args()
    for table in TABLES if not arguments.page else ():
        for row in TABLES[table]:
            if arguments.again or not result_path(table, row).is_file():
                make_plan(table, row)
    write_page(PAGE)
