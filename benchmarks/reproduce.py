"""Tests the papers' main effects on small models: trains the runs without a result, and draws the results.

python benchmarks/reproduce.py run --data DATA --work DIR [--teacher TEACHER] [EFFECT ...]
python benchmarks/reproduce.py page

`run` trains each variant with several seeds, one run at a time, and writes benchmarks/results/EFFECT.VARIANT.SEED.json.
It skips runs that have a result, and resumes interrupted runs. `page` writes the tables and figures in docs/results.md
from these files (needs matplotlib).

DATA holds bitext/en-XX.tsv.gz, stsb/LANG.SPLIT.csv.gz, sick/SICK_train.txt and sick/SICK_trial.txt. TEACHER is an
English sentence encoder.
"""

import argparse
import fcntl
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from effects import EFFECTS, ROOT, Variant, merge, result_path, runs_of, slug, start_of
from effects_page import write_page

from jaxemb.files import write_atomically
from jaxemb.runs.directory import RunDirectory
from jaxemb.runs.metrics import read_metrics


def directory(work: Path, effect: str, variant: Variant, seed: int) -> Path:
    """The directory in which a run trains."""
    return work / effect / f"{slug(variant.name)}-{seed}"


def run_one(
    effect: str, variant: Variant, seed: int, work: Path, environment: Mapping[str, str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Trains or resumes one run in its own process; returns the content of its JSON file."""
    folder = directory(work, effect, variant, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    values = yaml.safe_load((ROOT / "configs" / f"{variant.config}.yaml").read_text(encoding="utf-8"))
    fixed = {"training": {"seed": seed}, "export": {"enabled": False}}
    values = merge(values, variant.change, fixed, more)
    variables = {**os.environ, **environment, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(variant.devices)}
    if variant.start is not None:
        variables["JAXEMB_INIT"] = str(directory(work, *start_of(variant, seed)))
    timer = beside(folder, ".seconds")  # includes earlier attempts
    before = map(float, timer.read_text().split() if timer.is_file() else (0.0, 0.0))
    began = clocks()
    if variant.start is None:
        values["tokenizer"] = {"path": str(vocabulary(values, work, variables))}
    config = write_yaml(beside(folder, ".yaml"), values)
    try:
        run_jaxemb("train", "--config", config, "--output-dir", folder, "--resume", variables=variables)
    finally:
        seconds, of_processor = (
            earlier + now - start for earlier, now, start in zip(before, clocks(), began, strict=True)
        )
        timer.write_text(f"{seconds:.1f} {of_processor:.1f}")
    return {
        "effect": effect,
        "variant": variant.name,
        "seed": seed,
        "seconds": round(seconds),
        "processor_seconds": round(of_processor),
        "devices": variant.devices,
        "config": f"configs/{variant.config}.yaml",
        "change": variant.change,
        "start": variant.start,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {name: version(name) for name in ("jaxemb", "jax", "flax", "optax")},
        **scores_of(folder),
    }


def clocks() -> tuple[float, float]:
    """Wall-clock seconds, and processor seconds of all finished child processes."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic(), spent.ru_utime + spent.ru_stime


def vocabulary(values: Mapping[str, Any], work: Path, variables: Mapping[str, str]) -> Path:
    """The tokenizer for these settings: the first run that needs it trains it, and later runs reuse it."""
    name = hashlib.sha256(yaml.safe_dump([values["data"], values["tokenizer"]]).encode()).hexdigest()[:12]
    folder = work / "tokenizers" / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        config = write_yaml(beside(folder, ".yaml"), values)
        run_jaxemb("tokenizer", "train", "--config", config, "--output", folder, variables=variables)
    return folder


def beside(folder: Path, ending: str) -> Path:
    """The folder's path with `ending` appended (`with_suffix` would cut a name that contains dots)."""
    return folder.with_name(folder.name + ending)


def write_yaml(path: Path, values: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    return path


def run_jaxemb(*arguments: str | Path, variables: Mapping[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "jaxemb", *map(str, arguments)], env=variables, check=True)


def scores_of(folder: Path) -> dict[str, Any]:
    """Reads a run directory: the scores of each system, and the curves of the scores during training."""
    run = RunDirectory(folder)
    results = run.load_results()
    assert results is not None
    reports = results.reports
    systems = {name: reports.scores(name) for name in reports.systems}
    for name, report in reports.of("sts").items():
        systems[name]["STS"] = report.result.spearman
    for name, report in reports.of("teacher_mse").items():
        systems[name]["teacher_mse"] = 100 * statistics.mean(report.result.values())
    curve: dict[int, dict[str, float]] = {}
    for line in read_metrics(run.metrics):
        scored = {key.removeprefix("evaluation/"): value for key, value in line.items() if "evaluation/" in key}
        if scored:
            curve.setdefault(line["step"], {}).update(scored)
    last = curve[max(curve)]
    systems["trained"] |= {name: last[name] for name in ("alignment", "uniformity") if name in last}
    systems["trained"] |= run.best_score()
    return {"systems": systems, "curve": [{"step": step, **curve[step]} for step in sorted(curve)]}


def train(arguments: argparse.Namespace) -> None:
    """Trains the runs without a result, and the runs that these start from if their directory is missing."""
    if unknown := set(arguments.effects) - set(EFFECTS):
        sys.exit(f"no effect {', '.join(unknown)}; there are {', '.join(EFFECTS)}")
    work = arguments.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    environment = {"JAXEMB_DATA": str(arguments.data.absolute()), "JAXEMB_TEACHER": str(arguments.teacher or "")}
    more = yaml.safe_load(arguments.change) if arguments.change else {}
    runs = list(runs_of(arguments.effects or list(EFFECTS)))
    without_result = [run for run in runs if not result_path(*run).is_file()]
    starts = [start_of(variant, seed) for _, variant, seed in without_result if variant.start is not None]
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"{work}: another process is training there; one run at a time")
        for number, run in enumerate(runs, 1):
            if run not in without_result and (run not in starts or directory(work, *run).is_dir()):
                continue
            effect, variant, seed = run
            print(f"--- {number} of {len(runs)}: {effect}, {variant.name}, seed {seed}", flush=True)
            values = run_one(effect, variant, seed, work, environment, more)
            result_path(*run).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(result_path(*run), json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train the runs that have no result yet")
    run.add_argument("effects", metavar="EFFECT", nargs="*", help=f"one of {', '.join(EFFECTS)}")
    run.add_argument("--data", type=Path, required=True, help="folder with bitext/, stsb/ and sick/")
    run.add_argument("--work", type=Path, required=True, help="folder for the run directories")
    run.add_argument("--teacher", type=Path, help="MODEL that is the teacher in distillation")
    run.add_argument("--change", help="YAML that changes every config, for a short trial: {training: {steps: 2}}")
    run.set_defaults(do=train)
    drawn = commands.add_parser("page", help="write tables and figures")
    drawn.add_argument("--page", type=Path, default=ROOT / "docs" / "results.md")
    drawn.set_defaults(do=lambda arguments: write_page(arguments.page))
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
