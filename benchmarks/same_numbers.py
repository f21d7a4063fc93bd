"""Checks that another version of the code gives the same numbers, bit for bit, when behaviour must not change.

    python benchmarks/same_numbers.py record FOLDER   # with the code before the change
    python benchmarks/same_numbers.py check FOLDER    # with the code after it, on the same machine

`record` trains small runs of 20 steps (tied, untied, with LoRA and with stacking; packed and padded; on 1 device and on
8 simulated devices). It keeps their hashes, and copies of the runs that end at step 10. `check` trains the same runs
from the start, and resumes the copies. Each run must load, and these hashes must be equal: the log, the results, the
parameters, the embeddings, and each file of the export. Hashes of floating-point numbers are valid for one machine and
one version of jax.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

STEPS, HALF = 20, 10
KINDS = ("tied", "untied", "lora", "stacking")
LAYOUTS = ("packed", "padded")
DEVICES = (1, 8)


def write_data(folder):
    """Writes three languages of different size, with texts of different length, and an STS file."""
    folder.mkdir(parents=True)
    words = "one two three four five six seven eight nine ten".split()

    def text(number, word):
        return " ".join(word(words[int(digit)]) for digit in str(number * 7919))

    for language, count in (("fr", 240), ("de", 120), ("sw", 40)):
        lines = (f"{text(n, str)}\t{text(n, lambda w: w[::-1] + language)}\n" for n in range(1, count))  # noqa: B023
        (folder / f"en-{language}.tsv").write_text("".join(lines))
    sts = "".join(f"{text(n, str)},{text(n + n % 3, str)},{5 - n % 3 * 2}.0\n" for n in range(1, 40))
    (folder / "sts.csv").write_text(sts)


def config_of(data, run, kind, layout):
    """The config of one run."""
    encoder = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = {"encoder": encoder, "dense": {"out_features": 12}, "pooling": ["cls", "mean"]}
    training = {
        "steps": STEPS, "batch_size": 16, "log_every": 1, "checkpoint_every": HALF, "evaluate_every": HALF,
        "keep_checkpoints": 5, "seed": 3,
    }  # fmt: skip
    if kind == "untied":
        model["towers"] = "untied"
    if kind == "lora":
        model = {"init_from": str(data.parent / "base" / layout), "lora": {"rank": 2}}
    if kind == "stacking":
        training["stacking"] = {"stages": [{"layers": 1, "steps": 12}]}
    buckets = {"packed": None, "padded": [16, 32]}[layout]
    return {
        "output_dir": str(run),
        "data": {
            "root": str(data), "sources": [{"kind": "tsv", "path": "en-*.tsv"}], "cache_dir": str(data / "cache"),
            "holdout": {"pairs_per_language": 10}, "max_length": 32, "length_buckets": buckets,
            "language_exponent": 0.5, "window": 4,
        },
        "tokenizer": {"vocab_size": 120}, "model": model, "objective": {"kind": "labse"}, "training": training,
        "evaluation": {"sts": {"paths": ["sts.csv"], "split": "test"}},
        "export": {"verify": "jax"},
    }  # fmt: skip


def digest(*parts):
    """A hash of the concatenated bytes."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()[:16]


def hashes_of(run):
    """Hashes of what must not change: log, parameters, embeddings, results, each file of the export."""
    import jax
    import numpy as np

    from jaxemb.loading import load_towers

    # These depend on the clock, or on the steps since the last line of the log.
    skipped = ("time", "per_second", "waiting", "memory", "padding")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    log = [[(k, v) for k, v in sorted(line.items()) if not any(word in k for word in skipped)] for line in lines]
    found = {"log": digest(json.dumps(log).encode()), "results": digest((run / "results.json").read_bytes())}
    towers = load_towers(run)
    for side in ("anchor", "positive"):
        model = getattr(towers, side)
        leaves = jax.tree_util.tree_leaves_with_path(model.params)
        found[f"params of {side}"] = digest(*(str(path).encode() + np.asarray(leaf).tobytes() for path, leaf in leaves))
        found[f"embeddings of {side}"] = digest(model.encode(["one two", "three"]).tobytes())
    for file in sorted((run / "export").rglob("*")):
        if file.is_file():
            found[f"export/{file.relative_to(run / 'export')}"] = digest(file.read_bytes())
    return found


def train_all(folder, devices, resume_from):
    """Trains the runs, or resumes the copies that end halfway; returns their hashes."""
    import jaxemb

    found = {}
    for kind in KINDS:
        for layout in LAYOUTS:
            name = f"{kind}-{layout}-{devices}"
            run = folder / "runs" / name
            shutil.rmtree(run, ignore_errors=True)
            if resume_from:
                shutil.copytree(resume_from / name, run)
            jaxemb.train(config_of(folder / "data", run, kind, layout), quiet=True, resume=bool(resume_from))
            if kind == "tied" and not (folder / "base" / layout).exists():
                shutil.copytree(run / "export", folder / "base" / layout)
            found[name] = hashes_of(run)
    return found


def cut_to_half(run, to):
    """Copies a finished run and removes what it wrote after half of its steps."""
    shutil.copytree(run, to)
    for step in (to / "checkpoints").iterdir():
        if not step.name.isdigit() or int(step.name) > HALF:
            shutil.rmtree(step)
    shutil.rmtree(to / "export")


def in_processes(command, folder):
    """Runs this script in one process for each number of devices; returns all hashes."""
    found = {}
    for devices in DEVICES:
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}
        environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "xla"))
        output = folder / f"{command}-{devices}.json"
        arguments = [sys.executable, __file__, command, str(folder), "--devices", str(devices), "--output", str(output)]
        subprocess.run(arguments, env=environment, check=True)
        found |= json.loads(output.read_text())
    return found


def differences(expected, found):
    """The names of the hashes that differ."""
    return [
        f"{run}: {name}"
        for run in expected
        for name in expected[run].keys() | found[run].keys()
        if expected[run].get(name) != found[run].get(name)
    ]


def main():
    """Runs the command line; see the docstring of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["record", "check", "fresh", "resume"])
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("--devices", type=int)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    folder = asked.folder
    if asked.command in ("fresh", "resume"):  # runs in its own process
        halves = folder / "halves" if asked.command == "resume" else None
        asked.output.write_text(json.dumps(train_all(folder, asked.devices, halves)))
        return
    if asked.command == "record":
        write_data(folder / "data")
        found = in_processes("fresh", folder)
        for run in sorted((folder / "runs").iterdir()):
            cut_to_half(run, folder / "halves" / run.name)
        (folder / "hashes.json").write_text(json.dumps(found, indent=1))
        print(f"{len(found)} runs recorded in {folder}")
        return
    expected = json.loads((folder / "hashes.json").read_text())
    wrong = []
    for command in ("fresh", "resume"):
        different = differences(expected, in_processes(command, folder))
        print(f"{command}: {len(expected)} runs, {sum(map(len, expected.values()))} hashes, {len(different)} differ")
        wrong += different
    print("\n".join(sorted(set(wrong))))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
