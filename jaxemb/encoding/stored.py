"""Embeddings of a frozen teacher on disk, by the hash of the text: each text is embedded once, whatever run asks."""

import functools
import re
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Int64, UInt64

from jaxemb.data.pairs.normalize import text_hash
from jaxemb.encoding.embedder import Embedder
from jaxemb.encoding.fingerprint import fingerprint
from jaxemb.encoding.texts import BLOCK, embed_blocks
from jaxemb.errors import CannotWrite, UserError
from jaxemb.files import atomic_directory, cache_root, remove_partial
from jaxemb.models import Params, encoded_size
from jaxemb.texts import Texts, each_text

_SHARD = re.compile(r"\d{20}-[0-9a-f]{8}")
_LOOKED_UP = 4096  # texts whose hashes are looked up together
_OPEN = 256  # shards that are mapped at a time: each holds a file open


def stored_embeddings(embedder: Embedder, cache_dir: str | None = None) -> "StoredEmbeddings":
    """What the cache holds of this model: folder `teacher-FINGERPRINT` of `cache_root(cache_dir)`, there or not yet."""
    return StoredEmbeddings(cache_root(cache_dir) / f"teacher-{fingerprint(embedder)}", encoded_size(embedder.config))


class StoredEmbeddings:
    """Embeddings by the `text_hash` of their texts, in shards that are whole or not there.

    A shard is a folder with `hashes.npy`, uint64 [n], and `embeddings.npy`, float32 [n, D]. Several processes may write
    to one cache at once; a text that two of them embedded lies there twice, and the older embedding is taken. Hashes
    lie in memory, 16 bytes a text; embeddings are mapped.
    """

    def __init__(self, path: Path, width: int) -> None:
        self.path = path
        """The folder of the shards."""
        self.width = width
        """D, the width of the embeddings."""
        self._shards: list[Path] = []
        self._starts = np.zeros(1, np.int64)  # row at which each shard begins, and the number of all
        self._index = _Index()
        self.refresh()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def refresh(self) -> None:
        """Takes in what was written since; rows that are known stay what they are.

        Raises:
          UserError: if a shard is damaged.
        """
        known = {shard.name for shard in self._shards}
        there = self.path.iterdir() if self.path.is_dir() else ()
        # By the time of writing: with a cache that grows, an older embedding of a text stays the one that is taken.
        new = sorted(path for path in there if _SHARD.fullmatch(path.name) and path.name not in known)
        hashes = [_read_hashes(shard, self.width) for shard in new]
        if hashes:
            starts = len(self) + np.cumsum([len(some) for some in hashes])
            self._index.add(np.concatenate(hashes), len(self))
            self._shards += new
            self._starts = np.append(self._starts, starts)

    def embed_missing(
        self,
        embedder: Embedder,
        texts: Texts,
        *,
        batch_size: int = 64,
        chunk_size: int = BLOCK,
        params: Params | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Embeds the texts that are not there, and writes a shard as soon as a chunk of them is done.

        A process that is killed loses the chunk that it is at. Processes that embed the same texts at once do the
        work twice, save for what one had written when the other came to it.

        Args:
          embedder: the very model that this cache is of.
          texts: strings in an order, as for `encode_stream`, read as they are needed; a text may occur again.
          batch_size: as for `encode`.
          chunk_size: texts a shard.
          params: as for `encode`; on a mesh of this process's own devices.
          progress: called with numbers of texts that are done, those that were there included: with all in the end.

        Returns: the number of texts that were embedded.
        Raises: ValueError if the cache is of another model; NotTexts for what is no string; UserError if the disk is
          full, say, or an embedding is not finite.
        """
        if self.path.name != f"teacher-{fingerprint(embedder)}":
            raise ValueError(f"{self.path}: holds the embeddings of another model: open `stored_embeddings(embedder)`")
        remove_partial(self.path, days=7.0)
        drawn: dict[int, str] = {}  # texts that are being embedded, in order, by hash

        def missing() -> Iterator[str]:
            iterator = each_text(texts)
            while some := list(islice(iterator, _LOOKED_UP)):
                by_hash = {text_hash(text): text for text in some}
                found = self._index.find(np.array(list(by_hash), np.uint64)) >= 0
                new = [h for h, known in zip(by_hash, found.tolist(), strict=True) if not (known or h in drawn)]
                progress(len(some) - len(new))
                for h in new:
                    drawn[h] = by_hash[h]
                    yield by_hash[h]

        count = 0
        blocks = embed_blocks(
            embedder, missing(), batch_size=batch_size, block_size=chunk_size, params=params, advance=progress
        )
        for embeddings in blocks:
            done = dict(islice(drawn.items(), len(embeddings)))
            _check_finite(embeddings, list(done.values()))
            self._write(np.array(list(done), np.uint64), embeddings)
            self.refresh()
            for h in done:
                del drawn[h]
            count += len(embeddings)
        return count

    def _write(self, hashes: UInt64[np.ndarray, "n"], embeddings: Float32[np.ndarray, "n D"]) -> None:
        shard = self.path / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        try:
            with atomic_directory(shard) as folder:
                np.save(folder / "hashes.npy", hashes)
                np.save(folder / "embeddings.npy", embeddings)
        except CannotWrite as error:
            raise UserError(f"{error}; data.cache_dir chooses another folder for the cache") from error

    def rows(self, hashes: UInt64[np.ndarray, "N"]) -> Int64[np.ndarray, "N"]:
        """The rows of texts by their hashes, for `take` of this object: another one may number them otherwise.

        Raises:
          UserError: if a text was not embedded.
        """
        rows = self._index.find(hashes)
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            raise UserError(
                f"{self.path}: {len(missing):,} of {len(hashes):,} texts have no embedding (the first is number "
                f"{missing[0]}, hash {hashes[missing[0]]:#018x}): call `embed_missing` with all texts first"
            )
        return rows

    def take(self, rows: Int[np.ndarray, "N"]) -> Float32[np.ndarray, "N D"]:
        """The embeddings of these rows, copied.

        Raises:
          IndexError: if there is no such row.
        """
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"{self.path}: rows {rows.min()} to {rows.max()} were asked for, but it has {len(self)}")
        out = np.empty((len(rows), self.width), np.float32)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(shard_of, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(shard_of[order])) + 1) if len(rows) else ():
            shard = shard_of[places[0]]
            out[places] = _mapped(self._shards[shard])[rows[places] - self._starts[shard]]
        return out


class _Index:
    """Rows by hash. Sorted arrays, each more than the next: adding n times k hashes costs O(nk log n)."""

    def __init__(self) -> None:
        self._sorted: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, hashes: UInt64[np.ndarray, "n"], start: int) -> None:
        """Takes in hashes whose rows are consecutive from `start` on."""
        rows = np.arange(start, start + len(hashes))
        while self._sorted and len(self._sorted[-1][0]) <= len(hashes):
            older = self._sorted.pop()
            hashes, rows = np.concatenate([older[0], hashes]), np.concatenate([older[1], rows])
        order = np.argsort(hashes, kind="stable")  # of equal hashes the older row comes first
        self._sorted.append((hashes[order], rows[order]))

    def find(self, hashes: UInt64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """The row of each hash; -1 for one that is not there, the oldest of several."""
        found = np.full(len(hashes), -1, np.int64)
        for known, rows in reversed(self._sorted):
            at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
            found = np.where(known[at] == hashes, rows[at], found)
        return found


@functools.lru_cache(maxsize=_OPEN)
def _mapped(shard: Path) -> np.ndarray:
    return np.load(shard / "embeddings.npy", mmap_mode="r").view(np.ndarray)


def _read_hashes(shard: Path, width: int) -> np.ndarray:
    try:
        hashes, shape = np.load(shard / "hashes.npy"), _mapped(shard).shape
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{shard}: is damaged ({error}); remove it, and its texts are embedded again") from error
    if shape != (len(hashes), width):
        raise UserError(
            f"{shard}: is damaged ({len(hashes)} hashes and embeddings of shape {shape}, width {width} is expected); "
            "remove it, and its texts are embedded again"
        )
    return hashes


def _check_finite(embeddings: np.ndarray, texts: list[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad):
        raise UserError(
            f"{len(bad)} of {len(texts)} embeddings of the teacher hold NaN or infinity (the first is of "
            f"{texts[bad[0]][:80]!r}): choose another teacher"
        )
