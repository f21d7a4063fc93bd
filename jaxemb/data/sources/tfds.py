"""Datasets of TensorFlow Datasets by name, read by random access and without TensorFlow."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from jaxemb.config import TfdsSource
from jaxemb.data.cache import in_chunks
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.keyed import example, of_row
from jaxemb.data.sources.part import SourcePart
from jaxemb.data.sources.rows import RowChoice
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine
from jaxemb.readers.locations import whole_path
from jaxemb.readers.splits import LANGUAGE

T = TypeVar("T")


def parts(config: TfdsSource, root: str | None) -> list[SourcePart]:
    """A split as a single part; the versions of its files identify its version.

    Raises:
      UserError: if there is no such dataset or split, or it was not prepared in a format for random access.
    """
    import tensorflow_datasets as tfds

    folder = None if config.data_dir is None else whole_path(config.data_dir, root)
    name = f"{config.name}, split {config.split}"
    try:
        builder = tfds.builder(config.name, data_dir=folder)
        if config.split.partition("[")[0] not in builder.info.splits:
            there = ", ".join(builder.info.splits) or "none: it is not prepared"
            raise UserError(f"data.sources: the dataset {config.name} has no split {config.split!r}; splits: {there}")
        source = builder.as_data_source(split=config.split)
    except UserError:
        raise
    except Exception as error:  # of many kinds, depending on what is missing
        raise UserError(
            f"data.sources: the dataset {name} cannot be opened in {folder or '~/tensorflow_datasets'} "
            f"({str(error).splitlines()[0]}); prepare it with "
            f"`tfds build {config.name} --file_format=array_record`, or correct name, split and data_dir"
        ) from error
    paths = tuple(sorted(path for path in Path(builder.data_dir).iterdir() if path.is_file()))
    licence = config.licence or (builder.info.redistribution_info.license or None)
    return [SourcePart(name, paths, config.name, licence, functools.partial(_read, source, config, builder.data_dir))]


def _read(source: Any, config: TfdsSource, folder: Any) -> Iterator[Record | Alternatives | BadLine | Skipped]:
    """The examples, in order.

    Raises:
      UserError: if a file is truncated or corrupt.
    """
    choice = RowChoice(Path(config.name), None, config.language, config.language_key)
    for indices in in_chunks(_tried(lambda: len(source), config, folder)):
        examples = _tried(functools.partial(source.__getitems__, list(indices)), config, folder)
        for index, values in zip(indices, examples, strict=True):
            try:
                language = choice.of(None, of_row(values, config, LANGUAGE))
                if isinstance(language, Skipped):
                    yield language
                else:
                    yield example(values, config, config.name, f"{config.split}:{index}", language)
            except (OverflowError, TypeError, ValueError) as error:
                yield BadLine(index + 1, str(error), str(values))
    choice.check()


def _tried(act: Callable[[], T], config: TfdsSource, folder: Any) -> T:
    try:
        return act()
    except Exception as error:  # array_record's RuntimeError, among others
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{folder}: the dataset {config.name}, split {config.split}, is truncated or corrupt ({reason}); fetch it "
            "again, or prepare it again"
        ) from error
