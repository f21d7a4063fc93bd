"""From sources to training pairs and an evaluation split: gathered, normalised, filtered, without duplicates."""

import functools
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxemb.config import DataConfig, FilterConfig
from jaxemb.data.cache import cached_directory, file_state, fingerprint, write_array_record
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.clean import Dropped, clean
from jaxemb.data.pairs.exclude import Exclusion, excluded_files
from jaxemb.data.pairs.holdout import PairKeys, choose_heldout
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.pair_keys import StoredPairKeys, as_numpy
from jaxemb.data.pairs.records import encode_record
from jaxemb.data.pairs.report import FileTally, Report, Skipped
from jaxemb.data.prepared import PreparedData
from jaxemb.data.sources import SourcePart, source_parts
from jaxemb.errors import UserError
from jaxemb.files import cache_root
from jaxemb.language_tags import is_english
from jaxemb.readers.lines import BadLine

VERSION = 4
"""Counts up when the same sources and settings would give other pairs, or the cache's layout changes."""

ADDED_TO_SOURCES = ("negative_column", "negatives")
"""Settings of sources that are newer than `VERSION`. Where they are null, the pairs and the cache's key are those of
before."""

log = logging.getLogger(__name__)


def prepare(config: DataConfig, seed: int) -> PreparedData:
    """Gathers, normalises, filters and de-duplicates the pairs of all sources, and cuts the evaluation split off.

    The result lies in the cache under a fingerprint of the settings, the seed and the files' names, sizes and times; a
    second call only opens it.

    Args:
      config: sources, filters, holdout, cache.
      seed: of the choice of the evaluation split.

    Raises:
      UserError: if a source is missing or unreadable, has too many bad lines, or no pair is left.
    """
    parts = [part for source in config.sources for part in source_parts(source, config.root)]
    excluded = excluded_files(config.exclude, config.root)
    paths = sorted({path for part in parts for path in part.paths} | set(excluded))
    key = fingerprint(
        VERSION,
        seed,
        _settings(config),
        [file_state(path) for path in paths],
        sorted({part.source for part in parts}),
    )
    path = cache_root(config.cache_dir) / f"pairs-{key}"
    return PreparedData(cached_directory(path, functools.partial(_write, parts, excluded, config, seed)))


def _settings(config: DataConfig) -> dict[str, Any]:
    """The settings that the pairs depend on, as part of the cache's key."""
    settings = config.model_dump(mode="json", include={"sources", "filters", "exclude", "holdout"})
    for source in settings["sources"]:
        for name in ADDED_TO_SOURCES:
            if source.get(name, ...) is None:
                del source[name]
    return settings


def _write(parts: Sequence[SourcePart], excluded: Sequence[Path], config: DataConfig, seed: int, folder: Path) -> None:
    report, keys = Report(), StoredPairKeys()
    pairs = _encoded_pairs(parts, config.filters, Exclusion(excluded), report, keys)
    stored = write_array_record(folder / "pairs.arrayrecord", pairs)
    if not stored:
        dropped = report.as_json({}, {})["totals"]["dropped"]
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "nothing was read"
        raise UserError(f"data.sources: no pair is left after data.filters: {reasons}")
    first = keys.first_occurrences()
    names = sorted(keys.languages)
    rank = np.argsort(np.argsort(list(keys.languages)))  # position among the sorted names
    language = rank[as_numpy(keys.language)].astype(np.uint16)
    duplicates = np.bincount(language, minlength=len(names)) - np.bincount(language[first], minlength=len(names))

    pool, removed = choose_heldout(
        PairKeys(
            english=as_numpy(keys.english)[first],
            words=as_numpy(keys.words)[first],
            target=as_numpy(keys.target)[first],
            language=language[first].astype(np.int64),
        ),
        config.holdout,
        seed,
    )
    train, pool = first[~removed], first[pool]
    if not len(train):
        raise UserError("data.holdout: no pair is left to train on; lower pairs_per_language or max_share")
    heldout = {name: pool[language[pool] == i].tolist() for i, name in enumerate(names)}
    cut = np.bincount(language[first[removed]], minlength=len(names))
    for i, name in enumerate(names):
        for reason, count in (("duplicate", duplicates[i]), ("english_side_held_out", cut[i] - len(heldout[name]))):
            if count:
                report.drop(name, reason, int(count))

    np.save(folder / "train.npy", train)
    np.save(folder / "language.npy", language[train])
    starts = np.flatnonzero(np.diff(as_numpy(keys.row)[train], prepend=np.uint64(0)))
    if len(starts) < len(train):
        np.save(folder / "starts.npy", starts)
    english = np.array([sum(map(is_english, languages)) for languages in keys.sides], np.uint8)
    np.save(folder / "english.npy", english[as_numpy(keys.side)[train]])
    hashes = keys.text_hashes()[train]
    np.save(folder / "hashes.npy", hashes)
    whole = hashlib.blake2b(hashes.tobytes(), digest_size=16)  # of the examples, in order
    for name, values in (("label", keys.label), ("score", keys.score)):
        if values:
            np.save(folder / f"{name}.npy", as_numpy(values)[train])
            whole.update(as_numpy(values)[train].tobytes())
    (folder / "heldout.json").write_text(json.dumps({name: rows for name, rows in heldout.items() if rows}))
    counts = np.bincount(language[train], minlength=len(names)).tolist()
    summary = report.as_json(
        train=dict(zip(names, counts, strict=True)), heldout={name: len(rows) for name, rows in heldout.items()}
    )
    summary["train_hash"] = whole.hexdigest()
    (folder / "prepared.json").write_text(json.dumps({"languages": names, "report": summary}, ensure_ascii=False))


def _encoded_pairs(
    parts: Sequence[SourcePart], filters: FilterConfig, exclusion: Exclusion, report: Report, keys: StoredPairKeys
) -> Iterator[bytes]:
    """Reads the sources through, drops what the filters drop, and yields the rest to be stored."""
    row = 0
    for part in parts:
        tally = FileTally(part.name)
        about = report.sources.setdefault(
            part.source, {"source": part.source, "licence": part.licence, "files": 0, "pairs": 0}
        )
        about["files"] += 1
        for item in part.read():
            match item:
                case BadLine():
                    tally.add_bad(item)
                    continue
                case Skipped():
                    tally.lines += 1
                    report.read[item.language] += 1
                    report.drop(item.language, item.reason)
                    continue
            tally.lines += 1
            row += 1
            for record in item.records if isinstance(item, Alternatives) else (item,):
                language = pair_language(record.anchor_lang, record.positive_lang)
                report.read[language] += 1
                cleaned = clean(record, filters, exclusion)
                if isinstance(cleaned, Dropped):
                    report.drop(language, cleaned.reason)
                    continue
                about["pairs"] += 1
                keys.add(cleaned, language, row)
                yield encode_record(cleaned)
        report.finish_file(tally, filters.max_bad_line_share)
        log.debug("%s: %d lines, %d of them malformed", part.name, tally.lines, tally.bad)
