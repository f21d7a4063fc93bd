"""Natural language inference: labelled pairs, or a premise with an entailed and a contradicting sentence."""

from collections.abc import Iterator

from jaxemb.config import NliSource
from jaxemb.data.pairs.normalize import normalize_text
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.nli_rows import NliRow, nli_rows
from jaxemb.data.sources.part import SourcePart, file_parts
from jaxemb.data.sources.rows import UNKNOWN, RowChoice
from jaxemb.readers.lines import BadLine
from jaxemb.readers.locations import Location

CONTRADICTION, ENTAILMENT = 0, 1


def parts(config: NliSource, root: str | None) -> list[SourcePart]:
    """The files; see `file_parts`."""
    return file_parts(config, root, _triplets if config.triplets else _labelled)


def _labelled(path: Location, config: NliSource) -> Iterator[Record | BadLine | Skipped]:
    for item in _taken(path, config):
        if not isinstance(item, tuple):
            yield item
            continue
        row, language = item
        if row.label is None:
            yield Skipped(language, "no_agreement")
        else:
            yield _record(path, config, row, language, label=row.label)


def _triplets(path: Location, config: NliSource) -> Iterator[Record | BadLine | Skipped]:
    """A premise's hypotheses may be anywhere in the file, so the whole file is read first."""
    premises: dict[tuple[str, str], tuple[list[NliRow], list[NliRow]]] = {}
    for item in _taken(path, config):
        if not isinstance(item, tuple):
            yield item
            continue
        row, language = item
        sides = premises.setdefault((language, normalize_text(row.premise)), ([], []))
        if row.label in (CONTRADICTION, ENTAILMENT):
            sides[row.label].append(row)
    for (language, _), (contradictions, entailments) in premises.items():
        if not contradictions or not entailments:
            yield Skipped(language, "no_triplet")
        for wrong, right in zip(contradictions, entailments, strict=False):
            yield _record(path, config, right, language, negatives=(wrong.hypothesis,))


def _taken(path: Location, config: NliSource) -> Iterator[tuple[NliRow, str] | BadLine | Skipped]:
    """The rows of the source's split and language, with their languages."""
    choice = RowChoice(path, config.split, config.language)
    for row in nli_rows(path, config.label_names):
        if isinstance(row, BadLine):
            yield row
            continue
        if not row.premise and not row.hypothesis:  # an empty line
            yield Skipped(config.language or UNKNOWN, "empty_line")
            continue
        language = choice.of(row.split, row.language)
        yield language if isinstance(language, Skipped) else (row, language)
    choice.check()


def _record(
    path: Location,
    config: NliSource,
    row: NliRow,
    language: str,
    negatives: tuple[str, ...] = (),
    label: int | None = None,
) -> Record:
    return Record(
        row.premise,
        row.hypothesis,
        negatives,
        label,
        anchor_lang=language,
        positive_lang=language,
        source=config.path,
        id=f"{path.name}:{row.line}",
    )
