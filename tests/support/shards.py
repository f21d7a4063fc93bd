"""Small prepared data, made by hand."""

import os
from collections.abc import Sequence
from pathlib import Path

import fsspec
import numpy as np

from jaxemb.data.shards.contents import Group, Shard, SourceInfo, TokenizerInfo
from jaxemb.data.shards.index import shard_name
from jaxemb.data.shards.manifest import Manifest
from jaxemb.data.shards.record import Example, Layout
from jaxemb.data.shards.writer import write_shard

URL = "memory://bucket/prepared"
LAYOUT = Layout(texts=3, dtype="uint16")


def some_examples(count: int, seed: int = 0, vocabulary: int = 16_000) -> list[Example]:
    """Pairs, twins, triples and single texts, with and without labels and scores; a few texts are long or empty."""
    draw = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        texts = int(draw.choice([1, 2, 2, 2, 3]))
        lengths = draw.choice([0, 1, *range(2, 40), 300], texts)
        ids = [draw.integers(0, vocabulary, length).astype("uint32") for length in lengths]
        if texts > 1 and draw.random() < 0.2:
            ids[1] = ids[0]
        hashes = draw.integers(0, 1 << 64, texts, np.uint64)
        label = int(draw.choice([0, 2, 1 << 40, -1])) if draw.random() < 0.3 else None
        examples.append(Example(tuple(ids), hashes, label, float(np.float32(draw.random())) if label is None else None))
    return examples


def prepare(folder: Path, lanes: Sequence[Sequence[Sequence[Example]]], layout: Layout = LAYOUT) -> Manifest:
    """Writes a shard for each sequence of examples of each lane, and the manifest; each lane has one group."""
    shards: list[Shard] = []
    for lane, contents in enumerate(lanes):
        first = 0
        for examples in contents:
            info = write_shard(folder, shard_name(len(shards)), examples, layout)
            shards.append(Shard(lane, first, info))
            first += len(examples)
    manifest = manifest_of(shards, np.array([[sum(map(len, contents))] for contents in lanes]), layout)
    manifest.save(os.fspath(folder))
    return manifest


def manifest_of(shards: Sequence[Shard], counts: np.ndarray, layout: Layout = LAYOUT) -> Manifest:
    """A manifest of these shards of one source."""
    groups = tuple(Group(0, "en", f"x-{i}", f"x-{i}") for i in range(counts.shape[1]))
    source = SourceInfo(
        "pairs.tsv", "tsv", layout.texts, label=True, score=True, licence="CC0-1.0", prompts=("query: ",)
    )
    tokenizer = TokenizerInfo("abc", layout.dtype, 16_000, (2,), (3,), "right")
    return Manifest(tokenizer, (source,), groups, counts, tuple(shards), {"totals": {}}, {"filters": {"min": 1.5}})


def upload(folder: Path) -> None:
    """Copies the files to `URL`."""
    store = fsspec.filesystem("memory")
    for path in folder.iterdir():
        store.pipe_file(f"/bucket/prepared/{path.name}", path.read_bytes())


def assert_same(found: Sequence[Example], expected: Sequence[Example]) -> None:
    """Each has the same content, twins are twins."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert [ids.tolist() for ids in one.ids] == [ids.tolist() for ids in other.ids]
        assert one.hashes.tolist() == other.hashes.tolist()
        assert (one.label, one.score) == (other.label, other.score)
        twins = [len(each.ids) > 1 and each.ids[0] is each.ids[1] for each in (one, other)]
        assert twins[0] == twins[1]
