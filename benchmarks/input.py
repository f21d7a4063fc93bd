"""Measures the input: preparation, tokenizing, reading of shards, and the start of a run.

    python benchmarks/input.py gather --rows 2000000        # read, clean, de-duplicate, hold out; memory
    python benchmarks/input.py prepare --rows 300000        # the same, tokenize and write, beside the tokenizer alone
    python benchmarks/input.py read --rows 300000           # shards to the device
    python benchmarks/input.py start                        # a manifest of 10^9 examples

Every command appends a line of JSON to --results (default: benchmarks/results/input.jsonl). Rates are pairs a second of
all cores together. Memory is that of all processes, without files that are mapped. `docs/data.md` has the figures.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

WORDS = 15
"""Words of a side, on average."""


def write_tsv(path: Path, rows: int) -> None:
    """Pairs of made-up sentences with the word frequencies of a language (Zipf)."""
    rng = np.random.default_rng(0)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    draw = random.Random(0)
    words = ["".join(draw.choices(letters, range(26, 0, -1), k=draw.randrange(2, 10))) for _ in range(50_000)]
    share = 1 / np.arange(1, len(words) + 1)
    share /= share.sum()
    with path.open("w") as file:
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            lengths = rng.integers(5, 2 * WORDS - 4, 2 * count)
            drawn = [words[index] for index in rng.choice(len(words), int(lengths.sum()), p=share)]
            ends = np.cumsum(lengths)
            spans = zip(ends.tolist(), lengths.tolist(), strict=True)
            texts = [" ".join(drawn[end - length : end]) for end, length in spans]
            file.writelines(f"{first}\t{second}\n" for first, second in zip(texts[::2], texts[1::2], strict=True))


def memory_of_tree(root: int) -> int:
    """Bytes of memory that this process and those it started hold, without mapped files."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    parents = dict(zip(map(int, found[::2]), map(int, found[1::2]), strict=True))
    tree, size = {root}, 0
    for pid in sorted(parents):
        if parents[pid] in tree:
            tree.add(pid)
    for pid in tree:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        size += sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Pss_Anon:", "SwapPss:")))
    return size


class Peak:
    """The most memory while the block runs."""

    def __enter__(self) -> "Peak":
        self.bytes, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.bytes = max(self.bytes, memory_of_tree(os.getpid()))

    def __exit__(self, *_: object) -> None:
        self.bytes = max(self.bytes, memory_of_tree(os.getpid()))
        self._stop.set()
        self._thread.join()


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """The result, wall seconds, CPU-seconds (with other processes) and the peak of memory in MB."""

    def cpu() -> float:
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in used)

    began, spent = time.monotonic(), cpu()
    with Peak() as peak:
        result = work()
    return result, {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(cpu() - spent, 2),
        "peak_mb": round(peak.bytes / 1e6),
    }


def config_of(folder: Path, **more: Any) -> Any:
    from jaxemb.config import DataConfig, HoldoutConfig, TsvSource

    source = TsvSource(path="pairs.tsv", positive_lang="de")
    return DataConfig(
        root=str(folder), sources=(source,), cache_dir=str(folder / "cache"), holdout=HoldoutConfig(), **more
    )


