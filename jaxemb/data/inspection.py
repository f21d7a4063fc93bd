"""What `jaxemb data inspect` looks at: some pairs of each language, lengths of texts, and the padding of batches."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxemb.config import DataConfig
from jaxemb.data.batches import Batches
from jaxemb.data.gathering.corpus import Corpus
from jaxemb.data.gathering.gather import Gathered
from jaxemb.data.pairs.holdout import mix
from jaxemb.data.pairs.normalize import text_hash
from jaxemb.data.pairs.records import Record
from jaxemb.data.preparing.fates import counts_of_groups, examples_of_fates
from jaxemb.data.preparing.finishing import source_name
from jaxemb.data.preparing.text_lengths import count_characters
from jaxemb.data.stored import StoredData
from jaxemb.errors import UserError

PAIRS = 20
"""So many pairs of each language are shown."""
_SHOWN_CHARS = 300
_SALT = 0x7A1B5
_LOOKED_AT = 1 << 16
"""About so many examples are put into batches to see the padding."""


def look_at(
    data: Gathered | StoredData,
    stored: StoredData | None,
    seed: int,
    config: DataConfig | None,
    batches_of: Callable[[DataConfig], Batches] | None,
) -> dict[str, Any]:
    """What the report does not say, or not in full; as JSON, to be added to the report.

    These are the counts by source and languages, examples of duplicates, lengths, cut texts, padding, and pairs.

    Args:
      data: texts of the sources, or prepared data, which have the held-out texts only.
      stored: the token ids; None if there is no tokenizer.
      seed: chooses the pairs.
      config: gives `max_length` and `length_buckets`; None if it is not known.
      batches_of: the batches of a run with these settings; None does not look at padding.
    """
    told: dict[str, Any] = {"groups": _groups(data, config)}
    if isinstance(data, Gathered):
        told["examples"] = dict(sorted({**data.report["examples"], **examples_of_fates(data.corpus)}.items()))
    if stored is not None:
        about = stored.manifest.tokenizer
        told["lengths"] = {
            "unit": "tokens",
            "special": len(about.prefix) + len(about.suffix),
            "languages": stored.manifest.report["lengths"],
        }
        if config is not None:
            told["lengths"]["max_length"] = config.max_length
            told["cut"] = {name: dataclasses.asdict(one) for name, one in stored.cut(config.max_length).items()}
    elif isinstance(data, Gathered):
        told["lengths"] = {"unit": "characters", "special": 0, "languages": count_characters(data.corpus)}
    if batches_of is not None and config is not None:
        try:
            told["padding"] = padding_by_choice(batches_of, config)
        except UserError as error:
            told["padding_unknown"] = str(error)
    if isinstance(data, Gathered):
        told["pairs"] = {"of": "train", "languages": _shown(random_pairs(data.corpus, seed))}
    else:
        told["pairs"] = {"of": "heldout", "languages": _shown(random_heldout(data.heldout, seed))}
    return told


def _groups(data: Gathered | StoredData, config: DataConfig | None) -> list[dict[str, Any]]:
    """Counts by source and languages. Prepared data know only how many are trained on."""
    if isinstance(data, Gathered):
        assert config is not None
        return counts_of_groups(data.corpus, [source_name(source) for source in config.sources])
    manifest = data.manifest
    counts = manifest.counts.sum(0).tolist()
    return [
        {
            "source": manifest.sources[group.source].name,
            "anchor_lang": group.anchor_lang,
            "positive_lang": group.positive_lang,
            "language": group.language,
            "train": count,
        }
        for group, count in zip(manifest.groups, counts, strict=True)
    ]


def random_pairs(corpus: Corpus, seed: int, count: int = PAIRS) -> dict[str, list[Record]]:
    """Training examples of each language, drawn at random.

    Which ones depends on their content and the seed, not on how they are distributed over chunks. Memory holds `count`
    places for each language.
    """
    place = np.dtype([("hash", np.uint64), ("chunk", np.int64), ("row", np.int64)])
    smallest = [np.zeros(0, place) for _ in corpus.languages]
    for index, chunk in enumerate(corpus.chunks):
        rows = corpus.rows(index)
        hashes, languages = mix(chunk.column("pair")[rows], seed + _SALT), corpus.language_of(index, rows)
        for language in np.unique(languages).tolist():
            own = np.flatnonzero(languages == language)
            own = own[np.argsort(hashes[own])[:count]]
            found = np.zeros(len(own), place)
            found["hash"], found["chunk"], found["row"] = hashes[own], index, rows[own]
            both = np.concatenate([smallest[language], found])
            smallest[language] = both[np.argsort(both["hash"])[:count]]
    return {
        language: [record for _, chunk, row in places.tolist() for record in corpus.chunks[chunk].records([row])]
        for language, places in zip(corpus.languages, smallest, strict=True)
        if len(places)
    }


def random_heldout(pools: Mapping[str, Sequence[Record]], seed: int, count: int = PAIRS) -> dict[str, list[Record]]:
    """Held-out pairs of each language, drawn at random by their content and the seed."""
    found = {}
    for language, records in pools.items():
        hashes = np.array([text_hash(f"{record.anchor}\n{record.positive}") for record in records], np.uint64)
        found[language] = [records[row] for row in np.argsort(mix(hashes, seed + _SALT))[:count].tolist()]
    return found


def _shown(pairs: Mapping[str, Sequence[Record]]) -> dict[str, list[dict[str, Any]]]:
    """The pairs as JSON, long texts cut."""
    return {
        language: [
            {
                "id": record.id,
                "languages": [record.anchor_lang, record.positive_lang],
                "texts": [_short(text) for text in (record.anchor, record.positive, *record.negatives)],
                "label": record.label,
                "score": record.score,
            }
            for record in records
        ]
        for language, records in pairs.items()
    }


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def padding_by_choice(batches_of: Callable[[DataConfig], Batches], config: DataConfig) -> list[dict[str, Any]]:
    """The share of padding, and the number of shapes to compile, for some choices of `length_buckets`.

    Each is `Batches.padding_share`, of as many steps (64, but fewer if they are large).
    """
    found = []
    for buckets in choices_of_buckets(config):
        batches = batches_of(config.model_copy(update={"length_buckets": buckets}))
        steps = max(config.window, min(64, _LOOKED_AT // batches.order.batch_size))
        found.append(
            {
                "length_buckets": buckets,
                "padding": batches.padding_share(steps),
                "shapes": len(batches.sizes),
                "chosen": buckets == config.length_buckets,
            }
        )
    return found


def choices_of_buckets(config: DataConfig) -> list[tuple[int, ...] | None]:
    """Packing, and lists of lengths to pad to: one length, doubling from 16, four equal steps, and the config's own.

    >>> from jaxemb.config import TextSource
    >>> choices_of_buckets(DataConfig(sources=(TextSource(path="a.txt", language="en"),), max_length=128))
    [None, (128,), (16, 32, 64, 128), (32, 64, 96, 128)]
    """
    longest = config.max_length
    doubling = tuple(16 << power for power in range(longest.bit_length()) if 16 << power < longest)
    quarters = tuple(sorted({-(-longest * part // 4) for part in (1, 2, 3)} - {longest}))
    choices = [None, (longest,), (*doubling, longest), (*quarters, longest), config.length_buckets]
    return list(dict.fromkeys(choices))
