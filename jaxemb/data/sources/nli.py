"""Natural language inference: labelled pairs, or a premise with an entailed and a contradicting sentence."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxemb.config import NliSource
from jaxemb.data.pairs.normalize import normalize_text
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.part import SourcePart, file_parts
from jaxemb.errors import UserError
from jaxemb.readers.json_lines import read_json_lines
from jaxemb.readers.lines import BadLine, read_lines, uncompressed_suffix

LABELS = ("contradiction", "entailment", "neutral")
"""The labels by number, as in the authors' code of Sentence-BERT."""
CONTRADICTION, ENTAILMENT = 0, 1
PREMISE, HYPOTHESIS = ("sentence1", "sentence_A", "premise"), ("sentence2", "sentence_B", "hypothesis")
LABEL = ("gold_label", "entailment_label", "entailment_judgment", "label")


class _Pair(NamedTuple):
    line: int
    premise: str
    hypothesis: str
    label: int | None


def parts(config: NliSource, root: Path) -> list[SourcePart]:
    """The files; see `file_parts`."""
    return file_parts(config, root, _triplets if config.triplets else _labelled)


def _labelled(path: Path, config: NliSource) -> Iterator[Record | BadLine | Skipped]:
    for pair in _pairs(path):
        if isinstance(pair, BadLine):
            yield pair
        elif pair.label is None:
            yield Skipped(config.language, "no_agreement")
        else:
            yield _record(path, config, pair.line, pair.premise, pair.hypothesis, label=pair.label)


def _triplets(path: Path, config: NliSource) -> Iterator[Record | BadLine | Skipped]:
    """A premise's hypotheses may be anywhere in the file, so the whole file is read first."""
    premises: dict[str, tuple[list[_Pair], list[_Pair]]] = {}
    for pair in _pairs(path):
        if isinstance(pair, BadLine):
            yield pair
            continue
        sides = premises.setdefault(normalize_text(pair.premise), ([], []))
        if pair.label in (CONTRADICTION, ENTAILMENT):
            sides[pair.label].append(pair)
    for contradictions, entailments in premises.values():
        if not contradictions or not entailments:
            yield Skipped(config.language, "no_triplet")
        for wrong, right in zip(contradictions, entailments, strict=False):
            yield _record(path, config, right.line, right.premise, right.hypothesis, negatives=(wrong.hypothesis,))


def _record(
    path: Path,
    config: NliSource,
    line: int,
    premise: str,
    hypothesis: str,
    negatives: tuple[str, ...] = (),
    label: int | None = None,
) -> Record:
    return Record(
        premise,
        hypothesis,
        negatives,
        label,
        anchor_lang=config.language,
        positive_lang=config.language,
        source=config.path,
        id=f"{path.name}:{line}",
    )


def _pairs(path: Path) -> Iterator[_Pair | BadLine]:
    yield from _jsonl(path) if uncompressed_suffix(path) == ".jsonl" else _table(path)


def _jsonl(path: Path) -> Iterator[_Pair | BadLine]:
    for item in read_json_lines(path):
        if isinstance(item, BadLine):
            yield item
            continue
        number, line, values = item
        names = list(values) if isinstance(values, dict) else []
        columns = [_column(names, wanted) for wanted in (PREMISE, HYPOTHESIS, LABEL)]
        if None in columns:
            yield BadLine(number, f"needs {PREMISE[0]}, {HYPOTHESIS[0]} and {LABEL[0]}", line)
            continue
        yield _pair(number, line, *(values[names[column or 0]] for column in columns))


def _table(path: Path) -> Iterator[_Pair | BadLine]:
    """Tab-separated, with a header."""
    lines = read_lines(path)
    head = next(lines, "")
    names = head.split("\t") if isinstance(head, str) else []
    columns = [_column(names, wanted) for wanted in (PREMISE, HYPOTHESIS, LABEL)]
    if None in columns:
        raise UserError(
            f"{path}, line 1: the header names no {', '.join(PREMISE)}, no {', '.join(HYPOTHESIS)} or no "
            f"{', '.join(LABEL)}; SNLI and MultiNLI are read from their .jsonl files, SICK from its .txt"
        )
    for number, line in enumerate(lines, start=2):
        if isinstance(line, BadLine):
            yield line
            continue
        cells = line.split("\t")
        if len(cells) != len(names):
            yield BadLine(number, f"{len(cells)} columns where the header has {len(names)}", line)
            continue
        yield _pair(number, line, *(cells[column or 0] for column in columns))


def _column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _pair(number: int, line: str, premise: object, hypothesis: object, label: object) -> _Pair | BadLine:
    """Labels are names, in any case; `-` means that annotators did not agree."""
    if not isinstance(premise, str) or not isinstance(hypothesis, str):
        return BadLine(number, "a sentence is no text", line)
    label = label.lower() if isinstance(label, str) else label
    if label == "-":
        return _Pair(number, premise, hypothesis, None)
    if label not in LABELS:
        return BadLine(number, f"the label {label!r} is none of {', '.join(LABELS)} and -", line)
    return _Pair(number, premise, hypothesis, LABELS.index(label))
