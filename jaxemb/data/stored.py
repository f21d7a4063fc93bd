"""Prepared data, opened from a folder or a URL: the shards, the held-out set and the report."""

import functools
import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int

from jaxemb.config import DataConfig
from jaxemb.data.cut import Cut
from jaxemb.data.order.layout import block_of, stored_layout
from jaxemb.data.order.order import Order
from jaxemb.data.order.sharded import Contents, Frame, ShardedSources
from jaxemb.data.order.weights import rates
from jaxemb.data.pairs.records import Record, text_names
from jaxemb.data.preparing.finishing import HELDOUT, STARTS
from jaxemb.data.shards.manifest import Manifest, SourceInfo
from jaxemb.data.shards.places import place_of
from jaxemb.data.shards.reader import Shards
from jaxemb.errors import UsageError

TOKENIZER = "tokenizer"
"""Folder of the tokenizer, in that of the prepared data."""


class StoredData:
    """What `jaxemb data prepare` wrote."""

    def __init__(self, place: str, cache_dir: Path) -> None:
        """Reads the manifest; the shards are read when batches are made.

        Args:
          place: a folder, or a URL that fsspec opens.
          cache_dir: of the parts of files that are read from a URL.

        Raises:
          UsageError: as `Shards.open`.
        """
        self.place = place
        self.shards = Shards.open(place, cache_dir)

    @property
    def manifest(self) -> Manifest:
        """What the shards contain."""
        return self.shards.manifest

    @property
    def report(self) -> dict[str, Any]:
        """Counts per language and reason, bad lines and sources, as for `data_report.json`."""
        return {name: value for name, value in self.manifest.report.items() if name != "lengths"}

    @property
    def languages(self) -> list[str]:
        """The languages that pairs count for, sorted."""
        return sorted({group.language for group in self.manifest.groups})

    @property
    def examples(self) -> int:
        """Training examples."""
        return self.manifest.examples

    @property
    def epoch(self) -> int:
        """Examples of an epoch: one of each row."""
        return int(self.manifest.settings["epoch"])

    @property
    def largest_labels(self) -> list[int | None]:
        """The largest label of each source; None if it has none."""
        return list(self.manifest.settings["largest_labels"])

    @functools.cached_property
    def heldout(self) -> dict[str, list[Record]]:
        """The evaluation pool of each language that has one; neither side occurs twice in a pool."""
        pools: dict[str, list[Record]] = {}
        for line in place_of(self.place).read(HELDOUT).decode().splitlines():
            fields = json.loads(line)
            language = fields.pop("language")
            pools.setdefault(language, []).append(Record(**{**fields, "negatives": tuple(fields["negatives"])}))
        return pools

    @functools.cached_property
    def starts(self) -> np.ndarray | None:
        """int64 [rows], the first example of each row, if some row has several examples."""
        if self.epoch == self.examples:
            return None
        starts: np.ndarray = np.load(io.BytesIO(place_of(self.place).read(STARTS)))
        return starts

    def cut(self, max_length: int) -> dict[str, Cut]:
        """How much of the texts of each language is cut if texts have at most so many tokens, special ones included."""
        special = len(self.manifest.tokenizer.prefix) + len(self.manifest.tokenizer.suffix)
        room = max_length - special
        found = {}
        for language, counts in self.manifest.report["lengths"].items():
            texts, lengths = np.array(counts, np.int64), np.arange(len(counts))
            over = np.maximum(lengths - room, 0)
            found[language] = Cut(int(texts.sum()), int(texts[over > 0].sum()), int(texts @ lengths), int(texts @ over))
        return found

    def order(self, config: DataConfig, batch_size: int, seed: int) -> Order:
        """The order of the examples in a run.

        Args:
          config: weights of the sources, batches, exponents and caps.
          batch_size: global examples a step.
          seed: of the order.

        Raises:
          UserError: if the config has other sources, or there are fewer examples than a batch takes.
        """
        kinds = [source.kind for source in self.manifest.sources]
        if [source.kind for source in config.sources] != kinds:
            raise UsageError(
                f"data.prepared: {self.place} has {len(kinds)} sources ({', '.join(kinds)}), data.sources names "
                f"{len(config.sources)} ({', '.join(source.kind for source in config.sources)}): they must be the same"
            )
        groups = [(group.source, group.anchor_lang, group.positive_lang) for group in self.manifest.groups]
        layout = stored_layout(groups, self.manifest.counts, block_of(self.examples), self.starts)
        return Order(layout, rates(layout, config), config.batches, batch_size, seed)

    def sources(self, max_length: int) -> ShardedSources:
        """The examples for `Batches`, their texts cut to so many tokens."""
        about = self.manifest.tokenizer
        side: Any = about.truncation_side
        frame = Frame(about.prefix, about.suffix, max_length, side)
        return ShardedSources(self.shards, self.examples, frame, tuple(map(_contents, self.manifest.sources)))

    def is_single(self, rows: Int[np.ndarray, " B"]) -> Bool[np.ndarray, " B"]:
        """Whether these examples are single sentences, each paired with itself."""
        group = np.searchsorted(self._group_ends, rows, side="right") % len(self.manifest.groups)
        return self._single_groups[group]

    @functools.cached_property
    def _group_ends(self) -> np.ndarray:
        """int64 [L * G], the example after the last one of each lane and group."""
        return np.cumsum(self.manifest.counts.reshape(-1))

    @functools.cached_property
    def _single_groups(self) -> np.ndarray:
        """Bool [G], whether the examples of each group are single sentences."""
        return np.array([self.manifest.sources[group.source].twin for group in self.manifest.groups])

    def copy_tokenizer(self, folder: Path) -> None:
        """Writes the files of the tokenizer into a folder.

        Raises:
          UsageError: if there is none.
        """
        place = place_of(self.place)
        names = [name for name in self.manifest.settings["beside"] if name.startswith(f"{TOKENIZER}/")]
        if not names:
            raise UsageError(f"{self.place}: has no {TOKENIZER}/; set tokenizer.path or model.init_from")
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name.removeprefix(f"{TOKENIZER}/")).write_bytes(place.read(name))


def _contents(source: SourceInfo) -> Contents:
    columns: tuple[Literal["label", "score"], ...] = ()
    columns += ("label",) if source.label else ()
    columns += ("score",) if source.score else ()
    return Contents(text_names(source.texts), columns)