def gather(arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    from jaxemb.data import gather

    write_tsv(folder / "pairs.tsv", arguments.rows)
    data, spent = timed(lambda: gather(config_of(folder), 0))
    rate = round(arguments.rows / spent["seconds"])
    yield {"what": "gather", "rows": arguments.rows, "examples": data.examples, "pairs_per_second": rate, **spent}


def prepare(arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Gathers, trains a vocabulary, tokenizes and writes; and beside it the tokenizer alone, on the same texts."""
    from jaxemb.config import TokenizerConfig
    from jaxemb.data import Encoding, gather, train_tokenizer, write_shards
    from jaxemb.data.preparing.tokens import tokenize_chunk

    write_tsv(folder / "pairs.tsv", arguments.rows)
    config = config_of(folder)
    data, gathering = timed(lambda: gather(config, 0))
    tokenizer, vocabulary = timed(lambda: train_tokenizer(data, TokenizerConfig(vocab_size=32_000), 64))
    encoding = Encoding.of(tokenizer)
    texts = [text for record in data.records() for text in (record.anchor, record.positive)]

    def alone() -> None:
        for start in range(0, len(texts), 1 << 15):
            encoding.backend.encode_batch_fast(texts[start : start + (1 << 15)], add_special_tokens=False)

    def ours() -> None:
        for chunk in data.corpus.chunks:
            tokenize_chunk(chunk, encoding, ("", ""))

    rounds: dict[str, list[float]] = {"alone": [], "tokens": []}
    for _ in range(3):  # in turns
        rounds["alone"].append(timed(alone)[1]["seconds"])
        for path in (folder / "cache").rglob("*.tokens"):
            path.unlink()
        rounds["tokens"].append(timed(ours)[1]["seconds"])
    best = {name: min(seconds) for name, seconds in rounds.items()}
    rows = sum(map(len, data.corpus.chunks))
    yield {
        "what": "tokenize", "rows": arguments.rows, "seconds_alone": rounds["alone"], "seconds": rounds["tokens"],
        "share_of_the_tokenizer_s_rate": round((2 * rows / best["tokens"]) / (len(texts) / best["alone"]), 3),
    }  # fmt: skip
    manifest, writing = timed(lambda: write_shards(data, config, encoding, str(folder / "out")))
    whole = gathering["seconds"] + best["tokens"] + writing["seconds"]
    yield {
        "what": "prepare", "rows": arguments.rows, "gather": gathering, "vocabulary": vocabulary, "write": writing,
        "tokenize_seconds": best["tokens"], "tokenizer_alone_seconds": best["alone"],
        "whole_over_tokenizer": round(whole / best["alone"], 2), "digest": manifest.digest,
        "bytes": sum(shard.info.bytes for shard in manifest.shards),
    }  # fmt: skip


def read(arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Batches of 4,096 pairs, packed into rows of 64 tokens, from shards to the device."""
    import jax

    from jaxemb.config import TokenizerConfig
    from jaxemb.data import Batches, Encoding, StoredData, cached_shards, gather, train_tokenizer

    write_tsv(folder / "pairs.tsv", arguments.rows)
    config = config_of(folder, max_length=64, workers=arguments.workers)
    data = gather(config, 0)
    tokenizer = train_tokenizer(data, TokenizerConfig(vocab_size=32_000), 64)
    stored = StoredData(cached_shards(data, config, Encoding.of(tokenizer)), folder / "cache")
    batches = Batches(stored.sources(64), stored.order(config, 4096, 0), config)
    steps = 48

    def run() -> None:
        for _, batch in batches.stream(0, steps):
            jax.block_until_ready(jax.device_put(batch))

    jax.block_until_ready(jax.device_put(batches.batch(0)))
    for _ in range(3):
        _, spent = timed(run)
        yield {
            "what": "read", "rows": arguments.rows, "workers": arguments.workers, "lanes": stored.manifest.lanes,
            "pairs_per_second": round(4096 * steps / spent["seconds"]), **spent,
        }  # fmt: skip


START = """
import resource, sys, time
from pathlib import Path
import jax
jax.devices()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.monotonic()
from jaxemb.config import DataConfig, TextSource
from jaxemb.data.stored import StoredData
stored = StoredData(sys.argv[1], Path(sys.argv[1]))
order = stored.order(DataConfig(sources=(TextSource(path="x"),), language_exponent=0.3), 4096, 0)
import numpy as np
order.rows(np.arange(16 * 4096))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(time.monotonic() - began, peak / 1e3, before / 1e3, len(stored.shards))
"""


def start(arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Opens a manifest of 10^9 examples, whose shards are there by name and size only."""
    from jaxemb.data.shards.contents import Group, Shard, SourceInfo, TokenizerInfo
    from jaxemb.data.shards.index import ShardInfo, shard_name
    from jaxemb.data.shards.manifest import Manifest

    lanes, groups, examples = 64, 500, 10**9
    counts = np.full((lanes, groups), examples // (lanes * groups), np.int64)
    shards, number = [], 0
    for lane in range(lanes):
        left, first = int(counts[lane].sum()), 0
        while left:
            rows = min(left, 1 << 18)
            info = ShardInfo(shard_name(number), rows, 200 * rows, "0" * 32, 2, 1, 1000, 0)
            shards.append(Shard(lane, first, info))
            left, first, number = left - rows, first + rows, number + 1
    for shard in shards:
        for name, size in shard.info.sizes.items():
            with (folder / name).open("wb") as file:
                file.truncate(size)
    Manifest(
        tokenizer=TokenizerInfo("0", "uint32", 501_153, (101,), (102,), "right"),
        sources=(SourceInfo("x", "text", 2, False, False),),
        groups=tuple(Group(0, "en", f"x-{group}", f"x-{group}") for group in range(groups)),
        counts=counts,
        shards=tuple(shards),
        report={"totals": {}},
        settings={"epoch": examples, "largest_labels": [None], "beside": []},
    ).save(str(folder))
    done = subprocess.run([sys.executable, "-c", START, str(folder)], capture_output=True, text=True, check=True)
    seconds, peak, before, count = map(float, done.stdout.split())
    yield {
        "what": "start", "examples": int(count), "shards": len(shards), "seconds": round(seconds, 2),
        "peak_mb": round(peak), "peak_mb_before": round(before),
        "manifest_bytes": (folder / "manifest.json").stat().st_size,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gather", "prepare", "read", "start"])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--workers", type=int, default=1, help="threads that make batches")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "input.jsonl")
    parser.add_argument("--folder", type=Path, help="of what is written meanwhile (default: the system's)")
    arguments = parser.parse_args()
    measure = {"gather": gather, "prepare": prepare, "read": read, "start": start}[arguments.what]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for result in measure(arguments, Path(folder)):
            line = json.dumps({**result, "cores": os.cpu_count()})
            print(line, flush=True)
            with arguments.results.open("a") as file:
                file.write(f"{line}\n")


if __name__ == "__main__":
    main()
