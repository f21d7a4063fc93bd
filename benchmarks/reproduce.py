"""The papers' headline effects, in small: trains what has no result yet, and draws the results.

python benchmarks/reproduce.py run --data DATA --work DIR [--teacher TEACHER] [EFFECT ...]
python benchmarks/reproduce.py page

`run` trains one run at a time, each with several seeds, and writes benchmarks/results/EFFECT.VARIANT.SEED.json; what is
there already is not trained again, and a run that was interrupted goes on where it was. `page` makes the tables and
pictures of docs/results.md out of those files (needs matplotlib).

DATA holds bitext/en-XX.tsv.gz, stsb/LANG.SPLIT.csv.gz and sick/SICK_train.txt; TEACHER is an English sentence encoder.
"""

import argparse
import fcntl
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Variant:
    """One config, changed, and trained with several seeds."""

    name: str
    config: str
    """A file of configs/, without its ending."""
    change: Mapping[str, Any] = field(default_factory=dict)
    """Values that replace the config's own."""
    start: str | None = None
    """`EFFECT.VARIANT` of the run that this one starts from: that of the same seed, or of its only one."""
    devices: int = 1
    seeds: tuple[int, ...] = SEEDS


@dataclass(frozen=True)
class Effect:
    """What is compared, by which score."""

    title: str
    claim: str
    """What the paper says."""
    scores: Mapping[str, str]
    """Names of scores, as `scores_of` has them, and what the table calls them."""
    variants: tuple[Variant, ...]
    versus: tuple[tuple[str, str], ...] = ()
    """Pairs of variants whose difference is told, seed by seed."""


def _of(*changes: Mapping[str, Any]) -> dict[str, Any]:
    """Several changes as one."""
    whole: dict[str, Any] = {}
    for change in changes:
        whole = merged(whole, change)
    return whole


