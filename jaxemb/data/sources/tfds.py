"""Datasets of TensorFlow Datasets by name, read by random access and without TensorFlow."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxemb.config import TfdsSource
from jaxemb.data.cache import in_chunks
from jaxemb.data.pairs.alternatives import Alternatives
from jaxemb.data.pairs.records import Record
from jaxemb.data.pairs.report import Skipped
from jaxemb.data.sources.keyed import example
from jaxemb.data.sources.part import SourcePart
from jaxemb.errors import UserError
from jaxemb.readers.lines import BadLine


def parts(config: TfdsSource, root: Path) -> list[SourcePart]:
    """A split as a single part; the versions of its files identify its version.

    Raises:
      UserError: if there is no such dataset or split, or it was not prepared in a format for random access.
    """
    import tensorflow_datasets as tfds

    folder = None if config.data_dir is None else str(root / Path(config.data_dir).expanduser())
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
    return [SourcePart(name, paths, config.name, licence, functools.partial(_read, source, config))]


def _read(source: Any, config: TfdsSource) -> Iterator[Record | Alternatives | BadLine | Skipped]:
    for indices in in_chunks(len(source)):
        for index, values in zip(indices, source.__getitems__(list(indices)), strict=True):
            try:
                yield example(values, config, config.name, f"{config.split}:{index}")
            except (OverflowError, TypeError, ValueError) as error:
                yield BadLine(index + 1, str(error), str(values))
