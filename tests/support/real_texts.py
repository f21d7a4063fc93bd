"""Texts of the folder of real data: those of its small files, or all of them."""

import gzip
from collections.abc import Iterator
from pathlib import Path

SMALL = 80_000
"""Bytes of a file that belongs to the sample."""
EVERY = 4
"""Of the sample's lines, one in so many."""


def real_texts(folder: Path, everything: bool) -> Iterator[str]:
    """The cells of all tab-separated and comma-separated lines below `folder`, without quotes."""
    for path in sorted(folder.rglob("*.*")):
        if not path.is_file() or not (everything or path.stat().st_size < SMALL):
            continue
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in data.decode().split("\n")[:: 1 if everything else EVERY]:
            yield from line.split("," if ".csv" in path.name else "\t")