def merged(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `change`, mappings merged key by key.

    >>> merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"c": 3}, "d": [2]})
    {'a': {'b': 1, 'c': 3}, 'd': [2]}
    """
    both = dict(values)
    for name, value in change.items():
        here = both.get(name)
        both[name] = merged(here, value) if isinstance(here, Mapping) and isinstance(value, Mapping) else value
    return both


def _steps(count: int, batch_size: int | None = None) -> dict[str, Any]:
    size = {} if batch_size is None else {"batch_size": batch_size}
    return {"training": {"steps": count, "evaluate_every": None, **size}}


NO_DROPOUT = {"model": {"encoder": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}}
STS = {"STS en.dev": "STSb dev", "best": "best checkpoint", "alignment": "alignment", "uniformity": "uniformity"}
BITEXT = {"held-out all": "held-out retrieval", "held-out other scripts": "other scripts"}
FILES = "bitext/en-[def]*.tsv.gz"
"""Nine languages in three scripts: de, el, eo, es, et, eu, fa, fi, fr."""
PAIRS = {"kind": "tsv", "path": FILES}
SMALL = {"tokenizer": {"vocab_size": 12000}}  # at most 5M parameters
BITEXT_DATA = {
    "data": {"sources": [PAIRS], "holdout": {"pairs_per_language": 500}},
    "evaluation": {"pool_size": 500, "baselines": True},
}
RANKING = _of(
    BITEXT_DATA,
    {"objective": {"kind": "labse", "scale": 20.0, "margin": 0.1}, "training": {"stacking": None}},
    _steps(300, 128),
)
FROM = {"model": {"init_from": "${JAXEMB_INIT}"}}
SENTENCES = [
    PAIRS,
    {"kind": "text", "path": FILES, "column": 0},
    {"kind": "text", "path": FILES, "column": 1, "language": None},
]
PRETRAINING = _of(BITEXT_DATA, {"data": {"sources": SENTENCES}, "evaluation": {"baselines": False}})
STAGES = {"training": {"stacking": {"stages": [{"layers": 1, "steps": 250}, {"layers": 2, "steps": 250}]}}}
FULL_DEPTH = {"training": {"stacking": None}}

EFFECTS: dict[str, Effect] = {
    "start": Effect(
        "What SimCSE and Sentence-BERT start from",
        "masked language modelling alone makes no sentence encoder",
        STS,
        (Variant("mlm", "mlm_small", seeds=(0,)),),
    ),
    "simcse": Effect(
        "SimCSE: dropout as augmentation",
        "without dropout, or with one mask for both views, the model gets worse (SimCSE, table 3 and figure 2)",
        STS,
        tuple(
            Variant(name, "simcse_small", _of({"training": {"steps": 400}}, change), start="start.mlm")
            for name, change in (
                ("dropout 0.1", {}),
                ("one mask", {"objective": {"ablation": "shared_dropout"}}),
                ("no dropout", _of({"objective": {"ablation": "no_dropout"}}, NO_DROPOUT)),
            )
        ),
        (("dropout 0.1", "one mask"), ("dropout 0.1", "no dropout")),
    ),
    "sbert": Effect(
        "Sentence-BERT: what the classifier sees",
        "(u, v, |u - v|) is best, and |u - v| what matters (Sentence-BERT, table 6)",
        {"STS en.dev": STS["STS en.dev"], "STS SICK_trial": "SICK trial, relatedness", "best": "best mean of both"},
        tuple(
            Variant(
                ", ".join(features),
                "sbert_nli_small",
                {
                    "objective": {"features": features},
                    "evaluation": {"sts": {"paths": ["stsb/en.dev.csv.gz", "sick/SICK_trial.txt"]}},
                },
                start="start.mlm",
            )
            for features in (["u", "v", "|u-v|"], ["|u-v|"], ["u", "v"])
        ),
        (("u, v, |u-v|", "|u-v|"), ("u, v, |u-v|", "u, v")),
    ),
    "distillation": Effect(
        "Distillation: both terms",
        "the student learns the teacher's space for its language and for others (Reimers & Gurevych, section 2)",
        {"held-out all": "translation accuracy", "STS": "cross-lingual STSb dev", "teacher_mse": "squared error x 100"},
        tuple(
            Variant(terms, "distillation_small", _of(SMALL, {"objective": {"terms": terms}}, _steps(400)))
            for terms in ("both", "target", "source")
        ),
        (("both", "target"), ("both", "source")),
    ),
    "margin": Effect(
        "LaBSE: the additive margin",
        "a margin of 0.3 finds more translations (LaBSE, section 5.2)",
        BITEXT,
        tuple(
            Variant(
                f"margin {margin}, scale {scale:g}",
                "labse_small",
                _of(SMALL, BITEXT_DATA, {"objective": {"margin": margin, "scale": scale}}, _steps(300, 128)),
                seeds=SEEDS if scale == 20.0 else (0,),
            )
            for scale in (20.0, 10.0, 40.0)
            for margin in (0.3, 0.0)
        ),
        (("margin 0.3, scale 20", "margin 0.0, scale 20"),),
    ),
    "negatives": Effect(
        "LaBSE: negatives across replicas",
        "negatives of the global batch find more translations than those of one device (LaBSE, section 5.1)",
        BITEXT,
        tuple(
            Variant(
                name,
                "labse_small",
                _of(SMALL, BITEXT_DATA, {"objective": {"negatives": negatives}}, _steps(300, 128)),
                devices=8,
            )
            for name, negatives in (("global batch of 128", "gather"), ("local batch of 16", "local"))
        ),
        (("global batch of 128", "local batch of 16"),),
    ),
    "pretraining": Effect(
        "LaBSE: pre-training and progressive stacking",
        "a pre-trained encoder needs far fewer pairs (LaBSE, section 5.1)",
        BITEXT,
        (
            Variant("stacked, by itself", "labse_pretrain_small", _of(PRETRAINING, _steps(900), STAGES)),
            Variant("full depth, by itself", "labse_pretrain_small", _of(PRETRAINING, _steps(650), FULL_DEPTH)),
            *(
                Variant(f"after {start}", "labse_pretrain_small", _of(RANKING, FROM), f"pretraining.{start}, by itself")
                for start in ("stacked", "full depth")
            ),
            Variant("after nothing", "labse_pretrain_small", RANKING),
        ),
        (("after stacked", "after nothing"), ("after stacked", "after full depth")),
    ),
}


def runs_of(names: list[str]) -> Iterator[tuple[str, Variant, int]]:
    """Every run of these effects, and before it what it starts from."""
    seen: set[tuple[str, str, int]] = set()

    def of(effect: str, variant: Variant, seed: int) -> Iterator[tuple[str, Variant, int]]:
        if variant.start is not None:
            yield from of(*_start(variant, seed))
        if (effect, variant.name, seed) not in seen:
            seen.add((effect, variant.name, seed))
            yield effect, variant, seed

    for name in names:
        for seed in SEEDS:
            for variant in EFFECTS[name].variants:
                if seed in variant.seeds:
                    yield from of(name, variant, seed)


def _start(variant: Variant, seed: int) -> tuple[str, Variant, int]:
    effect, _, name = str(variant.start).partition(".")
    base = next(one for one in EFFECTS[effect].variants if one.name == name)
    return effect, base, seed if seed in base.seeds else base.seeds[0]


def slug(text: str) -> str:
    """A name for files.

    >>> slug("u, v, |u-v|"), slug("|u-v|"), slug("margin 0.3, scale 20")
    ('u-v-abs-u-v-abs', 'abs-u-v-abs', 'margin-0.3-scale-20')
    """
    return re.sub(r"[^a-z0-9.]+", "-", text.lower().replace("|", " abs ")).strip("-")


def result_path(effect: str, variant: Variant, seed: int) -> Path:
    """The JSON of a run."""
    return RESULTS / f"{effect}.{slug(variant.name)}.{seed}.json"


def run_one(
    effect: str, variant: Variant, seed: int, work: Path, environment: Mapping[str, str], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Trains one run in a process of its own, or goes on with it; returns what its JSON says."""
    folder = work / effect / f"{slug(variant.name)}-{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    values = yaml.safe_load((ROOT / "configs" / f"{variant.config}.yaml").read_text(encoding="utf-8"))
    fixed = {"training": {"seed": seed}, "export": {"enabled": False}}
    values = _of(values, variant.change, fixed, more)
    config = folder.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    variables = {**os.environ, **environment, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(variant.devices)}
    if variant.start is not None:
        base, of, its = _start(variant, seed)
        variables["JAXEMB_INIT"] = str(work / base / f"{slug(of.name)}-{its}")
    timer = folder.with_suffix(".seconds")  # of earlier tries, too
    began, before = time.monotonic(), float(timer.read_text()) if timer.is_file() else 0.0
    command = [
        sys.executable,
        "-m",
        "jaxemb",
        "train",
        "--config",
        str(config),
        "--output-dir",
        str(folder),
        "--resume",
    ]
    try:
        subprocess.run(command, env=variables, check=True)
    finally:
        seconds = before + time.monotonic() - began
        timer.write_text(f"{seconds:.1f}")
    return {
        "effect": effect,
        "variant": variant.name,
        "seed": seed,
        "seconds": round(seconds),
        "devices": variant.devices,
        "config": f"configs/{variant.config}.yaml",
        "change": variant.change,
        "start": variant.start,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "versions": {name: version(name) for name in ("jaxemb", "jax", "flax", "optax")},
        **scores_of(folder),
    }


