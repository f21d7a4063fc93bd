"""Pairs in translation memories; see `readers.tmx`."""

from collections.abc import Iterator

from jaxemb.config import TmxSource
from jaxemb.data.pairs.languages import pair_language
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart, file_parts
from jaxemb.data.sources.rows import UNKNOWN, is_language
from jaxemb.language_tags import language_tag
from jaxemb.readers.lines import BadLine
from jaxemb.readers.locations import Location
from jaxemb.readers.tmx import read_units


def parts(config: TmxSource, root: str | None) -> list[SourcePart]:
    """The files; see `file_parts`."""
    return file_parts(config, root, _read)


def _read(path: Location, config: TmxSource) -> Iterator[Record | BadLine | Skipped]:
    """A pair of the first text in the anchor's language with each text in another language."""
    for unit in read_units(path):
        if isinstance(unit, BadLine):
            yield unit
            continue
        texts = [(language_tag(language) or language, text) for language, text in unit.texts]
        anchor = next((one for one in texts if is_language(one[0], config.anchor_lang)), None)
        positives = [one for one in texts if one is not anchor and _is_positive(one[0], config)]
        if anchor is None or not positives:
            yield Skipped(pair_language(config.anchor_lang, config.positive_lang or UNKNOWN), "other_language")
            continue
        for number, (language, text) in enumerate(positives):
            yield Record(
                anchor[1],
                text,
                anchor_lang=config.anchor_lang,
                positive_lang=config.positive_lang or language,
                source=config.path,
                id=f"{path.name}:{unit.line}" + (f"/{number + 1}" if number else ""),
            )


def _is_positive(language: str, config: TmxSource) -> bool:
    if config.positive_lang is None:
        return not is_language(language, config.anchor_lang)
    return is_language(language, config.positive_lang)
