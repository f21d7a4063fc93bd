"""The manifest of prepared data: everything about the shards that a run needs before it reads an example."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from jaxemb.data.shards.contents import Group, Shard, SourceInfo, TokenizerInfo
from jaxemb.data.shards.index import ShardInfo
from jaxemb.data.shards.places import COPY_AGAIN, place_of
from jaxemb.data.shards.record import Layout
from jaxemb.errors import UsageError

MANIFEST = "manifest.json"
FORMAT = "jaxemb-shards"
LAYOUT_VERSION = 1
"""Counts up when records, shards, indexes or the manifest change."""
ORDER_VERSION = 1
"""Counts up when the same shards, config and seed would give other batches."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class Manifest:
    """What `jaxemb data prepare` wrote. Its size does not depend on the number of examples."""

    tokenizer: TokenizerInfo
    sources: tuple[SourceInfo, ...]
    groups: tuple[Group, ...]
    counts: np.ndarray
    """int64 [L, G], examples of each lane and group; in a lane, the groups follow each other."""
    shards: tuple[Shard, ...]
    """Sorted by lane and `first`, without gaps."""
    report: Mapping[str, Any]
    """`Report.as_json`."""
    settings: Mapping[str, Any]
    """The settings that the data depend on."""
    volatile: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What the digest leaves out: times, the host, versions of libraries."""
    order_version: int = ORDER_VERSION

    def __post_init__(self) -> None:
        """Raises ValueError if the parts contradict each other."""
        if self.counts.shape != (self.lanes, len(self.groups)):
            raise ValueError(f"counts of {self.counts.shape} are not those of {len(self.groups)} groups")
        rows = np.zeros(self.lanes, np.int64)
        for shard in self.shards:
            if not 0 <= shard.lane < self.lanes or shard.first != rows[shard.lane] or rows[shard.lane + 1 :].any():
                raise ValueError(f"{shard.info.name} is not the next shard of lane {shard.lane}")
            if shard.info.texts != self.layout.texts:
                raise ValueError(f"{shard.info.name} has {shard.info.texts} texts, the sources {self.layout.texts}")
            rows[shard.lane] += shard.info.rows
        if (rows != self.counts.sum(1)).any():
            raise ValueError(f"the shards have {rows.tolist()} rows by lane, the groups {self.counts.sum(1).tolist()}")

    @property
    def lanes(self) -> int:
        """L."""
        return len(self.counts)

    @property
    def examples(self) -> int:
        """Number of examples in all shards."""
        return int(self.counts.sum())

    @property
    def layout(self) -> Layout:
        """The layout of the records."""
        return Layout(max((source.texts for source in self.sources), default=1), self.tokenizer.dtype)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that change with everything but `volatile`."""
        content = json.loads(json.dumps(self._as_json()))  # keys as JSON has them
        del content["volatile"]
        encoded = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        return hashlib.blake2b(encoded, digest_size=16).hexdigest()

    def check_tokenizer(self, tokenizer_hash: str, place: str = "the prepared data") -> None:
        """Raises UsageError if the token ids are not those of the tokenizer with this hash."""
        if tokenizer_hash != self.tokenizer.hash:
            raise UsageError(
                f"{place}: was prepared with another tokenizer ({self.tokenizer.hash}, this run has {tokenizer_hash}): "
                "name that one in the config, or run `jaxemb data prepare` again"
            )

    def save(self, place: str) -> None:
        """Writes `manifest.json` into a folder or below a URL, whole or not at all; call it last.

        Raises:
          UserError: if it cannot be written.
        """
        content = {"format": FORMAT, "layout": LAYOUT_VERSION, "digest": self.digest} | self._as_json()
        place_of(place).write(MANIFEST, json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

    @classmethod
    def load(cls, place: str) -> "Manifest":
        """Reads the manifest in a folder or below a URL, and looks whether all shards are there, with their sizes.

        Raises:
          UsageError: if there is no manifest, it is damaged or of another version, or a shard is missing or changed.
        """
        where = place_of(place)
        try:
            data = where.read(MANIFEST)
        except FileNotFoundError:
            raise UsageError(
                f"{place}: is not finished (no {MANIFEST}): run `jaxemb data prepare` again, or correct the path"
            ) from None
        manifest = cls.from_json(data, place)
        if (there := where.sizes()) is not None:
            manifest._check_sizes(there, place)
        return manifest

    def _check_sizes(self, there: Mapping[str, int], place: str) -> None:
        for shard in self.shards:
            for name, size in shard.info.sizes.items():
                if there.get(name) != size:
                    how = f"has {there[name]} bytes instead of {size}" if name in there else "is missing"
                    raise UsageError(f"{place}: {name} {how}: {COPY_AGAIN}")

    @classmethod
    def from_json(cls, data: bytes, place: str) -> "Manifest":
        """The manifest with this content; `place` is for messages.

        Raises:
          UsageError: if it is damaged or of another version.
        """
        damaged = f"{place}: {MANIFEST} is damaged: run `jaxemb data prepare` again"
        try:
            content = json.loads(data)
            versions = content.pop("format"), content.pop("layout"), content["order_version"]
            digest = content.pop("digest")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(damaged) from error
        if versions != (FORMAT, LAYOUT_VERSION, ORDER_VERSION):
            found = "{} of layout {} and order {}".format(*versions)
            raise UsageError(
                f"{place}: was prepared by another version of jaxemb ({found}; this one reads {FORMAT} of layout "
                f"{LAYOUT_VERSION} and order {ORDER_VERSION}): run `jaxemb data prepare` again, or install that version"
            )
        try:
            manifest = cls(
                tokenizer=_made(TokenizerInfo, content.pop("tokenizer")),
                sources=tuple(_made(SourceInfo, one) for one in content.pop("sources")),
                groups=tuple(_made(Group, one) for one in content.pop("groups")),
                counts=np.array(content.pop("counts"), np.int64),
                shards=tuple(
                    Shard(lane, first, _made(ShardInfo, info)) for lane, first, *info in content.pop("shards")
                ),
                **content,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(damaged) from error
        if manifest.digest != digest:
            raise UsageError(f"{damaged} (its checksum differs)")
        return manifest

    def _as_json(self) -> dict[str, Any]:
        """Classes as lists of their fields, which keeps it short."""
        return {
            "order_version": self.order_version,
            "tokenizer": dataclasses.astuple(self.tokenizer),
            "sources": [dataclasses.astuple(source) for source in self.sources],
            "groups": [dataclasses.astuple(group) for group in self.groups],
            "counts": self.counts.tolist(),
            "shards": [(shard.lane, shard.first, *dataclasses.astuple(shard.info)) for shard in self.shards],
            "report": dict(self.report),
            "settings": dict(self.settings),
            "volatile": dict(self.volatile),
        }


def _made(kind: type[T], fields: Any) -> T:
    return kind(*(tuple(field) if isinstance(field, list) else field for field in fields))