def scores_of(folder: Path) -> dict[str, Any]:
    """What a run's directory says: the scores of each system, and the curves of what was scored on the way."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    systems: dict[str, dict[str, float]] = {}
    for name, report in results["systems"].items():
        of = systems.setdefault(name, {})
        of |= {f"held-out {group}": average["mean"] for group, average in report["averages"].items()}
    for name, report in results["sts"].items():
        of = systems.setdefault(name, {})
        of |= {f"STS {one}": score["spearman"] for one, score in report["sets"].items()}
        of["STS"] = report["average"]["spearman"]
    for name, errors in results["teacher_mse"].items():
        systems[name]["teacher_mse"] = 100 * statistics.mean(errors.values())
    curve: dict[int, dict[str, float]] = {}
    for line in map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()):
        scored = {
            key.removeprefix("evaluation/"): value for key, value in line.items() if key.startswith("evaluation/")
        }
        if scored:
            curve.setdefault(line["step"], {}).update(scored)
    last = curve[max(curve)]
    systems["trained"] |= {name: last[name] for name in ("alignment", "uniformity") if name in last}
    if spearmans := [one["sts_spearman"] for step, one in curve.items() if step and "sts_spearman" in one]:
        systems["trained"]["best"] = max(spearmans)
    return {"systems": systems, "curve": [{"step": step, **curve[step]} for step in sorted(curve)]}


def train(arguments: argparse.Namespace) -> None:
    """Trains what has no result."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    environment = {"JAXEMB_DATA": str(arguments.data.absolute()), "JAXEMB_TEACHER": str(arguments.teacher or "")}
    more = yaml.safe_load(arguments.change) if arguments.change else {}
    if unknown := set(arguments.effects) - set(EFFECTS):
        sys.exit(f"no effect {', '.join(unknown)}; there are {', '.join(EFFECTS)}")
    runs = list(runs_of(arguments.effects or list(EFFECTS)))
    with (arguments.work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for number, (effect, variant, seed) in enumerate(runs, 1):
            path = result_path(effect, variant, seed)
            checkpoints = arguments.work / effect / f"{slug(variant.name)}-{seed}"
            needed = any(one.start == f"{effect}.{variant.name}" for e in EFFECTS.values() for one in e.variants)
            if path.is_file() and (checkpoints.is_dir() or not needed):
                continue
            print(f"--- {number} of {len(runs)}: {effect}, {variant.name}, seed {seed}", flush=True)
            values = run_one(effect, variant, seed, arguments.work.absolute(), environment, more)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            partial.replace(path)


def page(arguments: argparse.Namespace) -> None:
    """Writes the tables and pictures of all effects that have results between the marks of the page."""
    text = arguments.page.read_text(encoding="utf-8")
    begin, end = "<!-- reproduce.py: begin -->\n", "<!-- reproduce.py: end -->"
    before, after = text.split(begin)[0], text.split(end)[1]
    sections = [section(name, effect, arguments.page.parent) for name, effect in EFFECTS.items() if results_of(name)]
    arguments.page.write_text(before + begin + "\n".join(sections) + end + after, encoding="utf-8")


def results_of(effect: str) -> dict[str, list[dict[str, Any]]]:
    """The results of each variant of an effect that has any, by seed."""
    found = {
        variant.name: [
            json.loads(path.read_text(encoding="utf-8"))
            for seed in variant.seeds
            if (path := result_path(effect, variant, seed)).is_file()
        ]
        for variant in EFFECTS[effect].variants
    }
    return {name: results for name, results in found.items() if results}


def section(name: str, effect: Effect, folder: Path) -> str:
    """A heading, the paper's claim, a table of mean +- deviation, the differences seed by seed, and a picture."""
    results = results_of(name)
    shown = [score for score in effect.scores if any(score in one[0]["systems"]["trained"] for one in results.values())]
    lines = [f"## {effect.title}", "", f"The paper: {effect.claim}.", ""]
    lines += [f"| | {' | '.join(effect.scores[score] for score in shown)} | seeds | minutes a run |"]
    lines += ["|---" * (len(shown) + 3) + "|"]
    for variant, runs in results.items():
        cells = [_mean_sd([run["systems"]["trained"][score] for run in runs]) for score in shown]
        minutes = statistics.mean(run["seconds"] for run in runs) / 60
        lines += [f"| {_code(variant)} | {' | '.join(cells)} | {len(runs)} | {minutes:.1f} |"]
    systems = next(iter(results.values()))[0]["systems"]
    for system, scores in systems.items():
        if system != "trained" and set(shown) & set(scores):
            cells = [f"{scores[score]:.2f}" if score in scores else "" for score in shown]
            lines += [f"| *{system}* | {' | '.join(cells)} | 1 | |"]
    lines += [""]
    for one, other in effect.versus:
        if one in results and other in results:
            by_seed = [{run["seed"]: run["systems"]["trained"] for run in results[which]} for which in (one, other)]
            seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
            gains = [by_seed[0][seed][shown[0]] - by_seed[1][seed][shown[0]] for seed in seeds]
            each = ", ".join(f"{gain:+.2f}" for gain in gains)
            lines += [f"- {_code(one)} over {_code(other)}, {effect.scores[shown[0]]}: {each} (by seed)."]
    picture = folder / "results" / f"{name}.svg"
    if draw(results, effect, shown, picture):
        lines += ["", f"![{effect.title}](results/{picture.name})"]
    return "\n".join(lines) + "\n"


def _mean_sd(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"


def _code(name: str) -> str:
    return f"`{name}`".replace("|", "\\|") if "|" in name else name


def draw(results: Mapping[str, Any], effect: Effect, shown: list[str], path: Path) -> bool:
    """The curves of the first score over steps, and of alignment over uniformity, or a point for each seed."""
    from matplotlib.figure import Figure

    if len(results) < 2:
        return False
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    with_path = "alignment" in shown
    left, *right = figure.subplots(1, 1 + with_path, squeeze=False)[0]
    for place, (variant, runs) in enumerate(results.items()):
        values = [run["systems"]["trained"][shown[0]] for run in runs]
        left.scatter(values, [place] * len(values), label=variant)
        if with_path:
            curve = [one for one in runs[0]["curve"] if "alignment" in one]
            right[0].plot([one["uniformity"] for one in curve], [one["alignment"] for one in curve], marker=".")
            right[0].set(xlabel="uniformity", ylabel="alignment", title="path of seed 0, from the right")
    left.set(yticks=range(len(results)), yticklabels=list(results), xlabel=effect.scores[shown[0]])
    left.invert_yaxis()
    left.grid(axis="x", alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    return True


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train what has no result yet")
    run.add_argument("effects", metavar="EFFECT", nargs="*", help=f"of {', '.join(EFFECTS)}")
    run.add_argument("--data", type=Path, required=True, help="folder with bitext/, stsb/ and sick/")
    run.add_argument("--work", type=Path, required=True, help="folder of the runs' directories")
    run.add_argument("--teacher", type=Path, help="MODEL that distillation learns from")
    run.add_argument("--change", help="YAML that changes every config, to try the script out: {training: {steps: 2}}")
    run.set_defaults(do=train)
    drawn = commands.add_parser("page", help="write tables and pictures")
    drawn.add_argument("--page", type=Path, default=ROOT / "docs" / "results.md")
    drawn.set_defaults(do=page)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
