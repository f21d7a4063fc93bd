"""MinHash signatures of the rows of a chunk, in files beside the chunk, made in several processes."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxemb.config import NearDuplicates
from jaxemb.data.cache import fingerprint, in_chunks
from jaxemb.data.gathering.chunks import Chunk, record_of
from jaxemb.data.gathering.processes import processes
from jaxemb.data.pairs.near_duplicates import Signatures, signatures
from jaxemb.files import atomic_file

VERSION = 1
"""Counts up when the same rows would get other signatures, or the files' layout changes."""
SMALL = 1 << 15
"""Chunks of fewer rows together are signed in this process: another one takes a second to start."""
_NAMES = ("rows", "slots", "places", "bands")


class Signed:
    """The signatures of a chunk's N rows, sorted by part, row and variant; opened as memory maps."""

    def __init__(self, chunk: Chunk, config: NearDuplicates) -> None:
        self._chunk = chunk
        self._key = fingerprint(VERSION, config.model_dump(mode="json", include={"similarity", "characters", "hashes"}))

    def __len__(self) -> int:
        return len(self._chunk)

    @property
    def is_whole(self) -> bool:
        """Whether all files are there."""
        return all(self._path(name).is_file() for name in _NAMES)

    def _path(self, name: str) -> Path:
        return self._chunk.path.with_suffix(f".{self._key}.{name}.npy")

    def _open(self, name: str) -> np.ndarray:
        values: np.ndarray = np.load(self._path(name), mmap_mode="r")
        return values

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """int32 [N], position in the chunk."""
        return self._open("rows")

    @functools.cached_property
    def slots(self) -> np.ndarray:
        """uint8 [N, K], `Signatures.slots`."""
        return self._open("slots")

    @functools.cached_property
    def bands(self) -> np.ndarray:
        """uint64 [N * B], sorted: `Signatures.bands` of all rows."""
        return self._open("bands")

    @functools.cached_property
    def places(self) -> np.ndarray:
        """int32 [N * B], index into `rows` of each value of `bands`."""
        return self._open("places")

    @property
    def first(self) -> tuple[int, int]:
        """Part and row of the first row."""
        row = self.rows[0]
        return int(self._chunk.column("part")[row]), int(self._chunk.column("row")[row])

    @property
    def has_variants(self) -> bool:
        """Whether a row has several examples."""
        return bool(self._chunk.column("variant").any())

    @property
    def owners(self) -> np.ndarray:
        """int64 [N], index into `rows` of the first example of the row that each is of."""
        part, row = (self._chunk.column(name)[self.rows] for name in ("part", "row"))
        first = np.ones(len(part), bool)
        first[1:] = (part[1:] != part[:-1]) | (row[1:] != row[:-1])
        return np.flatnonzero(first)[np.cumsum(first) - 1]

    def between(self, low: int, high: int) -> slice:
        """Where the values of `bands` are at least `low` and less than `high` (up to 2**64)."""
        last = len(self.bands) if high >= 1 << 64 else int(np.searchsorted(self.bands, np.uint64(high)))
        return slice(int(np.searchsorted(self.bands, np.uint64(low))), last)

    def write(self, order: np.ndarray, found: Signatures) -> None:
        """Writes the files.

        Args:
          order: the chunk's rows, sorted.
          found: of the rows in this order.
        """
        bands = found.bands.reshape(-1)
        ranked = np.argsort(bands, kind="stable")
        columns = {
            "rows": order.astype(np.int32),
            "slots": found.slots,
            "places": (ranked // found.bands.shape[1]).astype(np.int32),
            "bands": bands[ranked],
        }
        for name in _NAMES:
            with atomic_file(self._path(name)) as partial, partial.open("wb") as file:
                np.save(file, columns[name])


def sign_chunks(chunks: Sequence[Chunk], config: NearDuplicates, workers: int) -> list[Signed]:
    """The signatures of each chunk; computes what is not there.

    Raises:
      UserError: if the extra `near-duplicates` is not installed.
    """
    signed = [Signed(chunk, config) for chunk in chunks]
    missing = [chunk for chunk, one in zip(chunks, signed, strict=True) if not one.is_whole]
    if workers > 1 and len(missing) > 1 and sum(map(len, missing)) > SMALL:
        with processes(min(workers, len(missing))) as pool:
            for task in [pool.submit(_sign, chunk.path, chunk.source, config) for chunk in missing]:
                task.result()
    else:
        for chunk in missing:
            _sign(chunk.path, chunk.source, config)
    return signed


def _sign(path: Path, source: int, config: NearDuplicates) -> None:
    chunk = Chunk(path, source)
    variant, row, part = (chunk.column(name) for name in ("variant", "row", "part"))
    order = np.lexsort((variant, row, part))
    found = [
        signatures([record_of(values) for values in chunk.table.take(order[own.start : own.stop]).to_pylist()], config)
        for own in in_chunks(len(chunk))
    ]
    together = Signatures(np.concatenate([one.bands for one in found]), np.concatenate([one.slots for one in found]))
    Signed(chunk, config).write(order, together)
