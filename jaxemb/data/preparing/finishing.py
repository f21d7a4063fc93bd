"""The end of every preparation: the held-out set, the manifest, and what TFDS reads, beside the shards."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jaxemb.config import DataConfig
from jaxemb.data.cache import fingerprint
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.preparing.output import Output
from jaxemb.data.preparing.tokens import Encoding
from jaxemb.data.shards.contents import Group, Shard, SourceInfo, TokenizerInfo
from jaxemb.data.shards.index import ShardInfo
from jaxemb.data.shards.manifest import Manifest
from jaxemb.data.shards.tfds_metadata import write_tfds_metadata

HELDOUT = "heldout.jsonl"
"""The held-out set: for each pair a JSON object with its language and the fields of `Record`."""
STARTS = "starts.npy"
"""int64 [rows], the first example of each row, if some row has several examples."""


@dataclass(frozen=True)
class Finished:
    """What is known when all shards are in their place."""

    data: str
    """The name of the rows (`gathered_name`)."""
    groups: Sequence[tuple[int, str, str]]
    """Source, anchor_lang, positive_lang."""
    counts: np.ndarray
    """int64 [L, G], examples of each lane and group."""
    infos: Sequence[ShardInfo]
    """In the order of the lanes."""
    epoch: int
    """Examples of an epoch: one of each row."""
    starts: np.ndarray
    """int64 [rows], the first example of each row; any array if an epoch has all examples."""
    largest_labels: Sequence[int | None]
    """The largest label of each source; None if it has none."""
    heldout: Mapping[str, Sequence[Record]]
    """The held-out set by language."""
    report: Mapping[str, Any]


def finish(
    place: Output,
    done: Finished,
    encoding: Encoding,
    sources: tuple[SourceInfo, ...],
    beside: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Writes what lies beside the shards; the manifest is last.

    Args:
      place: where the shards are.
      done: what they are.
      encoding: the tokenizer.
      sources: of the config.
      beside: more files to write there, by name.
    """
    heldout = _lines(done.heldout)
    for name, content in {HELDOUT: heldout, **(beside or {})}.items():
        place.write(name, content)
    if done.epoch < done.counts.sum():
        place.write(STARTS, _npy(done.starts))
    manifest = Manifest(
        tokenizer=TokenizerInfo(
            encoding.hash, np.dtype(encoding.dtype).name, encoding.backend.get_vocab_size(), encoding.prefix,
            encoding.suffix, encoding.truncation_side,
        ),
        sources=sources,
        groups=tuple(Group(*group, pair_language(*group[1:])) for group in done.groups),
        counts=done.counts,
        shards=tuple(_shards(done)),
        report=done.report,
        settings={
            "data": done.data, "epoch": done.epoch, "largest_labels": list(done.largest_labels),
            "heldout": fingerprint(heldout.decode()), "beside": sorted(beside or {}),
        },
    )  # fmt: skip
    write_tfds_metadata(place.name, manifest)
    manifest.save(place.name)
    place.finish()
    return manifest


def _shards(done: Finished) -> Iterator[Shard]:
    sizes = done.counts.sum(1).tolist()
    lane, first = 0, 0
    for info in done.infos:
        while first == sizes[lane]:
            lane, first = lane + 1, 0
        yield Shard(lane, first, info)
        first += info.rows


def prompts_of(config: DataConfig) -> tuple[tuple[str, str], ...]:
    """For each source, text put before each anchor, and before each positive and hard negative."""
    return tuple(
        (
            _setting(source, config, "anchor_prompt"),
            _setting(source, config, "positive_prompt"),
        )
        for source in config.sources
    )


def _setting(source: Any, config: DataConfig, name: str) -> str:
    return getattr(config if getattr(source, name) is None else source, name) or ""


def sources_of(config: DataConfig, texts: Mapping[int, int]) -> tuple[SourceInfo, ...]:
    """What the manifest says of each source.

    Args:
      config: the sources.
      texts: by index of the source, the number of texts of its examples; 2 where nothing is said.
    """
    return tuple(
        SourceInfo(
            name=source_name(source),
            kind=source.kind,
            texts=texts.get(index, 2),
            label="label" in source.gives,
            score="score" in source.gives,
            licence=getattr(source, "licence", None),
            prompts=prompts,
            twin="twin" in source.gives,
        )
        for index, (source, prompts) in enumerate(zip(config.sources, prompts_of(config), strict=True))
    )


def source_name(source: Any) -> str:
    """A name of a configured source: its path, data set or packages."""
    name = getattr(source, "path", None) or getattr(source, "name", None) or ", ".join(getattr(source, "packages", ()))
    return name or f"{getattr(source, 'anchor_path', '')}, {getattr(source, 'positive_path', '')}"


def _lines(heldout: Mapping[str, Sequence[Record]]) -> bytes:
    lines = (
        json.dumps({"language": language, **asdict(record)}, ensure_ascii=False)
        for language, records in heldout.items()
        for record in records
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()
