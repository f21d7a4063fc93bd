"""Several hosts train on prepared shards behind a URL: the same global batches, and each reads its rows only."""

import numpy as np
import pytest

from jaxemb.config import DataConfig, TsvSource
from jaxemb.data import Batches, Part, StoredData
from jaxemb.data.shards.contents import Group, Shard, SourceInfo, TokenizerInfo
from jaxemb.data.shards.index import shard_name
from jaxemb.data.shards.manifest import MANIFEST, Manifest
from jaxemb.data.shards.record import Example, Layout, encode_many
from jaxemb.data.shards.riegeli import chunk_size
from jaxemb.data.shards.writer import write_shard
from support.shards import URL, upload
from support.tiers import sampled

LAYOUT = Layout(2, "uint32")
ROWS = 1024
"""Of a lane: three quarters in the first group, the others in the second."""


def write_lanes(folder, lanes: int) -> list[int]:
    """Writes prepared data whose texts are as long as those of a translation corpus.

    Returns: for each example, the bytes that it takes in its shard, ArrayRecord's framing included.
    """
    draw = np.random.default_rng(0)
    shards, sizes = [], []
    for lane in range(lanes):
        examples = [
            Example(
                tuple(draw.integers(0, 500_000, length).astype(np.uint32) for length in draw.integers(8, 40, 2)),
                draw.integers(0, 1 << 64, 2, np.uint64),
            )
            for _ in range(ROWS)
        ]
        sizes += [chunk_size(len(record)) for record in encode_many(examples, LAYOUT.dtype)]
        shards.append(Shard(lane, 0, write_shard(folder, shard_name(lane), examples, LAYOUT)))
    Manifest(
        TokenizerInfo("abc", "uint32", 500_000, (2,), (3,), "right"),
        (SourceInfo("pairs.tsv", "tsv", 2, label=False, score=False),),
        tuple(Group(0, "en", language, language) for language in ("de", "fr")),
        np.tile([[3 * ROWS // 4, ROWS // 4]], (lanes, 1)),
        tuple(shards),
        {"totals": {}},
        {"epoch": lanes * ROWS, "largest_labels": [None], "beside": []},
    ).save(str(folder))
    return sizes


@pytest.mark.parametrize("lanes", sampled([8], [64]))
def test_a_host_reads_the_bytes_of_its_rows(tmp_path, lanes):
    sizes = np.array(write_lanes(tmp_path / "prepared", lanes))
    upload(tmp_path / "prepared")
    config = DataConfig(sources=(TsvSource(path="pairs.tsv"),), max_length=64, language_exponent=1.0)
    manifest_bytes = (tmp_path / "prepared" / MANIFEST).stat().st_size
    batch_size, whole = 64 * lanes, {}
    steps = lanes * ROWS // batch_size
    for hosts in sorted({1, 2, 4, 8, lanes // 2, lanes}):
        for host in sorted({0, hosts // 2, hosts - 1}) if hosts > 2 else range(hosts):
            stored = StoredData(URL, tmp_path / f"cache-{hosts}-{host}")
            batches = Batches(stored.sources(64), stored.order(config, batch_size, 3), config, Part(host, hosts))
            rows = {step: batches.batch(step)["id"].tolist() for step in range(steps)}
            own = np.concatenate(list(rows.values()))
            assert len(np.unique(own // ROWS)) == lanes // hosts  # whole lanes
            ratio = (stored.shards.bytes_read - manifest_bytes) / sizes[own].sum()
            assert ratio <= 1.5, f"{hosts} hosts: {ratio:.2f}"
            for step, part in rows.items():  # the global batch is the same for any number of hosts
                expected = whole.setdefault(step, part) if hosts == 1 else whole[step]
                start = host * len(part)
                assert part == expected[start : start + len(part)]
    assert sorted(np.concatenate(list(whole.values()))) == list(range(lanes * ROWS))  # an epoch has each once
